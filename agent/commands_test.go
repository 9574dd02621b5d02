package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"zelo/agent/remote"
	"zelo/agent/wire"
	"zelo/collector/broker"
	"zelo/collector/enrol"
	"zelo/collector/store"
	"zelo/sat/sim"
)

// hand is the collector's side of commands behind a real broker: it answers beats,
// acknowledges what comes and keeps the reports.
type hand struct {
	t      *testing.T
	codec  *wire.Codec
	key    ed25519.PrivateKey
	broker *broker.Broker
	agent  string

	mu      sync.Mutex
	parts   *wire.Assembler
	beat    wire.Beat // the latest
	reports map[wire.CommandID][]wire.Report
	seq     uint64
	mute    bool // answers nobody
}

// newHand is a hand and the folder of an agent that is enrolled with it.
func newHand(t *testing.T) (*hand, string) {
	t.Helper()
	dir := t.TempDir()
	if _, err := enrol.CreateCA(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	ca, err := enrol.OpenCA(dir)
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.Context(), filepath.Join(dir, "zelo.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	codec, err := wire.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(codec.Close)
	h := &hand{t: t, codec: codec, key: ed25519.NewKeyFromSeed(make([]byte, 32)), parts: wire.NewAssembler(codec, 32<<20), reports: map[wire.CommandID][]wire.Report{}}
	registry := enrol.New(ca, st, time.Now)
	h.broker, err = broker.Start(broker.Options{Listen: "127.0.0.1:0", TLS: ca.ServerConfig([]string{"127.0.0.1"}, time.Now), CAs: ca.Pool(),
		Folder: filepath.Join(dir, "broker"), Agent: registry.Agent, Receive: h.receive, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.broker.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{TLSConfig: ca.EntranceConfig([]string{"127.0.0.1"}, time.Now),
		Handler: registry.Handler(enrol.HandlerOptions{Broker: h.broker.Addr(), Name: "127.0.0.1", Enrolment: "https://" + l.Addr().String(),
			CommandKey: h.key.Public().(ed25519.PublicKey), Log: quiet()})}
	go server.ServeTLS(l, "", "")
	t.Cleanup(func() { server.Close() })
	token, err := registry.NewToken(t.Context(), "loja", 1, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	id, err := enrol1(folder, "https://"+l.Addr().String(), token)
	if err != nil {
		t.Fatal(err)
	}
	h.agent = id.Agent
	return h, folder
}

// receive takes what the agent publishes.
func (h *hand) receive(agent, stream string, payload []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if stream == wire.StreamBeat {
		if ok, err := h.parts.Add(agent+stream, payload, &h.beat); !ok || err != nil {
			h.t.Errorf("beat: %v, %v", ok, err)
		}
		h.send(wire.DownHello, wire.Hello{Version: wire.Version, Beat: h.beat.Number, StoreEpoch: wire.Epoch{1}, Time: time.Now().UnixMilli(),
			CommandKey: h.key.Public().(ed25519.PublicKey)})
		return
	}
	var b wire.Batch
	done, err := h.parts.Add(agent+stream, payload, &b)
	if err != nil || !done {
		return // packed with a dictionary, or in parts
	}
	ack := wire.Ack{Version: wire.Version, Epoch: b.Epoch, StoreEpoch: wire.Epoch{1}, Time: time.Now().UnixMilli(), Stream: stream}
	for _, r := range b.Records {
		ack.Records = append(ack.Records, wire.AckRecord{Seq: r.Seq, SHA256: sha256.Sum256(r.Data)})
		var item wire.Item
		var report wire.Report
		if h.codec.Decode(r.Data, &item) == nil && item.Kind == wire.KindCommand && h.codec.Decode(item.Body, &report) == nil {
			h.reports[report.Command] = append(h.reports[report.Command], report)
		}
	}
	h.send(wire.DownAck, ack)
}

func (h *hand) send(kind string, message any) {
	raw, err := h.codec.Encode(message)
	if err == nil && !h.mute {
		err = h.broker.Send(h.agent, kind, raw)
	}
	if err != nil {
		h.t.Errorf("%s not sent: %v", kind, err)
	}
}

// orders has the agent do something and waits for the end.
func (h *hand) orders(name string, args map[string]string) (id wire.CommandID, last wire.Report) {
	h.t.Helper()
	spec, _ := wire.CommandByName(name)
	h.mu.Lock()
	h.seq++
	id = wire.CommandID{byte(h.seq)}
	c := wire.Command{Version: wire.Version, ID: id, Agent: h.agent, Epoch: h.beat.Epoch, Sequence: h.seq, Name: name, By: "Ana Souza",
		At: time.Now().UnixMilli(), Expires: time.Now().Add(time.Hour).UnixMilli(), Window: &wire.Window{}}
	open, secret := spec.Secrets(args)
	if c.Args = open; spec.Device {
		c.Serial = "900000001"
	}
	var err error
	if len(secret) > 0 {
		c.Sealed, err = h.codec.SealArgs(h.beat.SealKey, h.agent, id, secret)
	}
	signed, serr := h.codec.Sign(h.key, c)
	h.mu.Unlock()
	if err = errors.Join(err, serr); err != nil {
		h.t.Fatal(err)
	}
	again := time.Now()
	soon(h.t, name+" to end", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.reports[id]) == 0 && !time.Now().Before(again) { // nothing is certain of its arrival
			h.send(wire.DownCommand, signed)
			again = time.Now().Add(time.Second)
		}
		for _, r := range h.reports[id] {
			if wire.CommandEnded(r.State) {
				last = r
				return true
			}
		}
		return false
	})
	return id, last
}

// file is the result of a command.
func (h *hand) file(id wire.CommandID, last wire.Report) []byte {
	h.t.Helper()
	if last.Result == nil {
		h.t.Fatalf("no result: %+v", last)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	parts := make([][]byte, last.Result.Parts)
	for _, r := range h.reports[id] {
		if r.Part != nil && r.Part.Body == last.Result.Body {
			parts[r.Part.Index] = r.Part.Data
		}
	}
	return slices.Concat(parts...)
}

// serves runs an agent as a service manager does: again whenever it ends by itself.
func serves(t *testing.T, config string) (starts func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var mu sync.Mutex
	n := 0
	var agent sync.WaitGroup
	agent.Go(func() {
		for ctx.Err() == nil {
			mu.Lock()
			n++
			mu.Unlock()
			c, err := startConfig(config)
			if err == nil {
				err = run(ctx, c, t.Output())
			}
			if err != nil && !errors.Is(err, errRestart) {
				t.Logf("the agent ended: %v", err)
			}
		}
	})
	t.Cleanup(func() { cancel(); agent.Wait() })
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

// An agent that runs whole, a broker, a device on a line: what a technician has done
// from afar.
func TestRemoteHands(t *testing.T) {
	h, folder := newHand(t)
	pin := filepath.Join(folder, identityFolder, "comandos.pub")
	if key, err := os.ReadFile(pin); err != nil || !h.key.Public().(ed25519.PublicKey).Equal(ed25519.PublicKey(key)) {
		t.Errorf("the key pinned at enrolment is %x, %v", key, err)
	}
	if err := os.Remove(pin); err != nil { // as in agents enrolled before there were commands
		t.Fatal(err)
	}
	s, err := sim.New(sim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	ports := make(chan string, 1)
	ctx, cancel := context.WithCancel(context.Background())
	var device sync.WaitGroup
	device.Go(func() { s.Run(ctx, sim.Ports{TCP: "127.0.0.1:0", Ready: func(_, where string) { ports <- where }}) })
	t.Cleanup(func() { cancel(); device.Wait() })
	path := filepath.Join(folder, "agent.toml")
	key := strings.Repeat("5a", 32)
	text := fmt.Sprintf("pasta = %q\nsoquete = %q\nequipamentos = [\"tcp:%s\"]\nbuffer_mb = 64\npagina = \"\"\nterminais = \"127.0.0.1:0\"\nchave_terminais = %q\nintervalo_sinal = \"1s\"\n",
		folder, filepath.Join(folder, "s"), <-ports, key)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	starts := serves(t, path)
	soon(t, "a beat that tells the device", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.beat.SealKey) == 32 && len(h.beat.Devices) == 1 && h.beat.Devices[0].Answering
	})

	if _, r := h.orders(wire.CommandPing, nil); r.State != wire.CommandDone || r.Reply != "08000" {
		t.Errorf("ping: %+v", r)
	}
	if _, r := h.orders(wire.CommandStatus, nil); r.Reason != wire.RefusedCode {
		t.Errorf("status without a code: %+v", r)
	}
	c, err := loadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	var out callReply
	if err := ask(t.Context(), c, http.MethodPost, "/code?sat=900000001", []byte(sim.DefaultCode), &out); err != nil || out.Error != "" {
		t.Fatal(out, err)
	}
	if _, r := h.orders(wire.CommandChangeCode, map[string]string{"new": "codigo-novo"}); r.State != wire.CommandDone {
		t.Errorf("change of code: %+v", r)
	}
	if _, r := h.orders(wire.CommandPoll, nil); r.State != wire.CommandDone {
		t.Errorf("poll: %+v", r)
	}

	id, r := h.orders(wire.CommandReadConfig, nil)
	shown := string(h.file(id, r))
	if strings.Contains(shown, key) || !strings.Contains(shown, remote.Masked) {
		t.Errorf("the configuration is shown as %s", shown)
	}
	var status statusReply
	if err := ask(t.Context(), c, http.MethodGet, "/status", nil, &status); err != nil || status.Last == nil || status.Last.By != "Ana Souza" {
		t.Errorf("%+v, %v", status.Last, err)
	}
	h.changesConfig(path, shown, key, starts)
	h.supports(key)
}

// changesConfig has configurations tried that work, that do not load, and that do not
// start.
func (h *hand) changesConfig(path, shown, key string, starts func() int) {
	t := h.t
	t.Helper()
	before := starts()
	if _, r := h.orders(wire.CommandWriteConfig, map[string]string{"config": shown + "log = \"debug\"\n", "minutes": "1"}); r.State != wire.CommandDone || starts() != before+1 {
		t.Errorf("%+v, %d starts", r, starts()-before)
	}
	if c, err := loadConfig(path); err != nil || c.Log != "debug" || c.FarKey != key {
		t.Errorf("%q, its key kept %v, %v", c.Log, c.FarKey == key, err)
	}
	for wrong, says := range map[string]string{"buffer_mb = 1": "buffer_mb", "senha = 1": "senha", "pasta = \"/tmp/x\"": "pasta"} {
		lines := slices.DeleteFunc(strings.Split(shown, "\n"), func(l string) bool { return strings.HasPrefix(l, strings.Fields(wrong)[0]) })
		_, r := h.orders(wire.CommandWriteConfig, map[string]string{"config": strings.Join(append(lines, wrong), "\n"), "minutes": "1"})
		if r.State != wire.CommandFailed || !strings.Contains(r.Text, says) {
			t.Errorf("%s: %+v", wrong, r)
		}
	}
	// It loads, and the agent does not start with it: nobody can listen there.
	before = starts()
	_, r := h.orders(wire.CommandWriteConfig, map[string]string{"config": strings.Replace(shown, "soquete = ", "soquete = \"tcp:203.0.113.1:1\" # ", 1), "minutes": "1"})
	if c, err := loadConfig(path); r.State != wire.CommandFailed || starts() != before+2 || err != nil || c.Log != "debug" {
		t.Errorf("%+v, %d starts, %v", r, starts()-before, err)
	}
	before = starts()
	if _, r := h.orders(wire.CommandRestart, nil); r.State != wire.CommandDone || starts() != before+1 {
		t.Errorf("%+v, %d starts", r, starts()-before)
	}
}

// supports reads the support bundle and the log.
func (h *hand) supports(key string) {
	t := h.t
	t.Helper()
	id, r := h.orders(wire.CommandBundle, nil)
	raw := h.file(id, r)
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range z.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(in); err != nil {
			t.Fatal(err)
		}
		all[f.Name] = b.String()
	}
	var status statusReply
	if err := json.Unmarshal([]byte(all["situacao.json"]), &status); err != nil || len(status.Devices) != 1 || status.Bound == 0 {
		t.Errorf("situacao.json: %+v, %v", status, err)
	}
	if !strings.Contains(all["agente.log"], "agent starts") || !strings.Contains(all["versao.txt"], "zelo-agent") || len(all) != 5 {
		t.Errorf("the bundle has %d files", len(all))
	}
	id, r = h.orders(wire.CommandAgentLogs, map[string]string{"lines": "20000"})
	all["log"] = string(h.file(id, r))
	for name, text := range all {
		for _, secret := range []string{key, sim.DefaultCode, "codigo-novo"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s tells %s", name, secret)
			}
		}
	}
}
