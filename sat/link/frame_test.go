package link

import (
	"bytes"
	"encoding/hex"
	"slices"
	"testing"
	"time"

	"zelo/sat"
)

// decodeAll feeds b in pieces of the given size, then lets the line pause.
func decodeAll(b []byte, piece int) []frame {
	var d decoder
	var got []frame
	keep := func(f frame) { got = append(got, f) }
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for p := range slices.Chunk(b, piece) {
		d.feed(now, p, keep)
		now = now.Add(time.Millisecond)
	}
	d.feed(now.Add(2*interByte), nil, keep)
	return got
}

// The bytes of a frame are fixed: devices outside this repository may speak it.
func TestFrameBytes(t *testing.T) {
	f := frame{kind: request, client: 0x01020304, seq: 7, payload: []byte("abc")}
	want := "a55a" + "01" + "03" + "01020304" + "00000007" + "00000003" + "6f13" + "616263" + "b48535e6"
	if got := hex.EncodeToString(f.encode()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := crc16([]byte("123456789")); got != 0x29B1 { // the check value of CRC-16/CCITT-FALSE
		t.Errorf("CRC-16 %04x", got)
	}
	if got := crc32c([]byte("123456789")); got != 0xE3069283 { // the check value of CRC-32C
		t.Errorf("CRC-32C %08x", got)
	}
}

func TestDecoderFindsFrames(t *testing.T) {
	f := frame{kind: response, client: 9, seq: 3, payload: []byte("000001|08000|SAT em operacao||")}
	other := frame{kind: ping, client: 9, seq: 4}
	good, next := f.encode(), other.encode()
	flipped := func(at int) []byte { b := bytes.Clone(good); b[at] ^= 4; return b }
	huge := frame{kind: response, client: 9, seq: 1, payload: make([]byte, 1000)}.encode()
	for _, c := range []struct {
		name string
		in   []byte
		want []frame
	}{
		{"one", good, []frame{f}},
		{"two together", slices.Concat(good, next), []frame{f, other}},
		{"garbage before", slices.Concat([]byte("\x00\xff\xa5login: \xa5"), good), []frame{f}},
		{"garbage after", slices.Concat(good, []byte("\xa5\x5a\x01tail"), next), []frame{f, other}},
		{"half a magic before", slices.Concat([]byte{0xA5}, good), []frame{f}},
		{"flipped magic", slices.Concat(flipped(0), next), []frame{other}},
		{"other version", slices.Concat(flipped(2), next), []frame{other}},
		{"flipped length", slices.Concat(flipped(15), next), []frame{other}},
		{"flipped header sum", slices.Concat(flipped(16), next), []frame{other}},
		{"flipped payload", slices.Concat(flipped(25), next), []frame{other}},
		{"flipped checksum", slices.Concat(flipped(len(good)-1), next), []frame{other}},
		{"cut in the header", slices.Concat(good[:10], next), []frame{other}},
		{"cut in the payload", slices.Concat(good[:30], next), []frame{other}},
		{"cut far from its end, then whole frames", slices.Concat(huge[:40], good, next), []frame{f, other}},
		{"cut at the end", slices.Concat(good, next[:21]), []frame{f}},
	} {
		for _, piece := range []int{1, 7, 4096} {
			got := decodeAll(c.in, piece)
			if len(got) != len(c.want) {
				t.Errorf("%s, %d at a time: %d frames, want %d", c.name, piece, len(got), len(c.want))
				continue
			}
			for i := range got {
				if !sameFrame(got[i], c.want[i]) {
					t.Errorf("%s, %d at a time: frame %d is %+v", c.name, piece, i, got[i])
				}
			}
		}
	}
}

func sameFrame(a, b frame) bool { return bytes.Equal(a.encode(), b.encode()) }

// A pause amid a frame gives it up at once: the frame after it must not wait for
// the missing bytes.
func TestPauseCutsAFrame(t *testing.T) {
	var d decoder
	var got []frame
	keep := func(f frame) { got = append(got, f) }
	huge := frame{kind: request, client: 1, seq: 1, payload: make([]byte, 1<<20)}.encode()
	f := frame{kind: ping, client: 1, seq: 1}
	now := time.Now()
	d.feed(now, huge[:1000], keep)
	d.feed(now.Add(interByte/2), f.encode(), keep)
	if len(got) != 0 {
		t.Fatal("the pause was too short to cut the frame")
	}
	d.feed(now.Add(2*interByte), f.encode(), keep)
	if len(got) != 2 {
		t.Fatalf("%d frames behind the cut one, want 2", len(got))
	}
}

// Headers packed into each other's payload make every checksum fail; the time
// they can cost is bounded.
func TestHiddenFramesCostLittle(t *testing.T) {
	header := frame{kind: response, client: 1, seq: 1, payload: make([]byte, 4<<20)}.encode()[:headerSize]
	evil := bytes.Repeat(header, (5<<20)/headerSize)
	f := frame{kind: ping, client: 1, seq: 2}
	start := time.Now()
	got := decodeAll(slices.Concat(evil, make([]byte, 5<<20), f.encode()), 64<<10)
	if len(got) != 1 || !sameFrame(got[0], f) {
		t.Errorf("%d frames behind the flood, want 1", len(got))
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
}

func FuzzDecoder(f *testing.F) {
	whole := frame{kind: request, client: 5, seq: 2, payload: encodeRequest(sat.Request{Function: sat.ConsultarSAT, Session: 1})}.encode()
	f.Add([]byte("noise"), uint8(1))
	f.Add(whole, uint8(3))
	f.Add(whole[:20], uint8(255))
	f.Add(slices.Concat(magic(), magic(), []byte{1}), uint8(2))
	last := frame{kind: nak, client: 77, seq: 88, payload: []byte{1}}
	f.Fuzz(func(t *testing.T, noise []byte, piece uint8) {
		got := decodeAll(slices.Concat(noise, last.encode()), int(piece)+1)
		if len(got) == 0 || !sameFrame(got[len(got)-1], last) {
			t.Fatalf("the frame behind the noise was not found: %+v", got)
		}
		for _, f := range got[:len(got)-1] {
			if !bytes.Contains(noise, f.encode()) {
				t.Fatalf("frame %+v is not in the noise", f)
			}
		}
	})
}

func FuzzRequest(f *testing.F) {
	f.Add(encodeRequest(sat.Request{Function: sat.EnviarDadosVenda, Session: 123456, Args: []string{"12345678", "<CFe/>"}}))
	f.Add(encodeRequest(sat.Request{Function: sat.ConsultarSAT, Session: 1}))
	f.Add([]byte{5, 0, 0, 0, 1, 1, 255, 255, 255, 255})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if req, err := decodeRequest(b); err == nil {
			if req.Check() != nil || !bytes.Equal(encodeRequest(req), b) {
				t.Fatalf("request %+v", req)
			}
		}
	})
}

func FuzzWelcome(f *testing.F) {
	f.Add(Hello{Model: "simulador SAT", Serial: "900000001", Software: "01.00.00"}.encode())
	f.Add(append(Hello{}.encode(), "what a later version adds"...))
	f.Add([]byte{255, 255, 255, 255, 3, 'S', 'A'})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, most, err := decodeWelcome(b); err == nil {
			again, _, err := decodeWelcome(h.encode())
			if err != nil || again != h || most > MaxPayload {
				t.Fatalf("greeting %+v, %d, %v", h, most, err)
			}
		}
	})
}
