package wire

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/fxamacker/cbor/v2"
	"github.com/klauspost/compress/zstd"
)

// Limits of one message. A batch holds at least one item of the largest size a
// device can produce (a CF-e of 1,500 KB).
const (
	MaxPacket = 256 << 10 // bytes of one MQTT payload
	MaxBatch  = 4 << 20   // bytes of a batch before packing
	maxParts  = 2*MaxBatch/MaxPacket + 1
)

// ErrTooLarge reports a message over the limits.
var ErrTooLarge = errors.New("message too large")

// packet is one MQTT payload: a part of a packed message.
type packet struct {
	Version int    `cbor:"0,keyasint"`
	ID      uint64 `cbor:"1,keyasint"` // of the message; all its parts share it
	Part    int    `cbor:"2,keyasint"` // from 0
	Parts   int    `cbor:"3,keyasint"`
	Data    []byte `cbor:"4,keyasint"`
}

// Codec encodes and decodes messages. It is safe for concurrent use and holds
// the compressor's memory; one per process is enough.
type Codec struct {
	enc cbor.EncMode
	dec cbor.DecMode
	zip *zstd.Encoder
	un  *zstd.Decoder
}

// NewCodec makes a codec.
func NewCodec() (*Codec, error) {
	enc, err := cbor.EncOptions{Sort: cbor.SortCoreDeterministic}.EncMode()
	if err != nil {
		return nil, err
	}
	dec, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: 8,
		MaxArrayElements: 1 << 16, MaxMapPairs: 1 << 10,
	}.DecMode()
	if err != nil {
		return nil, err
	}
	zip, err := newEncoder()
	if err != nil {
		return nil, err
	}
	un, err := newDecoder()
	if err != nil {
		return nil, err
	}
	return &Codec{enc: enc, dec: dec, zip: zip, un: un}, nil
}

// Close gives the compressor's memory back.
func (c *Codec) Close() {
	c.zip.Close()
	c.un.Close()
}

// Encode writes an Item, Ack or Beat.
func (c *Codec) Encode(v any) ([]byte, error) {
	b, err := c.enc.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("cannot encode %T: %w", v, err)
	}
	return b, nil
}

// Decode reads what Encode wrote; unknown fields are passed over.
func (c *Codec) Decode(b []byte, v any) error {
	if err := c.dec.Unmarshal(b, v); err != nil {
		return fmt.Errorf("cannot decode %T of %d bytes: %w", v, len(b), err)
	}
	return nil
}

// Pack encodes a batch or beat, compresses it and cuts it into payloads of at
// most MaxPacket bytes. All share id, which must differ between messages of one
// agent that are under way at the same time.
func (c *Codec) Pack(id uint64, v any) ([][]byte, error) { return c.PackWith(nil, id, v) }

// PackWith is Pack with a dictionary, which the other side must hold; nil is none.
func (c *Codec) PackWith(d *Dictionary, id uint64, v any) ([][]byte, error) {
	plain, err := c.Encode(v)
	if err != nil {
		return nil, err
	}
	if len(plain) > MaxBatch+1<<16 {
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(plain))
	}
	zip := c.zip
	if d != nil {
		zip = d.zip
	}
	data := zip.EncodeAll(plain, nil)
	const room = MaxPacket - 64 // the packet's own fields
	parts := (len(data) + room - 1) / room
	var out [][]byte
	for i := range parts {
		chunk := data[i*room : min((i+1)*room, len(data))]
		b, err := c.Encode(packet{Version, id, i, parts, chunk})
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// newEncoder makes a compressor. The fastest level makes 2 % more bytes, in a fifth of
// the time and half the memory. The window, of which it holds as many bytes, is larger
// than most batches with their dictionary.
func newEncoder(more ...zstd.EOption) (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, append(more, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(256<<10), zstd.WithEncoderLevel(zstd.SpeedFastest))...)
}

// Part reports whether a payload is one of several that make up a message.
func (c *Codec) Part(payload []byte) bool {
	var p packet
	return c.Decode(payload, &p) == nil && p.Parts > 1
}

