package devices

import (
	"slices"
	"strings"
	"testing"
)

// The devices of the tests, whole and in working order.
func rb1000() Plugged {
	return Plugged{Vendor: 0x0b1b, Product: 0x0108, Maker: "Bematech", Name: "RB-1000", Serial: "000123456", Place: "1-1",
		Interfaces: []Interface{{0x02, "cdc_acm"}}, Ports: []string{"/dev/ttyACM0"}, Lasting: []string{"/dev/ttyACM0"}, Node: "/dev/bus/usb/001/002"}
}

func gadget() Plugged {
	return Plugged{Vendor: 0x0525, Product: 0xa4a7, Serial: "900004019", Place: "1-2",
		Interfaces: []Interface{{0x02, "cdc_acm"}}, Ports: []string{"/dev/ttyACM1"}, Lasting: []string{"/dev/ttyACM1"}, Node: "/dev/bus/usb/001/003"}
}

func smart() Plugged {
	return Plugged{Vendor: 0x2fe7, Product: 0x0001, Maker: "ELGIN S.A.", Name: "SMART S@T", Place: "1-3",
		Interfaces: []Interface{{0xff, ""}}, Node: "/dev/bus/usb/001/004"}
}

func sweda1000() Plugged {
	return Plugged{Vendor: 0x0525, Product: 0xa4a2, Place: "1-4", Interfaces: []Interface{{0x02, "rndis_host"}}, Networks: []string{"usb0"}}
}

func scale() Plugged {
	return Plugged{Vendor: 0x0403, Product: 0x6001, Place: "1-5", Interfaces: []Interface{{0xff, "ftdi_sio"}}, Ports: []string{"/dev/ttyUSB0"}, Lasting: []string{"/dev/ttyUSB0"}}
}

func modem() Plugged {
	return Plugged{Vendor: 0x12d1, Product: 0x1506, Name: "LTE", Place: "1-6", Interfaces: []Interface{{0xff, "option"}}, Ports: []string{"/dev/ttyUSB1"}, Lasting: []string{"/dev/ttyUSB1"}}
}

// bulk speaks USB without a driver of the system.
func bulk(serial string) Plugged {
	return Plugged{Vendor: 0x0525, Product: 0xa4a6, Serial: serial, Place: "1-9", Interfaces: []Interface{{0xff, ""}}, Node: "/dev/bus/usb/001/009"}
}

func keyboard() Plugged {
	return Plugged{Vendor: 0x046d, Product: 0xc31c, Place: "1-7", Interfaces: []Interface{{0x03, "usbhid"}}}
}

// with is a Linux computer with devices plugged in and these libraries, whole.
func with(libraries []string, plugged ...Plugged) Machine {
	return Machine{System: "linux", Plugged: plugged, Libraries: whole(libraries...)}
}

