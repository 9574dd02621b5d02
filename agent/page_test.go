package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// A call that is under way on the local page when the agent stops is answered first:
// the devices stop after who serves the tills.
func TestStopWaitsForWhatIsUnderWay(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	begun, end, stopped, answer := make(chan struct{}), make(chan struct{}), make(chan error, 1), make(chan string, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		stopped <- serveHTTP(ctx, ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(begun)
			<-end
			io.WriteString(w, "vendido")
		}))
	}()
	go func() {
		resp, err := http.Get("http://" + ln.Addr().String())
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		answer <- string(text)
	}()
	<-begun
	cancel()
	select {
	case err := <-stopped:
		t.Error("stopped with a call under way")
		stopped <- err
	case <-time.After(200 * time.Millisecond):
	}
	close(end)
	if got := <-answer; got != "vendido" {
		t.Errorf("answered %q", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