// Assembler puts packed messages of many agents together again. It keeps a few
// unfinished messages per agent and drops the one longest untouched when an agent has
// too many, or all together exceed its bound. It is not safe for concurrent use.
type Assembler struct {
	// Dictionary returns an agent's dictionary, nil when it is not held. An
	// Assembler without this holds none.
	Dictionary func(agent string, number Number) []byte

	codec *Codec
	bound int
	held  int
	tick  uint64
	open  map[string][]*partial // by agent
	un    *zstd.Decoder         // for what is packed with a dictionary; made at the first
}

type partial struct {
	id      uint64
	parts   [][]byte
	missing int
	bytes   int
	touched uint64
}

// NewAssembler makes one that holds at most bound bytes of unfinished messages.
func NewAssembler(c *Codec, bound int) *Assembler {
	return &Assembler{codec: c, bound: bound, open: map[string][]*partial{}}
}

// Add takes one payload from agent. It returns true with v filled when the
// message is complete. An error means the payload cannot be understood; nothing
// of it is kept. It is a *LackError when a dictionary was the reason.
func (a *Assembler) Add(agent string, payload []byte, v any) (bool, error) {
	var p packet
	if len(payload) > MaxPacket {
		return false, fmt.Errorf("%w: payload of %d bytes", ErrTooLarge, len(payload))
	}
	if err := a.codec.Decode(payload, &p); err != nil {
		return false, err
	}
	if p.Parts < 1 || p.Parts > maxParts || p.Part < 0 || p.Part >= p.Parts {
		return false, fmt.Errorf("part %d of %d makes no sense", p.Part, p.Parts)
	}
	data := p.Data
	if p.Parts > 1 {
		m := a.message(agent, p)
		if m.parts[p.Part] == nil {
			m.parts[p.Part] = data
			m.missing--
			m.bytes += len(data)
			a.held += len(data)
		}
		if m.missing > 0 {
			a.shed(m)
			return false, nil
		}
		data = nil
		for _, part := range m.parts {
			data = append(data, part...)
		}
		a.drop(agent, m)
	}
	plain, err := a.unpack(agent, data)
	var lack *LackError
	if errors.As(err, &lack) {
		return false, err
	}
	if err != nil {
		return false, fmt.Errorf("cannot unpack message %d: %w", p.ID, err)
	}
	return true, a.codec.Decode(plain, v)
}

// openOfAgent is how many unfinished messages one agent may have: where several
// collectors share its messages, parts of two come mixed.
const openOfAgent = 4

func (a *Assembler) message(agent string, p packet) *partial {
	var m *partial
	for _, o := range a.open[agent] {
		if o.id == p.ID && len(o.parts) == p.Parts {
			m = o
		}
	}
	if m == nil {
		if list := a.open[agent]; len(list) >= openOfAgent {
			a.drop(agent, slices.MinFunc(list, older))
		}
		m = &partial{id: p.ID, parts: make([][]byte, p.Parts), missing: p.Parts}
		a.open[agent] = append(a.open[agent], m)
	}
	a.tick++
	m.touched = a.tick
	return m
}

func older(x, y *partial) int { return cmp.Compare(x.touched, y.touched) }

func (a *Assembler) drop(agent string, m *partial) {
	a.held -= m.bytes
	a.open[agent] = slices.DeleteFunc(a.open[agent], func(o *partial) bool { return o == m })
	if len(a.open[agent]) == 0 {
		delete(a.open, agent)
	}
}

// shed makes room, of the messages that waited longest first, and never of keep.
func (a *Assembler) shed(keep *partial) {
	for a.held > a.bound {
		whose, oldest := "", (*partial)(nil)
		for agent, list := range a.open {
			for _, m := range list {
				if m != keep && (oldest == nil || m.touched < oldest.touched) {
					whose, oldest = agent, m
				}
			}
		}
		if oldest == nil {
			return
		}
		a.drop(whose, oldest)
	}
}
