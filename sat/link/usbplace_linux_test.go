package link

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The descriptors of devices, as sysfs shows them: device, then configurations with
// interfaces and endpoints.
var (
	deviceDescriptor = []byte{18, 1, 0, 2, 0, 0, 0, 64, 0xe7, 0x2f, 1, 0, 0, 1, 1, 2, 3, 1}
	bulkIn, bulkOut  = endpoint(0x81, 2), endpoint(0x02, 2)
)

func configuration(value byte) []byte { return []byte{9, 2, 32, 0, 1, value, 0, 0x80, 250} }

func intf(number, setting, class byte) []byte {
	return []byte{9, 4, number, setting, 2, class, 0, 0, 0}
}

func endpoint(address, kind byte) []byte { return []byte{7, 5, address, kind, 0, 2, 0} }

// bulkDevice is one of its maker's own class.
var bulkDevice = slices.Concat(deviceDescriptor, configuration(1), intf(0, 0, vendorClass), bulkIn, bulkOut)

func TestBulkInterfaces(t *testing.T) {
	one := []usbInterface{{0, vendorClass, 0x81, 0x02}}
	d, c, i := deviceDescriptor, configuration(1), intf(0, 0, vendorClass)
	for name, k := range map[string]struct {
		parts [][]byte
		want  []usbInterface
	}{
		"bulk both ways":             {[][]byte{d, c, i, bulkIn, bulkOut}, one},
		"out before in":              {[][]byte{d, c, i, bulkOut, bulkIn}, one},
		"other numbers":              {[][]byte{d, c, i, endpoint(0x8f, 2), endpoint(0x0e, 2)}, []usbInterface{{0, vendorClass, 0x8f, 0x0e}}},
		"with an interrupt endpoint": {[][]byte{d, c, i, endpoint(0x83, 3), bulkIn, bulkOut}, one},
		"with a class's own words":   {[][]byte{d, c, i, {5, 0x24, 0, 0x10, 1}, bulkIn, bulkOut}, one},
		"only in":                    {[][]byte{d, c, i, bulkIn}, nil},
		"only out":                   {[][]byte{d, c, i, bulkOut}, nil},
		"two in":                     {[][]byte{d, c, i, bulkIn, endpoint(0x83, 2), bulkOut}, nil},
		"interrupt, not bulk":        {[][]byte{d, c, i, endpoint(0x81, 3), endpoint(0x02, 3)}, nil},
		"printer":                    {[][]byte{d, c, intf(0, 0, 7), bulkIn, bulkOut}, nil},
		"disk":                       {[][]byte{d, c, intf(0, 0, 8), bulkIn, bulkOut}, nil},
		"another setting":            {[][]byte{d, c, i, intf(0, 1, vendorClass), bulkIn, bulkOut}, nil},
		"another configuration":      {[][]byte{d, configuration(2), i, bulkIn, bulkOut}, nil},
		"second configuration":       {[][]byte{d, configuration(2), i, bulkIn, c, i, bulkIn, bulkOut}, one},
		"split over two interfaces":  {[][]byte{d, c, i, bulkIn, intf(1, 0, vendorClass), bulkOut}, nil},
		"serial port (CDC-ACM)": {[][]byte{d, c, intf(0, 0, 2), endpoint(0x82, 3), intf(1, 0, cdcDataClass), bulkIn, bulkOut},
			[]usbInterface{{1, cdcDataClass, 0x81, 0x02}}},
		"two": {[][]byte{d, c, i, bulkIn, bulkOut, intf(1, 0, vendorClass), endpoint(0x83, 2), endpoint(0x04, 2)},
			[]usbInterface{one[0], {1, vendorClass, 0x83, 0x04}}},
		"cut":               {[][]byte{d, c, i, bulkIn, bulkOut[:5]}, nil},
		"length of nothing": {[][]byte{d, c, {0, 4}, i, bulkIn, bulkOut}, nil},
		"nothing":           {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := bulkInterfaces(slices.Concat(k.parts...), 1); !slices.Equal(got, k.want) {
				t.Errorf("got %+v, want %+v", got, k.want)
			}
		})
	}
}

func FuzzDescriptors(f *testing.F) {
	f.Add(bulkDevice, uint8(1))
	f.Add(slices.Concat(bulkDevice, configuration(2), intf(3, 0, cdcDataClass), bulkIn, bulkOut), uint8(2))
	f.Add(bulkDevice[:40], uint8(1))
	f.Add([]byte{0, 4, 255, 5, 1}, uint8(0))
	f.Fuzz(func(t *testing.T, all []byte, configuration uint8) {
		for _, i := range bulkInterfaces(all, configuration) {
			if i.in&0x80 == 0 || i.out&0x80 != 0 || i.class != vendorClass && i.class != cdcDataClass {
				t.Fatalf("interface %+v", i)
			}
			for _, e := range [][]byte{{5, i.in}, {5, i.out}} {
				if strings.Count(string(all), string(e)) == 0 {
					t.Fatalf("endpoint % x is not in the descriptors", e)
				}
			}
		}
	})
}

// plugged is a device in a tree like that of sysfs; a driver named in drivers holds
// the interface of that number, and each of gives is a folder of the device.
type plugged struct {
	vendor, product, serial string
	descriptors             []byte
	drivers                 map[string]string
	gives                   []string
}