// whole are libraries of 64 bits that have all companions of all models beside them.
func whole(paths ...string) []LibraryFile {
	var companions []string
	for _, m := range Models() {
		companions = append(companions, m.Companions...)
	}
	var all []LibraryFile
	for _, path := range paths {
		all = append(all, LibraryFile{Path: path, Bits: 64, Beside: companions})
	}
	return all
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
		"ModemManager": {Machine{System: "linux", ModemManager: true, Libraries: whole(bema...),
			Plugged: []Plugged{changed(rb1000(), func(p *Plugged) { p.Probed = true })}}, []string{"disable --now ModemManager"}},
		"ModemManager told to leave it": {Machine{System: "linux", ModemManager: true, Libraries: whole(bema...), Plugged: []Plugged{rb1000()}}, nil},
		"everything, in order": {Machine{System: "linux", ModemManager: true,
			Plugged: []Plugged{changed(gadget(), func(p *Plugged) { p.Probed, p.WeakHub, p.Closed = true, true, p.Ports })}},
			[]string{"hub USB", "não pode abrir", "Falta a biblioteca", "ModemManager"}},
		"no USB at all":      {Machine{System: "linux", NoUSB: true}, []string{"máquina virtual"}},
		"nothing on Windows": {Machine{System: "windows"}, []string{"aceso", "500 mA", "Troque o cabo"}},
		"no library on Windows": {Machine{System: "windows", Plugged: []Plugged{{Vendor: 0x0b1b, Product: 0x0110, Ports: []string{"COM3"}}}},
			[]string{"instale BemaSAT32.dll (Bematech)."}},
		"no driver on Windows":        {onWindows(Plugged{Vendor: 0x0b1b, Product: 0x0110, Problem: 28}), []string{"Falta o driver: instale o do fabricante"}},
		"no port on Windows":          {onWindows(Plugged{Vendor: 0x0b1b, Product: 0x0110}), []string{"não apareceu a porta COM"}},
		"disabled on Windows":         {onWindows(Plugged{Vendor: 0x0b1b, Product: 0x0110, Problem: 22}), []string{"ative-o"}},
		"driver refused by Windows":   {onWindows(Plugged{Vendor: 0x0b1b, Product: 0x0110, Problem: 52}), []string{"feito para este Windows"}},
		"Windows waits for a restart": {onWindows(Plugged{Vendor: 0x0b1b, Product: 0x0110, Problem: 14}), []string{"reiniciar o computador"}},
		"fails on Windows":            {onWindows(Plugged{Vendor: 0x0b1b, Product: 0x0110, Problem: 43}), []string{"troque o cabo e a porta"}},
		"mute on Windows":             {onWindows(Plugged{Problem: 43}), []string{"troque o cabo e a porta"}},
		"unknown, no driver on Windows": {onWindows(Plugged{Vendor: 0x1234, Product: 1, Problem: 28, Interfaces: []Interface{{Class: 0xff}}}),
			[]string{"Falta o driver"}},
		"damaged library": {library(LibraryFile{Path: bemaLibrary}), []string{"não é uma biblioteca"}},
		"library of 32 bits on a Linux without": {Machine{System: "linux", No32: true, Plugged: []Plugged{rb1000()}, Libraries: []LibraryFile{{Path: bemaLibrary, Bits: 32}}},
			[]string{"apt install libc6:i386"}},
		"library of 32 bits":                   {library(LibraryFile{Path: bemaLibrary, Bits: 32}), nil},
		"library of 32 bits, another is whole": {Machine{System: "linux", No32: true, Plugged: []Plugged{rb1000()}, Libraries: append([]LibraryFile{{Path: "/usr/lib/libBemaSAT32.so", Bits: 32}}, whole(bema...)...)}, nil},
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

// onWindows is a computer with Windows, all libraries and one device.
func onWindows(p Plugged) Machine {
	return Machine{System: "windows", Plugged: []Plugged{p}, Libraries: whole(`C:\Bema\BemaSAT32.dll`)}
}

// library is a Linux with one device and one library.
func library(l LibraryFile) Machine {
	return Machine{System: "linux", Plugged: []Plugged{rb1000()}, Libraries: []LibraryFile{l}}
}

// TestCompanionsOfLibraries looks for what is said of files that a library needs.
func TestCompanionsOfLibraries(t *testing.T) {
	rndis := Plugged{Vendor: 0x0525, Product: 0xa4a2, Networks: []string{"SAT"}}
	serial := Plugged{Vendor: 0x0525, Product: 0xa4a7, Ports: []string{"COM3"}, Lasting: []string{"COM3"}}
	acm := Plugged{Vendor: 0x0b1b, Product: 0x0108, Ports: []string{"COM3"}}
	dlls := []string{"iconv.dll", "libxml2.dll", "zlib1.dll", "msvcp100.dll", "msvcr100.dll"}
	for name, c := range map[string]struct {
		plugged       Plugged
		library       LibraryFile
		missing, note string // of the first address
	}{
		"all beside":               {rndis, LibraryFile{`C:\SAT\SATDLL.dll`, 32, dlls}, "", ""},
		"in other letters":         {rndis, LibraryFile{`C:\SAT\SATDLL.dll`, 32, append([]string{"ICONV.DLL"}, dlls[1:]...)}, "", ""},
		"one away":                 {rndis, LibraryFile{`C:\SAT\SATDLL.dll`, 32, dlls[1:]}, "precisa de iconv.dll ao lado", ""},
		"two away":                 {rndis, LibraryFile{`C:\SAT\SATDLL.dll`, 32, dlls[2:]}, "precisa de iconv.dll, libxml2.dll ao lado", ""},
		"settings away":            {acm, LibraryFile{`C:\SAT\BemaSAT32.dll`, 32, nil}, "", "não está bemasat.xml"},
		"a name of several models": {serial, LibraryFile{`C:\SAT\dllsat.dll`, 32, nil}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := Examine(Machine{System: "windows", Plugged: []Plugged{c.plugged}, Libraries: []LibraryFile{c.library}})[0]
			got := f.Try[0]
			if !strings.Contains(got.Missing, c.missing) || (got.Missing == "") != (c.missing == "") {
				t.Errorf("missing is %q, want %q in it", got.Missing, c.missing)
			}
			if !strings.Contains(got.Note, c.note) || (got.Note == "") != (c.note == "") {
				t.Errorf("note is %q, want %q in it", got.Note, c.note)
			}
			if got.Missing != "" && !slices.Contains(f.Missing, got.Missing) || got.Note != "" && !slices.Contains(f.Notes, got.Note) {
				t.Errorf("what the library lacks is not told: %+v", f)
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
		"library that lacks nothing first": {Machine{System: "linux", No32: true, Plugged: []Plugged{rb1000()},
			Libraries: append([]LibraryFile{{Path: "/usr/lib/libBemaSAT32.so", Bits: 32}}, whole(bemaLibrary)...)},
			[]string{"biblioteca:" + bemaLibrary, "biblioteca:/usr/lib/libBemaSAT32.so"}},
		"port by a lasting name": {with(nil, changed(gadget(), func(p *Plugged) { p.Lasting = []string{"/dev/serial/by-id/usb-x-if00"} })),
			[]string{"serial:/dev/serial/by-id/usb-x-if00"}},
		"without a port, by serial number": {with(nil, bulk("A1")), []string{"usb:0525:a4a6/A1"}},
		"without a port nor number":        {with(nil, bulk("")), []string{"usb:0525:a4a6"}},
		"two of them, by serial number": {with(nil, changed(bulk("A2"), func(p *Plugged) { p.Place = "1-8" }), bulk("A1")),
			[]string{"usb:0525:a4a6/A1"}},
		"two without numbers, by place": {with(nil, changed(bulk(""), func(p *Plugged) { p.Place = "1-8" }), bulk("")),
			[]string{"usb:1-9"}},
		"serial number that would not fit": {with(nil, bulk("A '1")), []string{"usb:1-9"}},
		"no USB of ours on Windows":        {onWindows(changed(bulk("A1"), func(p *Plugged) { p.Place = "Port_#0002.Hub_#0001" })), nil},
		"MFE behind its service":           {with([]string{"/opt/mfe/libmfe.so"}), []string{"biblioteca:/opt/mfe/libmfe.so"}},
		"on Windows": {Machine{System: "windows", Libraries: whole(`C:\SAT\SAT.DLL`, `C:\Elgin\dllsat.dll`),
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
	if len(all[0].Notes) != 1 || !strings.Contains(all[0].Notes[0], "Há 2 com esta identidade") {
		t.Errorf("not told once that the library chooses, without quirks of one of several models: %q", all[0].Notes)
	}
	if !slices.Contains(all[0].Models, "Tanca TS-1000") || !slices.Contains(all[0].Models, "Dimep D-SAT") {
		t.Errorf("may be %q", all[0].Models)
	}
}

func TestProposed(t *testing.T) {
	second := changed(rb1000(), func(p *Plugged) { p.Serial, p.Place = "000123457", "1-8" })
	for name, c := range map[string]struct {
		machine Machine
		want    []string
	}{
		"nothing":                    {with(nil), nil},
		"one":                        {with([]string{bemaLibrary}, rb1000()), []string{"biblioteca:" + bemaLibrary}},
		"several, each its own":      {with([]string{bemaLibrary, elginLibrary}, smart(), changed(rb1000(), func(p *Plugged) { p.Closed = p.Ports })), []string{"biblioteca:" + bemaLibrary, "biblioteca:" + elginLibrary}},
		"two of one model":           {with([]string{bemaLibrary}, rb1000(), second), []string{"biblioteca:" + bemaLibrary}},
		"ports of who knows whom":    {with(nil, gadget(), modem(), scale()), nil},
		"MFE, which is not on a bus": {with([]string{"/opt/mfe/libmfe.so"}), []string{"biblioteca:/opt/mfe/libmfe.so"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Proposed(Examine(c.machine)); !slices.Equal(got, c.want) {
				t.Errorf("proposed %q, want %q", got, c.want)
			}
		})
	}
}
