//go:build linux

package shim_test

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const vectors = "../ipc/testdata/vectors.txt"

func TestCodecAgainstTheSharedVectors(t *testing.T) {
	for _, f := range []flavour{plain, memory} {
		t.Run(f.String(), func(t *testing.T) {
			out, err := exec.Command(compiled(t, f).codec, vectors).CombinedOutput()
			if err != nil || !strings.HasSuffix(string(out), " vectors\n") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
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
	cmd := exec.Command(compiled(f, memory).codec, "fuzz")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		f.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		f.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { in.Close(); cmd.Wait() })
	verdicts := bufio.NewReader(out)
	f.Fuzz(func(t *testing.T, b []byte) {
		in.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b))))
		in.Write(b)
		verdict, err := verdicts.ReadByte()
		if err == io.EOF {
			t.Fatalf("the decoder died of %x", b)
		}
		if good := verdict == '1'; good != isAnswer(b) {
			t.Fatalf("%x: taken for an answer %v, is one %v", b, good, isAnswer(b))
		}
	})
}
