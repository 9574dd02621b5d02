package monitor

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/windows/registry"
)

// TestThisWindows reads the very computer of the test.
func TestThisWindows(t *testing.T) {
	c := readComputer()
	if c.System == "" || c.MemoryTotal < c.MemoryFree || c.MemoryFree <= 0 || c.Booted <= 0 {
		t.Errorf("%+v", c)
	}
	own := 0
	disks := readDisks(`C:\ProgramData`)
	for name, d := range disks {
		if d.Own {
			own++
		}
		if d.Total <= 0 || d.Free > d.Total {
			t.Errorf("%s %+v", name, d)
		}
	}
	if own != 1 || residentBytes() <= 0 {
		t.Errorf("%v, %d bytes resident", disks, residentBytes())
	}
}

// TestStoresOfThisWindows finds certificates where Windows keeps them: in the registry
// of the machine, and in the profile of a user who is not logged on.
func TestStoresOfThisWindows(t *testing.T) {
	made, _ := issued{Name: "PADARIA SOL LTDA:" + cnpj, Policy: []int{1, 1}}.make(t)
	blob := storeBlob(2, []byte("provider"), 32, made.Raw)
	set := func(path, name string, value any) {
		t.Helper()
		k, _, err := registry.CreateKey(registry.LOCAL_MACHINE, path, registry.ALL_ACCESS|registry.WOW64_64KEY)
		if err != nil {
			t.Skipf("SKIP: the registry of the machine may not be written: %v", err)
		}
		defer k.Close()
		t.Cleanup(func() { registry.DeleteKey(registry.LOCAL_MACHINE, path) })
		switch v := value.(type) {
		case []byte:
			err = k.SetBinaryValue(name, v)
		case string:
			err = k.SetExpandStringValue(name, v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	home, err := os.MkdirTemp("", "zelo-") // Wine does not let T remove one of its own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	folder := filepath.Join(home, `AppData\Roaming`, storePath)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "0123"), blob, 0o644); err != nil {
		t.Fatal(err)
	}
	set(profilesPath+`\S-1-5-21-1-2-3-4711`, "ProfileImagePath", home)
	set(`SOFTWARE\`+storePath+`\ZELO-TEST`, "Blob", blob)
	companies, _ := sortOut(inStores(), noon())
	if len(companies) != 1 || companies[0].CNPJ != cnpj || !slices.Equal(companies[0].Places, []string{userPlace, machinePlace}) {
		t.Errorf("%+v", companies)
	}
}
