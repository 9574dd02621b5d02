package lan

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"zelo/agent/wire"
	"zelo/sat"
)

const (
	meetWithin = 5 * time.Second // for a connection to show who it is
	maxGuests  = 64              // addresses whose connections have not yet
	maxAlike   = 4               // such connections of one address
	maxEach    = 4               // connections of one borrower: it may reconnect, or have two addresses
	longest    = 5 * time.Minute // that a loan may take
	maxFailed  = 512             // bytes of the text of an error
)

// accept takes connections of borrowers.
func (l *LAN) accept(ctx context.Context) {
	for ctx.Err() == nil {
		raw, err := l.listener.Accept()
		if err != nil {
			pause(ctx, 100*time.Millisecond) // out of descriptors, or the end
			continue
		}
		leave, ok := l.admit(raw.RemoteAddr())
		if !ok {
			raw.Close()
			continue
		}
		l.parts.Go(func() {
			defer raw.Close()
			if err := l.receive(ctx, raw, leave); err != nil && ctx.Err() == nil {
				l.log.Debug("connection of a neighbour ended", "from", raw.RemoteAddr(), "err", err)
			}
		})
	}
}

// admit lets in one more that has not shown who it is; leave says that it has, or
// never will.
func (l *LAN) admit(from net.Addr) (leave func(), ok bool) {
	host, _, _ := net.SplitHostPort(from.String())
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.guests[host]; n >= maxAlike || n == 0 && len(l.guests) >= maxGuests {
		return nil, false
	}
	l.guests[host]++
	return func() { l.less(l.guests, host) }, true
}

// less counts one connection off.
func (l *LAN) less(of map[string]int, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if of[name]--; of[name] == 0 {
		delete(of, name)
	}
}

// receive finds out who connected, and lends.
func (l *LAN) receive(ctx context.Context, raw net.Conn, known func()) error {
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	stream := tls.Server(raw, l.trust.Load().server())
	within, cancel := context.WithTimeout(ctx, meetWithin)
	err := stream.HandshakeContext(within)
	cancel()
	known()
	if err != nil {
		return err
	}
	name := stream.ConnectionState().PeerCertificates[0].Subject.CommonName
	if !l.greet(name) {
		return fmt.Errorf("agent %s has %d connections already", name, maxEach)
	}
	defer l.less(l.borrowers, name)
	c := newConn(name, raw, stream, l.opt.Codec)
	ended := make(chan struct{})
	l.parts.Go(func() { defer close(ended); c.write(look, l.sign) })
	err = (&lending{conn: c, lan: l}).read(ctx)
	c.close()
	<-ended
	return err
}

// greet lets in one more connection of a borrower.
func (l *LAN) greet(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.borrowers[name] >= maxEach {
		return false
	}
	l.borrowers[name]++
	return true
}

// sign is a lender's sign of life: what it lends now.
func (l *LAN) sign() ([]byte, error) {
	return frame(l.opt.Codec, wire.LanOffers, wire.Lendables{Version: wire.Version, Devices: l.opt.Lender.Offers(), Run: l.id})
}

// lending is a connection that borrows from us.
type lending struct {
	*conn
	lan   *LAN
	loans atomic.Int32 // under way
}

func (b *lending) read(ctx context.Context) error {
	for {
		kind, body, err := b.next()
		if err == nil {
			err = b.take(ctx, kind, body)
		}
		if err != nil {
			return err
		}
	}
}

func (b *lending) take(ctx context.Context, kind byte, body []byte) error {
	switch kind {
	case wire.LanBeacon:
		var at wire.Beacon
		if err := b.codec.Decode(body, &at); err != nil {
			return fmt.Errorf("%w: %w", errFrame, err)
		}
		if from, ok := b.raw.RemoteAddr().(*net.TCPAddr); ok && at.Port != 0 {
			b.lan.know(ctx, addressOf(from.AddrPort().Addr(), at.Port), false)
		}
	case wire.LanSale, wire.LanQuestion:
		var l wire.Loan
		if err := b.codec.Decode(body, &l); err != nil {
			return fmt.Errorf("%w: %w", errFrame, err)
		}
		if b.loans.Load() >= wire.MaxLoans {
			b.answer(ctx, l, wire.Return{Failed: errMany.Error()})
			return nil
		}
		b.loans.Add(1)
		// The call outlives the connection: a device finishes what it began.
		b.lan.parts.Go(func() {
			defer b.loans.Add(-1)
			b.answer(ctx, l, b.carryOut(ctx, kind, l))
		})
	}
	return nil
}

// carryOut has the lender do what a loan asks for.
func (b *lending) carryOut(ctx context.Context, kind byte, l wire.Loan) wire.Return {
	left := min(time.Duration(min(l.Left, longest.Milliseconds()))*time.Millisecond, longest)
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	var ending wire.Ending
	var reply sat.Reply
	var err error
	switch {
	case !wire.ValidCase(l.Case) && (l.Case != "" || kind != wire.LanSale):
		err = errCase
	case l.Left <= 0:
		err = context.DeadlineExceeded
	case kind == wire.LanQuestion:
		ending, reply, err = b.lan.opt.Lender.AskCase(ctx, b.peer, l.Case)
	default:
		req := sat.Request{Till: l.Till, Session: l.Session, Function: sat.Function(l.Function)}
		for _, a := range l.Args {
			req.Args = append(req.Args, string(a))
		}
		if err = req.Check(); err == nil {
			ending, reply, err = b.lan.opt.Lender.Lend(ctx, b.peer, l.Case, req)
		}
	}
	if err != nil {
		b.lan.log.Warn("cannot say how a neighbour's call ended", "neighbour", b.peer, "case", l.Case, "err", err)
		text := err.Error()
		return wire.Return{Failed: strings.ToValidUTF8(text[:min(len(text), maxFailed)], "")}
	}
	return wire.Return{Ending: ending, Function: uint8(reply.Function), Reply: reply.Raw}
}

// answer sends what came of a loan, if the borrower is still there.
func (b *lending) answer(ctx context.Context, l wire.Loan, back wire.Return) {
	back.Version, back.Number, back.Case = wire.Version, l.Number, l.Case
	p := &parcel{}
	var err error
	if p.frame, err = frame(b.codec, wire.LanAnswer, back); err == nil {
		err = b.send(ctx, p)
	}
	if err != nil {
		b.lan.log.Warn("a neighbour did not get its answer", "neighbour", b.peer, "case", back.Case, "err", err)
	}
}
