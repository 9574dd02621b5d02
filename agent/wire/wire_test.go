package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files of this version")

func codec(t testing.TB) *Codec {
	t.Helper()
	c, err := NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func random(n int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	r.Read(b)
	return b
}

func TestTopics(t *testing.T) {
	agent, stream, err := ParseUpTopic(UpTopic("abcdef0123", StreamDocuments))
	if err != nil || agent != "abcdef0123" || stream != StreamDocuments {
		t.Fatalf("got %q %q, %v", agent, stream, err)
	}
	for _, bad := range []string{"", "zelo/v1/abcdef0123/down/ack", "zelo/v2/abcdef0123/up/x", "zelo/v1/a/up/x",
		"zelo/v1/abcdef0123/up/", "zelo/v1/abcdef0123/up/x/y", "zelo/v1/ABCDEF0123/up/x", "zelo/v1/+/up/x"} {
		if _, _, err := ParseUpTopic(bad); err == nil {
			t.Errorf("topic %q was accepted", bad)
		}
	}
}

func TestPackLargeAndSmall(t *testing.T) {
	c := codec(t)
	for _, size := range []int{0, 10, MaxPacket, 3 * MaxPacket, 2 << 20} {
		in := Batch{Version, Epoch{1}, []Record{{7, random(size)}}}
		packets, err := c.Pack(1, in)
		if err != nil {
			t.Fatal(err)
		}
		if size > 2*MaxPacket && len(packets) < 2 {
			t.Errorf("%d random bytes in %d packets", size, len(packets))
		}
		a := NewAssembler(c, 8<<20)
		// Parts may come in any order and twice.
		order := rand.New(rand.NewPCG(1, 2)).Perm(len(packets))
		var out Batch
		for i, n := range order {
			if len(packets[n]) > MaxPacket {
				t.Errorf("packet of %d bytes", len(packets[n]))
			}
			done, err := a.Add("agent001", packets[n], &out)
			if err != nil || done != (i == len(order)-1) {
				t.Fatalf("part %d: done %v, %v", n, done, err)
			}
			if i < len(order)-1 {
				if done, err := a.Add("agent001", packets[n], &out); done || err != nil {
					t.Fatalf("repeated part: done %v, %v", done, err)
				}
			}
		}
		if !bytes.Equal(out.Records[0].Data, in.Records[0].Data) || out.Epoch != in.Epoch || a.held != 0 {
			t.Errorf("%d bytes came back as %d, %d still held", size, len(out.Records[0].Data), a.held)
		}
	}
	if _, err := c.Pack(1, Batch{Records: []Record{{1, random(MaxBatch + 1<<17)}}}); err == nil {
		t.Error("a batch over the limit was packed")
	}
}

func TestAssemblerIsBounded(t *testing.T) {
	c := codec(t)
	packets, err := c.Pack(1, Batch{Records: []Record{{1, random(2 << 20)}}})
	if err != nil {
		t.Fatal(err)
	}
	a := NewAssembler(c, 3*MaxPacket)
	for i := range 50 {
		var b Batch
		if _, err := a.Add(fmt.Sprintf("agent%03d", i), packets[0], &b); err != nil {
			t.Fatal(err)
		}
		if a.held > 3*MaxPacket {
			t.Fatalf("%d bytes held", a.held)
		}
	}
	// An agent that begins one message after the other loses only its own.
	others := len(a.open) - 1
	var b Batch
	for id := range uint64(3 * openOfAgent) {
		again, _ := c.Pack(2+id, Batch{Records: []Record{{1, random(2 << 20)}}})
		a.Add("agent049", again[0], &b)
	}
	if len(a.open["agent049"]) > openOfAgent || a.held > 3*MaxPacket || len(a.open)-1 > others {
		t.Errorf("%d unfinished messages of one agent, %d bytes held", len(a.open["agent049"]), a.held)
	}
}

// TestMixedMessages: parts of several messages of one agent come in any order, as they
// do where several collectors share them.
func TestMixedMessages(t *testing.T) {
	c := codec(t)
	a := NewAssembler(c, 64<<20)
	first, err := c.Pack(1, Batch{Records: []Record{{1, random(1 << 20)}}})
	second, err2 := c.Pack(2, Batch{Records: []Record{{2, random(1 << 20)}}})
	if err != nil || err2 != nil || len(first) != len(second) {
		t.Fatal(err, err2, len(first), len(second))
	}
	var whole []uint64
	for i := range first {
		for _, p := range [][]byte{first[i], second[len(second)-1-i]} {
			var b Batch
			ok, err := a.Add("agent001", p, &b)
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				whole = append(whole, b.Records[0].Seq)
			}
		}
	}
	if len(whole) != 2 || a.held != 0 || len(a.open) != 0 {
		t.Errorf("messages %v came whole, %d bytes still held", whole, a.held)
	}
}

