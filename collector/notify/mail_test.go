package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-message/mail"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"zelo/collector/alarm"
	"zelo/collector/store"
)

// post is a real mail server that misbehaves as told.
type post struct {
	mu   sync.Mutex
	got  []string // whole letters
	to   []string
	data func(c *smtp.Conn, r io.Reader) error // nil: take it
	rcpt error
	from error
	end  chan struct{}
}

// behave says what the server does with letters from now on.
func (p *post) behave(data func(*smtp.Conn, io.Reader) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.data = data
}

type postSession struct {
	*post
	conn *smtp.Conn
	user string
	to   string
}

func (s *postSession) Reset()        {}
func (s *postSession) Logout() error { return nil }
func (s *postSession) Mail(string, *smtp.MailOptions) error {
	if s.user == "" {
		return smtp.ErrAuthRequired
	}
	return s.from
}

func (s *postSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	return s.rcpt
}

func (s *postSession) Data(r io.Reader) error {
	s.mu.Lock()
	data := s.data
	s.mu.Unlock()
	if data != nil {
		if err := data(s.conn, r); err != nil {
			return err
		}
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got, s.post.to = append(s.got, string(raw)), append(s.post.to, s.to)
	return nil
}

func (s *postSession) AuthMechanisms() []string { return []string{sasl.Plain} }
func (s *postSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "zelo" || password != "segredo" {
			return smtp.ErrAuthFailed
		}
		s.user = user
		return nil
	}), nil
}

// newPost starts a mail server with STARTTLS, or with TLS from the first byte, and says
// how to reach it.
func newPost(t *testing.T, security Security) (*post, *Mail) {
	t.Helper()
	p := &post{end: make(chan struct{})}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &postSession{post: p, conn: c}, nil }))
	cert, pool := certificate(t)
	server.TLSConfig, server.Domain = &tls.Config{Certificates: []tls.Certificate{cert}}, "localhost"
	server.ErrorLog = silent{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if security == TLS {
		l = tls.NewListener(l, server.TLSConfig)
	}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(l) })
	t.Cleanup(func() { close(p.end); server.Close(); serving.Wait() })
	return p, &Mail{Host: "localhost", Port: port, Security: security, User: "zelo", Password: "segredo", From: "avisos@example.com", Config: &tls.Config{RootCAs: pool, ServerName: "localhost"}}
}

type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

func TestLetter(t *testing.T) {
	for _, security := range []Security{StartTLS, TLS} {
		t.Run(string(security), func(t *testing.T) {
			p, m := newPost(t, security)
			b := setup(t, Options{Mail: m})
			b.broken()
			if n := b.rounds(); n != 1 || len(p.got) != 1 || p.to[0] != "tech@example.com" {
				t.Fatalf("%d attempts, letters to %v: %s", n, p.to, &b.log)
			}
			r, err := mail.CreateReader(strings.NewReader(p.got[0]))
			if err != nil {
				t.Fatal(err)
			}
			if subject := subjectOf(t, p.got[0]); subject != "Arquivo do caixa danificado: Padaria Aurora, caixa CAIXA-1 (crítico)" || r.Header.Get("Auto-Submitted") != "auto-generated" {
				t.Errorf("%q %v", subject, r.Header)
			}
			var kinds []string
			for {
				part, err := r.NextPart()
				if errors.Is(err, io.EOF) {
					break
				}
				raw, err2 := io.ReadAll(part.Body)
				if err != nil || err2 != nil {
					t.Fatal(err, err2)
				}
				kind := strings.Split(part.Header.Get("Content-Type"), ";")[0]
				kinds = append(kinds, kind)
				for _, want := range []string{"O que há, desde 21/11/2026 11:00.", "Algo pode ter se perdido.", "O que fazer: Confira", pages + "/alarmes/", "Enviar por WhatsApp", "https://wa.me/?text="} {
					if !strings.Contains(string(raw), want) {
						t.Errorf("%s lacks %q:\n%s", kind, want, raw)
					}
				}
			}
			if strings.Join(kinds, " ") != "text/plain text/html" {
				t.Errorf("parts: %v", kinds)
			}
			b.wait(time.Hour)
			b.alarms(alarm.Subject{Kind: alarm.OfAgent, ID: agent})
			if n := b.rounds(); n != 1 || !strings.Contains(p.got[1], "Encerrado") {
				t.Errorf("its end: %d", n)
			}
			if strings.Contains(b.log.String(), "example.com") {
				t.Errorf("an address is in the log:\n%s", &b.log)
			}
		})
	}
}

