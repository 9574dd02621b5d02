package devices

import (
	"cmp"
	"fmt"
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
	Notes   []string `json:"saiba,omitempty"` // quirks, when it can be one model only
	Try     []Try    `json:"tentar,omitempty"`

	generic bool
}

// Try is an address for the setting "equipamento".
type Try struct {
	Address string   `json:"equipamento"`
	Models  []string `json:"modelos,omitempty"` // whose library it is; empty for a device of our open protocol
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
		if found := matching(p); len(found) > 0 {
			recognised = true
			all = append(all, known(m, p, found))
		} else if mayBeDevice(p) {
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

// mayBeDevice reports whether an unknown USB device has what a fiscal device talks
// through: a port, a network card, or an interface of a class of its own.
func mayBeDevice(p Plugged) bool {
	const communications, data, vendor = 0x02, 0x0a, 0xff
	return len(p.Ports) > 0 || len(p.Networks) > 0 || slices.ContainsFunc(p.Interfaces, func(i Interface) bool {
		return i.Class == communications || i.Class == data || i.Class == vendor && i.Driver == ""
	})
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
	if len(models) == 1 {
		f.Notes = models[0].Quirks
	}
	f.Try = libraries(m, models)
	f.Missing = missing(m, p, found)
	f.Level, f.Why = Complete, fmt.Sprintf("A identidade USB %s é desse modelo (certeza %s).", id, id.Grade)
	if id.Generic {
		f.Level, f.Why = Maybe, fmt.Sprintf("A identidade USB %s é genérica: esses modelos a usam, mas também modems, visores e outros aparelhos.", id)
		f.Try = append(f.Try, open(p)...)
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
	f.Try = append(libraries(m, unidentified()), open(p)...)
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
	if m.PortsOnly {
		f.Missing = append(f.Missing, "No Windows aqui só aparecem portas COM. O Elgin SMART SAT, os Sweda e todo equipamento sem driver não aparecem: procure-os no Gerenciador de Dispositivos.")
	}
	return f
}

// unidentified are the models whose USB identity is not public.
func unidentified() []Model {
	return slices.DeleteFunc(Models(), func(m Model) bool { return len(m.USB) > 0 })
}

// libraries are the installed libraries that bear the name of one of the models'.
func libraries(m Machine, models []Model) []Try {
	var all []Try
	for _, path := range m.Libraries {
		t := Try{Address: "biblioteca:" + path}
		for _, model := range models {
			if model.loads(m.System, path) {
				t.Models = append(t.Models, model.String())
			}
		}
		if len(t.Models) > 0 {
			all = append(all, t)
		}
	}
	return all
}

// open are the ports at which a device of our open protocol may answer.
func open(p Plugged) []Try {
	var all []Try
	for _, port := range p.Ports {
		all = append(all, Try{Address: "serial:" + port})
	}
	return all
}
