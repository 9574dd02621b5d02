//go:build linux

package e2e

import (
	"archive/zip"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"zelo/agent/uplink"
	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/collector/broker"
	"zelo/collector/enrol"
	"zelo/collector/export"
	"zelo/collector/ingest"
	"zelo/collector/store"
	"zelo/sat"
	"zelo/sat/cfe"
	"zelo/sat/ipc"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

// The figures of `make bench` that need both halves or whole processes. Each is
// measured once, whatever b.N is, beside its floor or peer in the same run; what is
// to be reached stands in .ci/bench.sh.

// noError ends a benchmark whose preparation failed.
func noError(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func middle(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// soon waits for something that is seen by looking.
func soon(b *testing.B, what string, ok func() bool) {
	b.Helper()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for deadline := time.Now().Add(time.Minute); !ok(); <-look.C {
		if time.Now().After(deadline) {
			b.Fatalf("gave up waiting for %s", what)
		}
	}
}

// center is a collector within this process: the real store, ingest and broker.
type center struct {
	file     string // the store's
	ca       *enrol.CA
	registry *enrol.Registry
	broker   *broker.Broker
}

func openCenter(b *testing.B) *center {
	b.Helper()
	dir, log := b.TempDir(), slog.New(slog.DiscardHandler)
	c := &center{file: filepath.Join(dir, "zelo.db")}
	st, err := store.Open(b.Context(), c.file)
	noError(b, err)
	c.ca, err = enrol.CreateCA(dir, time.Now())
	noError(b, err)
	c.registry = enrol.New(c.ca, st, time.Now)
	in, err := ingest.New(ingest.Options{Store: st, Log: log, Now: time.Now})
	noError(b, err)
	c.broker, err = broker.Start(broker.Options{Listen: "127.0.0.1:0", TLS: c.ca.ServerConfig([]string{"127.0.0.1"}, time.Now), CAs: c.ca.Pool(),
		Folder: filepath.Join(dir, "broker"), Agent: c.registry.Agent, Receive: in.Receive, Log: log})
	noError(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { in.Run(ctx, c.broker) })
	b.Cleanup(func() {
		c.broker.Close()
		cancel()
		running.Wait()
		st.Close()
	})
	return c
}

func (c *center) token(b *testing.B) string {
	b.Helper()
	token, err := c.registry.NewToken(b.Context(), "figures", 1, time.Now().Add(time.Hour))
	noError(b, err)
	return token
}

// outlet is a till with the agent's real buffer and uplink, and a device.
type outlet struct {
	buffer *buffer.Buffer
	codec  *wire.Codec
	device *sim.Sim
	sold   int
}

func (c *center) outlet(b *testing.B, number int) *outlet {
	b.Helper()
	o := &outlet{}
	var err error
	o.codec, err = wire.NewCodec()
	noError(b, err)
	streams := []buffer.Stream{{Name: wire.StreamEvents}, {Name: wire.StreamDocuments}}
	o.buffer, _, err = buffer.Open(filepath.Join(b.TempDir(), "cupons.db"), buffer.Options{MaxBytes: 64 << 20, Streams: streams})
	noError(b, err)
	o.device, err = sim.New(sim.Options{Serial: fmt.Sprint(900000001 + number), Environment: sim.Production})
	noError(b, err)
	transport := uplink.MQTT{Broker: "tls://" + c.broker.Addr(), Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }}
	transport.Agent, transport.TLS = c.enrolled(b)
	u := uplink.New(uplink.Options{Buffer: o.buffer, Codec: o.codec, Transport: transport, Streams: []string{wire.StreamEvents, wire.StreamDocuments},
		Beat: func() wire.Beat { return wire.Beat{Software: "figures", Clock: time.Now().UnixMilli()} },
		Log:  slog.New(slog.DiscardHandler), Now: time.Now})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { u.Run(ctx) })
	b.Cleanup(func() {
		cancel()
		running.Wait()
		o.buffer.Close()
		o.codec.Close()
		o.device.Close()
	})
	soon(b, "the connection", func() bool { return u.State().Connected })
	return o
}

// enrolled makes an agent with its certificate.
func (c *center) enrolled(b *testing.B) (agent string, config *tls.Config) {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	noError(b, err)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}}, key)
	noError(b, err)
	secret, _, _ := strings.Cut(c.token(b), ".")
	id, err := c.registry.Issue(b.Context(), secret, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}), "caixa")
	noError(b, err)
	block, _ := pem.Decode(id.Certificate)
	return id.Agent, &tls.Config{RootCAs: c.ca.Pool(), Certificates: []tls.Certificate{{Certificate: [][]byte{block.Bytes}, PrivateKey: key}}}
}

