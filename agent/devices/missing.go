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
	if m.System == "windows" {
		all = append(all, noWindowsDriver(p, found[0])...)
	} else {
		say(noDriver(p, found[0].id.Link))
	}
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

// noDriver looks for what a driver of Linux would have made of the device; one
// without configuration has none to look for.
func noDriver(p Plugged, link Link) string {
	if p.Unconfigured {
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

// noWindowsDriver says what Windows says is wrong, or what is not there although
// Windows is content.
func noWindowsDriver(p Plugged, found match) []string {
	if all := problem(p); all != nil {
		return all
	}
	switch link := found.id.Link; {
	case (link == LinkACM || link == LinkFTDI) && len(p.Ports) == 0:
		return []string{"Falta o driver do fabricante: não apareceu a porta COM. Instale-o e religue o equipamento."}
	case link == LinkEthernet && len(p.Networks) == 0:
		return []string{"Falta o driver do fabricante: não apareceu a placa de rede do equipamento. Instale-o e religue o equipamento."}
	}
	return nil
}

// problem says what a code of Windows' device manager means and asks for
// (Microsoft: error codes in device manager). Nothing when there is none.
func problem(p Plugged) []string {
	do := ""
	switch p.Problem {
	case 0:
		return nil
	case 1, 18, 28:
		do = "Falta o driver: instale o do fabricante e religue o equipamento"
	case 14:
		do = "Falta reiniciar o computador para o driver valer"
	case 22:
		do = "Está desativado: ative-o no Gerenciador de Dispositivos"
	case 31, 32, 37, 39, 48, 52:
		do = "O Windows não aceitou o driver: instale o do fabricante feito para este Windows"
	default:
		do = "O Windows não consegue usá-lo: religue-o, troque o cabo e a porta; se continuar, reinstale o driver do fabricante"
	}
	return []string{fmt.Sprintf("%s (código %d do Gerenciador de Dispositivos).", do, p.Problem)}
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
		if slices.ContainsFunc(m.Libraries, func(l LibraryFile) bool { return one.model.loads(m.System, l.Path) }) {
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
	case found[0].id.Product == 0 || len(names) == 0 && found[0].id.Generic:
		return "" // a scale's cable lacks nothing
	case len(names) == 0:
		return "Não se conhece biblioteca do fabricante para este sistema: pergunte a ele."
	}
	slices.Sort(names)
	return "Falta a biblioteca do fabricante: instale " + strings.Join(slices.Compact(names), " ou ") + "."
}

// needs says without what a library does not load, and what it may need besides.
func needs(m Machine, file LibraryFile, bearers []Model) (missing, note string) {
	switch {
	case file.Bits == 0:
		return fmt.Sprintf("O arquivo %s não é uma biblioteca que este computador carregue: instale-a de novo.", file.Path), ""
	case file.Bits == 32 && m.No32:
		return fmt.Sprintf("A biblioteca %s é de 32 bits, e este Linux não tem o que ela precisa. No Debian e no Ubuntu: sudo dpkg --add-architecture i386 && sudo apt update && sudo apt install libc6:i386 libstdc++6:i386.", file.Path), ""
	}
	var programs, settings []string
	for _, name := range file.lacks(m.System, bearers) {
		if isDLL(name) {
			programs = append(programs, name)
		} else {
			settings = append(settings, name)
		}
	}
	switch {
	case programs != nil:
		missing = fmt.Sprintf("A biblioteca %s precisa de %s ao lado dela: copie da pasta do instalador ou instale-a de novo.", file.Path, strings.Join(programs, ", "))
	case settings != nil:
		note = fmt.Sprintf("Ao lado de %s não está %s; se a biblioteca não responder, copie-o da pasta do instalador.", file.Path, strings.Join(settings, ", "))
	}
	return missing, note
}
