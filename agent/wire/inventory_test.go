package wire

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestGoldenInventory: each part as version 3 wrote it stays readable, byte for byte
// the same.
func TestGoldenInventory(t *testing.T) {
	c := codec(t)
	for name, want := range map[string]Inventory{
		"computer": {Version: 3, What: InventoryComputer, Computer: &Computer{System: "Windows 10", Booted: 1, MemoryTotal: 2, MemoryFree: 3,
			Antivirus: AntivirusOutdated, AntivirusBy: "Defender", ClockSynced: -1, USBErrors: 4, USBLast: "device descriptor read error"}},
		"disk": {Version: 3, What: InventoryDisk, Key: "C:", Disk: &Disk{Total: 1, Free: 2, Own: true}},
		"certificate": {Version: 3, What: InventoryCertificate, Key: "ab", Certificate: &Certificate{Holder: "LOJA LTDA", CNPJ: "11111111000191",
			Type: "A1", From: 1, Until: 2, Places: []string{`LocalMachine\My`}, InUse: true, Issuer: "AC", HasKey: true}},
		"sales": {Version: 3, What: InventorySales, Key: "001", Sales: &Sales{Day: "2026-11-22", Sold: 3, Rejected: 1,
			Codes: map[string]int{"06010/1234": 1}, Median: 4, P95: 5, Longest: 6}},
		"library": {Version: 3, What: InventoryLibrary, Key: "001", Library: &Library{Makers: true, Path: `C:\SAT\SAT.dll`, Since: 1}},
		"outside": {Version: 3, What: InventoryOutside, Key: "900000001", Outside: &Outside{Direct: 1, Foreign: 2, First: 3, Last: 4, LastKey: "35"}},
		"remote":  {Version: 3, What: InventoryRemote, Key: "anydesk", Remote: &Remote{ID: "123456789", Version: "8"}},
		"health":  {Version: 3, What: InventoryHealth, Health: &Health{Memory: 1, Goroutines: 2, Restarts: 3, Panics: 4}},
		"gone":    {Version: 3, What: InventoryDisk, Key: "D:", Gone: true},
	} {
		t.Run(name, func(t *testing.T) {
			written, err := c.Encode(want)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", "v3", "inventory-"+name+".hex")
			if *update {
				os.MkdirAll(filepath.Dir(file), 0o755)
				os.WriteFile(file, []byte(hex.EncodeToString(written)+"\n"), 0o644)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			stored, err := hex.DecodeString(strings.TrimSpace(string(text)))
			var got Inventory
			if err != nil || c.Decode(stored, &got) != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("it reads as %+v, %v", got, err)
			}
			if !bytes.Equal(stored, written) {
				t.Error("it is written differently: raise Version and add its history")
			}
		})
	}
}