// issue has the device issue so many coupons and readies them for the stream.
func (o *outlet) issue(b *testing.B, n int) *buffer.Batch {
	batch := &buffer.Batch{}
	for range n {
		o.sold++
		_, err := o.device.Call(b.Context(), sattest.Request(sat.EnviarDadosVenda, o.sold, sattest.SaleXML(fmt.Sprintf("%d.50", o.sold%90+1), "")))
		if err != nil {
			b.Error(err)
			return batch
		}
		issued := o.device.Issued()
		data, err := o.codec.Encode(wire.Item{Version: wire.Version, Kind: wire.KindDocument, Serial: issued[0].Key[22:31], Till: "001",
			At: time.Now().UnixMilli(), Body: issued[len(issued)-1].XML})
		if err != nil {
			b.Error(err)
			return batch
		}
		batch.Append(wire.StreamDocuments, data)
	}
	return batch
}

func (o *outlet) waiting() (n int) {
	for _, s := range o.buffer.Stats().Streams {
		n += s.Waiting
	}
	return n
}

// Coupons of a round: of each till so many that its last batch is large enough not
// to wait for company.
const (
	couponTills  = 4
	couponsEach  = 490
	couponRounds = 3
)

// BenchmarkCoupons counts coupons per second from the tills' buffers to their
// acknowledgement there: real uplinks, TLS, broker, ingest and SQLite, all in one
// process. The floor is what cannot be left out, one after another: two RSA
// verifications of each, and the bare insert of the same rows.
func BenchmarkCoupons(b *testing.B) {
	c := openCenter(b)
	var tills []*outlet
	for i := range couponTills {
		tills = append(tills, c.outlet(b, i))
	}
	floor := openFloor(b, c.file)
	var rates, floors, ratios, micros []float64
	for round := range couponRounds + 1 {
		n := couponsEach
		if round == 0 {
			n = 100 // dictionaries are agreed on, and it does not count
		}
		batches := each(tills, func(o *outlet) *buffer.Batch { return o.issue(b, n) })
		start, cpu := time.Now(), cpuTime(b)
		each(tills, func(o *outlet) error {
			_, err := o.buffer.Commit(batches[slices.Index(tills, o)])
			return err
		})
		soon(b, "the acknowledgements", func() bool {
			return !slices.ContainsFunc(tills, func(o *outlet) bool { return o.waiting() > 0 })
		})
		took, used := time.Since(start), cpuTime(b)-cpu
		least := floor.measure(b, n*couponTills)
		if round == 0 {
			continue
		}
		all := float64(n * couponTills)
		rates, floors = append(rates, all/took.Seconds()), append(floors, all/least.Seconds())
		ratios, micros = append(ratios, least.Seconds()/took.Seconds()), append(micros, used.Seconds()*1e6/all)
	}
	b.ReportMetric(middle(floors), "floor/s")
	b.ReportMetric(middle(rates), "coupons/s")
	b.ReportMetric(middle(ratios), "of-floor")
	b.ReportMetric(middle(micros), "cpu-us/coupon")
	b.ReportMetric(0, "ns/op")
}

// each does something for all at once and returns the results in order.
func each[T, R any](items []T, do func(T) R) []R {
	out := make([]R, len(items))
	var all sync.WaitGroup
	for i, item := range items {
		all.Go(func() { out[i] = do(item) })
	}
	all.Wait()
	return out
}

