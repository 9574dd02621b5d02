package notify

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"zelo/collector/alarm"
	"zelo/collector/store"
)

// ear is a real HTTP server that hears messages and answers as told.
type ear struct {
	*httptest.Server
	mu      sync.Mutex
	bodies  []string
	headers []http.Header
	answer  func(http.ResponseWriter, *http.Request)
}

func newEar(t *testing.T) *ear {
	t.Helper()
	e := &ear{}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *ear) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	e.mu.Lock()
	e.bodies, e.headers = append(e.bodies, string(raw)), append(e.headers, r.Header)
	answer := e.answer
	e.mu.Unlock()
	if answer != nil {
		answer(w, r)
	}
}

// heard are the bodies of all requests.
func (e *ear) heard() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.bodies
}

func (e *ear) status(code int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func TestWebhook(t *testing.T) {
	e := newEar(t)
	b := setup(t, Options{Private: true})
	ch := b.hook(store.ChannelWebhook, e.URL+"/zelo?chave=1", NewSalt())
	b.broken()
	b.rounds()
	b.wait(time.Hour)
	b.alarms(alarm.Subject{Kind: alarm.OfAgent, ID: agent})
	b.rounds()
	var types []string
	for i, body := range e.heard() {
		var d delivery
		if err := json.Unmarshal([]byte(body), &d); err != nil {
			t.Fatal(err)
		}
		h := e.headers[i]
		at, _ := strconv.ParseInt(strings.TrimPrefix(strings.Split(h.Get(HeaderSignature), ",")[0], "t="), 10, 64)
		if h.Get(HeaderSignature) != Sign(b.Secret(ch.Form), time.Unix(at, 0), []byte(body)) || at == 0 {
			t.Errorf("signature %q", h.Get(HeaderSignature))
		}
		if d.ID != h.Get(HeaderID) || len(d.Events) != 1 || h.Get("Content-Type") != "application/json" {
			t.Errorf("%+v %v", d, h)
		}
		types = append(types, d.Type+" "+d.Events[0].Type+" "+d.Events[0].Severity+" "+d.Events[0].Shop)
	}
	if got := strings.Join(types, ", "); got != "alarms alarm.raised critical Padaria Aurora, alarms alarm.cleared critical Padaria Aurora" {
		t.Error(got)
	}
	if b.Secret(ch.Form) == b.Secret(NewSalt()) || len(b.Secret(ch.Form)) < 40 {
		t.Error("webhooks share a secret, or it is short")
	}
}

// TestSignature is the example of the manual.
func TestSignature(t *testing.T) {
	got := Sign("zelo_segredo", time.Unix(1766000000, 0), []byte(`{"id":"1"}`))
	if got != "t=1766000000,v1=bdd393fb3236701224f1311130012f1d54f974d28123ba77bfdde1479f33ba93" {
		t.Error(got)
	}
}

func TestWebhookMisbehaves(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request)
		says   string
		left   bool
	}{
		{"fails", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "respondeu com erro (500)", true},
		{"redirects", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/outro", http.StatusTemporaryRedirect)
		}, "um desvio (307)", true},
		{"is gone", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) }, "não existe mais", false},
		{"hangs up", func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, "falhou no meio", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEar(t)
			e.answer = c.answer
			b := setup(t, Options{Private: true})
			ch := b.hook(store.ChannelWebhook, e.URL, NewSalt())
			b.broken()
			if n := b.rounds(); n != 1 || len(e.heard()) != 1 {
				t.Fatalf("%d attempts, %d heard", n, len(e.heard()))
			}
			b.update(func(w *store.Writer) (err error) { ch, err = w.Channel(ch.ID, 0, true); return err })
			if !strings.Contains(ch.LastError, c.says) || ch.DeadAt.IsZero() != c.left {
				t.Errorf("says %q, dead since %v", ch.LastError, ch.DeadAt)
			}
			e.status(204)
			b.wait(20 * time.Second)
			if n := b.rounds(); n != map[bool]int{true: 1}[c.left] {
				t.Errorf("%d attempts more", n)
			}
			if c.left && e.heard()[0] != e.heard()[1] {
				t.Errorf("it says something else the second time:\n%s\n%s", e.heard()[0], e.heard()[1])
			}
		})
	}
}