// sysfs makes such a tree of devices by their ports.
func sysfs(t *testing.T, devices map[string]plugged) string {
	t.Helper()
	root := t.TempDir()
	folder := func(path string) string {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	folder("bus/usb/devices")
	for n, port := range slices.Sorted(maps.Keys(devices)) {
		d := devices[port]
		dir := folder("bus/usb/devices/" + port)
		for name, content := range map[string]string{"idVendor": d.vendor, "idProduct": d.product, "serial": d.serial,
			"busnum": "1", "devnum": string(rune('4' + n)), "bConfigurationValue": "1"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "descriptors"), d.descriptors, 0o644); err != nil {
			t.Fatal(err)
		}
		for number, driver := range d.drivers {
			at := folder("bus/usb/devices/" + port + "/" + port + ":1." + number)
			if err := os.Symlink("../../../../../bus/usb/drivers/"+driver, filepath.Join(at, "driver")); err != nil {
				t.Fatal(err)
			}
		}
		for _, g := range d.gives {
			folder("bus/usb/devices/" + port + "/" + port + ":1." + g)
		}
	}
	return root
}

// smart is a device of the maker's own class, as the Elgin Smart is.
func smart(serial string) plugged {
	return plugged{vendor: "2fe7", product: "0001", serial: serial, descriptors: bulkDevice}
}

// held is that device, its interface held by a driver, which gives what is named.
func held(driver string, gives ...string) plugged {
	d := smart("900000001")
	d.drivers, d.gives = map[string]string{"0": driver}, gives
	return d
}

func TestFindUSB(t *testing.T) {
	acm := plugged{"0525", "a4a7", "900000009", slices.Concat(deviceDescriptor, configuration(1),
		intf(0, 0, 2), endpoint(0x82, 3), intf(1, 0, cdcDataClass), bulkIn, bulkOut),
		map[string]string{"0": "cdc_acm", "1": "cdc_acm"}, []string{"0/tty/ttyACM3"}}
	second := smart("900000001")
	second.descriptors = slices.Concat(bulkDevice, intf(1, 0, vendorClass), endpoint(0x83, 2), endpoint(0x04, 2))
	second.drivers = map[string]string{"0": "usblcd"}
	printer := plugged{"04b8", "0202", "x", slices.Concat(deviceDescriptor, configuration(1), intf(0, 0, 7), bulkIn, bulkOut), nil, nil}
	two := map[string]plugged{"1-1": smart("900000001"), "1-2.3": smart("900000002"), "usb1": {vendor: "1d6b", product: "0002"}}
	alone := func(d plugged) map[string]plugged { return map[string]plugged{"1-1": d} }
	free := usbPlace{usbInterface{0, vendorClass, 0x81, 0x02}, "/dev/bus/usb/001/004", ""}
	for name, c := range map[string]struct {
		devices map[string]plugged
		where   string
		want    usbPlace
		says    string // an error
	}{
		"by port":                  {two, "1-1", free, ""},
		"by port behind a hub":     {two, "1-2.3", usbPlace{free.usbInterface, "/dev/bus/usb/001/005", ""}, ""},
		"by model":                 {alone(smart("")), "2fe7:0001", free, ""},
		"by serial number":         {two, "2FE7:0001/900000002", usbPlace{free.usbInterface, "/dev/bus/usb/001/005", ""}, ""},
		"by model, two of it":      {two, "2fe7:0001", usbPlace{}, `"900000001" (port 1-1), "900000002" (port 1-2.3)`},
		"no such serial number":    {two, "2fe7:0001/7", usbPlace{}, `serial number "7": plugged in: "900000001"`},
		"two of one serial number": {map[string]plugged{"1-1": smart("1"), "1-2": smart("1")}, "2fe7:0001/1", usbPlace{}, "port 1-2"},
		"no such model":            {two, "2fe7:0002", usbPlace{}, "none is plugged in"},
		"nothing at the port":      {two, "1-9", usbPlace{}, "nothing is plugged in there"},
		"not a place":              {two, "../1-1", usbPlace{}, "write a port (1-2.3)"},
		"a serial port's name":     {two, "/dev/ttyACM0", usbPlace{}, "write a port (1-2.3)"},
		"nothing":                  {two, "", usbPlace{}, "write a port (1-2.3)"},
		"a hub's port":             {two, "usb1", usbPlace{}, "write a port (1-2.3)"},
		"kernel's serial port":     {alone(acm), "0525:a4a7", usbPlace{}, "use serial:/dev/ttyACM3"},
		"kernel's FTDI port":       {alone(held("ftdi_sio", "0/ttyUSB0/tty/ttyUSB0")), "1-1", usbPlace{}, "use serial:/dev/ttyUSB0"},
		"kernel's network":         {alone(held("cdc_subset", "0/net/usb0")), "1-1", usbPlace{}, "the kernel uses it (cdc_subset)"},
		"another program's":        {alone(held("usbfs")), "1-1", usbPlace{}, "another program uses it"},
		"driver without a port":    {alone(held("usblcd", "0/usbmisc/lcd0")), "1-1", usbPlace{free.usbInterface, free.node, "usblcd"}, ""},
		"one of two is free":       {alone(second), "1-1", usbPlace{usbInterface{1, vendorClass, 0x83, 0x04}, free.node, ""}, ""},
		"printer":                  {alone(printer), "04b8:0202", usbPlace{}, "one bulk endpoint each way"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := findUSB(sysfs(t, c.devices), c.where)
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

func TestUnconfiguredDevice(t *testing.T) {
	root := sysfs(t, map[string]plugged{"1-1": smart("")})
	if err := os.WriteFile(filepath.Join(root, "bus/usb/devices/1-1/bConfigurationValue"), []byte("\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := findUSB(root, "1-1"); err == nil || !strings.Contains(err.Error(), "the kernel has not set it up") {
		t.Errorf("got %v", err)
	}
	if _, err := findUSB(t.TempDir(), "2fe7:0001"); err == nil || !strings.Contains(err.Error(), "cannot list the USB devices") {
		t.Errorf("without sysfs: %v", err)
	}
}
