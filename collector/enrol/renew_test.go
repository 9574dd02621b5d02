package enrol

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"zelo/agent/wire"
	"zelo/collector/store"
)

// enrolled enrols an agent and returns its certificate.
func enrolled(t *testing.T, r *Registry, c *clock, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	secret, _ := token(t, r, 1, c.t.Add(time.Hour))
	id, err := r.Issue(context.Background(), secret, csr(t, key), "caixa-1")
	if err != nil {
		t.Fatal(err)
	}
	return leaf(t, id.Certificate)
}

func jsonOf(t *testing.T, v any) *bytes.Reader {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(b)
}

func TestRenew(t *testing.T) {
	ctx := context.Background()
	for _, w := range []struct {
		name  string
		after time.Duration
		do    func(r *Registry, c *x509.Certificate) error
		want  error
	}{
		{"before its end", 200 * 24 * time.Hour, nil, nil},
		{"long after its end", 3 * 366 * 24 * time.Hour, nil, nil},
		{"revoked", time.Hour, func(r *Registry, c *x509.Certificate) error { return r.Revoke(ctx, c.Subject.CommonName, "ana") }, ErrRevoked},
	} {
		t.Run(w.name, func(t *testing.T) {
			r, _, _, c := setup(t)
			old := enrolled(t, r, c, newKey(t))
			if w.do != nil {
				if err := w.do(r, old); err != nil {
					t.Fatal(err)
				}
			}
			c.t = c.t.Add(w.after)
			id, err := r.Renew(ctx, old, csr(t, newKey(t)), "caixa-1")
			if !errors.Is(err, w.want) {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
			next := leaf(t, id.Certificate)
			if id.Agent != old.Subject.CommonName || next.Subject.CommonName != id.Agent || next.SerialNumber.Cmp(old.SerialNumber) == 0 {
				t.Errorf("renewed as %q: %v", id.Agent, next.Subject)
			}
			if until := next.NotAfter.Sub(c.t); until < 364*24*time.Hour {
				t.Errorf("valid for %v", until)
			}
			if _, err := r.Agent(ctx, next); err != nil {
				t.Error(err)
			}
		})
	}
	r, _, _, c := setup(t)
	stranger, _, _, _ := setup(t)
	if _, err := r.Renew(ctx, enrolled(t, stranger, c, newKey(t)), csr(t, newKey(t)), "x"); !errors.Is(err, ErrNotAgent) {
		t.Errorf("another collector's agent: %v", err)
	}
	server, err := r.ca.server([]string{"localhost"}, c.t)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Renew(ctx, server.Leaf, csr(t, newKey(t)), "x"); !errors.Is(err, ErrNotAgent) {
		t.Errorf("the collector's own certificate: %v", err)
	}
	if _, err := r.Renew(ctx, enrolled(t, r, c, newKey(t)), []byte("x"), "x"); !errors.Is(err, ErrBadRequest) {
		t.Errorf("no request: %v", err)
	}
}

// The new certificate names the establishment that the store came to know.
func TestRenewedEstablishment(t *testing.T) {
	r, _, s, c := setup(t)
	ctx := context.Background()
	text, err := r.NewShopToken(ctx, "11222333000181", "loja", 1, c.t.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	secret, _, _ := strings.Cut(text, ".")
	id, err := r.Issue(ctx, secret, csr(t, newKey(t)), "x")
	if err != nil {
		t.Fatal(err)
	}
	shown := leaf(t, id.Certificate)
	for _, want := range []string{"11222333000181", "99888777000100", "11222333000181"} {
		cnpj := want
		if want == "11222333000181" {
			cnpj = "" // not known to the store: as before
		}
		err := s.Update(ctx, func(w *store.Writer) error { return w.SetEstablishment(id.Agent, cnpj) })
		if err != nil {
			t.Fatal(err)
		}
		id, err := r.Renew(ctx, shown, csr(t, newKey(t)), "x")
		if err != nil {
			t.Fatal(err)
		}
		if got := wire.Establishment(leaf(t, id.Certificate).Subject); got != want {
			t.Errorf("the new certificate is of %q, want %q", got, want)
		}
	}
}

// Over TLS: the key of the certificate must be held, whoever presents it.
func TestRenewOverTLS(t *testing.T) {
	r, ca, _, c := setup(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", ca.EntranceConfig([]string{"127.0.0.1"}, time.Now))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: r.Handler(HandlerOptions{Log: slog.New(slog.DiscardHandler)}), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	key := newKey(t)
	own := enrolled(t, r, c, key)
	for _, w := range []struct {
		name  string
		shown []tls.Certificate
		want  int // 0: no answer at all
	}{
		{"its own key", []tls.Certificate{{Certificate: [][]byte{own.Raw}, PrivateKey: key}}, http.StatusOK},
		{"another key", []tls.Certificate{{Certificate: [][]byte{own.Raw}, PrivateKey: newKey(t)}}, 0},
		{"no certificate", nil, http.StatusForbidden},
	} {
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
			TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), Certificates: w.shown}}}
		resp, err := client.Post("https://"+l.Addr().String()+"/renew", "application/json", jsonOf(t, wire.EnrolRequest{CSR: string(csr(t, newKey(t)))}))
		got := 0
		if err == nil {
			got = resp.StatusCode
			resp.Body.Close()
		}
		if got != w.want {
			t.Errorf("%s: %d, %v", w.name, got, err)
		}
	}
}

