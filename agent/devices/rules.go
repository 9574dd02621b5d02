package devices

import (
	"fmt"
	"slices"
	"strings"
)

// Rules is the text of a udev rules file for every USB identity of the table: the
// group dialout may open the device and its ports, ModemManager and the probing for
// cameras leave it alone, and it is not put to sleep. The lines of generic
// identities are comments, for they would reach unrelated devices.
func Rules() string {
	var b strings.Builder
	b.WriteString(`# Equipamentos SAT e MFE. Feito por: zelo-agent devices -udev
# Guarde em ` + rulesFile + ` e rode:
#   sudo udevadm control --reload && sudo udevadm trigger
# As linhas com #SUBSYSTEM são de identidades que outros aparelhos também usam
# (modems, visores, cabos seriais): tire o # só se nenhum deles está neste computador.
`)
	for _, id := range identities() {
		fmt.Fprintf(&b, "\n# %s: %s\n", id, strings.Join(bearers(id), ", "))
		comment := ""
		if id.Generic {
			comment = "#"
		}
		const actions = `GROUP="dialout", MODE="0660", ENV{ID_MM_DEVICE_IGNORE}="1"`
		fmt.Fprintf(&b, `%sSUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device", %s, %s, ENV{MTP_NO_PROBE}="1", TEST=="power/control", ATTR{power/control}="on"`+"\n",
			comment, id.rule("ATTR"), actions)
		fmt.Fprintf(&b, `%sSUBSYSTEM=="tty", %s, %s`+"\n", comment, id.rule("ATTRS"), actions)
	}
	return b.String()
}

// rule is the condition for an identity; key is ATTR for the device itself and
// ATTRS for what hangs under it.
func (u USB) rule(key string) string {
	vendor := fmt.Sprintf(`%s{idVendor}=="%04x"`, key, u.Vendor)
	if u.Product == 0 {
		return vendor
	}
	return fmt.Sprintf(`%s, %s{idProduct}=="%04x"`, vendor, key, u.Product)
}

// identities are those of the table, each once, the generic ones last.
func identities() []USB {
	var sure, generic []USB
	for _, m := range Models() {
		for _, id := range m.USB {
			list := &sure
			if id.Generic {
				list = &generic
			}
			if !slices.ContainsFunc(*list, func(other USB) bool { return other.String() == id.String() }) {
				*list = append(*list, id)
			}
		}
	}
	return append(sure, generic...)
}

// bearers are the models with an identity.
func bearers(id USB) []string {
	var names []string
	for _, m := range Models() {
		if slices.ContainsFunc(m.USB, func(other USB) bool { return other.String() == id.String() }) {
			names = append(names, m.String())
		}
	}
	return names
}
