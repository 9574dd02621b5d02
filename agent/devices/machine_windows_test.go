package devices

import (
	"context"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// TestListNodes lists what every Windows has, through the same calls as USB.
func TestListNodes(t *testing.T) {
	found := 0
	for _, bus := range []string{"ROOT", "HID", "PCI"} {
		nodes, err := listNodes(bus)
		if err != nil {
			continue // Wine does not have every bus
		}
		for _, n := range nodes {
			if !strings.HasPrefix(strings.ToUpper(n.id), bus+`\`) {
				t.Errorf("on %s there is %+v", bus, n)
			}
			t.Logf("%+v", n)
			found++
		}
	}
	if found == 0 {
		t.Error("no device at all")
	}
}

// TestLookUSBOnWine plugs a device into Wine's registry, as Windows keeps it.
func TestLookUSBOnWine(t *testing.T) {
	if windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() != nil {
		t.Skip("SKIP: devices are made up only in Wine's registry")
	}
	const device = `SYSTEM\CurrentControlSet\Enum\USB\VID_0525&PID_A4A7\900004019`
	for _, c := range []struct {
		path   string
		values map[string]string
	}{
		{device, map[string]string{"DeviceDesc": "Gadget Serial v2.4", "Class": "Ports", "ClassGUID": "{4D36E978-E325-11CE-BFC1-08002BE10318}", "Service": "usbser"}},
		{device + `\Device Parameters`, map[string]string{"PortName": "COM33"}},
	} {
		key, _, err := registry.CreateKey(registry.LOCAL_MACHINE, c.path, registry.ALL_ACCESS)
		if err != nil {
			t.Fatal(err)
		}
		defer registry.DeleteKey(registry.LOCAL_MACHINE, c.path)
		defer key.Close()
		for name, value := range c.values {
			if err := key.SetStringValue(name, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	all, err := lookUSB("")
	if err != nil {
		t.Fatal(err)
	}
	// This Wine does not tell the rest.
	want := Plugged{Vendor: 0x0525, Product: 0xa4a7, Serial: "900004019", Ports: []string{"COM33"}, Lasting: []string{"COM33"}, Interfaces: []Interface{{Class: 0xff}}}
	if len(all) != 1 || !reflect.DeepEqual(all[0], want) {
		t.Errorf("seen %+v, want %+v", all, want)
	}
}

func TestLookOnWindows(t *testing.T) {
	m, err := Look(`C:\`)
	if err != nil {
		t.Fatal(err)
	}
	if found := Examine(m); len(found) == 0 || m.No32 {
		t.Errorf("found %+v on %+v", found, m)
	}
}

// TestWatchOnWindows starts and ends the watch; where Windows does not tell of
// devices, ports are looked for.
func TestWatchOnWindows(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Watch(ctx, slog.New(slog.NewTextHandler(t.Output(), nil)), func() {})
	}()
	cancel()
	<-ended
	t.Logf("ports: %q", listing(""))
}
