package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/collector/alarm"
	"zelo/collector/store"
	"zelo/sat"
	"zelo/sat/cfe"
)

// cpf is the consumer of every sale of these tests.
const cpf = "52998224725"

const (
	agentID = "abcdefgh234567ab"
	serial  = "900000001"
)

// epoch is that of the agent's buffer.
var epoch = wire.Epoch{1, 2, 3}

// noon is before emission was prohibited.
func noon() time.Time { return time.Date(2025, 12, 10, 12, 0, 0, 0, sat.Brasilia()) }

// factory issued the certificates of all devices; RSA keys are costly to make.
var factory = sync.OnceValue(func() (f struct {
	ca      *cfe.CA
	devices []*cfe.Signer
}) {
	var err error
	if f.ca, err = cfe.NewTestCA(noon()); err != nil {
		panic(err)
	}
	for i := range 3 {
		d, err := f.ca.Issue(cfe.DeviceCert{Serial: fmt.Sprintf("%09d", 900000001+i), CNPJ: "11222333000181", Name: "LOJA MODELO",
			NotBefore: noon().AddDate(-1, 0, 0), NotAfter: noon().AddDate(4, 0, 0)})
		if err != nil {
			panic(err)
		}
		f.devices = append(f.devices, d)
	}
	return f
})

// sale is a production CF-e of a device, with a consumer.
func sale(t testing.TB, device, number int, issued time.Time) []byte {
	t.Helper()
	return issue(t, device, number, issued, 1, strings.Repeat("Ab", 172))
}

func issue(t testing.TB, device, number int, issued time.Time, environment int, signAC string) []byte {
	t.Helper()
	in, err := cfe.ParseSale([]byte(`<CFe><infCFe versaoDadosEnt="0.08"><ide><CNPJ>11444777000161</CNPJ><signAC>` + signAC + `</signAC>
		<numeroCaixa>001</numeroCaixa></ide><emit><CNPJ>11222333000181</CNPJ><IE>123456789012</IE><indRatISSQN>N</indRatISSQN></emit>
		<dest><CPF>` + cpf + `</CPF></dest><det nItem="1"><prod><cProd>1</cProd><xProd>Café</xProd><CFOP>5102</CFOP><uCom>un</uCom>
		<qCom>1.0000</qCom><vUnCom>` + fmt.Sprintf("%d.50", number%90+1) + `</vUnCom><indRegra>A</indRegra></prod><imposto><ICMS><ICMS40><Orig>0</Orig><CST>60</CST>
		</ICMS40></ICMS><PIS><PISNT><CST>04</CST></PISNT></PIS><COFINS><COFINSNT><CST>04</CST></COFINSNT></COFINS></imposto></det>
		<total/><pgto><MP><cMP>01</cMP><vMP>100.00</vMP></MP></pgto></infCFe></CFe>`))
	if err != nil {
		t.Fatal(err)
	}
	out, err := cfe.Issue(in, cfe.Emitter{UF: 35, CNPJ: "11222333000181", Name: "LOJA MODELO LTDA", Street: "Rua Direita", Number: "7", District: "Sé",
		City: "São Paulo", CEP: "01002000", IE: "123456789012", Regime: 3}, cfe.Stamp{Layout: "0.08", Serial: fmt.Sprintf("%09d", 900000001+device),
		Number: number, Random: number, Issued: issued, Environment: environment, Software: "010203"}, factory().devices[device])
	if err != nil {
		t.Fatal(err)
	}
	return out.XML
}

// edited is a document changed after it was signed.
func edited(doc []byte) []byte {
	return bytes.Replace(doc, []byte("Café"), []byte("Chá!"), 1)
}

// shop is a collector with a clock of its own and everything it logged.
type shop struct {
	t     testing.TB
	file  string
	store *store.Store
	g     *Ingest
	codec *wire.Codec
	mu    sync.Mutex
	now   time.Time
	log   *bytes.Buffer
	id    uint64
}

func newShop(t testing.TB) *shop {
	t.Helper()
	s := &shop{t: t, now: noon(), log: &bytes.Buffer{}, file: filepath.Join(t.TempDir(), "zelo.db")}
	var err error
	if s.store, err = store.Open(context.Background(), s.file); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.store.Close() })
	s.g, err = New(Options{Store: s.store, Roots: factory().ca.Pool(), Now: s.clock,
		Log: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	s.codec = s.g.codec
	t.Cleanup(func() {
		if strings.Contains(s.log.String(), cpf) {
			t.Errorf("a CPF is in the log: %s", s.log)
		}
	})
	return s
}

func (s *shop) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *shop) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