// TestServerMisbehaves: what a mail server may do, and what becomes of the message.
func TestServerMisbehaves(t *testing.T) {
	cut := func(c *smtp.Conn, r io.Reader) error { c.Conn().Close(); return errors.New("cut") }
	for _, c := range []struct {
		name string
		do   func(*post, *Mail)
		says string
		left bool // it is tried again
		ours bool // and counts not against the person's channel
	}{
		{"refuses the person", func(p *post, _ *Mail) { p.rcpt = &smtp.SMTPError{Code: 550, Message: "no such user tech@example.com"} }, "recusou a mensagem (código 550)", false, false},
		{"refuses the collector", func(p *post, _ *Mail) {
			p.from = &smtp.SMTPError{Code: 550, Message: "avisos@example.com may not send"}
		}, "email_remetente", true, true},
		{"is busy", func(p *post, _ *Mail) { p.rcpt = &smtp.SMTPError{Code: 451, Message: "later"} }, "recusou a mensagem (código 451)", true, false},
		{"drops in the letter", func(p *post, _ *Mail) { p.data = cut }, "a conexão com o servidor falhou", true, true},
		{"does not know the password", func(_ *post, m *Mail) { m.Password = "outra" }, "email_usuario", true, true},
		{"is another one", func(_ *post, m *Mail) { m.Config = &tls.Config{ServerName: "localhost"} }, "certificado", true, true},
		{"wants TLS and is not asked for it", func(_ *post, m *Mail) { m.Security = Clear }, "", true, true}, // no password goes out in the clear
		{"is not there", func(_ *post, m *Mail) { m.Port = 1 }, "não foi possível conectar", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, m := newPost(t, StartTLS)
			c.do(p, m)
			b := setup(t, Options{Mail: m})
			b.broken()
			if n := b.rounds(); n != 1 || len(p.got) != 0 {
				t.Fatalf("%d attempts, %d letters", n, len(p.got))
			}
			if ch := b.channel(); !strings.Contains(ch.LastError, c.says) || strings.Contains(ch.LastError, "tech@") || ch.LastError == "" || (ch.Failures == 0) != c.ours || ch.FailingSince.IsZero() != c.ours {
				t.Errorf("%+v", ch)
			}
			p.rcpt, p.from = nil, nil
			p.behave(nil)
			*m = Mail{Host: "localhost", Port: m.Port, Security: m.Security, User: "zelo", Password: "segredo", From: m.From, Config: m.Config}
			b.wait(20 * time.Second)
			if n := b.rounds(); n != map[bool]int{true: 1}[c.left] {
				t.Errorf("%d attempts more", n)
			}
		})
	}
}

// TestServerHangs: an attempt ends, and what the server took counts although it never
// said goodbye.
func TestServerHangs(t *testing.T) {
	p, m := newPost(t, StartTLS)
	b := setup(t, Options{Mail: m})
	p.behave(func(*smtp.Conn, io.Reader) error { <-p.end; return errors.New("too late") })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := b.mail(ctx, "tech@example.com", "1", trial(pages, noon))
	if err == nil || !strings.Contains(failureOf(err).text, "não respondeu") {
		t.Errorf("%v", err)
	}
	taken := make(chan string, 1)
	p.behave(func(c *smtp.Conn, r io.Reader) error {
		raw, err := io.ReadAll(r)
		taken <- string(raw)
		c.Conn().Write([]byte("250 taken\r\n"))
		c.Conn().Close()
		return errors.Join(err, errors.New("gone"))
	})
	if err := b.mail(t.Context(), "tech@example.com", "1", trial(pages, noon)); err != nil || len(taken) != 1 {
		t.Errorf("%d taken, %v", len(taken), err)
	}
}

