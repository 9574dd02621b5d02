package devices

import (
	"fmt"
	"slices"
	"strings"
)

// rulesFile is where an administrator of Linux puts what Rules returns.
const rulesFile = "/etc/udev/rules.d/60-sat-fiscal.rules"

// missing says what stands between a device and its use, in the order in which it
// is put right: current, driver, permission, library, other programs.
func missing(m Machine, p Plugged, found []match) []string {
	var all []string
	say := func(text string) {
		if text != "" {
			all = append(all, text)
		}
	}
	say(noPower(p))
	say(noDriver(m, p, found[0].id.Link))
	say(noPermission(p, found[0].id))
	say(noLibrary(m, found))
	if m.ModemManager && p.Probed {
		say("O ModemManager está rodando e envia comandos de modem a esta porta: instale as regras (zelo-agent devices -udev) ou pare-o com sudo systemctl disable --now ModemManager." + generalRule(found[0].id))
	}
	return all
}

func noPower(p Plugged) string {
	switch {
	case p.Unconfigured:
		return "O sistema recusou o equipamento, em geral por falta de corrente: ligue-o direto numa porta do computador, com o cabo em Y ou a fonte dele."
	case p.WeakHub:
		return "Está num hub USB sem fonte própria, que pode não lhe dar corrente: ligue-o direto numa porta do computador."
	}
	return ""
}

// noDriver looks for what a driver would have made of the device. On Windows only
// devices with a driver are seen; one without configuration has none to look for.
func noDriver(m Machine, p Plugged, link Link) string {
	if m.System == "windows" || p.Unconfigured {
		return ""
	}
	const text = "Falta o driver do sistema: não apareceu %s. Rode sudo modprobe %s; se não resolver, o núcleo deste Linux não o tem."
	switch {
	case link == LinkACM && len(p.Ports) == 0:
		return fmt.Sprintf(text, "a porta /dev/ttyACM", "cdc_acm")
	case link == LinkFTDI && len(p.Ports) == 0:
		return fmt.Sprintf(text, "a porta /dev/ttyUSB", "ftdi_sio")
	case link == LinkEthernet && len(p.Networks) == 0:
		return fmt.Sprintf(text, "a placa de rede do equipamento", "-a rndis_host cdc_ether")
	}
	return ""
}

// noPermission names the nodes that are needed and closed to this user.
func noPermission(p Plugged, id USB) string {
	var needed []string
	switch id.Link {
	case LinkACM, LinkFTDI:
		needed = p.Ports
	case LinkBulk:
		needed = []string{p.Node}
	case LinkUnknown:
		needed = append([]string{p.Node}, p.Ports...)
	}
	closed := slices.DeleteFunc(slices.Clone(needed), func(node string) bool { return !slices.Contains(p.Closed, node) })
	if len(closed) == 0 {
		return ""
	}
	return fmt.Sprintf("Este usuário não pode abrir %s. Rode zelo-agent devices -udev | sudo tee %s, depois sudo udevadm control --reload e sudo udevadm trigger, e ponha o usuário do agente no grupo dialout.%s",
		strings.Join(closed, " nem "), rulesFile, generalRule(id))
}

// generalRule tells how the rule of a generic identity comes into force.
func generalRule(id USB) string {
	if !id.Generic {
		return ""
	}
	return fmt.Sprintf(" No arquivo de regras, tire o # das linhas de %s, se nenhum outro aparelho daqui a usa.", id)
}

func noLibrary(m Machine, found []match) string {
	var names []string
	for _, one := range found {
		if slices.ContainsFunc(m.Libraries, func(path string) bool { return one.model.loads(m.System, path) }) {
			return ""
		}
		for _, l := range one.model.Libraries {
			if l.System == m.System {
				names = append(names, fmt.Sprintf("%s (%s)", l.Name, one.model.Maker))
				break // the first is the usual one
			}
		}
	}
	switch {
	case len(names) == 0 && found[0].id.Generic:
		return "" // a scale's cable lacks nothing
	case len(names) == 0:
		return "Não se conhece biblioteca do fabricante para este sistema: pergunte a ele."
	}
	slices.Sort(names)
	return "Falta a biblioteca do fabricante: instale " + strings.Join(slices.Compact(names), " ou ") + "."
}
