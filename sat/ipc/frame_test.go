package ipc

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"zelo/sat"
)

// vector is one line of testdata/vectors.txt.
type vector struct {
	name, from string
	bad        bool
	bytes      []byte
	fields     map[string]string
}

func vectors(t testing.TB) []vector {
	t.Helper()
	raw, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	for line := range strings.Lines(string(raw)) {
		columns := strings.Fields(line)
		if len(columns) == 0 || columns[0] == "#" || strings.HasPrefix(line, "#") {
			continue
		}
		b, err := hex.DecodeString(columns[3])
		if err != nil {
			t.Fatalf("vector %s: %v", columns[0], err)
		}
		v := vector{name: columns[0], from: columns[1], bad: columns[2] == "bad", bytes: b, fields: map[string]string{}}
		for _, f := range columns[4:] {
			key, value, _ := strings.Cut(f, "=")
			v.fields[key] = value
		}
		all = append(all, v)
	}
	if len(all) < 70 {
		t.Fatalf("only %d vectors read", len(all))
	}
	return all
}

func (v vector) text(t *testing.T, key string) string {
	t.Helper()
	s, err := url.PathUnescape(v.fields[key])
	if err != nil {
		t.Fatalf("vector %s, field %s: %v", v.name, key, err)
	}
	return s
}

func (v vector) number(t *testing.T, key string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(v.fields[key], 10, 64)
	if err != nil {
		t.Fatalf("vector %s, field %s: %v", v.name, key, err)
	}
	return n
}

// parsed is a frame read as the receiver of its sender's frames reads it.
func parsed(from string, b []byte) (any, error) {
	r := bytes.NewReader(b)
	kind, body, err := readFrame(r)
	if err != nil {
		return nil, err
	}
	if r.Len() > 0 {
		return nil, errors.New("bytes after the frame")
	}
	switch {
	case from == "server" && kind == kindGreeting:
		return "greeting", parseGreeting(kind, body)
	case from == "server" && kind == kindReply:
		id, raw, err := parseReply(body)
		return []any{id, string(raw)}, err
	case from == "server" && kind == kindError:
		return parseError(body)
	case from == "server" && kind == kindKeyed:
		nonce, err := parseKeyed(kind, body)
		return exchanged{kind, string(nonce)}, err
	case from == "client" && kind == kindNonce:
		nonce, err := parseNonce(kind, body)
		return exchanged{kind, string(nonce)}, err
	case from == "client" && kind == kindHello:
		return parseHello(kind, body)
	case from == "client" && kind == kindCall:
		return parseCall(body)
	case from == "client" && kind == kindTaken:
		return parseTaken(body)
	}
	return nil, fmt.Errorf("%w: kind %#x", errFrame, kind)
}

// exchanged is a nonce and the kind of frame that brought it.
type exchanged struct {
	kind  byte
	nonce string
}

func (e exchanged) frame() []byte {
	if e.kind == kindKeyed {
		return keyedFrame([]byte(e.nonce))
	}
	return nonceFrame([]byte(e.nonce))
}

// want is what parsed returns for a valid vector, and the frame written from it.
func (v vector) want(t *testing.T) (any, []byte) {
	t.Helper()
	switch v.fields["kind"] {
	case "greeting":
		return "greeting", greetingFrame()
	case "keyed", "nonce":
		nonce, err := hex.DecodeString(v.fields["nonce"])
		if err != nil {
			t.Fatal(err)
		}
		e := exchanged{map[string]byte{"keyed": kindKeyed, "nonce": kindNonce}[v.fields["kind"]], string(nonce)}
		return e, e.frame()
	case "hello":
		h := hello{v.text(t, "library"), v.text(t, "process"), uint32(v.number(t, "pid"))}
		return h, h.frame()
	case "call":
		c := call{id: uint32(v.number(t, "id")), left: uint32(v.number(t, "left"))}
		c.req = sat.Request{Function: sat.Function(v.number(t, "function")), Session: int(v.number(t, "session")), Till: v.text(t, "till")}
		if args, ok := v.fields["args"]; ok {
			for _, a := range strings.Split(args, ",") {
				if a == "NULL" {
					a = ""
				}
				a, err := url.PathUnescape(a)
				if err != nil {
					t.Fatal(err)
				}
				c.req.Args = append(c.req.Args, a)
			}
		}
		return c, c.frame()
	case "reply":
		id := uint32(v.number(t, "id"))
		return []any{id, v.text(t, "raw")}, replyFrame(id, []byte(v.text(t, "raw")))
	case "error":
		f := failure{uint32(v.number(t, "id")), sat.Outcome(v.number(t, "outcome")), v.fields["gone"] == "1", v.text(t, "text")}
		return f, f.frame()
	case "taken":
		id := uint32(v.number(t, "id"))
		return id, takenFrame(id)
	}
	t.Fatalf("vector %s has no known kind", v.name)
	return nil, nil
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.name, func(t *testing.T) {
			got, err := parsed(v.from, v.bytes)
			if v.bad {
				if err == nil {
					t.Fatalf("read as %+v", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want, frame := v.want(t)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("read as %+v, want %+v", got, want)
			}
			if !strings.Contains(v.fields["args"], "NULL") && !bytes.Equal(frame, v.bytes) {
				t.Errorf("written as\n%x, want\n%x", frame, v.bytes)
			}
		})
	}
}

