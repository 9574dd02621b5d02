//go:build unix

package devices

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// bus is where sysfs lists USB devices.
const bus = "sys/bus/usb/devices/"

// tree makes a file system: path to content. A content that begins with -> is a
// link.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if to, ok := strings.CutPrefix(content, "->"); ok {
			err = os.Symlink(to, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// device is what sysfs says of one, as a list of names and values.
func device(files map[string]string, place string, pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		files[bus+place+pairs[i]] = pairs[i+1] + "\n"
	}
}

// linkers is a computer with a root hub, a keyboard and a SAT that a Linux gadget
// makes, as a kernel shows it.
func linkers() map[string]string {
	files := map[string]string{bus + "1-1:1.0/driver": "->../../drivers/cdc_acm", bus + "1-1:1.1/driver": "->../../drivers/cdc_acm"}
	device(files, "usb1", "/idVendor", "1d6b", "/idProduct", "0002", "/bDeviceClass", "09", "/bConfigurationValue", "1", "/bmAttributes", "e0")
	device(files, "1-1", "/idVendor", "0525", "/idProduct", "a4a7", "/bDeviceClass", "02", "/bConfigurationValue", "1", "/bMaxPower", "500mA",
		"/busnum", "1", "/devnum", "7", "/manufacturer", "Linux 5.4", "/product", "Gadget Serial v2.4", "/serial", "900004019",
		":1.0/bInterfaceClass", "02", ":1.0/tty/ttyACM0/dev", "166:0", ":1.1/bInterfaceClass", "0a")
	files["dev/bus/usb/001/007"], files["dev/ttyACM0"] = "", ""
	return files
}

func TestLookReadsADevice(t *testing.T) {
	m, err := Look(tree(t, linkers()))
	if err != nil {
		t.Fatal(err)
	}
	want := []Plugged{{Vendor: 0x0525, Product: 0xa4a7, Maker: "Linux 5.4", Name: "Gadget Serial v2.4", Serial: "900004019", Place: "1-1",
		Interfaces: []Interface{{0x02, "cdc_acm"}, {0x0a, "cdc_acm"}}, Ports: []string{"/dev/ttyACM0"}, Lasting: []string{"/dev/ttyACM0"}, Node: "/dev/bus/usb/001/007", Probed: true}}
	if !reflect.DeepEqual(m.Plugged, want) {
		t.Errorf("seen\n%+v, want\n%+v", m.Plugged, want)
	}
}

// TestLookNamesPortsForGood compares the name that a device keeps when it is plugged
// in again, with one or two of a model.
func TestLookNamesPortsForGood(t *testing.T) {
	const id, path, path2 = "usb-Linux_Gadget_900004019-if00", "pci-0000:00:14.0-usb-0:1:1.0", "pci-0000:00:14.0-usb-0:2:1.0"
	named := func(f map[string]string, links ...string) {
		for _, l := range links {
			name, port, _ := strings.Cut(l, " ")
			f["dev/serial/"+name] = "->../../" + port
		}
	}
	second := func(f map[string]string, serial string) {
		device(f, "1-2", "/idVendor", "0525", "/idProduct", "a4a7", "/bConfigurationValue", "1", "/serial", serial,
			":1.0/bInterfaceClass", "02", ":1.0/tty/ttyACM1/dev", "166:1")
	}
	for name, c := range map[string]struct {
		change func(f map[string]string)
		want   []string
	}{
		"no udev":               {func(map[string]string) {}, []string{"/dev/ttyACM0"}},
		"by identity":           {func(f map[string]string) { named(f, "by-id/"+id+" ttyACM0", "by-path/"+path+" ttyACM0") }, []string{"/dev/serial/by-id/" + id}},
		"by place":              {func(f map[string]string) { named(f, "by-path/"+path+" ttyACM0") }, []string{"/dev/serial/by-path/" + path}},
		"name of another port":  {func(f map[string]string) { named(f, "by-id/"+id+" ttyACM7") }, []string{"/dev/ttyACM0"}},
		"two names of one port": {func(f map[string]string) { named(f, "by-id/b ttyACM0", "by-id/a ttyACM0") }, []string{"/dev/serial/by-id/a"}},
		"two with numbers": {func(f map[string]string) {
			second(f, "900004020")
			named(f, "by-id/a ttyACM0", "by-id/b ttyACM1", "by-path/"+path+" ttyACM0", "by-path/"+path2+" ttyACM1")
		}, []string{"/dev/serial/by-id/a", "/dev/serial/by-id/b"}},
		"two that show the same": {func(f map[string]string) {
			second(f, "900004019")
			named(f, "by-id/a ttyACM1", "by-path/"+path+" ttyACM0", "by-path/"+path2+" ttyACM1")
		}, []string{"/dev/serial/by-path/" + path, "/dev/serial/by-path/" + path2}},
	} {
		t.Run(name, func(t *testing.T) {
			files := linkers()
			c.change(files)
			m, err := Look(tree(t, files))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range m.Plugged {
				got = append(got, p.Lasting...)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("named %q, want %q", got, c.want)
			}
		})
	}
}

func TestLookNoticesWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		change func(files map[string]string)
		want   func(m Machine) bool
	}{
		"port that udev has not made": {func(f map[string]string) { delete(f, "dev/ttyACM0") },
			func(m Machine) bool { return reflect.DeepEqual(m.Plugged[0].Closed, []string{"/dev/ttyACM0"}) }},
		"no driver": {func(f map[string]string) {
			delete(f, bus+"1-1:1.0/driver")
			delete(f, bus+"1-1:1.0/tty/ttyACM0/dev")
		}, func(m Machine) bool { return m.Plugged[0].Interfaces[0].Driver == "" && m.Plugged[0].Ports == nil }},
		"refused for want of current": {func(f map[string]string) { f[bus+"1-1/bConfigurationValue"] = "\n" },
			func(m Machine) bool { return m.Plugged[0].Unconfigured }},
		"udev told ModemManager to leave it": {func(f map[string]string) { f["run/udev/data/c166:0"] = "I:12345\nE:ID_MM_DEVICE_IGNORE=1\nG:systemd\n" },
			func(m Machine) bool { return !m.Plugged[0].Probed }},
		"ModemManager runs": {func(f map[string]string) { f["proc/1/comm"], f["proc/812/comm"] = "systemd\n", "ModemManager\n" },
			func(m Machine) bool { return m.ModemManager }},
		"name that would act on a terminal": {func(f map[string]string) { f[bus+"1-1/product"] = "SAT\x1b[2J\a\xff\n" },
			func(m Machine) bool { return m.Plugged[0].Name == "SAT[2J\ufffd" }},
		"serial converter": {func(f map[string]string) {
			device(f, "1-2", "/idVendor", "0403", "/idProduct", "6001", "/bConfigurationValue", "1", ":1.0/bInterfaceClass", "ff", ":1.0/ttyUSB3/tty/ttyUSB3/dev", "188:3")
			f[bus+"1-2:1.0/driver"] = "->../../drivers/ftdi_sio"
		}, func(m Machine) bool {
			return reflect.DeepEqual(m.Plugged[1].Ports, []string{"/dev/ttyUSB3"}) && m.Plugged[1].Interfaces[0].Driver == "ftdi_sio"
		}},
		"no libc for 32 bits": {func(map[string]string) {}, func(m Machine) bool { return m.No32 == (runtime.GOOS == "linux") }},
		"libc for 32 bits":    {func(f map[string]string) { f["lib/ld-linux.so.2"] = "ELF" }, func(m Machine) bool { return !m.No32 }},
		"network card": {func(f map[string]string) {
			device(f, "1-2", "/idVendor", "0525", "/idProduct", "a4a2", "/bConfigurationValue", "1", ":1.0/bInterfaceClass", "02", ":1.0/net/enx0c/mtu", "1500")
		}, func(m Machine) bool { return reflect.DeepEqual(m.Plugged[1].Networks, []string{"enx0c"}) }},
		"hub without supply": {func(f map[string]string) {
			device(f, "1-3", "/bDeviceClass", "09", "/bmAttributes", "80", "/bConfigurationValue", "1")
			device(f, "1-3.2", "/idVendor", "2fe7", "/idProduct", "0001", "/bMaxPower", "500mA", "/bConfigurationValue", "1")
		}, func(m Machine) bool { return m.Plugged[1].WeakHub }},
		"hub with supply": {func(f map[string]string) {
			device(f, "1-3", "/bDeviceClass", "09", "/bmAttributes", "e0", "/bConfigurationValue", "1")
			device(f, "1-3.2", "/idVendor", "2fe7", "/idProduct", "0001", "/bMaxPower", "500mA", "/bConfigurationValue", "1")
		}, func(m Machine) bool { return !m.Plugged[1].WeakHub }},
	} {
		t.Run(name, func(t *testing.T) {
			files := linkers()
			c.change(files)
			m, err := Look(tree(t, files))
			if err != nil || !c.want(m) {
				t.Errorf("seen %+v, %v", m, err)
			}
		})
	}
}