func TestBombsAreRefused(t *testing.T) {
	c := codec(t)
	bomb := c.zip.EncodeAll(make([]byte, 100<<20), nil)
	p, _ := c.Encode(packet{Version, 1, 0, 1, bomb})
	var b Batch
	if _, err := NewAssembler(c, 1<<20).Add("agent001", p, &b); err == nil {
		t.Error("100 MB of zeros were unpacked")
	}
	d := goldenDictionary(t)
	p, _ = c.Encode(packet{Version, 1, 0, 1, d.zip.EncodeAll(make([]byte, 100<<20), nil)})
	a := NewAssembler(c, 1<<20)
	a.Dictionary = func(string, Number) []byte { return d.Data }
	if _, err := a.Add("agent001", p, &b); err == nil {
		t.Error("100 MB of zeros were unpacked with a dictionary")
	}
	for name, p := range map[string]packet{
		"negative part":  {Version, 1, -1, 2, nil},
		"part past end":  {Version, 1, 2, 2, nil},
		"no parts":       {Version, 1, 0, 0, nil},
		"too many parts": {Version, 1, 0, 1 << 30, nil},
	} {
		raw, _ := c.Encode(p)
		if _, err := NewAssembler(c, 1<<20).Add("agent001", raw, &b); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

// golden are messages whose bytes every later version must still read.
func golden() map[string]any {
	return map[string]any{
		"document": &Item{Version: 1, Kind: KindDocument, Serial: "900000001", Till: "001", At: 1700000000000, Body: []byte("<CFe/>")},
		"event": &Item{Version: 1, Kind: KindEvent, Serial: "900000001", At: 1700000000000, Code: EventDocumentMissing,
			Detail: map[string]string{"key": "3515", "session": "000123"}},
		"batch": &Batch{Version: 1, Epoch: Epoch{1, 2}, Records: []Record{{Seq: 7, Data: []byte("x")}}},
		"ack":   &Ack{Version: 1, Epoch: Epoch{1}, StoreEpoch: Epoch{2}, Time: 1700000000000, Stream: StreamDocuments, Records: []AckRecord{{Seq: 7, SHA256: [32]byte{9}}}},
		"beat": &Beat{Version: 1, Software: "1.0.0", Host: "caixa-1", System: "linux/amd64", Started: 1, Clock: 2, Epoch: Epoch{3},
			Waiting: 4, Oldest: 5, Used: 6, Bound: 7, Devices: []BeatDevice{{Serial: "900000001", Name: "simulador", Answering: true, OpenCases: 1}}},
	}
}

// golden2 are the messages of version 2.
func golden2() map[string]any {
	return map[string]any{
		"hello": &Hello{Version: 2, Beat: 7, StoreEpoch: Epoch{2}, Time: 1700000000000, Took: 12, Slow: &Slow{Rate: 8192, For: 30000, Pause: 1000}},
		"ack": &Ack{Version: 2, Epoch: Epoch{1}, StoreEpoch: Epoch{2}, Time: 1700000000000, Stream: StreamDocuments,
			Records: []AckRecord{{Seq: 7, SHA256: [32]byte{9}}}, Slow: &Slow{Pause: 1000}},
		"beat":   &Beat{Version: 2, Software: "1.1.0", Host: "caixa-1", System: "linux/amd64", Started: 1, Clock: 2, Epoch: Epoch{3}, Number: 8},
		"offer":  &Offer{Version: 2, Name: Name{4}, Data: []byte("x")},
		"answer": &Answer{Version: 2, Number: Name{4}.Number(), Held: true},
	}
}

// stored reads a golden file; with -update it is written first.
func stored(t *testing.T, version, name string, b []byte) []byte {
	t.Helper()
	file := filepath.Join("testdata", version, name+".hex")
	if *update && version == fmt.Sprintf("v%d", Version) {
		os.MkdirAll(filepath.Dir(file), 0o755)
		os.WriteFile(file, []byte(hex.EncodeToString(b)+"\n"), 0o644)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestGolden(t *testing.T) {
	c := codec(t)
	for version, messages := range map[string]map[string]any{"v1": golden(), "v2": golden2(), "v3": golden3(t)} {
		for name, want := range messages {
			b, err := c.Encode(want)
			if err != nil {
				t.Fatal(err)
			}
			raw := stored(t, version, name, b)
			got := reflect.New(reflect.TypeOf(want).Elem()).Interface()
			if err := c.Decode(raw, got); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s of %s reads as %+v, %v", name, version, got, err)
			}
			if !bytes.Equal(b, raw) {
				t.Errorf("%s is written differently than in %s: raise Version and add its history", name, version)
			}
		}
	}
}

// A reader of version 1 passes over what version 2 added.
func TestVersion1ReadsVersion2(t *testing.T) {
	c := codec(t)
	var ack struct {
		Version int         `cbor:"0,keyasint"`
		Records []AckRecord `cbor:"4,keyasint"`
	}
	if err := c.Decode(stored(t, "v2", "ack", nil), &ack); err != nil || len(ack.Records) != 1 || ack.Records[0].Seq != 7 {
		t.Errorf("%+v, %v", ack, err)
	}
}

// goldenDictionary is the dictionary that v2/packed.hex is packed with.
func goldenDictionary(t testing.TB) *Dictionary {
	t.Helper()
	d, err := NewDictionary([]byte(strings.Repeat("<CFe>um documento anterior</CFe>", 3)))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What was packed by version 2 stays readable whatever the compressor writes now.
func TestGoldenPacked(t *testing.T) {
	c := codec(t)
	d := goldenDictionary(t)
	want := Batch{Version: 2, Epoch: Epoch{1}, Records: []Record{{3, []byte("<CFe>um documento anterior, e mais</CFe>")}}}
	packets, err := c.PackWith(d, 9, want)
	if err != nil || len(packets) != 1 {
		t.Fatal(len(packets), err)
	}
	a := NewAssembler(c, 1<<20)
	a.Dictionary = func(_ string, number Number) []byte {
		if number != d.Name.Number() {
			return nil
		}
		return d.Data
	}
	for name, p := range map[string][]byte{"now": packets[0], "then": stored(t, "v2", "packed", packets[0])} {
		var got Batch
		if done, err := a.Add("agent001", p, &got); !done || err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("packed %s: %v, %v, %+v", name, done, err, got)
		}
	}
}

// Whatever is wrong with a dictionary, the reader asks for the message without.
func TestDictionaryLost(t *testing.T) {
	c := codec(t)
	d := goldenDictionary(t)
	packets, err := c.PackWith(d, 1, Batch{Version: 2, Records: []Record{{1, d.Data[5:60]}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, get := range map[string]func(string, Number) []byte{
		"never had any": nil,
		"not held":      func(string, Number) []byte { return nil },
		"another one":   func(string, Number) []byte { return bytes.Repeat([]byte("another "), 12) },
		"empty":         func(string, Number) []byte { return []byte{} },
	} {
		a := NewAssembler(c, 1<<20)
		a.Dictionary = get
		var b Batch
		var lack *LackError
		if done, err := a.Add("agent001", packets[0], &b); done || !errors.As(err, &lack) || lack.Number != d.Name.Number() {
			t.Errorf("%s: %v, %v", name, done, err)
		}
	}
	for _, size := range []int{0, 7, MaxDictionary + 1} {
		if _, err := NewDictionary(make([]byte, size)); err == nil {
			t.Errorf("a dictionary of %d bytes was made", size)
		}
	}
}

func FuzzAssembler(f *testing.F) {
	c := codec(f)
	for _, v := range golden() {
		packets, _ := c.Pack(1, v)
		for _, p := range packets {
			f.Add(p)
		}
	}
	big, _ := c.Pack(2, Batch{Records: []Record{{1, random(MaxPacket * 2)}}})
	f.Add(big[0])
	for _, v := range golden3(f) {
		plain, _ := c.Encode(v)
		f.Add(plain)
	}
	d := goldenDictionary(f)
	with, _ := c.PackWith(d, 3, Batch{Records: []Record{{1, d.Data}}})
	f.Add(with[0])
	f.Fuzz(func(t *testing.T, payload []byte) {
		a := NewAssembler(c, 1<<20)
		a.Dictionary = func(string, Number) []byte { return d.Data }
		var b Batch
		if done, err := a.Add("agent001", payload, &b); err == nil && done {
			for _, r := range b.Records {
				var i Item
				c.Decode(r.Data, &i)
			}
		}
		var k Ack
		c.Decode(payload, &k)
		var beat Beat
		c.Decode(payload, &beat)
		var hello Hello
		c.Decode(payload, &hello)
		var offer Offer
		c.Decode(payload, &offer)
		var answer Answer
		c.Decode(payload, &answer)
		var signed Signed
		if c.Decode(payload, &signed) == nil {
			c.Verify(goldenKey().Public().(ed25519.PublicKey), signed)
		}
		var report Report
		c.Decode(payload, &report)
	})
}