func TestFrameCutAtEveryByte(t *testing.T) {
	for _, v := range vectors(t) {
		if v.bad {
			continue
		}
		for n := range len(v.bytes) {
			_, _, err := readFrame(bytes.NewReader(v.bytes[:n]))
			if n == 0 && err != io.EOF || n > 0 && err != io.ErrUnexpectedEOF {
				t.Fatalf("%s cut after %d bytes: %v", v.name, n, err)
			}
		}
		kind, body, err := readFrame(iotest.OneByteReader(bytes.NewReader(v.bytes)))
		if err != nil || kind != v.bytes[4] || !bytes.Equal(body, v.bytes[5:]) {
			t.Fatalf("%s byte by byte: %v", v.name, err)
		}
	}
}

func TestLargestFrame(t *testing.T) {
	frame := replyFrame(7, bytes.Repeat([]byte("x"), MaxFrame-5))
	kind, body, err := readFrame(bytes.NewReader(frame))
	if err != nil || kind != kindReply || len(body) != MaxFrame-1 {
		t.Fatalf("kind %#x, %d bytes, %v", kind, len(body), err)
	}
	if _, _, err := readFrame(bytes.NewReader(replyFrame(7, make([]byte, MaxFrame-4)))); !errors.Is(err, errFrame) {
		t.Fatalf("one byte more: %v", err)
	}
}

func TestAnnouncedLengthTakesNoMemory(t *testing.T) {
	head := replyFrame(7, make([]byte, MaxFrame-5))[:100]
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		if _, _, err := readFrame(bytes.NewReader(head)); err != io.ErrUnexpectedEOF {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 10*3*readChunk {
		t.Errorf("%d bytes used for ten frames of 100 bytes that announce 16 MiB", used)
	}
}

func TestErrorTextsAreBoundedAndUTF8(t *testing.T) {
	long := "x" + strings.Repeat("á", 600) // cut in the middle of a letter
	v, err := parsed("server", failure{id: 1, text: long}.frame())
	if err != nil {
		t.Fatal(err)
	}
	if text := v.(failure).text; text != "x"+strings.Repeat("á", 511) {
		t.Errorf("text of %d bytes: %q...", len(text), text[:10])
	}
}

func TestMargin(t *testing.T) {
	for left, want := range map[time.Duration]time.Duration{
		0: 0, 100 * time.Millisecond: 20 * time.Millisecond, time.Second: 200 * time.Millisecond, time.Hour: 200 * time.Millisecond,
	} {
		if got := Margin(left); got != want {
			t.Errorf("of %s: %s, want %s", left, got, want)
		}
	}
}

func FuzzFrame(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, from := range []string{"client", "server"} {
			got, err := parsed(from, b)
			if err != nil {
				continue
			}
			var again []byte
			switch v := got.(type) {
			case string:
				again = greetingFrame()
			case exchanged:
				again = v.frame()
			case hello:
				again = v.frame()
			case call:
				again = v.frame()
			case failure:
				again = v.frame()
			case uint32:
				again = takenFrame(v)
			case []any:
				again = replyFrame(v[0].(uint32), []byte(v[1].(string)))
			}
			second, err := parsed(from, again)
			if err != nil {
				t.Fatalf("%x written again as %x: %v", b, again, err)
			}
			if c, ok := got.(failure); ok { // its text is made UTF-8 when written
				c.text = strings.ToValidUTF8(c.text, "")
				got = c
			}
			if !reflect.DeepEqual(got, second) {
				t.Fatalf("%+v became %+v", got, second)
			}
		}
	})
}
