package devices

import (
	"slices"
	"strings"
	"testing"
)

// The devices of the tests, whole and in working order.
func rb1000() Plugged {
	return Plugged{Vendor: 0x0b1b, Product: 0x0108, Maker: "Bematech", Name: "RB-1000", Serial: "000123456", Place: "1-1",
		Interfaces: []Interface{{0x02, "cdc_acm"}}, Ports: []string{"/dev/ttyACM0"}, Node: "/dev/bus/usb/001/002"}
}

func gadget() Plugged {
	return Plugged{Vendor: 0x0525, Product: 0xa4a7, Serial: "900004019", Place: "1-2",
		Interfaces: []Interface{{0x02, "cdc_acm"}}, Ports: []string{"/dev/ttyACM1"}, Node: "/dev/bus/usb/001/003"}
}

func smart() Plugged {
	return Plugged{Vendor: 0x2fe7, Product: 0x0001, Maker: "ELGIN S.A.", Name: "SMART S@T", Place: "1-3",
		Interfaces: []Interface{{0xff, ""}}, Node: "/dev/bus/usb/001/004"}
}

func sweda1000() Plugged {
	return Plugged{Vendor: 0x0525, Product: 0xa4a2, Place: "1-4", Interfaces: []Interface{{0x02, "rndis_host"}}, Networks: []string{"usb0"}}
}

func scale() Plugged {
	return Plugged{Vendor: 0x0403, Product: 0x6001, Place: "1-5", Interfaces: []Interface{{0xff, "ftdi_sio"}}, Ports: []string{"/dev/ttyUSB0"}}
}

func modem() Plugged {
	return Plugged{Vendor: 0x12d1, Product: 0x1506, Name: "LTE", Place: "1-6", Interfaces: []Interface{{0xff, "option"}}, Ports: []string{"/dev/ttyUSB1"}}
}

func keyboard() Plugged {
	return Plugged{Vendor: 0x046d, Product: 0xc31c, Place: "1-7", Interfaces: []Interface{{0x03, "usbhid"}}}
}

// with is a Linux computer with devices plugged in and these libraries.
func with(libraries []string, plugged ...Plugged) Machine {
	return Machine{System: "linux", Plugged: plugged, Libraries: libraries}
}

func changed(p Plugged, change func(*Plugged)) Plugged {
	change(&p)
	return p
}

const bemaLibrary, elginLibrary, tancaLibrary = "/opt/bema/libbemasat.so.1.0.10", "/usr/lib/libdllsat.so", "/opt/tanca/libsat64.so"

