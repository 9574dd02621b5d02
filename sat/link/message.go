package link

import (
	"encoding/binary"
	"errors"

	"zelo/sat"
)

// Hello is what a device says of itself when a till greets it. Each text may
// have up to 255 bytes; longer ones are cut.
type Hello struct {
	Model    string // "simulador SAT"
	Serial   string // nserieSAT, nine digits
	Software string // software básico, "01.00.00"
}

// reason says why a device does not answer a request; see the package comment.
type reason uint8

const (
	missing reason = 1 + iota
	stranger
	refused
)

func (f frame) nakked(r reason) bool {
	return f.kind == nak && len(f.payload) == 1 && reason(f.payload[0]) == r
}

var errShort = errors.New("message cut short")

// encode writes the payload of WELCOME.
func (h Hello) encode() []byte {
	b := binary.BigEndian.AppendUint32(nil, MaxPayload)
	for _, s := range []string{h.Model, h.Serial, h.Software} {
		s = s[:min(len(s), 255)]
		b = append(append(b, byte(len(s))), s...)
	}
	return b
}

// decodeWelcome reads the payload of WELCOME: the device and the largest payload
// it takes.
func decodeWelcome(b []byte) (Hello, int, error) {
	if len(b) < 4 {
		return Hello{}, 0, errShort
	}
	var h Hello
	most := int(min(binary.BigEndian.Uint32(b), MaxPayload))
	b = b[4:]
	for _, to := range []*string{&h.Model, &h.Serial, &h.Software} {
		if len(b) < 1 || len(b) < 1+int(b[0]) {
			return Hello{}, 0, errShort
		}
		*to = string(b[1 : 1+int(b[0])])
		b = b[1+int(b[0]):]
	}
	return h, most, nil
}

// encodeRequest writes the payload of REQUEST. The till's name stays here: a
// device knows sessions only.
func encodeRequest(req sat.Request) []byte {
	b := []byte{byte(req.Function)}
	b = binary.BigEndian.AppendUint32(b, uint32(req.Session))
	b = append(b, byte(len(req.Args)))
	for _, a := range req.Args {
		b = binary.BigEndian.AppendUint32(b, uint32(len(a)))
		b = append(b, a...)
	}
	return b
}

// decodeRequest reads the payload of REQUEST. What it returns has passed
// [sat.Request.Check].
func decodeRequest(b []byte) (sat.Request, error) {
	if len(b) < 6 {
		return sat.Request{}, errShort
	}
	req := sat.Request{Function: sat.Function(b[0]), Session: int(binary.BigEndian.Uint32(b[1:]))}
	n := int(b[5])
	b = b[6:]
	for range n {
		if len(b) < 4 {
			return sat.Request{}, errShort
		}
		size := binary.BigEndian.Uint32(b)
		b = b[4:]
		if uint64(size) > uint64(len(b)) {
			return sat.Request{}, errShort
		}
		req.Args = append(req.Args, string(b[:size]))
		b = b[size:]
	}
	if len(b) > 0 {
		return sat.Request{}, errors.New("bytes after the last argument")
	}
	return req, req.Check()
}
