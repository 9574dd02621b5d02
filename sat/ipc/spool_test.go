package ipc

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"zelo/sat"
)

const spooledReply = "000007|06000|0000|Emitido com sucesso|||QUJD\r\nREVG|20261121102030|CFe35|1.00||QUJD"

// spooled is a file as the library writes it: the code is NULL, which reads as "".
func spooled() (call, []byte) {
	c := call{id: 1, left: 59_000, req: request(sat.EnviarDadosVenda, 7).WithArg(sat.CodeParam, "")}
	return c, append(c.frame(), replyFrame(1, []byte(spooledReply))...)
}

func TestSpooledCall(t *testing.T) {
	c, file := spooled()
	got, err := ReadSpool(bytes.NewReader(file))
	want := Spooled{Request: c.req, Reply: []byte(spooledReply), Answered: true}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

// The library or the computer may end at any moment.
func TestSpooledCallCutAtEveryByte(t *testing.T) {
	c, file := spooled()
	whole := len(c.frame())
	for n := range file {
		got, err := ReadSpool(bytes.NewReader(file[:n]))
		switch {
		case n < whole && !errors.Is(err, sat.ErrNotSent):
			t.Fatalf("cut after %d bytes of the call: %+v, %v", n, got, err)
		case n >= whole && (err != nil || got.Answered || !reflect.DeepEqual(got.Request, c.req)):
			t.Fatalf("cut after %d bytes, in the reply: %+v, %v", n, got, err)
		}
	}
}

func TestDamagedSpool(t *testing.T) {
	c, file := spooled()
	whole := len(c.frame())
	zeros := slices.Clone(file) // a file grew, its last sectors never arrived
	clear(zeros[whole:])
	for name, test := range map[string]struct {
		file       []byte
		unanswered bool // else an error that proves nothing
	}{
		"reply never arrived":   {zeros, true},
		"reply to another call": {append(c.frame(), replyFrame(2, nil)...), true},
		"an error for a reply":  {append(c.frame(), failure{id: 1}.frame()...), true},
		"call never arrived":    {make([]byte, 100), false},
		"starts with a reply":   {file[whole:], false},
		"another kind of file":  {[]byte("[sat]\nbiblioteca = /opt/sat/libsat.so\n"), false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadSpool(bytes.NewReader(test.file))
			if test.unanswered && (err != nil || got.Answered || got.Request.Session != 7) {
				t.Errorf("%+v, %v", got, err)
			}
			if !test.unanswered && (err == nil || errors.Is(err, sat.ErrNotSent)) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// A disk that fails is no proof that there is no reply.
func TestSpoolOnAFailingDisk(t *testing.T) {
	c, file := spooled()
	broken := errors.New("input/output error")
	for _, n := range []int{0, 3, 40, len(c.frame()), len(c.frame()) + 9} {
		got, err := ReadSpool(io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) || errors.Is(err, sat.ErrNotSent) {
			t.Errorf("after %d bytes: %+v, %v", n, got, err)
		}
	}
}

func FuzzSpool(f *testing.F) {
	_, file := spooled()
	f.Add(file)
	f.Add(file[:60])
	f.Add(append(bytes.Clone(file[:len(file)-len(spooledReply)-9]), replyFrame(2, []byte(spooledReply))...))
	f.Add([]byte(strings.Repeat("\x00", 40)))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ReadSpool(bytes.NewReader(b))
		if err != nil {
			if got.Answered || got.Request.Function.Valid() {
				t.Fatalf("%+v with %v", got, err)
			}
			return
		}
		again := call{id: 1, req: got.Request}.frame()
		if got.Answered {
			again = append(again, replyFrame(1, got.Reply)...)
		} else if got.Reply != nil {
			t.Fatalf("a reply that is none: %+v", got)
		}
		if second, err := ReadSpool(bytes.NewReader(again)); err != nil || !reflect.DeepEqual(got, second) {
			t.Fatalf("%+v became %+v, %v", got, second, err)
		}
	})
}
