package devices

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Level is how near to use a device is.
type Level string

// The levels, worst first.
const (
	Lacking      Level = "falta"        // something is missing that somebody can put right
	Maybe        Level = "talvez"       // nothing is missing, but unrelated devices look the same
	Complete     Level = "completo"     // nothing is missing
	Unrecognised Level = "desconhecido" // no known model looks so
)

// Finding is what there is to say of one device, or that there is none. The texts
// are for a technician, in pt-BR. What it may be is never more than a suspicion;
// ConsultarSAT, which changes nothing in the device, confirms it.
type Finding struct {
	Level   Level    `json:"nivel"`
	USB     string   `json:"usb,omitempty"` // 0b1b:0108; empty when nothing is plugged in
	Name    string   `json:"nome,omitempty"`
	Serial  string   `json:"serie,omitempty"`
	Where   []string `json:"onde,omitempty"`     // ports, network cards, or the place on the bus
	Models  []string `json:"pode_ser,omitempty"` // the likely ones
	Why     string   `json:"por_que"`
	Missing []string `json:"falta,omitempty"` // what is missing and what to do, first things first
	Notes   []string `json:"saiba,omitempty"` // what matters here and, when it can be one model only, its quirks
	Try     []Try    `json:"tentar,omitempty"`

	generic bool
}

// Try is an address for the setting "equipamentos".
type Try struct {
	Address string   `json:"equipamento"`
	Models  []string `json:"modelos,omitempty"` // whose library it is; empty for a device of our open protocol
	Bits    int      `json:"bits,omitempty"`    // of a library
	Missing string   `json:"falta,omitempty"`   // without which the library does not load, and what to do
	Note    string   `json:"saiba,omitempty"`   // what it may need
}

// match is a model together with the identity that points to it.
type match struct {
	model Model
	id    USB
}

// Examine says what each device may be, why, what is missing and what to do, worst
// first. Keyboards, printers and whatever else cannot be a fiscal device are left
// out; when no known one is left, the first finding says so.
func Examine(m Machine) []Finding {
	var all []Finding
	recognised := false
	for _, p := range m.Plugged {
		found := matching(p)
		switch {
		case len(found) > 0:
			recognised = true
			all = append(all, known(m, p, found))
		case p.Vendor == 0 && m.System == "windows":
			all = append(all, mute(p))
		case mayBeDevice(p):
			all = append(all, unknown(m, p))
		}
	}
	if !recognised {
		all = append(all, nothing(m))
	}
	order := []Level{Lacking, Maybe, Complete, Unrecognised}
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Level), slices.Index(order, b.Level)), generality(a)-generality(b))
	})
	return all
}

func generality(f Finding) int {
	if f.generic {
		return 1
	}
	return 0
}

func matching(p Plugged) []match {
	var found []match
	for _, model := range Models() {
		for _, id := range model.USB {
			if id.Vendor == p.Vendor && (id.Product == p.Product || id.Product == 0) {
				found = append(found, match{model, id})
			}
		}
	}
	return found
}

// vendorClass is that of USB interfaces which only their maker's driver knows.
const vendorClass = 0xff

// mayBeDevice reports whether an unknown USB device has what a fiscal device talks
// through: a port, a network card, or an interface of a class of its own.
func mayBeDevice(p Plugged) bool {
	const communications, data = 0x02, 0x0a
	return len(p.Ports) > 0 || len(p.Networks) > 0 || slices.ContainsFunc(p.Interfaces, func(i Interface) bool {
		return i.Class == communications || i.Class == data || i.Class == vendorClass && i.Driver == "" ||
			containsFold([]string{"WinUSB", "libusb0", "libusbK"}, i.Driver)
	})
}

// alone reports whether no other device shows the same identity and serial number.
func alone(all []Plugged, p Plugged) bool {
	return count(all, func(o Plugged) bool { return o.Vendor == p.Vendor && o.Product == p.Product && o.Serial == p.Serial }) == 1
}

func count(all []Plugged, is func(Plugged) bool) int {
	n := 0
	for _, p := range all {
		if is(p) {
			n++
		}
	}
	return n
}

func finding(p Plugged) Finding {
	f := Finding{
		USB:    USB{Vendor: p.Vendor, Product: p.Product}.String(),
		Name:   p.Name,
		Serial: p.Serial,
		Where:  slices.Concat(p.Ports, p.Networks),
	}
	if !strings.HasPrefix(p.Name, p.Maker) {
		f.Name = strings.TrimSpace(p.Maker + " " + p.Name)
	}
	if len(f.Where) == 0 && p.Place != "" {
		f.Where = []string{"USB " + p.Place}
	}
	return f
}

func known(m Machine, p Plugged, found []match) Finding {
	f := finding(p)
	id := found[0].id
	f.generic = id.Generic
	var models []Model
	for _, one := range found {
		models = append(models, one.model)
		f.Models = append(f.Models, one.model.String())
	}
	f.Try = libraries(m, models)
	f.Missing = missing(m, p, found)
	if n := count(m.Plugged, func(o Plugged) bool { return o.Vendor == p.Vendor && o.Product == p.Product }); n > 1 && len(f.Try) > 0 {
		f.Notes = append(f.Notes, fmt.Sprintf("Há %d com esta identidade, e a biblioteca do fabricante escolhe um deles sozinha: confira com zelo-agent status o número de série do que respondeu.", n))
	}
	f.tellLibrary()
	if len(models) == 1 {
		f.Notes = append(f.Notes, models[0].Quirks...)
	}
	f.Level, f.Why = Complete, fmt.Sprintf("A identidade USB %s é desse modelo (certeza %s).", id, id.Grade)
	if id.Generic {
		f.Level, f.Why = Maybe, fmt.Sprintf("A identidade USB %s é genérica: esses modelos a usam, mas também modems, visores e outros aparelhos.", id)
		f.Try = append(f.Try, open(m, p)...)
	}
	if len(f.Missing) > 0 {
		f.Level = Lacking
	}
	return f
}

