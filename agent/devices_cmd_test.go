package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"zelo/agent/devices"
)

// plugIn makes a file system with USB devices, each given as place, identity and
// port, and with one maker's library.
func plugIn(t *testing.T, plugged ...[3]string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("SKIP: devices are files only on Linux")
	}
	root := t.TempDir()
	write := func(path, content string) {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("sys/bus/usb/devices/usb1/bDeviceClass", "09")
	write("usr/lib/libbemasat.so", "\x7fELF\x02")
	write("usr/lib/bemasat.xml", "<xml/>")
	write("usr/lib/libsat64.so", "\x7fELF\x01")
	write("usr/lib/sat.ini", "")
	for _, p := range plugged {
		dir := "sys/bus/usb/devices/" + p[0]
		vendor, product, _ := strings.Cut(p[1], ":")
		write(dir+"/idVendor", vendor)
		write(dir+"/idProduct", product)
		write(dir+"/bConfigurationValue", "1")
		write(dir+"/busnum", "1")
		write(dir+"/devnum", "2")
		write("dev/bus/usb/001/002", "")
		if p[2] != "" {
			write(dir+":1.0/bInterfaceClass", "02")
			write(dir+":1.0/tty/"+p[2]+"/dev", "166:0")
			write("dev/"+p[2], "")
		}
	}
	return root
}

func TestReportDevices(t *testing.T) {
	rb1000, gadget, smart := [3]string{"1-1", "0b1b:0108", "ttyACM0"}, [3]string{"1-2", "0525:a4a7", "ttyACM1"}, [3]string{"1-3", "2fe7:0001", ""}
	for name, c := range map[string]struct {
		plugged [][3]string
		want    []string // in this order
		setting []string
	}{
		"nothing": {nil, []string{"FALTA  nenhum equipamento\n", "faça 1", "cabo USB", "Ainda não há linha"}, []string{}},
		"one": {[][3]string{rb1000}, []string{"COMPLETO  Bematech RB-1000 em /dev/ttyACM0 (0b1b:0108)\n", "por quê", "saiba     O arquivo bemasat.xml",
			"endereço  biblioteca:", "/usr/lib/libbemasat.so  (64 bits; Bematech RB-1000)", "Escreva em ", "equipamentos = ['biblioteca:", "zelo-agent call ConsultarSAT"},
			[]string{"/usr/lib/libbemasat.so"}},
		"three": {[][3]string{rb1000, gadget, smart}, []string{"FALTA  Elgin SMART SAT em USB 1-3 (2fe7:0001)\n", "faça 1    Falta a biblioteca",
			"FALTA  aparelho sem nome em /dev/ttyACM1 (0525:a4a7)\n", "Tanca TS-1000", "faça 1", "dpkg --add-architecture i386", "endereço  serial:/dev/ttyACM1  (só se ",
			"COMPLETO  Bematech RB-1000", "equipamentos = ['biblioteca:", "libsat64.so', 'biblioteca:", "zelo-agent call ConsultarSAT"},
			[]string{"/usr/lib/libsat64.so", "/usr/lib/libbemasat.so"}},
	} {
		t.Run(name, func(t *testing.T) {
			root := plugIn(t, c.plugged...)
			var text, machine strings.Builder
			if err := reportDevices(&text, root, false); err != nil {
				t.Fatal(err)
			}
			rest := text.String()
			for _, words := range c.want {
				var ok bool
				if _, rest, ok = strings.Cut(rest, words); !ok {
					t.Fatalf("%q is missing, or in another order:\n%s", words, text.String())
				}
			}
			if err := reportDevices(&machine, root, true); err != nil {
				t.Fatal(err)
			}
			var report struct {
				Found   []devices.Finding `json:"achados"`
				Setting []string          `json:"equipamentos"`
			}
			if err := json.Unmarshal([]byte(machine.String()), &report); err != nil || len(report.Found) != max(1, len(c.plugged)) {
				t.Errorf("-json gives %d findings, %v", len(report.Found), err)
			}
			for i, address := range report.Setting {
				report.Setting[i] = strings.TrimPrefix(address, "biblioteca:"+root)
			}
			if !slices.Equal(report.Setting, c.setting) {
				t.Errorf("-json proposes %q, want %q", report.Setting, c.setting)
			}
			checkProposals(t, report.Found, text.String())
		})
	}
}

// checkProposals sees that the agent takes what the tool proposes: each address,
// and the line as it stands.
func checkProposals(t *testing.T, found []devices.Finding, text string) {
	t.Helper()
	for _, f := range found {
		for _, try := range f.Try {
			if err := devices.CheckAddress(try.Address); err != nil {
				t.Errorf("%s is no address: %v", try.Address, err)
			}
		}
	}
	at := strings.Index(text, "  equipamentos = ")
	if at < 0 {
		return
	}
	line, _, _ := strings.Cut(text[at:], "\n")
	path := filepath.Join(t.TempDir(), "agent.toml")
	if err := os.WriteFile(path, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadConfig(path); err != nil {
		t.Errorf("the line is refused: %v", err)
	}
}

func TestReportDevicesWithoutUSB(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIP: Windows always lists its devices")
	}
	var text strings.Builder
	if err := reportDevices(&text, t.TempDir(), false); err != nil || !strings.Contains(text.String(), "não mostra USB nenhum") {
		t.Errorf("%v\n%s", err, text.String())
	}
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "sys/bus/usb"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "sys/bus/usb/devices"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := reportDevices(&text, root, false); err == nil || !strings.Contains(err.Error(), "não foi possível ver os equipamentos ligados") {
		t.Errorf("a list that cannot be read: %v", err)
	}
}

// TestProposedAddressesAreSettings keeps the tool from proposing a line that the
// agent refuses. Every kind of address the tool knows to propose is here.
func TestProposedAddressesAreSettings(t *testing.T) {
	library := map[string]string{"linux": "/usr/lib/libsat64.so", "windows": `C:\SAT\SAT d'água.dll`}[runtime.GOOS]
	for address, want := range map[string]bool{
		"biblioteca:" + library: true, "serial:/dev/ttyACM0": true, "serial:COM3": true,
		"serial:/dev/serial/by-id/usb-Tanca-if00": true, "usb:2fe7:0001": true, "usb:2fe7:0001/A1": true, "usb:1-4.2": true,
		"nada:x": false, "biblioteca:SAT.dll": false,
	} {
		var b strings.Builder
		if err := describeSetting(&b, []string{address, "tcp:127.0.0.1:9100"}); err != nil {
			t.Fatal(err)
		}
		_, line, _ := strings.Cut(b.String(), "\n\n  ")
		line, _, _ = strings.Cut(line, "\n")
		path := filepath.Join(t.TempDir(), "agent.toml")
		if err := os.WriteFile(path, []byte(line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadConfig(path); (err == nil) != want {
			t.Errorf("%s: %v", line, err)
		}
	}
}
