//go:build linux

package shim_test

import (
	"bytes"
	"debug/elf"
	"debug/pe"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"zelo/sat"
)

// exported names what a build exports and how many parameters each takes.
func exported(f flavour) map[string]int {
	names := map[string]int{
		"GeraNumeroSessao": 0, "VersaoLib": 0, "VersaoDLL": 0, "AbreSerialSAT": 5, "CloseSerial": 0, "GetMapaPortasSAT": 0,
		"Base64ToAscii": 0, "ConfiguraTimeout": 1, "ArquivoLog": 1, "DesalocarString": 1, "ZeloBiblioteca": 0,
	}
	for _, f := range sat.Functions() {
		names[f.String()] = 1 + len(f.Params())
	}
	if f == mfe {
		maps.Copy(names, map[string]int{
			"ConsultarStatusOperacionalMFE": 2, "ConfigurarInterfaceDeRedeMFE": 3, "ReiniciarMFE": 2, "AtualizarDriverMFE": 1,
			"EnviarStatusAC": 4, "InformarProducaoMFE": 4, "openPort": 0, "openPortVel": 0, "closePort": 0,
		})
	}
	return names
}

func TestLibraryForLinux(t *testing.T) {
	library := compiled(t, plain).library
	file, err := elf.Open(library)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	symbols, err := file.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF {
			got = append(got, s.Name)
		}
		// A till's system may be as old as its program.
		if v, ok := strings.CutPrefix(s.Version, "GLIBC_2."); ok && !slices.Contains([]string{"2.5", "3", "3.2", "17"}, v) {
			t.Errorf("%s needs a C library newer than of 2012: %s", s.Name, s.Version)
		}
	}
	slices.Sort(got)
	if want := slices.Sorted(maps.Keys(exported(plain))); !slices.Equal(got, want) {
		t.Errorf("exported: %v\nwanted: %v", got, want)
	}
	if libs, err := file.ImportedLibraries(); err != nil || !slices.Equal(libs, []string{"libc.so.6"}) {
		t.Errorf("needs %v, %v", libs, err)
	}
	flags, err := file.DynValue(elf.DT_FLAGS_1)
	if need := uint64(elf.DF_1_NOW | elf.DF_1_NODELETE); err != nil || len(flags) != 1 || flags[0]&need != need {
		t.Errorf("flags %x, %v", flags, err)
	}
	if file.Machine != elf.EM_X86_64 {
		t.Errorf("for %s", file.Machine)
	}
}

// portable is what of a PE file the tests look at.
type portable struct {
	*pe.File
	bytes           []byte
	characteristics uint16
	directories     []pe.DataDirectory
}

