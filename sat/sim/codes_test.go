package sim_test

import (
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

// wrong asks with a wrong activation code.
func (b *bench) wrong(f sat.Function, args ...string) sat.Code {
	b.Helper()
	b.session++
	return b.send(sattest.Request(f, b.session, args...).WithArg(sat.CodeParam, "87654321")).Code
}

func TestWrongActivationCode(t *testing.T) {
	for f, args := range map[sat.Function][]string{
		sat.ComunicarCertificadoICPBRASIL: {""}, sat.EnviarDadosVenda: {""}, sat.CancelarUltimaVenda: {"", ""}, sat.TesteFimAFim: {""},
		sat.ConsultarStatusOperacional: nil, sat.ConsultarNumeroSessao: {"1"}, sat.ConfigurarInterfaceDeRede: {""},
		sat.AssociarAssinatura: {"", ""}, sat.AtualizarSoftwareSAT: nil, sat.ExtrairLogs: nil, sat.BloquearSAT: nil,
		sat.DesbloquearSAT: nil, sat.TrocarCodigoDeAtivacao: {"1", "99999999", "99999999"}, sat.ConsultarUltimaSessaoFiscal: nil,
	} {
		if code := device(t, sim.Options{}).wrong(f, args...); code != f.Success()+1 {
			t.Errorf("%s with a wrong code: %s, want %s", f, code, f.Success()+1)
		}
	}
}

// Three wrong codes lock the device, each further three for twice as long, until
// the count begins anew after 36 (dossier 5.6).
func TestLockOut(t *testing.T) {
	b := device(t, sim.Options{})
	sale := sattest.SaleXML("10.00", "")
	for round := range 13 {
		minutes := 1 << (round%12 + 1)
		for range 3 {
			if code := b.wrong(sat.ConsultarStatusOperacional); code != 10001 {
				t.Fatalf("round %d: %s", round, code)
			}
		}
		b.refuses(6009, "0000", sat.EnviarDadosVenda, sale)
		b.want(7006, sat.CancelarUltimaVenda, "", "")
		b.want(10001, sat.ConsultarStatusOperacional)
		b.want(18001, sat.TrocarCodigoDeAtivacao, "1", "99999999", "99999999")
		b.want(8098, sat.ConsultarSAT)
		b.want(4099, sat.AtivarSAT, "1", taxpayer, "35")
		b.now = b.now.Add(time.Duration(minutes)*time.Minute - time.Second)
		b.refuses(6009, "0000", sat.EnviarDadosVenda, sale)
		b.now = b.now.Add(time.Second)
	}
	b.sell()
	for range 2 {
		b.wrong(sat.ConsultarStatusOperacional)
	}
	b.sell() // the right code forgives the wrong ones
	b.wrong(sat.ConsultarStatusOperacional)
	b.sell()
	if len(b.Issued()) != 3 {
		t.Errorf("issued %d", len(b.Issued()))
	}
}

func TestChangeOfActivationCode(t *testing.T) {
	const fresh = "novo-codigo"
	b := device(t, sim.Options{EmergencyCode: "emergencia-1"})
	b.want(18099, sat.TrocarCodigoDeAtivacao, "1", fresh, "outro-codigo")
	b.want(18099, sat.TrocarCodigoDeAtivacao, "1", "curto", "curto")
	b.want(18099, sat.TrocarCodigoDeAtivacao, "3", fresh, fresh)
	b.want(18002, sat.TrocarCodigoDeAtivacao, "2", fresh, fresh)
	b.want(18000, sat.TrocarCodigoDeAtivacao, "1", fresh, fresh)
	b.want(6001, sat.EnviarDadosVenda, sattest.SaleXML("10.00", ""))
	for range 2 {
		b.wrong(sat.ConsultarStatusOperacional)
	}
	emergency := sattest.Request(sat.TrocarCodigoDeAtivacao, 900, "2", sim.DefaultCode, sim.DefaultCode).WithArg(sat.CodeParam, "emergencia-1")
	if r := b.send(emergency); r.Code != 18000 {
		t.Fatalf("emergency code: %s", r.Code)
	}
	b.sell() // also ends the lock-out
	none := device(t, sim.Options{})
	none.want(18002, sat.TrocarCodigoDeAtivacao, "2", fresh, fresh)
}