// TestStops: a server that hangs does not hold up the end of the program, whatever was
// being said to it.
func TestStops(t *testing.T) {
	p, m := newPost(t, StartTLS)
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	for _, c := range []struct {
		name string
		at   func(reached chan<- struct{}) *Mail
	}{
		{"before its first word", func(reached chan<- struct{}) *Mail {
			go func() {
				if conn, err := mute.Accept(); err == nil {
					defer conn.Close()
					reached <- struct{}{}
					<-p.end
				}
			}()
			return &Mail{Host: "127.0.0.1", Port: mute.Addr().(*net.TCPAddr).Port, Security: StartTLS, From: m.From}
		}},
		{"in the letter", func(reached chan<- struct{}) *Mail {
			p.behave(func(*smtp.Conn, io.Reader) error { reached <- struct{}{}; <-p.end; return errors.New("too late") })
			return m
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			reached := make(chan struct{}, 1)
			b := setup(t, Options{Mail: c.at(reached)})
			b.broken()
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { defer close(ended); b.Run(ctx) }()
			<-reached
			began := time.Now()
			stop()
			<-ended
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// TestKilled: a collector that dies between any two steps neither loses a message nor
// sends it under another name.
func TestKilled(t *testing.T) {
	p, m := newPost(t, StartTLS)
	b := setup(t, Options{Mail: m})
	b.broken()
	first := b.taken() // dies before it is sent
	b.start(Options{Mail: m})
	if len(first) != 1 || b.rounds() != 0 {
		t.Fatal("what one took, another took too")
	}
	b.wait(lease)
	second := b.taken()
	if len(second) != 1 || second[0].UID != first[0].UID {
		t.Fatalf("after the lease: %+v", second)
	}
	if err := b.deliver(t.Context(), second[0]); err != nil { // dies before it is noted
		t.Fatal(err)
	}
	b.start(Options{Mail: m})
	b.wait(lease)
	if n := b.rounds(); n != 1 {
		t.Fatalf("%d attempts", n)
	}
	id := "Message-ID: <" + first[0].UID + "@example.com>"
	if len(p.got) != 2 || !strings.Contains(p.got[0], id) || !strings.Contains(p.got[1], id) {
		t.Errorf("%d letters, not both with %s", len(p.got), id)
	}
	b.wait(time.Hour)
	if b.rounds() != 0 {
		t.Error("and again")
	}
}

// TestDeadChannel: after a week of failures nothing is sent any more, until its owner
// says so.
func TestDeadChannel(t *testing.T) {
	p, m := newPost(t, StartTLS)
	b := setup(t, Options{Mail: m})
	p.rcpt = &smtp.SMTPError{Code: 451, Message: "later"}
	attempts := 0
	for range 9 {
		b.alarms(alarm.Subject{Kind: alarm.OfAgent, ID: agent})
		b.wait(time.Hour)
		b.broken()
		for range 4 {
			attempts += b.rounds()
			b.wait(6 * time.Hour)
		}
	}
	ch := b.channel()
	if ch.DeadAt.IsZero() || attempts > 40 {
		t.Errorf("%d attempts, %+v", attempts, ch)
	}
	p.rcpt = nil
	b.alarms(alarm.Subject{Kind: alarm.OfAgent, ID: agent}, raised(alarm.AgentCloned, alarm.Critical))
	if b.rounds() != 0 {
		t.Error("it is tried although it is dead")
	}
	b.update(func(w *store.Writer) error { return w.SetWish(ch.ID, ch.Wish) })
	b.broken()
	if n := b.rounds(); n == 0 || len(p.got) == 0 {
		t.Errorf("%d attempts, %d letters after it lives again", n, len(p.got))
	}
}

// TestServerAway: that the collector's own server is away for weeks ends nobody's channel:
// when it is back, and says "later" first, as many do, all are told again.
func TestServerAway(t *testing.T) {
	p, m := newPost(t, StartTLS)
	b := setup(t, Options{Mail: m})
	m.Password = "vencida"
	for range 9 {
		b.alarms(alarm.Subject{Kind: alarm.OfAgent, ID: agent})
		b.wait(time.Hour)
		b.broken()
		for range 4 {
			b.rounds()
			b.wait(6 * time.Hour)
		}
	}
	m.Password = "segredo"
	p.rcpt = &smtp.SMTPError{Code: 451, Message: "later"}
	b.rounds()
	p.rcpt = nil
	b.wait(time.Hour)
	if n := b.rounds(); n == 0 || len(p.got) == 0 {
		t.Errorf("%d attempts, %d letters, %+v", n, len(p.got), b.channel())
	} else if !strings.Contains(p.got[0], "Date: Sat, 21 Nov 2026") {
		t.Errorf("what was to be told on the first day is lost, the first letter is\n%s", p.got[0])
	}
	if ch := b.channel(); ch.LastError != "" || ch.Failures != 0 {
		t.Errorf("it goes on to complain: %+v", ch)
	}
}

// TestMuted: a channel that its owner turned off is told nothing more: neither what
// waits, nor what just fails, nor the end of what it was told of.
func TestMuted(t *testing.T) {
	p, m := newPost(t, StartTLS)
	b := setup(t, Options{Mail: m})
	ch := b.channel()
	b.broken()
	b.rounds()
	about := alarm.Subject{Kind: alarm.OfAgent, ID: agent}
	b.update(func(w *store.Writer) error {
		return w.SetWish(ch.ID, store.Wish{Least: alarm.Warning, QuietFrom: 11 * 60, QuietTo: 18 * 60, CriticalPasses: true, Digest: 20})
	})
	b.alarms(about, raised(alarm.BufferDamaged, alarm.Critical), raised(alarm.BufferFilling, alarm.Warning), raised(alarm.AgentBehind, alarm.Notice))
	b.rounds()
	b.alarms(about, raised(alarm.BufferDamaged, alarm.Critical), raised(alarm.BufferFilling, alarm.Warning), raised(alarm.AgentBehind, alarm.Notice), raised(alarm.AgentCloned, alarm.Critical))
	under := b.taken()
	wish := store.Wish{Muted: true, Least: alarm.Notice, Digest: -1}
	b.update(func(w *store.Writer) error { return w.SetWish(ch.ID, wish) })
	b.settle(t.Context(), fared{under[0], errors.New("cut")})
	b.alarms(about)
	for range 40 {
		b.wait(time.Hour)
		b.rounds()
	}
	if len(under) != 1 || len(p.got) != 1 {
		t.Errorf("%d under way, told %q", len(under), p.letters(t))
	}
	wish.Muted = false
	b.update(func(w *store.Writer) error { return w.SetWish(ch.ID, wish) })
	b.broken()
	if b.rounds() != 1 || len(p.got) != 2 {
		t.Error("turned on again, it is told nothing")
	}
}

// TestNotSettled: that an alarm goes on which a person called settled is told, once.
func TestNotSettled(t *testing.T) {
	p, m := newPost(t, StartTLS)
	b := setup(t, Options{Mail: m})
	b.broken()
	b.rounds()
	b.update(func(w *store.Writer) error {
		list, err := w.OpenAlarms()
		if err != nil || len(list) != 1 {
			t.Fatalf("%+v, %v", list, err)
		}
		list[0].ResolvedAt = b.clock()
		return w.Act(list[0], store.Change{At: b.clock(), What: store.Resolved, Who: "ana"})
	})
	for range 8 {
		b.wait(20 * time.Minute)
		b.broken()
		b.rounds()
	}
	told := p.letters(t)["tech@example.com"]
	if len(told) != 2 || !strings.HasPrefix(told[1], "De novo: Arquivo do caixa danificado") {
		t.Errorf("told %q", told)
	}
}

// TestTrial: a trial says how it ended and is noted; one that was not made is not.
func TestTrial(t *testing.T) {
	p, m := newPost(t, StartTLS)
	b := setup(t, Options{Mail: m})
	ch := b.channel()
	try := func(want string) {
		t.Helper()
		got, err := b.Test(t.Context(), ch)
		if err != nil || !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("%q, %v", got, err)
		}
		ch = b.channel()
	}
	for range maxTrials {
		b.trying <- struct{}{}
	}
	if try("outros testes"); ch.LastError != "" {
		t.Errorf("a trial that was not made is noted: %+v", ch)
	}
	for range maxTrials {
		<-b.trying
	}
	m.Password = "outra"
	if try("email_usuario"); ch.LastError == "" || !ch.FailingSince.IsZero() {
		t.Errorf("a fault of the collector's: %+v", ch)
	}
	m.Password, p.rcpt = "segredo", &smtp.SMTPError{Code: 550, Message: "no"}
	if try("recusou"); ch.FailingSince.IsZero() || ch.Failures != 1 {
		t.Errorf("a fault of the address: %+v", ch)
	}
	p.rcpt = nil
	if try(""); ch.LastError != "" || ch.LastSent.IsZero() || len(p.got) != 1 {
		t.Errorf("it arrived: %+v", ch)
	}
}

func subjectOf(t *testing.T, raw string) string {
	t.Helper()
	r, err := mail.CreateReader(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := r.Header.Subject()
	if err != nil {
		t.Fatal(err)
	}
	return subject
}
