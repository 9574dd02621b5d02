package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"zelo/collector/store"
)

// Headers of a webhook's request. The signature is t=<Unix seconds>,v1=<hex>, the
// HMAC-SHA256, with the webhook's secret, of those seconds, a dot and the body. The id
// is the same when a message is sent again.
const (
	HeaderSignature = "Zelo-Signature"
	HeaderID        = "Zelo-Id"
)

// newClient makes the client that hooks and pushes are sent with: it goes nowhere but
// to the public internet unless private, follows nothing and uses no proxy.
func newClient(private bool) *http.Client {
	d := &net.Dialer{Timeout: patience}
	if !private {
		d.Control = func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil || !public(to.Addr()) {
				return errPrivate
			}
			return nil
		}
	}
	return &http.Client{
		Transport: &http.Transport{DialContext: d.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: patience, MaxIdleConns: 32,
			MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 16 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// public tells whether an address is of the public internet (RFC 6890; of IPv6, what is
// given out to anybody: RFC 4291, section 2.4).
func public(a netip.Addr) bool {
	a = a.Unmap()
	if a.Is6() && !netip.MustParsePrefix("2000::/3").Contains(a) {
		return false
	}
	for _, reserved := range []string{"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"} {
		if netip.MustParsePrefix(reserved).Contains(a) {
			return false
		}
	}
	return a.IsGlobalUnicast() && !a.IsPrivate()
}

// CheckURL fails, with what to do in pt-BR, when nothing can be sent to an address.
func (n *Notifier) CheckURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || len(address) > 2000 || u.Scheme != "https" && !(n.o.Private && u.Scheme == "http"):
		return &failure{"escreva o endereço inteiro, como em https://exemplo.com.br/avisos", again}
	}
	if a, err := netip.ParseAddr(u.Hostname()); !n.o.Private && err == nil && !public(a) {
		return failureOf(errPrivate)
	}
	return nil
}

// NewSalt makes what a webhook's secret is derived from.
func NewSalt() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Secret is what the messages of a webhook are signed with. It is kept nowhere: whoever
// has the store alone cannot sign.
func (n *Notifier) Secret(salt string) string {
	m := hmac.New(sha256.New, n.o.Key[:])
	io.WriteString(m, "zelo webhook "+salt)
	return "zelo_" + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// Sign is the signature of a body that is sent at a time.
func Sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	m := hmac.New(sha256.New, []byte(secret))
	io.WriteString(m, t+".")
	m.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(m.Sum(nil))
}

// delivery is the body of a webhook's request.
type delivery struct {
	ID        string    `json:"id"`
	Type      string    `json:"type"` // alarms, test
	CreatedAt time.Time `json:"createdAt"`
	Events    []event   `json:"events"`
}

// webhook sends a message to a program.
func (n *Notifier) webhook(ctx context.Context, ch store.Channel, uid string, c content) error {
	kind := "alarms"
	if c.Kind == kindTrial {
		kind = "test"
	}
	body, err := json.Marshal(delivery{uid, kind, c.At.UTC(), append([]event{}, c.Events...)})
	if err != nil {
		return err
	}
	return n.post(ctx, ch.Target, body, map[string]string{HeaderID: uid, HeaderSignature: Sign(n.Secret(ch.Form), n.o.Now(), body)})
}

// chat sends a message to a chat, in the JSON of its template.
func (n *Notifier) chat(ctx context.Context, ch store.Channel, c content) error {
	c.WhatsApp = "" // too long for a chat
	body, err := fillTemplate(ch.Form, said{c.Subject, c.plain(), c.Link, severityName(c.Severity)})
	if err != nil {
		return &failure{"o modelo da mensagem não produz mais um JSON: escreva-o de novo", gone}
	}
	return n.post(ctx, ch.Target, body, nil)
}

func (n *Notifier) post(ctx context.Context, to string, body []byte, headers map[string]string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return &failure{"o endereço não pode ser usado", gone}
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Zelo")
	for name, v := range headers {
		r.Header.Set(name, v)
	}
	answer, err := n.client.Do(r)
	if err != nil {
		return fmt.Errorf("cannot post a message: %w", err)
	}
	return closed(answer)
}

// closed reads a little of an answer, so that its connection serves again, and says
// what it means.
func closed(answer *http.Response) error {
	defer answer.Body.Close()
	io.Copy(io.Discard, io.LimitReader(answer.Body, 4<<10))
	return answered(answer.StatusCode)
}

// HostOf names the server of an address; the rest of it may be a secret.
func HostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(u.Host, "www.")
}