func unknown(m Machine, p Plugged) Finding {
	f := finding(p)
	f.Level = Unrecognised
	f.Why = "Nenhum modelo conhecido tem esta identidade USB, mas a de vários modelos não é pública."
	f.Try = libraries(m, unidentified())
	f.Missing = problem(p)
	f.tellLibrary()
	if len(f.Missing) > 0 {
		f.Level = Lacking
	}
	f.Try = append(f.Try, open(m, p)...)
	return f
}

// mute is a device of which Windows could learn nothing at all.
func mute(p Plugged) Finding {
	f := finding(p)
	f.Level = Lacking
	f.Why = "Um aparelho USB está ligado, mas não conseguiu dizer ao Windows o que é."
	f.Missing = []string{"Ligue-o direto numa porta do computador, com o cabo em Y ou a fonte dele; se continuar, troque o cabo e a porta."}
	return f
}

func nothing(m Machine) Finding {
	f := Finding{Level: Lacking, Why: "Nenhum equipamento SAT ou MFE conhecido está à vista.",
		Missing: []string{
			"Veja se o equipamento está aceso e se o cabo USB, de no máximo 1,8 m, está firme nas duas pontas.",
			"Ligue-o direto numa porta do computador, sem hub, com o cabo em Y ou a fonte: ele consome até 500 mA.",
			"Troque o cabo e a porta.",
		},
		Try: libraries(m, unidentified()),
	}
	if m.NoUSB {
		f.Why = "Este computador não mostra USB nenhum, como uma máquina virtual ou um contêiner."
		f.Missing = []string{"Ligue o equipamento e o agente no mesmo computador, ou passe o USB do equipamento para esta máquina virtual; um contêiner precisa de /sys e /dev."}
	}
	f.tellLibrary()
	return f
}

// tellLibrary adds what the best library lacks, and what it may need.
func (f *Finding) tellLibrary() {
	if len(f.Try) == 0 {
		return
	}
	if best := f.Try[0]; best.Missing != "" {
		f.Missing = append(f.Missing, best.Missing)
	} else if best.Note != "" {
		f.Notes = append(f.Notes, best.Note)
	}
}

// unidentified are the models whose USB identity is not public.
func unidentified() []Model {
	return slices.DeleteFunc(Models(), func(m Model) bool { return len(m.USB) > 0 })
}

// Proposed are the addresses to write as setting: for each finding the maker's
// library that is most ready, each once. Ports are not among them: what is sent to
// one that is a scale's or a modem's does harm.
func Proposed(found []Finding) []string {
	var all []string
	for _, f := range found {
		if len(f.Try) > 0 && len(f.Try[0].Models) > 0 && !slices.Contains(all, f.Try[0].Address) {
			all = append(all, f.Try[0].Address)
		}
	}
	return all
}

// libraries are the installed libraries that bear the name of one of the models',
// those that lack nothing first.
func libraries(m Machine, models []Model) []Try {
	var all []Try
	for _, file := range m.Libraries {
		t := Try{Address: "biblioteca:" + file.Path, Bits: file.Bits}
		var bearers []Model
		for _, model := range models {
			if model.loads(m.System, file.Path) {
				bearers = append(bearers, model)
				t.Models = append(t.Models, model.String())
			}
		}
		if len(bearers) > 0 {
			t.Missing, t.Note = needs(m, file, bearers)
			all = append(all, t)
		}
	}
	slices.SortStableFunc(all, func(a, b Try) int { return cmp.Compare(min(len(a.Missing), 1), min(len(b.Missing), 1)) })
	return all
}

// open are the places at which a device of our open protocol may answer: its ports,
// or USB itself where nothing has made a port of it.
func open(m Machine, p Plugged) []Try {
	var all []Try
	for _, port := range p.Lasting {
		all = append(all, Try{Address: "serial:" + port})
	}
	bulk := slices.ContainsFunc(p.Interfaces, func(i Interface) bool { return i.Class == vendorClass && i.Driver == "" })
	if len(all) == 0 && bulk && m.System == "linux" {
		all = append(all, Try{Address: "usb:" + usbName(m.Plugged, p)})
	}
	return all
}

// plain are serial numbers that need no care in a setting.
var plain = regexp.MustCompile(`^[0-9A-Za-z_.-]+$`)

// usbName names a device for as long as can be: by identity and serial number, by
// identity when no other has it, else by where it is plugged in.
func usbName(all []Plugged, p Plugged) string {
	id := USB{Vendor: p.Vendor, Product: p.Product}.String()
	switch {
	case !alone(all, p):
		return p.Place
	case p.Serial == "":
		return id
	case !plain.MatchString(p.Serial):
		return p.Place
	}
	return id + "/" + p.Serial
}