// cpuTime is what this process has used of all cores.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	noError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// couponFloor verifies and inserts what a collector stored, and does nothing else.
type couponFloor struct {
	from, to *sql.DB
	last     int64 // id of the last row taken
	key      *rsa.PrivateKey
	sum      [32]byte
	mark     []byte
}

func openFloor(b *testing.B, file string) *couponFloor {
	b.Helper()
	f := &couponFloor{}
	twin := filepath.Join(b.TempDir(), "bare.db")
	st, err := store.Open(b.Context(), twin) // makes the tables
	noError(b, err)
	noError(b, st.Close())
	open := func(path string) *sql.DB {
		db, err := sql.Open("sqlite", "file:"+path+"?_journal_mode=WAL&_synchronous=FULL&_pragma=wal_autocheckpoint(16000)&_pragma=cache_size(-65536)&_txlock=immediate")
		noError(b, err)
		db.SetMaxOpenConns(1)
		b.Cleanup(func() { db.Close() })
		return db
	}
	f.from, f.to = open(file), open(twin)
	f.key, err = rsa.GenerateKey(rand.Reader, 2048)
	noError(b, err)
	f.mark, err = rsa.SignPKCS1v15(nil, f.key, crypto.SHA256, f.sum[:])
	noError(b, err)
	return f
}

// measure does the least for the n documents stored since the last time.
func (f *couponFloor) measure(b *testing.B, n int) time.Duration {
	b.Helper()
	insert, rows := f.rows(b)
	if len(rows) != n {
		b.Fatalf("%d documents are stored of %d", len(rows), n)
	}
	start := time.Now()
	for range 2 * len(rows) {
		noError(b, rsa.VerifyPKCS1v15(&f.key.PublicKey, crypto.SHA256, f.sum[:], f.mark))
	}
	tx, err := f.to.Begin()
	noError(b, err)
	defer tx.Rollback()
	stmt, err := tx.Prepare(insert)
	noError(b, err)
	for _, row := range rows {
		_, err := stmt.Exec(row...)
		noError(b, err)
	}
	noError(b, tx.Commit())
	return time.Since(start)
}

// rows are the documents stored since the last time, in the order of their keys,
// with the statement that inserts one.
func (f *couponFloor) rows(b *testing.B) (insert string, out [][]any) {
	b.Helper()
	rows, err := f.from.Query(`SELECT * FROM documents WHERE id > $1 ORDER BY key`, f.last)
	noError(b, err)
	defer rows.Close()
	columns, err := rows.Columns()
	noError(b, err)
	for rows.Next() {
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		noError(b, rows.Scan(into...))
		f.last = max(f.last, row[slices.Index(columns, "id")].(int64))
		out = append(out, row)
	}
	noError(b, rows.Err())
	return "INSERT INTO documents (" + strings.Join(columns, ", ") + ") VALUES (?" + strings.Repeat(", ?", len(columns)-1) + ")", out
}

// BenchmarkFootprint compares the agent, after it sold 1,000 coupons and a
// collector confirmed them, with zabbix-agent2 beside it: memory, size of the
// program, and what both use while nothing happens.
func BenchmarkFootprint(b *testing.B) {
	peer, err := exec.LookPath("zabbix_agent2")
	if err != nil {
		if peer, err = exec.LookPath("/usr/sbin/zabbix_agent2"); err != nil {
			b.Skip("SKIP: zabbix-agent2 is not installed (apt-get install zabbix-agent2)")
		}
	}
	dir := b.TempDir()
	program := filepath.Join(dir, "zelo-agent")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "./agent") // as make build does
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	agent := sellWith(b, program, dir)
	other := startPeer(b, peer, dir)
	const rest, idle = 5 * time.Second, 30 * time.Second
	<-time.After(rest)
	before := []float64{cpuOf(b, agent), cpuOf(b, other)}
	<-time.After(idle)
	percent := 100 / idle.Seconds()
	b.ReportMetric((cpuOf(b, agent)-before[0])*percent, "cpu-percent")
	b.ReportMetric((cpuOf(b, other)-before[1])*percent, "peer-cpu-percent")
	report := func(what string, ours, theirs float64, unit string) {
		b.ReportMetric(ours, what+"-"+unit)
		b.ReportMetric(theirs, "peer-"+what+"-"+unit)
		b.ReportMetric(ours/theirs, what+"-of-peer")
	}
	report("rss", memoryOf(b, agent, "VmRSS"), memoryOf(b, other, "VmRSS"), "MiB")
	report("binary", sizeOf(b, program), sizeOf(b, peer), "MB")
	b.ReportMetric(memoryOf(b, agent, "RssAnon"), "anonymous-MiB")
	b.ReportMetric(0, "ns/op")
}

