package sim

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"zelo/sat"
	"zelo/sat/cfe"
)

// Kind is the make of device.
type Kind string

// The kinds.
const (
	SAT Kind = "SAT" // São Paulo
	MFE Kind = "MFE" // Ceará
)

// Environment is tpAmb.
type Environment int

// The environments.
const (
	Production Environment = 1
	Test       Environment = 2
)

// Options say which device is simulated. The zero Options make a SAT of the test
// environment, activated and linked, that sells at once; every field has the
// default given.
type Options struct {
	Kind        Kind          // SAT
	Serial      string        // nserieSAT, nine digits; 900000001
	Emitter     cfe.Emitter   // the taxpayer as registered; TestEmitter of the kind
	Layout      string        // 0.08
	Software    string        // software básico; 01.00.00
	Environment Environment   // Test
	MaxTotal    int64         // largest vCFe in cents; no limit
	MemoryTotal int64         // bytes; 4 GiB
	AutoBlock   time.Duration // without the SEFAZ; DefaultAutoBlock

	Factory       bool   // begin as delivered: not activated, not linked
	Code          string // activation code; 12345678
	EmergencyCode string // "" makes every one wrong
	SignAC        string // linked signature; the development text of SAT kits

	CA                      *cfe.CA     // issues the certificate; made
	Signer                  *cfe.Signer // key and certificate, issued by CA; made
	CertIssued, CertExpires time.Time   // of a certificate made; a year ago, five years long

	Memory        Memory                         // LastOnly
	NewCodes      bool                           // table of 2016 for CancelarUltimaVenda
	OldDuplicates bool                           // a repeated session gets xx099 instead of xx097
	Latency       map[sat.Function]time.Duration // how long a command takes; 0

	Clock func() time.Time // the device's clock; time.Now
	Seed  uint64           // of cNF
	Dir   string           // keeps the device between processes; "" forgets it
	Log   *slog.Logger     // discards
}

// DefaultCode is the activation code of a device that begins activated.
const DefaultCode = "12345678"

// TestEmitter is the taxpayer of a kind's development kits (dossiers 4.5 and on
// the MFE, 4.3).
func TestEmitter(k Kind) cfe.Emitter {
	e := cfe.Emitter{UF: 35, CNPJ: "08723218000186", Name: "LOJA DE TESTE DO SAT LTDA", TradeName: "LOJA DE TESTE", Street: "RUA DAS PALMEIRAS",
		Number: "73", District: "CENTRO", City: "SAO PAULO", CEP: "01001000", IE: "562377111111", IM: "12345", Regime: 3}
	if k == MFE {
		e = cfe.Emitter{UF: 23, CNPJ: "14200166000166", Name: "LOJA DE TESTE DO MFE LTDA", Street: "AVENIDA BEIRA MAR",
			Number: "579", District: "MEIRELES", City: "FORTALEZA", CEP: "60165121", IE: "1234567890", IM: "9004029", Regime: 3}
	}
	return e
}

func (o Options) complete() (Options, error) {
	o.Kind = cmp.Or(o.Kind, SAT)
	o.Serial = cmp.Or(o.Serial, "900000001")
	o.Layout = cmp.Or(o.Layout, "0.08")
	o.Software = cmp.Or(o.Software, "01.00.00")
	o.Environment = cmp.Or(o.Environment, Test)
	o.MemoryTotal = cmp.Or(o.MemoryTotal, 4<<30)
	o.AutoBlock = cmp.Or(o.AutoBlock, DefaultAutoBlock)
	o.Code = cmp.Or(o.Code, DefaultCode)
	o.SignAC = cmp.Or(o.SignAC, devSignatureSAT)
	o.Memory = cmp.Or(o.Memory, LastOnly)
	if o.Emitter.CNPJ == "" {
		o.Emitter = TestEmitter(o.Kind)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.Kind != SAT && o.Kind != MFE:
		return o, fmt.Errorf("kind %q is neither SAT nor MFE", o.Kind)
	case len(o.Serial) != 9 || number(o.Serial) < 0:
		return o, fmt.Errorf("serial number %q has not nine digits", o.Serial)
	case !slices.Contains([]string{"0.06", "0.07", "0.08"}, o.Layout):
		return o, fmt.Errorf("layout %q is none of 0.06, 0.07, 0.08", o.Layout)
	case len(o.Software) != 8:
		return o, fmt.Errorf("software version %q is not like 01.00.00", o.Software)
	case o.Environment != Production && o.Environment != Test:
		return o, fmt.Errorf("environment %d is neither 1 nor 2", o.Environment)
	case !validCode(o.Code):
		return o, errors.New("an activation code has 8 to 32 characters")
	case o.Memory != LastOnly && o.Memory != Generous:
		return o, fmt.Errorf("memory %q is neither last nor generous", o.Memory)
	case o.Signer != nil && o.CA == nil:
		return o, errors.New("a given signer needs its authority")
	}
	return o, nil
}
