package devices

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// root is where paths begin on this system.
func rootPath() string {
	if runtime.GOOS == "windows" {
		return `C:\`
	}
	return "/"
}

func TestCheckAddress(t *testing.T) {
	for address, why := range map[string]string{
		"biblioteca:" + rootPath() + "libdllsat.so": "",
		"biblioteca:libdllsat.so":                   "caminho completo",
		"biblioteca:":                               "caminho completo",
		"serial:COM3":                               "",
		"serial:/dev/serial/by-id/usb-x-if00":       "",
		"serial:":                                   "porta depois de serial:",
		"usb:2fe7:0001":                             "",
		"usb:2FE7:0001/SAT 1":                       "",
		"usb:1-2":                                   "",
		"usb:1-2.3":                                 "",
		"usb:":                                      "identidade (2fe7:0001)",
		"usb:2fe7":                                  "identidade (2fe7:0001)",
		"usb:2fe7:0001/":                            "identidade (2fe7:0001)",
		"usb:1-2.":                                  "identidade (2fe7:0001)",
		"tcp:127.0.0.1:9100":                        "",
		"tcp:[::1]:9100":                            "",
		"tcp:127.0.0.1":                             "endereço e porta",
		"tcp:127.0.0.1:":                            "endereço e porta",
		"tcp::9100":                                 "endereço e porta",
		"":                                          "comece com",
		"COM3":                                      "comece com",
		"Serial:COM3":                               "comece com",
	} {
		t.Run(address, func(t *testing.T) {
			err := CheckAddress(address)
			if (err == nil) != (why == "") || err != nil && !strings.Contains(err.Error(), why) {
				t.Errorf("%v, want %q in it", err, why)
			}
		})
	}
}

func FuzzCheckAddress(f *testing.F) {
	for _, s := range []string{"biblioteca:/a", "usb:1-2", "usb:2fe7:0001/1", "tcp:[::1]:1", "serial:x", ":"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, address string) {
		if CheckAddress(address) == nil && !strings.Contains(address, ":") {
			t.Errorf("%q names no driver", address)
		}
		if KeepAlive(address) < 0 {
			t.Errorf("%q is to be asked every %v", address, KeepAlive(address))
		}
	})
}

func TestKeepAlive(t *testing.T) {
	library := map[string]string{"linux": "libdllsat.so.8.2", "windows": "DLLSAT.DLL"}[runtime.GOOS]
	for address, want := range map[string]time.Duration{
		"biblioteca:" + rootPath() + library:       10 * time.Minute, // Elgin Linker I
		"biblioteca:" + rootPath() + "libsatid.so": 0,
		"usb:0525:A4A6/900004019":                  10 * time.Minute,
		"usb:2fe7:0001":                            0,
		"usb:1-2":                                  0,
		"serial:/dev/ttyACM0":                      0,
		"tcp:127.0.0.1:9100":                       0,
		"":                                         0,
	} {
		if got := KeepAlive(address); got != want {
			t.Errorf("%q is to be asked every %v, want %v", address, got, want)
		}
	}
}