// TestMessageRefused: a message that a server does not take as it is holds up none of
// those behind it.
func TestMessageRefused(t *testing.T) {
	for kind, form := range map[store.ChannelKind]string{store.ChannelWebhook: NewSalt(), store.ChannelChat: `{"text": {{json .Assunto}}}`} {
		for _, status := range []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity} {
			t.Run(fmt.Sprint(kind, " ", status), func(t *testing.T) {
				e := newEar(t)
				b := setup(t, Options{Private: true})
				ch := b.hook(kind, e.URL, form)
				b.broken()
				e.status(status)
				b.rounds()
				b.update(func(w *store.Writer) (err error) { ch, err = w.Channel(ch.ID, 0, true); return err })
				if !strings.Contains(ch.LastError, fmt.Sprint("recusou o conteúdo da mensagem (", status, ")")) || !ch.DeadAt.IsZero() {
					t.Errorf("the channel says %q, dead since %v", ch.LastError, ch.DeadAt)
				}
				e.status(http.StatusNoContent)
				b.alarms(alarm.Subject{Kind: alarm.OfAgent, ID: agent}, raised(alarm.BufferDamaged, alarm.Critical), raised(alarm.DiskFilling, alarm.Critical))
				if n := b.rounds(); n != 1 || len(e.heard()) != 2 || e.heard()[0] == e.heard()[1] {
					t.Errorf("%d attempts more, heard %q", n, e.heard())
				}
				b.wait(giveUpAt)
				if n := b.rounds(); n != 0 {
					t.Errorf("%d attempts days later", n)
				}
			})
		}
	}
}

func TestWebhookHangs(t *testing.T) {
	e := newEar(t)
	b := setup(t, Options{Private: true})
	e.answer = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := b.post(ctx, e.URL, nil, nil)
	if err == nil || !strings.Contains(failureOf(err).text, "não respondeu") {
		t.Errorf("%v", err)
	}
	other := httptest.NewTLSServer(e)
	defer other.Close()
	if err := b.post(t.Context(), other.URL, nil, nil); err == nil || !strings.Contains(failureOf(err).text, "certificado") {
		t.Errorf("wrong TLS: %v", err)
	}
}