// What two computers with one identity become.
func TestClone(t *testing.T) {
	r, _, s, c := setup(t)
	ctx := context.Background()
	shown := enrolled(t, r, c, newKey(t))
	agent := shown.Subject.CommonName
	beat := func(machine, run string) {
		t.Helper()
		c.t = c.t.Add(time.Minute)
		err := s.Update(ctx, func(w *store.Writer) error {
			return w.SetBeat(store.Beat{Agent: store.Agent{ID: agent, BeatAt: c.t}, Machine: machine, Run: run})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	cloned := func() bool { _, err := r.Agent(ctx, shown); return errors.Is(err, ErrRevoked) }
	for _, run := range []string{"a", "a", "b", "a", "c", "d", "d", "e", "d"} { // late beats, starts
		beat("pc", run)
	}
	if cloned() {
		t.Fatal("a computer that was started again is called a clone")
	}
	for _, at := range [][2]string{{"pc", "x"}, {"pc2", "x2"}, {"pc", "y"}, {"pc2", "y2"}, {"pc", "z"}, {"pc2", "z2"}} { // never at one time
		if cloned() {
			t.Fatal("called a clone too soon")
		}
		beat(at[0], at[1])
	}
	if !cloned() {
		t.Fatal("two computers taking turns are not noticed")
	}
	one, two := csr(t, newKey(t)), csr(t, newKey(t))
	var agents []string
	for _, request := range [][]byte{one, two, one} {
		id, err := r.Renew(ctx, shown, request, "caixa-1")
		if err != nil {
			t.Fatal(err)
		}
		agents = append(agents, id.Agent)
	}
	if agents[0] == agent || agents[1] == agent || agents[0] == agents[1] || agents[2] != agents[0] {
		t.Errorf("%s became %v", agent, agents)
	}
	err := s.View(ctx, store.All(), func(v *store.Reader) error {
		before, err := v.Agent(agent)
		after, err2 := v.Agent(agents[1])
		if before.Reseller == 0 || after.Reseller != before.Reseller || after.CNPJ != before.CNPJ {
			t.Errorf("%+v became %+v", before, after)
		}
		return errors.Join(err, err2)
	})
	if err != nil {
		t.Error(err)
	}
	for range maxHeirs - 2 {
		if _, err := r.Renew(ctx, shown, csr(t, newKey(t)), "x"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Renew(ctx, shown, csr(t, newKey(t)), "x"); !errors.Is(err, ErrManyClones) {
		t.Errorf("copied without end: %v", err)
	}
	if err := r.Revoke(ctx, agent, "ana"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Renew(ctx, shown, one, "x"); !errors.Is(err, ErrRevoked) {
		t.Errorf("a person's word is not the last: %v", err)
	}
}

// Two runs at one time are two computers, whatever they call themselves.
func TestTwoRuns(t *testing.T) {
	r, _, s, c := setup(t)
	shown := enrolled(t, r, c, newKey(t))
	for i, run := range []string{"a", "b", "a", "b", "a", "b"} {
		if _, err := r.Agent(context.Background(), shown); err != nil {
			t.Fatalf("before beat %d: %v", i, err)
		}
		c.t = c.t.Add(time.Minute)
		err := s.Update(context.Background(), func(w *store.Writer) error {
			return w.SetBeat(store.Beat{Agent: store.Agent{ID: shown.Subject.CommonName, BeatAt: c.t}, Run: run})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Agent(context.Background(), shown); !errors.Is(err, ErrRevoked) {
		t.Error("not noticed")
	}
}

// Every collector of a store disconnects who was revoked by any of them, a few times.
func TestWatch(t *testing.T) {
	r, _, s, c := setup(t)
	ctx := context.Background()
	one, two := enrolled(t, r, c, newKey(t)).Subject.CommonName, enrolled(t, r, c, newKey(t)).Subject.CommonName
	if err := r.Revoke(ctx, one, "ana"); err != nil {
		t.Fatal(err)
	}
	c.t = c.t.Add(2 * time.Hour)
	var closed []string
	away := insist // rounds
	w := watch{r: New(r.ca, s, c.now), log: slog.New(slog.DiscardHandler), left: map[string]int{},
		disconnect: func(agent string) error {
			if away > 0 {
				away--
				return errors.New("the broker is away")
			}
			closed = append(closed, agent)
			return nil
		}}
	w.round(ctx)
	if len(closed) != 0 {
		t.Errorf("revoked long ago: %v", closed)
	}
	if err := r.Revoke(ctx, two, "ana"); err != nil {
		t.Fatal(err)
	}
	c.t = c.t.Add(2 * time.Hour) // in which this collector did not reach the store
	for range 3 * insist {
		w.round(ctx)
	}
	if !slices.Equal(closed, slices.Repeat([]string{two}, insist)) {
		t.Errorf("disconnected %v", closed)
	}
	var log bytes.Buffer
	w.log = slog.New(slog.NewTextHandler(&log, nil))
	s.Close()
	for range 5 {
		w.round(ctx)
	}
	if n := strings.Count(log.String(), "cannot see which agents"); n != 1 {
		t.Errorf("that the store is away is told %d times", n)
	}
}
