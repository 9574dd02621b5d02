package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
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
	write("usr/lib/libbemasat.so", "ELF")
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
	}{
		"nothing": {nil, []string{"FALTA  nenhum equipamento", "faça 1", "cabo USB", "zelo-agent call ConsultarSAT"}},
		"one":     {[][3]string{rb1000}, []string{"COMPLETO  /dev/ttyACM0: 0b1b:0108", "pode ser  Bematech RB-1000", "saiba     O arquivo bemasat.xml", "/usr/lib/libbemasat.so", "zelo-agent call ConsultarSAT"}},
		"three": {[][3]string{rb1000, gadget, smart}, []string{"FALTA  USB 1-3: 2fe7:0001", "Elgin SMART SAT", "Falta a biblioteca",
			"FALTA  /dev/ttyACM1: 0525:a4a7", "Tanca TS-1000", "linha     equipamento = 'serial:/dev/ttyACM1'",
			"COMPLETO  /dev/ttyACM0", "zelo-agent call ConsultarSAT"}},
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
			var found []devices.Finding
			if err := json.Unmarshal([]byte(machine.String()), &found); err != nil || len(found) != max(1, len(c.plugged)) {
				t.Errorf("-json gives %d findings, %v", len(found), err)
			}
		})
	}
}

func TestReportDevicesWithoutUSB(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIP: Windows always lists its ports")
	}
	err := reportDevices(&strings.Builder{}, t.TempDir(), false)
	if err == nil || !strings.Contains(err.Error(), "não foi possível ver os equipamentos ligados") {
		t.Errorf("error %v", err)
	}
}

// TestProposedAddressesAreSettings keeps the tool from proposing a line that the
// agent refuses.
func TestProposedAddressesAreSettings(t *testing.T) {
	for address, want := range map[string]bool{"serial:/dev/ttyACM0": true, "serial:COM3": true, "tcp:127.0.0.1:9100": true, "nada:x": false} {
		if opens(address) != want {
			t.Errorf("opens(%q) is %v", address, !want)
		}
	}
}
