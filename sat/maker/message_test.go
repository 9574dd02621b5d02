package maker

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func framed(body string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

func TestMessages(t *testing.T) {
	for _, test := range []struct {
		name  string
		bytes []byte
		ok    bool
	}{
		{"whole", framed(`{"Raw":"MDAw"}`), true},
		{"nothing", nil, false},
		{"half a length", []byte{0, 0}, false},
		{"half a body", framed(`{"Raw":"MDAw"}`)[:9], false},
		{"too long", []byte{0xff, 0xff, 0xff, 0xff}, false},
		{"no JSON", framed("000001|06000|"), false},
		{"bytes that are no base64", framed(`{"Raw":"*"}`), false},
		{"more than one value", framed(`{"Raw":"MDAw"}{}`), false},
	} {
		var a answer
		if err := readMessage(bytes.NewReader(test.bytes), &a); (err == nil) != test.ok || test.ok && string(a.Raw) != "000" {
			t.Errorf("%s: %+v, %v", test.name, a, err)
		}
	}
}

// satlib-host shares its process with a library, which may write anything.
func FuzzMessage(f *testing.F) {
	f.Add(framed(`{"Missing":["ExtrairLogs"],"Error":"x"}`))
	f.Add(framed(`{"Raw":"MDAw","Null":true}`))
	f.Add([]byte{0, 0, 0, 9, '{'})
	f.Fuzz(func(t *testing.T, b []byte) {
		var a answer
		if err := readMessage(bytes.NewReader(b), &a); err == nil && len(a.Raw) > len(b) {
			t.Errorf("%d bytes became %d", len(b), len(a.Raw))
		}
	})
}
