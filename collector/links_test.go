package main

import (
	"io"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// mailbox is a real mail server; what it gets is in letters.
type mailbox struct{ letters chan letter }

type letter struct{ to, text string }

type mailSession struct {
	mailbox
	to string
}

func (s *mailSession) Reset()                                    {}
func (s *mailSession) Logout() error                             { return nil }
func (s *mailSession) Mail(string, *smtp.MailOptions) error      { return nil }
func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error { s.to = to; return nil }
func (s *mailSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(quotedprintable.NewReader(r))
	s.letters <- letter{s.to, string(raw)}
	return err
}

func newMailbox(t *testing.T) (m mailbox, address string) {
	t.Helper()
	m.letters = make(chan letter, 10)
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &mailSession{mailbox: m}, nil }))
	server.Domain = "localhost"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(l) })
	t.Cleanup(func() { server.Close(); serving.Wait() })
	return m, l.Addr().String()
}

// next is the next letter, whom it is for and the secret of its link.
func (m mailbox) next(t *testing.T) (to, secret string) {
	t.Helper()
	select {
	case l := <-m.letters:
		found := regexp.MustCompile(`http://127\.0\.0\.1:0/entrar/(e\.[\w-]{43})`).FindStringSubmatch(l.text)
		if found == nil || !strings.Contains(l.text, "uma única vez, até ") || strings.Contains(l.text, "página Avisos") {
			t.Fatalf("the letter says\n%s", l.text)
		}
		return l.to, found[1]
	case <-time.After(20 * time.Second):
		t.Fatal("no letter came")
	}
	return "", ""
}

// visitor is somebody with a browser.
type visitor struct {
	t *testing.T
	http.Client
	at string
}

func newVisitor(t *testing.T, at listening) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, http.Client{Jar: jar}, "http://" + at.pages}
}

// post sends a form and returns the page that it leads to.
func (v *visitor) post(path string, form url.Values) string {
	v.t.Helper()
	r, err := v.PostForm(v.at+path, form)
	if err != nil {
		v.t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return string(body)
}

// ask asks for a link and returns the answer, without the address that it repeats.
func (v *visitor) ask(email string) string {
	v.t.Helper()
	return strings.ReplaceAll(v.post("/entrar", url.Values{"acao": {"link"}, "email": {email}}), email, "*")
}

// TestLinkByMail: who asks for a link gets one that works once, at the address that the
// store knows; nobody learns who has access; only so many are sent to one address.
func TestLinkByMail(t *testing.T) {
	box, address := newMailbox(t)
	_, _, at := started(t, func(c *Config) {
		c.MailServer, c.MailSecurity, c.MailFrom = address, "nenhuma", "avisos@exemplo.com.br"
	})
	ana, other := newVisitor(t, at), newVisitor(t, at)
	known, unknown := ana.ask("ANA@exemplo.com.br"), ana.ask("bia@exemplo.com.br")
	if known != unknown || !strings.Contains(known, "Pedido anotado") {
		t.Errorf("a person is told\n%s\nsomebody else\n%s", known, unknown)
	}
	to, secret := box.next(t)
	if to != "ana@exemplo.com.br" {
		t.Errorf("the link went to %s", to)
	}
	if page := ana.post("/entrar", url.Values{"secret": {secret}}); !strings.Contains(page, "ana@exemplo.com.br") {
		t.Fatalf("the link leads to\n%s", page)
	}
	if page := other.post("/entrar", url.Values{"secret": {secret}}); !strings.Contains(page, "já foi usado") {
		t.Error("the link works twice")
	}
	for n := range 3 { // of which two are heard
		if answer := ana.ask("ana@exemplo.com.br"); answer != known {
			t.Errorf("when asked often: %s", answer)
		}
		if n == 2 {
			continue
		}
		if to, _ := box.next(t); to != "ana@exemplo.com.br" {
			t.Errorf("a link went to %s", to)
		}
	}
	page := ana.post("/pessoas", url.Values{"acao": {"nova"}, "email": {"tec@exemplo.com.br"}, "papel": {"tecnico"}, "numero": {"1"}})
	if to, secret = box.next(t); to != "tec@exemplo.com.br" || !strings.Contains(page, "foi para tec@exemplo.com.br") || strings.Contains(page, secret) {
		t.Errorf("an invitation to %s: %s", to, page)
	}
	if page := other.post("/entrar", url.Values{"secret": {secret}}); !strings.Contains(page, "tec@exemplo.com.br") {
		t.Errorf("the invited sees\n%s", page)
	}
	other.ask("tec@exemplo.com.br") // links are sent in the order of the wishes
	if to, _ = box.next(t); to != "tec@exemplo.com.br" {
		t.Errorf("one link too many went to %s", to)
	}
}
