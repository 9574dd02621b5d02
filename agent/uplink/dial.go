package uplink

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// ErrClock reports that the collector's certificate is not valid at the time it
// is here: most likely this computer's clock is wrong.
var ErrClock = errors.New("the collector's certificate is not valid at this computer's time: check the date of this computer")

// ErrRefused reports that collector and agent do not accept each other's certificate,
// or that the collector does not let this agent in.
var ErrRefused = errors.New("the collector refuses this agent's identity, or is not the one it knows")

// ErrProxy reports that the proxy would not let the connection through.
var ErrProxy = errors.New("the proxy refuses the connection")

// open dials one address of the collector, through a proxy where there is one.
func (m MQTT) open(ctx context.Context, u *url.URL) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	proxied := m.Proxy
	if proxied == nil {
		proxied = http.ProxyFromEnvironment
	}
	if u.Scheme == "wss" {
		return openWeb(u, m.TLS, proxied)
	}
	proxy, err := proxied(&http.Request{URL: &url.URL{Scheme: "https", Host: u.Host}})
	if err != nil {
		return nil, fmt.Errorf("%w: its address is not understood", ErrProxy) // err may hold a password
	}
	var conn net.Conn
	if proxy == nil {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	} else {
		conn, err = connectThrough(ctx, proxy, u.Host)
	}
	if err != nil {
		return nil, err
	}
	config := m.TLS.Clone()
	if config.ServerName == "" {
		config.ServerName = u.Hostname()
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// openWeb dials by WebSocket. The library below panics (gorilla/websocket 1.5.3,
// proxy.go) when a proxy refuses without giving a reason; that must not end the agent.
func openWeb(u *url.URL, config *tls.Config, proxied mqtt.ProxyFunction) (conn net.Conn, err error) {
	defer func() {
		if r := recover(); r != nil {
			conn, err = nil, fmt.Errorf("%w: its answer is not understood (%v)", ErrProxy, r)
		}
	}()
	return mqtt.NewWebsocket(u.String(), config, dialTime, nil, &mqtt.WebsocketOptions{Proxy: proxied})
}

// connectThrough asks an HTTP proxy for a tunnel (RFC 9110, 9.3.6).
func connectThrough(ctx context.Context, proxy *url.URL, target string) (net.Conn, error) {
	port := proxy.Port()
	switch {
	case proxy.Scheme != "http":
		return nil, fmt.Errorf("%w: %s is not an http:// address", ErrProxy, proxy.Redacted())
	case port == "":
		port = "80"
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(proxy.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("cannot reach the proxy %s: %w", proxy.Redacted(), err)
	}
	if err := tunnel(ctx, conn, proxy, target); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func tunnel(ctx context.Context, conn net.Conn, proxy *url.URL, target string) error {
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target, Header: http.Header{}}
	if user := proxy.User; user != nil {
		password, _ := user.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	if err := req.Write(conn); err != nil {
		return fmt.Errorf("cannot ask the proxy %s: %w", proxy.Redacted(), err)
	}
	answer := bufio.NewReaderSize(conn, 4<<10)
	resp, err := http.ReadResponse(answer, req)
	if err != nil {
		return fmt.Errorf("cannot understand the proxy %s: %w", proxy.Redacted(), err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || answer.Buffered() > 0 {
		return fmt.Errorf("%w: %s answered %q for %s", ErrProxy, proxy.Redacted(), resp.Status, target)
	}
	return conn.SetDeadline(time.Time{})
}

// dialErrors are what went wrong with each address of one attempt.
type dialErrors struct {
	mu   sync.Mutex
	errs []error
}

func (f *dialErrors) add(u *url.URL, err error) {
	if err == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, fmt.Errorf("%s: %w", u.Redacted(), err))
}

// explain adds to err what went wrong with each address, and says in plain words
// when the clock is to blame.
func (f *dialErrors) explain(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := err
	if len(f.errs) > 0 {
		all = errors.Join(f.errs...)
		if !errors.Is(err, errors.Unwrap(f.errs[len(f.errs)-1])) {
			all = errors.Join(all, err)
		}
	}
	var invalid x509.CertificateInvalidError
	if errors.As(all, &invalid) && invalid.Reason == x509.Expired {
		return fmt.Errorf("%w: %w", ErrClock, all)
	}
	if refused(all) {
		return fmt.Errorf("%w: %w", ErrRefused, all)
	}
	return all
}

// refused reports whether an attempt failed because of who one of the two is: by its
// certificate, or by the broker's answer.
func refused(err error) bool {
	var unknown x509.UnknownAuthorityError
	var alert *net.OpError
	return errors.As(err, &unknown) || errors.As(err, &alert) && alert.Op == "remote error" ||
		errors.Is(err, packets.ErrorRefusedNotAuthorised) || errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword)
}
