package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"time"
)

// Bounds of connections that are still proving who they are.
const (
	maxHandshakes = 512
	longestTurn   = 5 * time.Second
)

var errBusy = errors.New("too many agents connect at once, it tries again later")

// turnstile lets so many TLS handshakes be under way at a time; the others wait for
// their turn with nothing computed yet, and are refused when it does not come soon.
// Without it, when thousands come back at once, so many are begun that none ends in
// its agent's time, all begin anew, and the processor is busy with what nobody waits
// for any more.
type turnstile chan struct{}

// admit is for tls.Config.GetConfigForClient, which is called with the first message
// of a client. The place is free again when the handshake has ended, well or not.
func (t turnstile) admit(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	late := time.NewTimer(longestTurn)
	defer late.Stop()
	select {
	case t <- struct{}{}:
		context.AfterFunc(hello.Context(), func() { <-t })
		return nil, nil
	case <-late.C:
		return nil, errBusy
	}
}
