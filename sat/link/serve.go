package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"zelo/sat"
)

// Serve is the device's side: it answers the till on the stream with dev until
// the stream ends, dev is gone or ctx ends, and returns why. It owns the stream
// and closes it; its goroutines end with it.
//
// What dev writes is sent as it is, also when it comes with an error (a reply
// that breaks the grammar). A call that fails without bytes is not answered; one
// that fails with [sat.ErrGone] ends Serve, as when the device is unplugged. The
// context given to dev ends when the till abandons the call.
func Serve(ctx context.Context, stream io.ReadWriteCloser, dev sat.Device, h Hello) error {
	stop := context.AfterFunc(ctx, func() { stream.Close() })
	s := &server{stream: stream, dev: dev, hello: h, done: make(chan result)}
	frames, quit := make(chan frame), make(chan struct{})
	var reader sync.WaitGroup
	var ended error
	reader.Go(func() {
		defer close(frames)
		ended = readFrames(stream, func(f frame) {
			select {
			case frames <- f:
			case <-quit:
			}
		})
	})
	err := s.run(ctx, frames)
	s.abandon()
	stop()
	stream.Close()
	close(quit)
	reader.Wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		return fmt.Errorf("%w: %w", sat.ErrGone, ended)
	}
	return err
}

// server holds the device's side of the conversation; only Serve's own goroutine
// touches it.
type server struct {
	stream io.Writer
	dev    sat.Device
	hello  Hello

	client uint32
	seq    uint32             // newest request seen
	answer *frame             // its answer, kept for repeats
	cancel context.CancelFunc // not nil while it is carried out
	done   chan result
}

type result struct {
	raw []byte
	err error
}

// run returns nil when the stream ended.
func (s *server) run(ctx context.Context, frames <-chan frame) error {
	for {
		var err error
		select {
		case f, ok := <-frames:
			if !ok {
				return nil
			}
			err = s.handle(ctx, f)
		case r := <-s.done:
			err = s.finish(r)
		case <-ctx.Done():
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

func (s *server) handle(ctx context.Context, f frame) error {
	switch {
	case f.kind == hello:
		if f.client != s.client {
			s.abandon()
			s.client, s.seq, s.answer = f.client, 0, nil
		}
		return s.send(frame{kind: welcome, client: f.client, payload: s.hello.encode()})
	case f.kind != request && f.kind != ping:
		return nil
	case f.client != s.client:
		return s.send(nakFor(f, stranger))
	case f.seq < s.seq:
		return nil
	case f.seq == s.seq:
		return s.repeat(f)
	case f.kind == ping:
		return s.send(nakFor(f, missing))
	}
	s.abandon()
	s.seq, s.answer = f.seq, nil
	req, err := decodeRequest(f.payload)
	if err != nil {
		return s.reply(nakFor(f, refused))
	}
	s.start(ctx, req)
	return nil
}

func nakFor(f frame, r reason) frame {
	return frame{kind: nak, client: f.client, seq: f.seq, payload: []byte{byte(r)}}
}

// repeat answers a second question about the newest request.
func (s *server) repeat(f frame) error {
	switch {
	case s.answer != nil:
		return s.send(*s.answer)
	case s.cancel != nil:
		return s.send(frame{kind: working, client: f.client, seq: f.seq})
	}
	return nil
}

func (s *server) start(ctx context.Context, req sat.Request) {
	ctx, s.cancel = context.WithCancel(ctx)
	go func() {
		reply, err := s.dev.Call(ctx, req)
		s.done <- result{reply.Raw, err}
	}()
}

// abandon ends the call being carried out and drops its reply.
func (s *server) abandon() {
	if s.cancel != nil {
		s.cancel()
		<-s.done
		s.cancel = nil
	}
}

func (s *server) finish(r result) error {
	s.cancel()
	s.cancel = nil
	switch {
	case errors.Is(r.err, sat.ErrGone):
		return r.err
	case len(r.raw) > MaxPayload:
		return s.reply(frame{kind: nak, client: s.client, seq: s.seq, payload: []byte{byte(refused)}})
	case len(r.raw) > 0:
		return s.reply(frame{kind: response, client: s.client, seq: s.seq, payload: r.raw})
	}
	return nil
}

// reply sends the newest request's answer and keeps it.
func (s *server) reply(f frame) error {
	s.answer = &f
	return s.send(f)
}

func (s *server) send(f frame) error {
	for b := f.encode(); len(b) > 0; {
		n, err := s.stream.Write(b)
		if err == nil && n == 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			return fmt.Errorf("%w: cannot write to the line: %w", sat.ErrGone, err)
		}
		b = b[n:]
	}
	return nil
}