// TestPrivateAddresses: nobody reaches the collector's own network through a hook,
// whatever its name resolves to.
func TestPrivateAddresses(t *testing.T) {
	e := newEar(t)
	b := setup(t, Options{})
	_, port, _ := net.SplitHostPort(e.Listener.Addr().String())
	for _, address := range []string{e.URL, "http://localhost:" + port, "http://[::ffff:127.0.0.1]:" + port} {
		if err := b.post(t.Context(), address, nil, nil); failureOf(err).text != failureOf(errPrivate).text {
			t.Errorf("%s: %v", address, err)
		}
	}
	if len(e.heard()) != 0 {
		t.Error("it was reached")
	}
	for address, want := range map[string]bool{"8.8.8.8": true, "2606:4700::1111": true, "127.0.0.1": false, "10.1.2.3": false, "192.168.0.1": false, "172.16.0.1": false,
		"169.254.169.254": false, "100.64.0.1": false, "0.0.0.0": false, "0.1.2.3": false, "::1": false, "fe80::1": false, "fc00::1": false, "::ffff:10.0.0.1": false, "64:ff9b::a00:1": false,
		"2002:a00:1::": false, "224.0.0.1": false, "255.255.255.255": false, "198.18.0.1": false, "::127.0.0.1": false, "fec0::1": false, "64:ff9b:1::a00:1": false,
		"3fff::1": false} {
		if got := public(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s is public: %v", address, got)
		}
	}
	for address, want := range map[string]bool{"https://exemplo.com.br/x": true, "http://exemplo.com.br": false, "https://10.0.0.1/": false, "https://a:b@exemplo.com.br": false, "ftp://x": false, "": false, "exemplo": false} {
		if err := b.CheckURL(address); (err == nil) != want {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestChat(t *testing.T) {
	e := newEar(t)
	b := setup(t, Options{Private: true})
	b.hook(store.ChannelChat, e.URL, Presets()[0].Template)
	b.broken()
	b.rounds()
	var said struct{ Text string }
	if len(e.heard()) != 1 || json.Unmarshal([]byte(e.heard()[0]), &said) != nil || !strings.HasPrefix(said.Text, "Arquivo do caixa danificado: Padaria Aurora") ||
		!strings.Contains(said.Text, pages+"/alarmes/") || strings.Contains(said.Text, "wa.me") {
		t.Errorf("%q", e.heard())
	}
}

// TestPush reads a push as the browser does (RFC 8291).
func TestPush(t *testing.T) {
	e := newEar(t)
	e.status(201)
	b := setup(t, Options{Private: true})
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	auth := []byte("0123456789abcdef")
	keys, err := b.Keys(Subscription{e.URL + "/push", base64.RawURLEncoding.EncodeToString(auth), base64.RawURLEncoding.EncodeToString(key.PublicKey().Bytes())})
	if err != nil {
		t.Fatal(err)
	}
	b.update(func(w *store.Writer) error {
		_, err := w.AddChannel(store.Channel{Kind: store.ChannelPush, User: b.tech, Target: e.URL + "/push", Form: keys, Wish: store.Wish{Least: alarm.Warning, Digest: -1}, CreatedAt: noon})
		return err
	})
	b.broken()
	if b.rounds() != 1 || len(e.heard()) != 1 {
		t.Fatalf("%d pushes: %s", len(e.heard()), &b.log)
	}
	var said map[string]string
	if err := json.Unmarshal(opened(t, key, auth, []byte(e.heard()[0])), &said); err != nil {
		t.Fatal(err)
	}
	if said["title"] != "Arquivo do caixa danificado: Padaria Aurora, caixa CAIXA-1 (crítico)" || said["body"] != "O que há, desde 21/11/2026 11:00." || !strings.HasPrefix(said["url"], pages+"/alarmes/") {
		t.Errorf("%v", said)
	}
	h := e.headers[0]
	if h.Get("Urgency") != "high" || h.Get("Topic") != said["id"] || len(h.Get("Topic")) != 32 || h.Get("TTL") != "86400" || !strings.HasSuffix(h.Get("Authorization"), "k="+b.PushKey()) {
		t.Errorf("%v", h)
	}
	e.status(410)
	b.wait(time.Hour)
	b.alarms(alarm.Subject{Kind: alarm.OfAgent, ID: agent})
	b.rounds()
	b.update(func(w *store.Writer) error {
		list, err := w.Channels(b.tech.ID, false)
		if list[0].DeadAt.IsZero() {
			t.Errorf("a browser that is gone is not: %+v", list[0])
		}
		return err
	})
	for name, s := range map[string]Subscription{"no keys": {Endpoint: e.URL}, "a long key": {e.URL, base64.RawURLEncoding.EncodeToString(make([]byte, 17)), ""}} {
		if _, err := b.Keys(s); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// opened decrypts the one record of a push (RFC 8188, 8291).
func opened(t *testing.T, key *ecdh.PrivateKey, auth, body []byte) []byte {
	t.Helper()
	salt, point, sealed := body[:16], body[21:21+body[20]], body[21+body[20]:]
	from, err := ecdh.P256().NewPublicKey(point)
	if err != nil {
		t.Fatal(err)
	}
	shared, err := key.ECDH(from)
	if err != nil {
		t.Fatal(err)
	}
	derive := func(secret, salt []byte, info string, n int) []byte {
		k, err := hkdf.Key(sha256.New, secret, salt, info, n)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	material := derive(shared, auth, "WebPush: info\x00"+string(key.PublicKey().Bytes())+string(point), 32)
	block, err := aes.NewCipher(derive(material, salt, "Content-Encoding: aes128gcm\x00", 16))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	text, err := gcm.Open(nil, derive(material, salt, "Content-Encoding: nonce\x00", 12), sealed, nil)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(strings.TrimRight(strings.TrimRight(string(text), "\x00"), "\x02"))
}
