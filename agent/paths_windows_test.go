package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/windows"
)

// rights of a file or folder, in Windows' own notation.
func rights(t *testing.T, path string) string {
	t.Helper()
	d, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

// Users (BU, and WD for everyone) read the library's settings and nothing else.
func TestUsersReadTheLibrarysSettingsOnly(t *testing.T) {
	if windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil {
		t.Skip("SKIP: Wine keeps rights as the modes of Unix")
	}
	folder := filepath.Join(t.TempDir(), "Zelo")
	for range 2 { // made, and found
		if err := makeFolder(folder); err != nil {
			t.Fatal(err)
		}
	}
	if err := makePrivateFolder(filepath.Join(folder, "identidade")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"codigos", "identidade/agente.key"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, open := range map[string]bool{libraryFile: true, "codigos": false, "identidade": false, "identidade/agente.key": false} {
		got := rights(t, filepath.Join(folder, name))
		if strings.Contains(got, ";WD)") || strings.Contains(got, ";BU)") != open {
			t.Errorf("%s: %s", name, got)
		}
	}
	raw, err := os.ReadFile(filepath.Join(folder, libraryFile))
	if err != nil || string(raw) != librarySettings {
		t.Errorf("%q, %v", raw, err)
	}
}

func TestSettingsOfTheLibraryAreLeftAlone(t *testing.T) {
	folder := t.TempDir()
	settings := filepath.Join(folder, libraryFile)
	if err := os.WriteFile(settings, []byte("caixa = 7\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := makeFolder(folder); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(settings); string(raw) != "caixa = 7\r\n" {
		t.Errorf("%q, %v", raw, err)
	}
}
