package lan

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"zelo/agent/wire"
)

// How connections are kept.
const (
	every   = 2 * time.Second  // between two signs of life, when nothing changes
	look    = every / 4        // between two looks whether what is lent did
	silence = 10 * time.Second // without a byte ends a connection, either way
	stretch = 16 << 10         // bytes that must be taken within silence
)

var (
	errFrame = errors.New("malformed frame") // bytes that no agent writes
	errEnded = errors.New("the connection ended")
)

// parcel is a frame that is to be sent, unless it is withdrawn before.
type parcel struct {
	frame []byte
	state atomic.Int32
}

const (
	waiting int32 = iota
	leaving       // bytes of it may have left
	withdrawn
)

// withdraw reports whether the frame certainly stays here.
func (p *parcel) withdraw() bool { return p.state.CompareAndSwap(waiting, withdrawn) }

// conn is a connection to a neighbour with one reader and one writer.
type conn struct {
	peer   string   // agent
	raw    net.Conn // closed without a farewell, which could block
	stream net.Conn // TLS upon raw
	in     *bufio.Reader
	codec  *wire.Codec
	out    chan *parcel
	dead   chan struct{} // closed with the connection
	once   sync.Once

	start time.Time
	heard atomic.Int64 // when the last byte came: nanoseconds since start
}

func newConn(peer string, raw, stream net.Conn, codec *wire.Codec) *conn {
	c := &conn{peer: peer, raw: raw, stream: stream, codec: codec,
		out: make(chan *parcel, wire.MaxLoans), dead: make(chan struct{}), start: time.Now()}
	c.in = bufio.NewReaderSize(c, stretch)
	return c
}

func (c *conn) close() {
	c.once.Do(func() {
		close(c.dead)
		c.raw.Close()
	})
}

// quiet is how long nothing has come.
func (c *conn) quiet() time.Duration { return time.Since(c.start) - time.Duration(c.heard.Load()) }

// Read reads the stream as long as it is not silent.
func (c *conn) Read(p []byte) (int, error) {
	c.raw.SetReadDeadline(time.Now().Add(silence))
	n, err := c.stream.Read(p)
	if n > 0 {
		c.heard.Store(int64(time.Since(c.start)))
	}
	return n, err
}

// next reads one frame.
func (c *conn) next() (kind byte, body []byte, err error) { return readFrame(c.in) }

// send queues a frame for the writer. It fails when the connection or ctx ends
// before there is room.
func (c *conn) send(ctx context.Context, p *parcel) error {
	select {
	case c.out <- p:
		return nil
	case <-c.dead:
		return errEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write sends signs of life, which it looks at so often, and what is queued until
// the connection ends.
func (c *conn) write(often time.Duration, sign func() ([]byte, error)) {
	defer c.close()
	tick := time.NewTicker(often)
	defer tick.Stop()
	var last []byte
	var said time.Time
	live := func() error {
		now, err := sign()
		if err != nil || bytes.Equal(now, last) && time.Since(said) < every-look/2 {
			return err
		}
		last, said = now, time.Now()
		return c.put(now)
	}
	err := live()
	for err == nil {
		select {
		case <-c.dead:
			return
		case p := <-c.out:
			if !c.ended() && p.state.CompareAndSwap(waiting, leaving) {
				err = c.put(p.frame)
			}
		case <-tick.C:
			err = live()
		}
	}
}

func (c *conn) ended() bool {
	select {
	case <-c.dead:
		return true
	default:
		return false
	}
}

// put writes a frame to a peer that keeps taking it.
func (c *conn) put(frame []byte) error {
	for len(frame) > 0 {
		n := min(len(frame), stretch)
		c.raw.SetWriteDeadline(time.Now().Add(silence))
		if _, err := c.stream.Write(frame[:n]); err != nil {
			return err
		}
		frame = frame[n:]
	}
	return nil
}

// frame writes a message as a frame.
func frame(codec *wire.Codec, kind byte, message any) ([]byte, error) {
	body, err := codec.Encode(message)
	if err != nil {
		return nil, err
	}
	if len(body)+1 > wire.MaxLanFrame {
		return nil, fmt.Errorf("%w: %d bytes for a neighbour", wire.ErrTooLarge, len(body))
	}
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 5+len(body)), uint32(len(body)+1))
	return append(append(b, kind), body...), nil
}

// readFrame reads one; it takes no more memory than bytes came.
func readFrame(r io.Reader) (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 1 || n > wire.MaxLanFrame {
		return 0, nil, fmt.Errorf("%w: length %d", errFrame, n)
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, int64(n)-1); err != nil {
		return 0, nil, fmt.Errorf("%w: cut after %d of %d bytes: %w", errFrame, b.Len(), n-1, err)
	}
	return head[4], b.Bytes(), nil
}