func (s *shop) encode(v any) []byte {
	s.t.Helper()
	b, err := s.codec.Encode(v)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// pack makes the payloads of a batch or beat.
func (s *shop) pack(stream string, v any) (out []Incoming) {
	s.t.Helper()
	s.id++
	packets, err := s.codec.Pack(s.id, v)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, p := range packets {
		out = append(out, Incoming{agentID, stream, p, s.clock()})
	}
	return out
}

// records packs records from a first sequence on.
func (s *shop) records(stream string, first uint64, items ...wire.Item) []Incoming {
	b := wire.Batch{Version: wire.Version, Epoch: epoch}
	for i, item := range items {
		b.Records = append(b.Records, wire.Record{Seq: first + uint64(i), Data: s.encode(item)})
	}
	return s.pack(stream, b)
}

func document(body []byte) wire.Item {
	return wire.Item{Version: 1, Kind: wire.KindDocument, Serial: serial, Till: "001", At: noon().UnixMilli(), Body: body}
}

func event(code string, detail map[string]string) wire.Item {
	return wire.Item{Version: 1, Kind: wire.KindEvent, Serial: serial, Till: "001", At: noon().UnixMilli(), Code: code, Detail: detail}
}

func status(now time.Time, change func(*sat.Status)) wire.Item {
	st := sat.Status{Serial: serial, LAN: "CONECTADO", Now: now, Software: "01.00.00", Layout: "00.08", LastContact: now, CertIssued: now.AddDate(-1, 0, 0),
		CertExpires: now.AddDate(3, 0, 0), MemoryTotal: sat.Size{Text: "4 GB"}, MemoryUsed: sat.Size{Text: "1 GB"}}
	change(&st)
	return wire.Item{Version: 1, Kind: wire.KindStatus, Serial: serial, At: now.UnixMilli(), Body: sat.NewStatusReply(1, st).Raw}
}

func (s *shop) beat(devices ...wire.BeatDevice) wire.Beat {
	return wire.Beat{Version: 1, Software: "1.0.0", Host: "caixa-1", System: "linux/amd64", Started: noon().UnixMilli(),
		Clock: s.clock().UnixMilli(), Epoch: epoch, Waiting: 2, Oldest: noon().UnixMilli(), Used: 1, Bound: 2, Devices: devices}
}

// ingest stores payloads and returns the sum of their results.
func (s *shop) ingest(in ...Incoming) (sum Result) {
	s.t.Helper()
	results, err := s.g.Ingest(context.Background(), in)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range results {
		sum.Stored += r.Stored
		sum.Duplicates += r.Duplicates
		sum.Quarantined += r.Quarantined
		sum.Acks = append(sum.Acks, r.Acks...)
	}
	return sum
}

func (s *shop) view(fn func(*store.Reader) error) {
	s.t.Helper()
	if err := s.store.View(context.Background(), store.All(), fn); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) counts() (c store.Counts) {
	s.view(func(r *store.Reader) (err error) { c, err = r.Counts(); return err })
	return c
}

// alarms judges what changed and returns the open alarms.
func (s *shop) alarms() map[alarm.Code]store.Alarm {
	s.t.Helper()
	if err := s.g.Judge(context.Background()); err != nil {
		s.t.Fatal(err)
	}
	out := map[alarm.Code]store.Alarm{}
	s.view(func(r *store.Reader) error {
		open, err := r.OpenAlarms()
		for _, a := range open {
			out[a.Code] = a
		}
		return err
	})
	return out
}

// stored returns all versions of a document's key, the best first.
func (s *shop) stored(raw []byte) (list []store.Document) {
	s.t.Helper()
	doc, err := cfe.Parse(raw)
	if err != nil {
		s.t.Fatal(err)
	}
	s.view(func(r *store.Reader) (err error) { list, err = r.Versions(string(doc.Key)); return err })
	return list
}

// acked reports whether an acknowledgement names a record by sequence and hash.
func acked(acks []wire.Ack, stream string, seq uint64, data []byte) bool {
	for _, a := range acks {
		for _, r := range a.Records {
			if a.Stream == stream && a.Epoch == epoch && r.Seq == seq && r.SHA256 == sha256.Sum256(data) {
				return true
			}
		}
	}
	return false
}