// TestExamineLevels compares the level and the identity of each finding, in order.
func TestExamineLevels(t *testing.T) {
	all := []string{bemaLibrary, elginLibrary, tancaLibrary}
	for name, c := range map[string]struct {
		machine Machine
		want    []string
	}{
		"nothing":                      {with(all), []string{"falta"}},
		"only a keyboard":              {with(all, keyboard()), []string{"falta"}},
		"one, complete":                {with(all, rb1000()), []string{"completo 0b1b:0108"}},
		"one, no library":              {with(nil, rb1000()), []string{"falta 0b1b:0108"}},
		"one, library of another":      {with([]string{tancaLibrary}, rb1000()), []string{"falta 0b1b:0108"}},
		"generic, complete":            {with(all, gadget()), []string{"talvez 0525:a4a7"}},
		"generic, no library":          {with(nil, gadget()), []string{"falta 0525:a4a7"}},
		"cable of a scale":             {with(nil, scale()), []string{"talvez 0403:6001"}},
		"unknown identity with a port": {with(all, modem()), []string{"falta", "desconhecido 12d1:1506"}},
		"three, in order of trouble": {with(all, modem(), gadget(), smart(), rb1000(), keyboard()),
			[]string{"talvez 0525:a4a7", "completo 2fe7:0001", "completo 0b1b:0108", "desconhecido 12d1:1506"}},
		"three, the sure one first": {with(nil, gadget(), sweda1000(), rb1000()),
			[]string{"falta 0b1b:0108", "falta 0525:a4a7", "falta 0525:a4a2"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range Examine(c.machine) {
				got = append(got, strings.TrimSpace(string(f.Level)+" "+f.USB))
				if f.Why == "" || (f.Level == Lacking) != (len(f.Missing) > 0) {
					t.Errorf("finding does not hold together: %+v", f)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

// TestExamineSaysWhatToDo looks for words in the steps of the first finding, in
// order; as many steps as words.
func TestExamineSaysWhatToDo(t *testing.T) {
	elgin, bema := []string{elginLibrary}, []string{bemaLibrary}
	for name, c := range map[string]struct {
		machine Machine
		want    []string
	}{
		"no driver": {with(bema, changed(rb1000(), func(p *Plugged) { p.Ports = nil })), []string{"modprobe cdc_acm"}},
		"no driver of a converter": {with([]string{}, changed(scale(), func(p *Plugged) { p.Ports = nil })),
			[]string{"modprobe ftdi_sio"}},
		"no network card": {with([]string{"/opt/sweda/libSATDLL.so"}, changed(sweda1000(), func(p *Plugged) { p.Networks = nil })),
			[]string{"modprobe -a rndis_host cdc_ether"}},
		"no permission for a port": {with(bema, changed(rb1000(), func(p *Plugged) { p.Closed = []string{"/dev/ttyACM0", "/dev/bus/usb/001/002"} })),
			[]string{"não pode abrir /dev/ttyACM0. "}},
		"no permission for a device without port": {with(elgin, changed(smart(), func(p *Plugged) { p.Closed = []string{p.Node} })),
			[]string{"não pode abrir /dev/bus/usb/001/004. "}},
		"no permission, generic": {with(elgin, changed(gadget(), func(p *Plugged) { p.Closed = p.Ports })),
			[]string{"tire o # das linhas de 0525:a4a7"}},
		"closed node that is not needed": {with(bema, changed(rb1000(), func(p *Plugged) { p.Closed = []string{p.Node} })), nil},
		"refused for want of current": {with(bema, changed(rb1000(), func(p *Plugged) { p.Unconfigured, p.Ports = true, nil })),
			[]string{"falta de corrente"}},
		"hub without supply": {with(elgin, changed(smart(), func(p *Plugged) { p.WeakHub = true })), []string{"hub USB sem fonte"}},
		"no library":         {with(nil, smart()), []string{"instale libdllsat.so (Elgin)."}},
		"nothing":            {with(nil), []string{"aceso", "500 mA", "Troque o cabo"}},
		"ModemManager": {Machine{System: "linux", ModemManager: true, Libraries: bema,
			Plugged: []Plugged{changed(rb1000(), func(p *Plugged) { p.Probed = true })}}, []string{"disable --now ModemManager"}},
		"ModemManager told to leave it": {Machine{System: "linux", ModemManager: true, Libraries: bema, Plugged: []Plugged{rb1000()}}, nil},
		"everything, in order": {Machine{System: "linux", ModemManager: true,
			Plugged: []Plugged{changed(gadget(), func(p *Plugged) { p.Probed, p.WeakHub, p.Closed = true, true, p.Ports })}},
			[]string{"hub USB", "não pode abrir", "Falta a biblioteca", "ModemManager"}},
		"nothing on Windows": {Machine{System: "windows", PortsOnly: true}, []string{"aceso", "500 mA", "Troque o cabo", "só aparecem portas COM"}},
		"no library on Windows": {Machine{System: "windows", Plugged: []Plugged{{Vendor: 0x0b1b, Product: 0x0110, Ports: []string{"COM3"}}}},
			[]string{"instale BemaSAT32.dll (Bematech)."}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Examine(c.machine)[0].Missing
			if len(got) != len(c.want) {
				t.Fatalf("steps %q, want %q", got, c.want)
			}
			for i, words := range c.want {
				if !strings.Contains(got[i], words) {
					t.Errorf("step %d is %q, want %q in it", i+1, got[i], words)
				}
			}
		})
	}
}

// TestExamineProposesAddresses compares the addresses of the last finding.
func TestExamineProposesAddresses(t *testing.T) {
	for name, c := range map[string]struct {
		machine Machine
		want    []string
	}{
		"the maker's library":         {with([]string{bemaLibrary, tancaLibrary}, rb1000()), []string{"biblioteca:" + bemaLibrary}},
		"generic, library or ours":    {with([]string{tancaLibrary}, gadget()), []string{"biblioteca:" + tancaLibrary, "serial:/dev/ttyACM1"}},
		"generic without a library":   {with(nil, gadget()), []string{"serial:/dev/ttyACM1"}},
		"unknown, library of its own": {with([]string{"/usr/lib/libsatger.so", bemaLibrary}, modem()), []string{"biblioteca:/usr/lib/libsatger.so", "serial:/dev/ttyUSB1"}},
		"MFE behind its service":      {with([]string{"/opt/mfe/libmfe.so"}), []string{"biblioteca:/opt/mfe/libmfe.so"}},
		"on Windows": {Machine{System: "windows", Libraries: []string{`C:\SAT\SAT.DLL`, `C:\Elgin\dllsat.dll`},
			Plugged: []Plugged{{Vendor: 0x2fe7, Product: 1}}}, []string{`biblioteca:C:\Elgin\dllsat.dll`}},
	} {
		t.Run(name, func(t *testing.T) {
			all := Examine(c.machine)
			var got []string
			for _, try := range all[len(all)-1].Try {
				got = append(got, try.Address)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("addresses %q, want %q", got, c.want)
			}
		})
	}
}

func TestQuirksOfASureModelAreTold(t *testing.T) {
	f := Examine(with([]string{elginLibrary}, smart()))[0]
	if len(f.Notes) == 0 || !strings.Contains(f.Notes[0], "cabo USB em Y") {
		t.Errorf("notes %q", f.Notes)
	}
}

func TestNameSaysTheMakerOnce(t *testing.T) {
	for want, p := range map[string]Plugged{
		"ELGIN S.A. SMART S@T": smart(),
		"Bematech RB-1000":     changed(rb1000(), func(p *Plugged) { p.Name = "Bematech RB-1000" }),
		"LTE":                  modem(),
		"Bematech":             changed(rb1000(), func(p *Plugged) { p.Name = "" }),
	} {
		all := Examine(with(nil, p))
		if got := all[len(all)-1].Name; got != want {
			t.Errorf("name %q, want %q", got, want)
		}
	}
}

func TestDevicesOfOneModelAreToldApart(t *testing.T) {
	second := changed(gadget(), func(p *Plugged) { p.Serial, p.Place, p.Ports = "900004020", "1-8", []string{"/dev/ttyACM2"} })
	all := Examine(with([]string{tancaLibrary}, gadget(), second))
	if len(all) != 2 || all[0].Serial != "900004019" || all[1].Serial != "900004020" || slices.Equal(all[0].Where, all[1].Where) {
		t.Errorf("found %+v", all)
	}
	if all[0].Notes != nil {
		t.Errorf("quirks of one of several models: %q", all[0].Notes)
	}
	if !slices.Contains(all[0].Models, "Tanca TS-1000") || !slices.Contains(all[0].Models, "Dimep D-SAT") {
		t.Errorf("may be %q", all[0].Models)
	}
}