func sizeOf(b *testing.B, path string) (megabytes float64) {
	b.Helper()
	info, err := os.Stat(path)
	noError(b, err)
	return float64(info.Size()) / 1e6
}

// sellWith runs the agent with a simulated device and a collector, sells 1,000
// coupons and waits until all are confirmed.
func sellWith(b *testing.B, program, dir string) (pid int) {
	b.Helper()
	c := openCenter(b)
	enrolment := httptest.NewUnstartedServer(c.registry.Handler(enrol.HandlerOptions{Broker: c.broker.Addr(), Name: "127.0.0.1", Log: slog.New(slog.DiscardHandler)}))
	enrolment.Listener = tls.NewListener(enrolment.Listener, c.ca.ServerConfig([]string{"127.0.0.1"}, time.Now))
	enrolment.Start()
	b.Cleanup(enrolment.Close)
	at := startDevice(b)
	config, socket := filepath.Join(dir, "agent.toml"), filepath.Join(dir, "sat.sock")
	noError(b, os.WriteFile(config, fmt.Appendf(nil, "pasta = %q\nsoquete = %q\nequipamentos = [\"tcp:%s\"]\nbuffer_mb = 64\npagina = \"127.0.0.1:0\"\n",
		filepath.Join(dir, "caixa"), socket, at), 0o600))
	if out, err := exec.Command(program, "enrol", "-config", config, "-coletor", "https://"+enrolment.Listener.Addr().String(), c.token(b)).CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	pid = startProcess(b, exec.Command(program, "run", "-config", config))
	soon(b, "the agent", func() bool { _, err := os.Stat(socket); return err == nil })
	const coupons = 1000
	for n := range coupons {
		sellOnce(b, socket, n+1)
	}
	db, err := sql.Open("sqlite", "file:"+c.file)
	noError(b, err)
	defer db.Close()
	soon(b, "the coupons at the collector", func() bool {
		var stored int
		return db.QueryRow(`SELECT count(*) FROM documents`).Scan(&stored) == nil && stored == coupons
	})
	return pid
}

// startDevice runs a simulated device and says where it is reached.
func startDevice(b *testing.B) (addr string) {
	b.Helper()
	device, err := sim.New(sim.Options{Dir: b.TempDir()})
	noError(b, err)
	ready, done := make(chan string, 1), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		done <- device.Run(ctx, sim.Ports{TCP: "127.0.0.1:0", Ready: func(_, where string) { ready <- where }})
	}()
	b.Cleanup(func() {
		cancel()
		<-done
		device.Close()
	})
	select {
	case addr = <-ready:
	case err := <-done:
		done <- err
		b.Fatal(err)
	}
	return addr
}

// sellOnce sells as the library does: a connection for each call.
func sellOnce(b *testing.B, socket string, session int) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	till, err := ipc.Dial(ctx, "unix", socket, ipc.Options{})
	noError(b, err)
	defer till.Close()
	sale := sattest.Request(sat.EnviarDadosVenda, session, sattest.SaleXML(fmt.Sprintf("%d.50", session%90+1), ""))
	sale.Till = "001"
	reply, err := till.Call(ctx, sale)
	if err != nil || reply.Code != 6000 {
		b.Fatalf("sale %d: %s %q, %v", session, reply.Code, reply.Message, err)
	}
}

