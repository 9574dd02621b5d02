package maker

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// elf32 and pe32 are the least of a library's header, for a processor.
func elf32(kind, machine uint16) []byte {
	b := make([]byte, 52)
	copy(b, "\x7fELF\x01\x01\x01")
	binary.LittleEndian.PutUint16(b[16:], kind)
	binary.LittleEndian.PutUint16(b[18:], machine)
	binary.LittleEndian.PutUint32(b[20:], 1)
	binary.LittleEndian.PutUint16(b[40:], 52)
	return b
}

func pe32(machine, characteristics uint16) []byte {
	b := make([]byte, 256)
	copy(b, "MZ")
	b[0x3c] = 0x80
	copy(b[0x80:], "PE\x00\x00")
	binary.LittleEndian.PutUint16(b[0x84:], machine)
	binary.LittleEndian.PutUint16(b[0x96:], characteristics)
	return b
}

func TestHeaders(t *testing.T) {
	for _, test := range []struct {
		name         string
		header       []byte
		system, arch string // "" when it is refused
	}{
		{"Linux, 32 bits", elf32(3, 3), "linux", "386"},
		{"Linux, ARM", elf32(3, 40), "", ""},
		{"Linux, a program", elf32(2, 62), "", ""},
		{"Windows, 32 bits", pe32(0x14c, 0x2000), "windows", "386"},
		{"Windows, 64 bits", pe32(0x8664, 0x2000), "windows", "amd64"},
		{"Windows, ARM", pe32(0xaa64, 0x2000), "", ""},
		{"Windows, a program", pe32(0x14c, 2), "", ""},
	} {
		at := filepath.Join(t.TempDir(), "library")
		if err := os.WriteFile(at, test.header, 0o600); err != nil {
			t.Fatal(err)
		}
		system, arch, err := built(at)
		if system != test.system || arch != test.arch || (err == nil) != (test.arch != "") {
			t.Errorf("%s: %s/%s, %v", test.name, system, arch, err)
		}
	}
}

// Any file may be named as a library.
func FuzzHeader(f *testing.F) {
	f.Add(elf32(3, 3))
	f.Add(elf32(3, 62)[:30])
	f.Add(pe32(0x14c, 0x2000))
	f.Add([]byte("MZ"))
	at := filepath.Join(f.TempDir(), "library")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(at, b, 0o600); err != nil {
			t.Fatal(err)
		}
		system, arch, err := built(at)
		if err == nil && (system != "linux" && system != "windows" || arch != "386" && arch != "amd64") {
			t.Errorf("made for %q %q", system, arch)
		}
	})
}
