//go:build unix

package devices

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// pe is the beginning of a file in Microsoft's format for a processor.
func pe(machine uint16) string {
	b := make([]byte, 0x60)
	copy(b, "MZ")
	b[0x3c] = 0x50
	copy(b[0x50:], "PE\x00\x00")
	binary.LittleEndian.PutUint16(b[0x54:], machine)
	return string(b)
}

func TestBitsOfALibrary(t *testing.T) {
	far := []byte(pe(0x14c))
	binary.LittleEndian.PutUint32(far[0x3c:], 0xffffffff)
	for name, c := range map[string]struct {
		content string
		want    int
	}{
		"Linux, 32 bits":          {"\x7fELF\x01\x01\x01", 32},
		"Linux, 64 bits":          {"\x7fELF\x02\x01\x01", 64},
		"Linux, no class":         {"\x7fELF\x00\x01\x01", 0},
		"Linux, cut":              {"\x7fELF", 0},
		"Windows, 32 bits":        {pe(0x14c), 32},
		"Windows, 64 bits":        {pe(0x8664), 64},
		"Windows, ARM":            {pe(0xaa64), 0},
		"Windows, cut":            {pe(0x14c)[:0x54], 0},
		"Windows, header far off": {string(far), 0},
		"text":                    {"SAT", 0},
		"empty":                   {"", 0},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "library")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := bitsOf(path); got != c.want {
				t.Errorf("%d bits, want %d", got, c.want)
			}
		})
	}
	if got := bitsOf(t.TempDir()); got != 0 {
		t.Errorf("a folder has %d bits", got)
	}
}

func FuzzBits(f *testing.F) {
	f.Add([]byte(pe(0x14c)))
	f.Add([]byte("\x7fELF\x01"))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "library")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := bitsOf(path); got != 0 && got != 32 && got != 64 {
			t.Errorf("%d bits", got)
		}
	})
}

// TestLookSeesCompanions compares what lies beside each library, or where Windows
// keeps what all programs use.
func TestLookSeesCompanions(t *testing.T) {
	root := tree(t, map[string]string{
		"SAT/SATDLL.dll":                        pe(0x14c),
		"SAT/ICONV.dll":                         "MZ",
		"SAT/leiame.txt":                        "",
		"Windows/SysWOW64/msvcr100.dll":         "MZ",
		"Windows/System32/msvcp100.dll":         "MZ",
		"Program Files/Bematech/BemaSAT64.dll":  pe(0x8664),
		"Program Files/Bematech/bin/zlib1.dll":  "MZ",
		"Program Files/Bematech/bemasat.xml":    "",
		"Program Files/Gertec/GERSAT.dll":       pe(0x14c),
		"Program Files/Gertec/GerSat.conf/file": "a folder of that name counts as well",
	})
	want := map[string][]string{
		"SATDLL.dll": {"iconv.dll", "msvcr100.dll"}, "BemaSAT64.dll": {"bemasat.xml", "msvcp100.dll"}, "GERSAT.dll": {"gersat.conf", "msvcr100.dll"},
	}
	found := lookLibraries(root, "windows")
	if len(found) != len(want) {
		t.Fatalf("found %+v", found)
	}
	for _, l := range found {
		slices.Sort(l.Beside)
		if name := filepath.Base(l.Path); !slices.Equal(l.Beside, want[name]) {
			t.Errorf("beside %s: %q, want %q", name, l.Beside, want[name])
		}
	}
}