// startPeer runs zabbix-agent2 with Debian's settings where they matter.
func startPeer(b *testing.B, program, dir string) (pid int) {
	b.Helper()
	config := filepath.Join(dir, "zabbix.conf")
	port := 20000 + os.Getpid()%10000 // it takes none above 32767
	noError(b, os.WriteFile(config, fmt.Appendf(nil, "LogType=console\nServer=127.0.0.1\nHostname=zelo\nListenIP=127.0.0.1\nListenPort=%d\nControlSocket=%s\nPluginSocket=%s\n",
		port, filepath.Join(dir, "z.sock"), filepath.Join(dir, "p.sock")), 0o600))
	pid = startProcess(b, exec.Command(program, "-f", "-c", config))
	soon(b, "zabbix-agent2 to listen", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return pid
}

// startProcess runs a program until the benchmark ends.
func startProcess(b *testing.B, cmd *exec.Cmd) (pid int) {
	b.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	noError(b, cmd.Start())
	b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd.Process.Pid
}

// cpuOf is the seconds that all threads of a process have run.
func cpuOf(b *testing.B, pid int) (seconds float64) {
	b.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	noError(b, err)
	for _, path := range threads {
		raw, err := os.ReadFile(path)
		noError(b, err)
		ns, err := strconv.ParseFloat(strings.Fields(string(raw))[0], 64)
		noError(b, err)
		seconds += ns / 1e9
	}
	return seconds
}

// memoryOf is a line of a process's status, in MiB.
func memoryOf(b *testing.B, pid int, line string) float64 {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	noError(b, err)
	_, rest, ok := strings.Cut(string(raw), line+":")
	if !ok {
		b.Fatalf("process %d has ended", pid)
	}
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	noError(b, err)
	return kib / 1024
}

// BenchmarkExport compares the accountant's ZIP with a plain one of the same bytes,
// and notes what memory 20,000 documents take.
func BenchmarkExport(b *testing.B) {
	device, err := sim.New(sim.Options{Environment: sim.Production})
	noError(b, err)
	defer device.Close()
	for n := range 20 {
		_, err := device.Call(b.Context(), sattest.Request(sat.EnviarDadosVenda, n+1, sattest.SaleXML(fmt.Sprintf("%d.50", n+1), "")))
		noError(b, err)
	}
	var docs []store.Exported
	for _, r := range device.Issued() {
		d, _, err := ingest.Examine(cfe.NewVerifier(nil), r.XML, time.Now())
		noError(b, err)
		d.SHA256 = sha256.Sum256(r.XML)
		docs = append(docs, store.Exported{Document: d, Body: r.XML})
	}
	const n = 20000
	var most uint64
	many := func(yield func(store.Exported) bool) {
		var m runtime.MemStats
		for i := range n {
			if i%(n/4) == 0 {
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapInuse)
			}
			if !yield(docs[i%len(docs)]) {
				return
			}
		}
	}
	var rates, floors, ratios []float64
	for range 3 {
		start := time.Now()
		noError(b, plainZIP(many))
		floor := time.Since(start).Seconds()
		start = time.Now()
		_, err := export.ZIP(io.Discard, many)
		noError(b, err)
		took := time.Since(start).Seconds()
		rates, floors, ratios = append(rates, n/took), append(floors, n/floor), append(ratios, floor/took)
	}
	b.ReportMetric(middle(floors), "floor/s")
	b.ReportMetric(middle(rates), "documents/s")
	b.ReportMetric(middle(ratios), "of-floor")
	b.ReportMetric(float64(most)/(1<<20), "heap-MiB")
	b.ReportMetric(0, "ns/op")
}

func plainZIP(docs iter.Seq[store.Exported]) error {
	z := zip.NewWriter(io.Discard)
	for e := range docs {
		f, err := z.Create(export.File(e.Document))
		if err == nil {
			_, err = f.Write(e.Body)
		}
		if err != nil {
			return err
		}
	}
	return z.Close()
}
