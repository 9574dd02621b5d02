package till

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"zelo/agent/router"
	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

// plugged is the simulator as an opened device.
type plugged struct{ *sim.Sim }

func (plugged) Close() error          { return nil }
func (plugged) Gone() <-chan struct{} { return nil }

// startRouter runs the agent's router over a simulated device whose activation
// code it has been given.
func startRouter(t *testing.T) (*router.Router, *sim.Sim) {
	t.Helper()
	ca, signer := identity()
	device, err := sim.New(sim.Options{CA: ca, Signer: signer, Clock: noon})
	if err != nil {
		t.Fatal(err)
	}
	codec, err := wire.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	b, _, err := buffer.Open(filepath.Join(dir, "cupons.db"), buffer.Options{MaxBytes: 64 << 20,
		Streams: []buffer.Stream{{Name: wire.StreamEvents}, {Name: wire.StreamDocuments}, {Name: wire.StreamStatus, Evictable: true}}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := router.New(router.Options{Buffer: b, Codec: codec, Codes: filepath.Join(dir, "codigos"), Now: noon, Log: slog.New(slog.DiscardHandler),
		Devices: []router.DeviceOptions{{Address: "simulador", Open: func(context.Context) (router.Conn, sat.Info, error) {
			return plugged{device}, sat.Info{Serial: "900000001", Name: "simulador"}, nil
		}}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-done, b.Close()); err != nil {
			t.Error(err)
		}
		codec.Close()
	})
	if _, err := r.Device("").Call(ctx, sattest.Request(sat.ConsultarStatusOperacional, 0)); err != nil {
		t.Fatal(err)
	}
	return r, device
}

// The hub in front of the real router: a sale whose answer arrived may be made
// again; one whose caller left is not, and its document is handed over instead.
func TestHubInFrontOfTheRouter(t *testing.T) {
	r, device := startRouter(t)
	delivered := make(chan sat.Request, 10)
	h, err := New(Options{State: fine, Now: noon, Log: slog.New(slog.DiscardHandler),
		Hub: &Hub{Device: r, Code: func() (string, string) { return r.Code("") }, Delivered: func(req sat.Request) { r.Delivered(req); delivered <- req }, Lost: r.Lost}})
	if err != nil {
		t.Fatal(err)
	}
	finished := make(chan struct{}, 10)
	gone := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		defer func() { finished <- struct{}{} }()
		if req.Header.Get("X-Leaves") != "" {
			defer context.AfterFunc(req.Context(), func() { close(gone) })()
		}
		h.ServeHTTP(w, req)
	}))
	defer server.Close()
	form := url.Values{"numero_caixa": {"1"}, "dados_venda": {sattest.SaleXML("10.00", "")}}
	post := func(path string) []string {
		t.Helper()
		resp, err := http.PostForm(server.URL+"/hub/v1/"+path, form)
		if err != nil {
			t.Fatal(err)
		}
		_, answer := answerOf(t, resp)
		fields := strings.Split(answer["retorno"], "|")
		if len(fields) != 12 || fields[1] != "06000" {
			t.Fatalf("%s: %v", path, answer)
		}
		<-finished
		<-delivered
		return fields
	}
	first, second := post("enviardadosvenda"), post("enviardadosvenda")
	if first[8] == second[8] || len(device.Issued()) != 2 {
		t.Fatalf("two equal sales: %s and %s", first[8], second[8])
	}
	if last := post("consultarultimasessaofiscal"); last[8] != second[8] || last[0] != second[0] {
		t.Errorf("the last fiscal session is %s with %s, want %s with %s", last[0], last[8], second[0], second[8])
	}

	struck, err := device.Script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Late})
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	go func() { <-struck; leave(); <-gone; device.Release() }()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/hub/v1/enviardadosvenda", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Leaves", "yes")
	if _, err := http.DefaultClient.Do(req); !errors.Is(err, context.Canceled) {
		t.Fatalf("the caller got %v", err)
	}
	<-finished
	third := post("enviardadosvenda")
	if n := len(device.Issued()); n != 3 || third[8] == second[8] || third[8] != "CFe"+device.Issued()[2].Key {
		t.Errorf("%d documents issued; the repeated sale returned %s", n, third[8])
	}
}
