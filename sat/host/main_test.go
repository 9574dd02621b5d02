package main

import (
	"bytes"
	"encoding/json"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"zelo/sat"
)

// Calls are tested where they are asked for, in sat/maker.

func framed(t testing.TB, message any) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, message); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRequests(t *testing.T) {
	sent := request{Function: sat.EnviarDadosVenda, Session: 7, Args: [][]byte{[]byte("12345678"), []byte("\xe7\x00")}}
	whole := framed(t, sent)
	for _, test := range []struct {
		name  string
		bytes []byte
		says  string // "" when it is a request
	}{
		{"whole", whole, ""},
		{"the end", nil, "EOF"},
		{"half a length", whole[:3], "cannot read"},
		{"half a body", whole[:20], "cannot read"},
		{"no body", whole[:4], "cannot read"},
		{"too long", []byte{0xff, 0, 0, 0}, "at most"},
		{"no request", framed(t, "12345678"), "cannot understand"},
	} {
		var got request
		err := readMessage(bytes.NewReader(test.bytes), &got)
		switch {
		case test.says == "" && (err != nil || got.Function != sent.Function || !slices.EqualFunc(got.Args, sent.Args, bytes.Equal)):
			t.Errorf("%s: %+v, %v", test.name, got, err)
		case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "12345678")):
			t.Errorf("%s: %v", test.name, err)
		case (err == io.EOF) != (test.says == "EOF"):
			t.Errorf("%s: %v is not the end", test.name, err)
		}
	}
}

// A request that cannot be a call is refused, and nothing is called.
func TestRefusals(t *testing.T) {
	l := &library{functions: map[sat.Function]uintptr{sat.ConsultarNumeroSessao: 1}} // calling it would crash
	for name, r := range map[string]request{
		"unknown function":   {Function: 99},
		"missing function":   {Function: sat.ConsultarSAT},
		"too few arguments":  {Function: sat.ConsultarNumeroSessao, Args: [][]byte{nil}},
		"no integer":         {Function: sat.ConsultarNumeroSessao, Args: [][]byte{nil, []byte("1x")}},
		"integer of 64 bits": {Function: sat.ConsultarNumeroSessao, Args: [][]byte{nil, []byte("4294967296")}},
		"an empty integer":   {Function: sat.ConsultarNumeroSessao, Args: [][]byte{nil, nil}},
	} {
		if a := l.call(r); a.Refused == "" {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestNames(t *testing.T) {
	if got := names("ConsultarSAT", 1); !slices.Equal(got, []string{"ConsultarSAT", "ConsultarSAT@4", "_ConsultarSAT@4"}) {
		t.Error(got)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add(framed(f, request{Function: sat.ConsultarNumeroSessao, Args: [][]byte{[]byte("1"), []byte("2")}}))
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	f.Fuzz(func(t *testing.T, b []byte) {
		var r request
		if readMessage(bytes.NewReader(b), &r) != nil {
			return
		}
		var pinned runtime.Pinner
		defer pinned.Unpin()
		args, err := arguments(r, &pinned)
		if err == nil && len(args) != 1+len(r.Function.Params()) {
			t.Errorf("%s with %d arguments", r.Function, len(args))
		}
		if _, err := json.Marshal((&library{}).call(r)); err != nil {
			t.Error(err)
		}
	})
}
