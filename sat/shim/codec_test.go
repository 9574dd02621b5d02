//go:build linux

package shim_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"
)

const vectors = "../ipc/testdata/vectors.txt"

func TestCodecAgainstTheSharedVectors(t *testing.T) {
	each(t, []flavour{plain, memory}, func(t *testing.T, f flavour) {
		for _, args := range [][]string{{"vectors", vectors}, {"sealed", "../ipc/testdata/sealed.txt"}} {
			out, err := exec.Command(compiled(t, f).codec, args...).CombinedOutput()
			if err != nil || !strings.HasSuffix(string(out), " vectors\n") {
				t.Errorf("%v\n%s", err, out)
			}
		}
	})
}

// codec is the running test program of the C sources without a system.
type codec struct {
	t   testing.TB
	in  io.WriteCloser
	out *bufio.Reader
}

func newCodec(t testing.TB, mode string) *codec {
	t.Helper()
	cmd := exec.Command(compiled(t, memory).codec, mode)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	return &codec{t, in, bufio.NewReader(out)}
}

// of gives it some bytes and returns what it makes of them.
func (c *codec) of(t *testing.T, b []byte) []byte {
	t.Helper()
	c.in.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b))))
	c.in.Write(b)
	var size [4]byte
	if _, err := io.ReadFull(c.out, size[:]); err != nil {
		t.Fatalf("it died of %x", b)
	}
	made := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c.out, made); err != nil {
		t.Fatalf("it died of %x", b)
	}
	return made
}

// SHA-256 of every length around its blocks.
func TestSums(t *testing.T) {
	c := newCodec(t, "sum")
	for size := range 300 {
		b := bytes.Repeat([]byte{byte(size), 0xA5, 0}, size)[:size]
		want := sha256.Sum256(b)
		if got := c.of(t, b); !bytes.Equal(got, want[:]) {
			t.Fatalf("of %d bytes: %x, want %x", size, got, want)
		}
	}
}

// converted is what the library must make of XML: what is UTF-8 stays, any other
// byte is Windows-1252.
func converted(b []byte) []byte {
	var out []byte
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			r = charmap(b[0])
		}
		out = utf8.AppendRune(out, r)
		b = b[size:]
	}
	return out
}

// charmap is Windows-1252 as the WHATWG's Encoding Standard has it.
func charmap(b byte) rune {
	const high = "€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ"
	if b >= 0x80 && b < 0xA0 {
		return []rune(high)[b-0x80]
	}
	return rune(b)
}

func FuzzText(f *testing.F) {
	for _, seed := range []string{
		"", "<CFe/>", "<CFe>pão</CFe>", "<CFe>p\xe3o</CFe>", "\xef\xbb\xbf<xProd>pão</xProd>", "\xef\xbb\xbfp\xe3o",
		"pão p\xe3o \x80\x81\x9f\xff", "\xed\xa0\x80", "\xc0\xaf\xe0\x80\xaf\xf0\x80\x80\xaf", "\xf4\x90\x80\x80 \xf4\x8f\xbf\xbf",
		"cut \xe2\x82", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
	} {
		f.Add([]byte(seed))
	}
	c := newCodec(f, "text")
	f.Fuzz(func(t *testing.T, b []byte) {
		if bytes.IndexByte(b, 0) >= 0 {
			return // ends a C text
		}
		if got, want := c.of(t, b), converted(b); !bytes.Equal(got, want) {
			t.Fatalf("%q became %q, want %q", b, got, want)
		}
	})
}

// isAnswer says what the C decoder must: a whole greeting, reply or error.
func isAnswer(b []byte) bool {
	if string(b) == greeting {
		return true
	}
	if len(b) < 9 || int(binary.BigEndian.Uint32(b)) != len(b)-4 || len(b) > 4+16<<20 {
		return false
	}
	if b[4] == 'R' {
		return true
	}
	return b[4] == 'E' && len(b) >= 11 && len(b) <= 11+1024 && b[9] <= 1 && b[10] <= 1
}

func FuzzCodec(f *testing.F) {
	text, err := os.ReadFile(vectors)
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 3 && !strings.HasPrefix(line, "#") {
			b, err := hex.DecodeString(words[3])
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	c := newCodec(f, "fuzz")
	f.Fuzz(func(t *testing.T, b []byte) {
		if good := string(c.of(t, b)) == "good"; good != isAnswer(b) {
			t.Fatalf("%x: taken for an answer %v, is one %v", b, good, isAnswer(b))
		}
	})
}