func TestLookWithoutUSB(t *testing.T) {
	m, err := Look(tree(t, map[string]string{"opt/mfe/libmfe.so": "\x7fELF\x02"}))
	if err != nil || !m.NoUSB || len(m.Libraries) != 1 {
		t.Errorf("seen %+v, %v", m, err)
	}
	if _, err := Look(tree(t, map[string]string{"sys/bus/usb/devices": "a file"})); err == nil || !strings.Contains(err.Error(), "cannot list USB devices") {
		t.Errorf("a list that cannot be read: %v", err)
	}
}

func TestLookFindsLibraries(t *testing.T) {
	root := tree(t, map[string]string{
		bus + "usb1/bDeviceClass":                     "09\n",
		"usr/lib/libdllsat.so":                        "->libdllsat.so.8",
		"usr/lib/libdllsat.so.8":                      "->libdllsat.so.8.2.0",
		"usr/lib/libdllsat.so.8.2.0":                  "ELF",
		"usr/lib/x86_64-linux-gnu/libsatlinux64.so":   "ELF",
		"usr/lib/libsat.so":                           "ELF ... AtivarSAT ZeloBiblioteca", // ours
		"usr/lib/libsatellite.so":                     "ELF",
		"usr/lib/libsatprotocol.so":                   "->missing",
		"opt/tanca/libsat64.so":                       "ELF",
		"opt/fabricante/lib/libbemasat.so.1.0.10":     "ELF",
		"opt/fabricante/lib/deeper/libsat_daruma.so":  "ELF",
		"home/user/Downloads/libsat_v3_0_0_3_x64.so":  "ELF",
		"usr/lib/i386-linux-gnu/libsatid.so.1.3.5":    "ELF",
		"usr/lib/i386-linux-gnu/dllsat.dll":           "MZ",
		"usr/local/lib/libsatprotocolELGIN64bits.so":  "ELF",
		"usr/local/lib/libsatprotocolELGIN64bits.so~": "ELF",
	})
	m, err := Look(root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range m.Libraries {
		got = append(got, strings.TrimPrefix(l.Path, root))
	}
	slices.Sort(got)
	want := []string{
		"/opt/fabricante/lib/libbemasat.so.1.0.10", "/opt/tanca/libsat64.so", "/usr/lib/i386-linux-gnu/libsatid.so.1.3.5",
		"/usr/lib/libdllsat.so", "/usr/lib/x86_64-linux-gnu/libsatlinux64.so", "/usr/local/lib/libsatprotocolELGIN64bits.so",
	}
	if !slices.Equal(got, want) {
		t.Errorf("found\n%q, want\n%q", got, want)
	}
}

func TestOurLibraryIsNoMakers(t *testing.T) {
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("SKIP: no C compiler to build our library")
	}
	root := tree(t, map[string]string{"usr/lib/libdllsat.so": "ELF"})
	if out, err := exec.Command("sh", "../../sat/shim/build.sh", filepath.Join(root, "usr/lib/libsat.so")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := lookLibraries(root, "linux"); len(got) != 1 || filepath.Base(got[0].Path) != "libdllsat.so" {
		t.Errorf("found %+v", got)
	}
}

func TestWindowsLibrariesAreFoundInAnyCase(t *testing.T) {
	root := tree(t, map[string]string{
		"SAT/sat.DLL":                              "MZ",
		"Windows/SysWOW64/BemaSAT32.dll":           "MZ",
		"Program Files (x86)/Elgin/SAT/dllsat.dll": "MZ",
		"Program Files/Zelo/SAT.dll":               "MZ ZeloBiblioteca",
		"Program Files/Outro/satelite.dll":         "MZ",
	})
	if got := lookLibraries(root, "windows"); len(got) != 3 {
		t.Errorf("found %+v", got)
	}
}