func openPE(t *testing.T, path string) portable {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := pe.NewFile(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	p := portable{File: file, bytes: raw}
	switch h := file.OptionalHeader.(type) {
	case *pe.OptionalHeader32:
		p.characteristics, p.directories = h.DllCharacteristics, h.DataDirectory[:]
	case *pe.OptionalHeader64:
		p.characteristics, p.directories = h.DllCharacteristics, h.DataDirectory[:]
	}
	return p
}

// at is the content from a relative virtual address to its section's end.
func (p portable) at(rva uint32) []byte {
	for _, s := range p.Sections {
		if rva >= s.VirtualAddress && rva < s.VirtualAddress+s.Size {
			data, err := s.Data()
			if err != nil {
				return nil
			}
			return data[rva-s.VirtualAddress:]
		}
	}
	return nil
}

func (p portable) exports() (names []string) {
	table := p.at(p.directories[pe.IMAGE_DIRECTORY_ENTRY_EXPORT].VirtualAddress)
	pointers := p.at(binary.LittleEndian.Uint32(table[32:]))
	for i := range binary.LittleEndian.Uint32(table[24:]) {
		name, _, _ := bytes.Cut(p.at(binary.LittleEndian.Uint32(pointers[4*i:])), []byte{0})
		names = append(names, string(name))
	}
	return names
}

func TestLibrariesForWindows(t *testing.T) {
	t.Parallel()
	for _, f := range windows() {
		t.Run(f.String(), func(t *testing.T) {
			if _, err := exec.LookPath("i686-w64-mingw32-gcc"); err != nil {
				t.Skip("SKIP: no mingw on this machine")
			}
			dir, err := libraries()
			if err != nil {
				t.Fatal(err)
			}
			name := map[flavour]string{stdcall: "stdcall/SAT.dll", cdecl: "cdecl/SAT.dll", x64: "x64/SAT.dll", mfe: "mfe/mfe.dll"}[f]
			p := openPE(t, filepath.Join(dir, name))
			checkExports(t, p, f)
			checkHeaders(t, p, f)
			checkImports(t, p)
			checkVersion(t, p, filepath.Base(name))
			if len(p.bytes) > 150<<10 {
				t.Errorf("%d bytes, more than 150 KiB", len(p.bytes))
			}
		})
	}
}

func checkExports(t *testing.T, p portable, f flavour) {
	var want []string
	for name, parameters := range exported(f) {
		want = append(want, name)
		if f == stdcall || f == mfe {
			want = append(want, fmt.Sprintf("%s@%d", name, 4*parameters))
		}
	}
	slices.Sort(want)
	if got := slices.Sorted(slices.Values(p.exports())); !slices.Equal(got, want) {
		t.Errorf("exported: %v\nwanted: %v", got, want)
	}
}

func checkHeaders(t *testing.T, p portable, f flavour) {
	const dynamicBase, noExecute, highEntropy = 0x40, 0x100, 0x20
	machine, want := uint16(pe.IMAGE_FILE_MACHINE_I386), uint16(dynamicBase|noExecute)
	if f == x64 {
		machine, want = pe.IMAGE_FILE_MACHINE_AMD64, want|highEntropy
	}
	if p.Machine != machine || p.characteristics&want != want {
		t.Errorf("machine %x, characteristics %x", p.Machine, p.characteristics)
	}
	if p.TimeDateStamp != 0 {
		t.Errorf("built at %d, which makes each build another file", p.TimeDateStamp)
	}
	if p.directories[pe.IMAGE_DIRECTORY_ENTRY_TLS].Size != 0 {
		t.Error("it has thread-local storage")
	}
	if p.directories[pe.IMAGE_DIRECTORY_ENTRY_BASERELOC].Size == 0 {
		t.Error("it cannot be loaded at any address")
	}
}

// checkImports lets through what Windows 7 has; the names are those of functions
// that came later than Windows XP.
func checkImports(t *testing.T, p portable) {
	symbols, err := p.ImportedSymbols()
	if err != nil || len(symbols) == 0 {
		t.Fatalf("%d imports, %v", len(symbols), err)
	}
	for _, s := range symbols {
		name, library, _ := strings.Cut(s, ":")
		if !slices.Contains([]string{"kernel32.dll", "msvcrt.dll", "ws2_32.dll", "advapi32.dll"}, strings.ToLower(library)) {
			t.Errorf("needs %s of %s", name, library)
		}
		if strings.EqualFold(library, "kernel32.dll") && !slices.Contains(kernel32(), name) {
			t.Errorf("needs %s of %s: is it in Windows 7?", name, library)
		}
	}
}

// kernel32 are the functions we use, all in Windows 7.
func kernel32() []string {
	return []string{
		"AcquireSRWLockExclusive", "CloseHandle", "CreateFileW", "CreateMutexExW", "DeleteFileW", "DisableThreadLibraryCalls",
		"FlushFileBuffers", "GetCurrentProcessId", "GetCurrentThreadId", "GetEnvironmentVariableW", "GetModuleFileNameW",
		"GetModuleHandleExW", "GetProcAddress", "GetSystemTimeAsFileTime", "GetTickCount64", "LoadLibraryExW", "MultiByteToWideChar",
		"ReadFile", "ReleaseMutex", "ReleaseSRWLockExclusive", "SetHandleInformation", "SetThreadErrorMode", "WaitForSingleObject",
		"WideCharToMultiByte", "WriteFile",
	}
}

// checkVersion looks for the texts that the properties of the file show.
func checkVersion(t *testing.T, p portable, name string) {
	section := p.Section(".rsrc")
	if section == nil {
		t.Fatal("no resources")
	}
	data, err := section.Data()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"041604B0", "FileDescription", "Zelo: biblioteca do SAT e do MFE para programas de caixa", "OriginalFilename", name, "Licença"} {
		var wide []byte
		for _, unit := range utf16.Encode([]rune(text)) {
			wide = binary.LittleEndian.AppendUint16(wide, unit)
		}
		if !bytes.Contains(data, wide) {
			t.Errorf("the version says nothing of %q", text)
		}
	}
}

// The same sources give the same files, wherever they are built.
func TestBuildsAreTheSame(t *testing.T) {
	if !windowsWanted() {
		t.Skip("SKIP: Windows libraries are built twice with make e2e-windows")
	}
	one, err := libraries()
	if err != nil {
		t.Fatal(err)
	}
	two := filepath.Join(t.TempDir(), "again")
	if out, err := exec.Command("./build-windows.sh", two).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"stdcall/SAT.dll", "cdecl/SAT.dll", "x64/SAT.dll", "mfe/mfe.dll"} {
		a, err := os.ReadFile(filepath.Join(one, name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(two, name))
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs, %v", name, err)
		}
	}
}
