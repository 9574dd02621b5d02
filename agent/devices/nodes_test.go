package devices

import (
	"reflect"
	"strings"
	"testing"
)

// shop is a Windows as its device manager shows it: a hub, a SAT with its port, one
// of two functions, one behind FTDI's driver, a network card, one without a driver
// and one that could not say what it is.
func shop() []node {
	return []node{
		{id: `USB\ROOT_HUB30\4&1`, service: "USBHUB3", class: "USB"},
		{id: `USB\VID_05E3&PID_0608\5&2`, service: "usbhub", class: "USB", name: "Hub"},
		{id: `USB\VID_0525&PID_A4A7\900004019`, service: "usbser", class: "Ports", port: "COM3", name: "Gadget Serial v2.4", place: "Port_#0001.Hub_#0003"},
		{id: `USB\VID_0B1B&PID_0108&MI_00\6&7&0&0000`, parent: `USB\VID_0B1B&PID_0108\000123456`, service: "usbser", class: "Ports", port: "COM5"},
		{id: `USB\VID_0B1B&PID_0108&MI_02\6&7&0&0002`, parent: `USB\VID_0B1B&PID_0108\000123456`, problem: 28},
		{id: `USB\VID_0B1B&PID_0108\000123456`, service: "usbccgp", class: "USB", name: "SAT", maker: "Bematech"},
		{id: `USB\VID_0403&PID_6001\A50285BI`, service: "FTDIBUS", class: "USB"},
		{id: `FTDIBUS\VID_0403+PID_6001+A50285BIA\0000`, parent: `usb\vid_0403&pid_6001\a50285bi`, service: "FTSER2K", class: "Ports", port: "COM7"},
		{id: `USB\VID_0525&PID_A4A2\5&3&0&1`, service: "usb_rndisx", class: "Net", name: "SAT SWEDA"},
		{id: `USB\VID_2FE7&PID_0001\5&4&0&2`, problem: 28},
		{id: `USB\VID_0000&PID_0002\5&5&0&3`, class: "USB", problem: 43},
		{id: `ACPI\PNP0501\1`, service: "Serial", class: "Ports", port: "COM1"},
	}
}

func TestPluggedFromNodes(t *testing.T) {
	want := []Plugged{
		{Vendor: 0x0525, Product: 0xa4a7, Name: "Gadget Serial v2.4", Serial: "900004019", Place: "Port_#0001.Hub_#0003",
			Interfaces: []Interface{{0, "usbser"}}, Ports: []string{"COM3"}, Lasting: []string{"COM3"}},
		{Vendor: 0x0b1b, Product: 0x0108, Maker: "Bematech", Name: "SAT", Serial: "000123456",
			Interfaces: []Interface{{0, "usbser"}, {0xff, ""}}, Ports: []string{"COM5"}, Lasting: []string{"COM5"}, Problem: 28},
		{Vendor: 0x0403, Product: 0x6001, Serial: "A50285BI", Interfaces: []Interface{{0, "FTDIBUS"}, {0, "FTSER2K"}}, Ports: []string{"COM7"}, Lasting: []string{"COM7"}},
		{Vendor: 0x0525, Product: 0xa4a2, Name: "SAT SWEDA", Interfaces: []Interface{{0, "usb_rndisx"}}, Networks: []string{"SAT SWEDA"}},
		{Vendor: 0x2fe7, Product: 0x0001, Interfaces: []Interface{{0xff, ""}}, Problem: 28},
		{Vendor: 0, Product: 2, Interfaces: []Interface{{0xff, ""}}, Problem: 43},
	}
	got := pluggedFrom(shop())
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("not seen: %+v", want[i])
		case i >= len(want):
			t.Errorf("seen too: %+v", got[i])
		case !reflect.DeepEqual(got[i], want[i]):
			t.Errorf("seen\n%+v, want\n%+v", got[i], want[i])
		}
	}
}

// TestExamineWindows goes the whole way from what Windows tells.
func TestExamineWindows(t *testing.T) {
	m := Machine{System: "windows", Plugged: pluggedFrom(shop()), Libraries: whole(`C:\Elgin\dllsat.dll`, `C:\SAT\BemaSAT32.dll`, `C:\SAT\SATDLL.dll`)}
	var got []string
	for _, f := range Examine(m) {
		got = append(got, string(f.Level)+" "+f.USB)
	}
	want := "falta 0b1b:0108, falta 2fe7:0001, falta 0000:0002, talvez 0525:a4a7, talvez 0403:6001, talvez 0525:a4a2"
	if strings.Join(got, ", ") != want {
		t.Errorf("found %q, want %q", got, want)
	}
}

// FuzzNodes gives Windows' identities any form, and parents that go in circles.
func FuzzNodes(f *testing.F) {
	for _, n := range shop() {
		f.Add(n.id, n.parent, n.service)
	}
	f.Add("a", "a", "")
	f.Fuzz(func(t *testing.T, id, parent, service string) {
		nodes := []node{{id: id, parent: parent, service: service}, {id: parent, parent: id, port: "COM3"}, {id: `USB\VID_0525&PID_A4A7\1`, parent: id}}
		all := pluggedFrom(nodes)
		if len(all) == 0 || len(all) > len(nodes) {
			t.Errorf("%d devices of %d nodes", len(all), len(nodes))
		}
		Examine(Machine{System: "windows", Plugged: all})
	})
}
