package guest

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// vhci is the kernel's USB/IP client.
const vhci = "/sys/devices/platform/vhci_hcd.0/"

// device is a USB device with one stream of bytes: what the kernel writes to its
// endpoint 1 is read here, what is written here goes to the kernel's reads of its
// endpoint 1. It is an [io.ReadWriteCloser]; Close pulls the plug.
//
// Source of the messages: kernel documentation, usb/usbip_protocol.
type device struct {
	usb   descriptors
	line  *os.File      // carries the USB/IP messages
	ended chan struct{} // closed when answer has ended

	mu      sync.Mutex
	arrived *sync.Cond // something was written by the kernel, or the device is unplugged
	in, out []byte     // from and to the kernel
	reads   []read     // the kernel's, without an answer yet
	gone    bool

	deaf   bool     // takes no bytes; the kernel's writes wait in held
	held   []uint32 // sequences of writes without an answer
	halted bool     // endpoint 1 refuses bytes until the kernel clears the halt
	full   int      // writes of full packets only
	open   int      // of these, those that no empty packet ends
}

// read is the kernel's wish to read from an endpoint.
type read struct {
	seq            uint32
	endpoint, most int
}

// attach plugs a device in. Its goroutine ends with Close.
func attach(usb descriptors) (*device, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot make the device's line: %w", err)
	}
	defer unix.Close(pair[0])
	if err := unix.SetNonblock(pair[1], true); err != nil { // so that Close ends a Read
		return nil, err
	}
	d := &device{usb: usb, line: os.NewFile(uintptr(pair[1]), "usbip"), ended: make(chan struct{})}
	d.arrived = sync.NewCond(&d.mu)
	go d.answer()
	plug := fmt.Sprintf("%d %d %d %d", port, pair[0], 1<<16|port+1, usb.speed)
	if err := os.WriteFile(vhci+"attach", []byte(plug), 0); err != nil {
		d.Close()
		return nil, fmt.Errorf("cannot plug the device in: %w", err)
	}
	return d, nil
}

// freePort finds a port of the kernel's virtual hub that holds no device. The
// lines of its state begin "hs 0000 004": speed, port, 4 for a free one.
func freePort() (int, error) {
	state, err := os.ReadFile(vhci + "status")
	if err != nil {
		return 0, fmt.Errorf("cannot read the state of the ports: %w", err)
	}
	for line := range strings.Lines(string(state)) {
		var port, state int
		if n, _ := fmt.Sscanf(line, "hs %d %d", &port, &state); n == 2 && state == 4 {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no port of the virtual hub is free:\n%s", state)
}

// Read waits for what the kernel writes.
func (d *device) Read(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.in) == 0 {
		if d.gone {
			return 0, io.EOF
		}
		d.arrived.Wait()
	}
	n := copy(b, d.in)
	d.in = d.in[n:]
	return n, nil
}

// Write never waits for the kernel to read.
func (d *device) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone {
		return 0, io.ErrClosedPipe
	}
	d.out = append(d.out, b...)
	d.serve()
	return len(b), nil
}

// Close unplugs the device.
func (d *device) Close() error {
	err := d.line.Close()
	<-d.ended
	return err
}

// answer is the goroutine that answers the kernel.
func (d *device) answer() {
	defer close(d.ended)
	for d.message() == nil {
	}
	d.mu.Lock()
	d.gone = true
	d.arrived.Broadcast()
	d.mu.Unlock()
}

// The messages of USB/IP.
const (
	submit = 1 + iota
	unlink
	submitted
	unlinked
)

// message takes one message from the kernel.
func (d *device) message() error {
	var h [48]byte
	if _, err := io.ReadFull(d.line, h[:]); err != nil {
		return err
	}
	number := func(at int) uint32 { return binary.BigEndian.Uint32(h[at:]) }
	seq, reading, endpoint, length := number(4), number(12) == 1, int(number(16)), int(number(24))
	if number(0) == unlink {
		return d.unlink(seq, number(20))
	}
	var data []byte
	if !reading {
		data = make([]byte, length)
		if _, err := io.ReadFull(d.line, data); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case endpoint == 0:
		const clearFeature, ofEndpoint = 1, 2
		if h[40] == ofEndpoint && h[41] == clearFeature {
			d.halted = false
		}
		reply, ok := d.usb.control(h[40:])
		if !ok {
			return d.reply(submitted, seq, -int(unix.EPIPE), 0, nil)
		}
		if reading {
			length = min(length, len(reply))
			return d.reply(submitted, seq, 0, length, reply[:length])
		}
	case reading:
		d.reads = append(d.reads, read{seq, endpoint, length})
		d.arrived.Broadcast()
		return d.serve()
	case d.deaf:
		d.held = append(d.held, seq)
		d.arrived.Broadcast()
		return nil
	case d.halted:
		return d.reply(submitted, seq, -int(unix.EPIPE), 0, nil)
	default:
		d.count(length, number(20))
		d.in = append(d.in, data...)
		d.arrived.Broadcast()
	}
	return d.reply(submitted, seq, 0, length, nil)
}

// count notes how a write ends.
func (d *device) count(length int, flags uint32) {
	const packet, zeroPacket = 512, 0x40
	if length%packet == 0 {
		d.full++
		if flags&zeroPacket == 0 {
			d.open++
		}
	}
}

// becomes changes how the device behaves.
func (d *device) becomes(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// sayNothing ends a read of the kernel with an empty packet.
func (d *device) sayNothing() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ; !d.gone; d.arrived.Wait() {
		for i, r := range d.reads {
			if r.endpoint == 1 {
				d.reads = append(d.reads[:i], d.reads[i+1:]...)
				return d.reply(submitted, r.seq, 0, 0, nil)
			}
		}
	}
	return io.ErrClosedPipe
}

// serve answers the kernel's reads of endpoint 1 as far as there are bytes.
func (d *device) serve() error {
	for i := 0; i < len(d.reads) && len(d.out) > 0; {
		r := d.reads[i]
		if r.endpoint != 1 {
			i++
			continue
		}
		n := min(len(d.out), r.most)
		if len(d.usb.status) > 0 {
			n = min(n, ftdiPacket-len(d.usb.status))
		}
		packet := slices.Concat(d.usb.status, d.out[:n])
		if err := d.reply(submitted, r.seq, 0, len(packet), packet); err != nil {
			return err
		}
		d.out = d.out[n:]
		d.reads = append(d.reads[:i], d.reads[i+1:]...)
	}
	return nil
}

// unlink takes back a read or a write.
func (d *device) unlink(seq, victim uint32) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, r := range d.reads {
		if r.seq == victim {
			d.reads = append(d.reads[:i], d.reads[i+1:]...)
			return d.reply(unlinked, seq, -int(unix.ECONNRESET), 0, nil)
		}
	}
	if i := slices.Index(d.held, victim); i >= 0 {
		d.held = slices.Delete(d.held, i, i+1)
		return d.reply(unlinked, seq, -int(unix.ECONNRESET), 0, nil)
	}
	return d.reply(unlinked, seq, 0, 0, nil)
}

func (d *device) reply(message, seq uint32, status, length int, data []byte) error {
	b := make([]byte, 48, 48+len(data))
	for at, n := range map[int]uint32{0: message, 4: seq, 20: uint32(status), 24: uint32(length)} {
		binary.BigEndian.PutUint32(b[at:], n)
	}
	_, err := d.line.Write(append(b, data...))
	return err
}
