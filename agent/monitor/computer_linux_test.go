package monitor

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"zelo/agent/wire"
)

// rootWith is a root folder with these files.
func rootWith(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestFilesOfLinux(t *testing.T) {
	root := rootWith(t, map[string]string{
		"etc/os-release": "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
		"proc/meminfo":   "MemTotal:        2048 kB\nMemFree:  1 kB\nMemAvailable:    1024 kB\nodd\n",
	})
	if name := systemName(root); name != "Debian GNU/Linux 12 (bookworm)" {
		t.Errorf("the system is %q", name)
	}
	if total, free := memory(root); total != 2<<20 || free != 1<<20 {
		t.Errorf("%d bytes of %d", free, total)
	}
	if name := systemName(t.TempDir()); name != "Linux" {
		t.Errorf("a system that does not say is %q", name)
	}
	if where := mountOf("/proc/self"); where != "/proc" {
		t.Errorf("the volume of /proc/self begins at %s", where)
	}
}

func TestRemoteAccess(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  map[string]wire.Remote
	}{
		"none": {nil, map[string]wire.Remote{}},
		"all": {map[string]string{
			"etc/anydesk/system.conf":             "ad.anynet.fpr=ab\nad.anynet.id=123456789\nad.anynet.pwd_hash=0\n",
			"opt/teamviewer/config/global.conf":   "TeamViewer Global Settings\n[int32] ClientID = 987654321\n",
			"root/.config/rustdesk/RustDesk.toml": "id = '112233445'\npassword = ''\n",
		}, map[string]wire.Remote{anyDesk: {ID: "123456789"}, teamViewer: {ID: "987654321"}, rustDesk: {ID: "112233445"}}},
		"sealed, empty and odd": {map[string]string{
			"etc/anydesk/system.conf":             "ad.anynet.id=\n",
			"opt/teamviewer/config/global.conf":   "[int32] ClientID = 9; rm\n",
			"root/.config/rustdesk/RustDesk.toml": "enc_id = '00abc'\n",
		}, map[string]wire.Remote{}},
	} {
		if got := readRemoteFiles(remoteFiles(rootWith(t, c.files))); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestUSBErrorsOfADay(t *testing.T) {
	const log = "6,1,1000000,-;usb 1-1: device descriptor read/64, error -71\n" + // long ago
		"6,2,90000000000,-;usb 1-1: new full-speed USB device number 5 using xhci_hcd\n" +
		" SUBSYSTEM=usb\n" +
		"3,3,90000000001,-;usb 1-1: device descriptor read/64, error -71\n" +
		"3,4,90000000002,-;usb usb1-port1: unable to enumerate USB device\n" +
		"3,5,90000000003,-;EXT4-fs error on sda\n" +
		"6,6,90000000004,-;usb 1-2: reset full-speed USB device number 6 using xhci_hcd\n" + "junk"
	n, last := countUSB([]byte(log), 100000*time.Second)
	if n != 3 || last != "usb 1-2: reset full-speed USB device number 6 using xhci_hcd" {
		t.Errorf("%d, the last %q", n, last)
	}
	if n, last := countUSB(nil, time.Hour); n != 0 || last != "" {
		t.Errorf("%d of no log, %q", n, last)
	}
}

func TestProductsOfTheSecurityCenter(t *testing.T) {
	for state, want := range map[uint32]string{0x61100: wire.AntivirusOn, 0x61110: wire.AntivirusOutdated, 0x60100: wire.AntivirusOff, 0x60110: wire.AntivirusOff} {
		if got := productState(state); got != want {
			t.Errorf("%#x is %s", state, got)
		}
	}
}
