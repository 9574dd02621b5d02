package uplink

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Whatever a proxy answers, the till hears a plain error without the password, for
// both ways to the collector.
func TestOddProxies(t *testing.T) {
	for name, answer := range map[string]string{
		"refuses":          "HTTP/1.1 403 Forbidden\r\n\r\n",
		"gives no reason":  "HTTP/1.1 403\r\n\r\n",
		"says nothing":     "",
		"is no proxy":      "220 mail.example ESMTP\r\n",
		"wants a password": "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
	} {
		for _, broker := range []string{"tls://collector.example:8883", "wss://collector.example:443/mqtt"} {
			t.Run(name+" to "+broker[:3], func(t *testing.T) {
				proxy := &url.URL{Scheme: "http", Host: answering(t, answer), User: url.UserPassword("loja", "segredo")}
				m := MQTT{Broker: broker, Agent: "agent001", TLS: &tls.Config{}, Proxy: http.ProxyURL(proxy)}
				s, err := m.Connect(t.Context(), func(string, []byte) {})
				if err == nil {
					s.Close()
					t.Fatal("connected")
				}
				if text := err.Error(); strings.Contains(text, "segredo") || !strings.Contains(text, "collector.example") {
					t.Errorf("%v", err)
				}
			})
		}
	}
}

// answering is the address of a server that says one thing to everybody.
func answering(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			http.ReadRequest(bufio.NewReader(conn))
			fmt.Fprint(conn, answer)
			conn.Close()
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return l.Addr().String()
}
