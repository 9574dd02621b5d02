package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"zelo/agent/devices"
)

// cmdDevices tells a technician which devices are plugged in and what they lack.
// It needs no running agent, opens nothing and changes nothing.
func cmdDevices(_ context.Context, args []string) error {
	fs := newFlagSet("devices")
	asJSON := fs.Bool("json", false, "para programas")
	rules := fs.Bool("udev", false, "mostra as regras udev do Linux para estes equipamentos")
	if err := fs.Parse(args); err != nil {
		return err
	}
	switch {
	case fs.NArg() > 0:
		return fmt.Errorf("não se espera %q depois de devices", fs.Arg(0))
	case *rules && *asJSON:
		return errors.New("use -json ou -udev, não os dois")
	case *rules:
		_, err := io.WriteString(os.Stdout, devices.Rules())
		return err
	}
	// SystemDrive is C: on Windows and not set elsewhere.
	return reportDevices(os.Stdout, os.Getenv("SystemDrive")+string(os.PathSeparator), *asJSON)
}

// reportDevices writes what is found under the root of a file system.
func reportDevices(w io.Writer, root string, asJSON bool) error {
	machine, err := devices.Look(root)
	if err != nil {
		return fmt.Errorf("não foi possível ver os equipamentos ligados: %w", err)
	}
	found := devices.Examine(machine)
	proposed := devices.Proposed(found)
	if asJSON {
		out := json.NewEncoder(w)
		out.SetEscapeHTML(false)
		out.SetIndent("", "  ")
		return out.Encode(map[string]any{"achados": found, "equipamentos": append([]string{}, proposed...)})
	}
	var b strings.Builder
	for _, f := range found {
		describeFinding(&b, f)
	}
	if err := describeSetting(&b, proposed); err != nil {
		return err
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// describeFinding writes one device: the verdict first, then why, then what to do.
func describeFinding(b *strings.Builder, f devices.Finding) {
	fmt.Fprintf(b, "%s  %s\n", strings.ToUpper(string(f.Level)), title(f))
	line := func(word, text string) { fmt.Fprintf(b, "  %-9s %s\n", word, text) }
	if len(f.Models) > 1 {
		line("pode ser", strings.Join(f.Models, ", "))
	}
	line("por quê", f.Why)
	for i, step := range f.Missing {
		line(fmt.Sprint("faça ", i+1), step)
	}
	if len(f.Notes) > 0 {
		line("saiba", f.Notes[0]) // -json has all
	}
	for _, t := range f.Try {
		switch about := strings.Join(t.Models, ", "); {
		case about == "":
			line("endereço", t.Address+"  (só se ele fala o protocolo aberto do Zelo)")
		case t.Bits == 0:
			line("endereço", fmt.Sprintf("%s  (%s)", t.Address, about))
		default:
			line("endereço", fmt.Sprintf("%s  (%d bits; %s)", t.Address, t.Bits, about))
		}
	}
	b.WriteString("\n")
}

// title names a device in one line: what it is, where, and how it shows itself.
func title(f devices.Finding) string {
	if f.USB == "" {
		return "nenhum equipamento"
	}
	what := f.Name
	if len(f.Models) == 1 {
		what = f.Models[0]
	}
	title := fmt.Sprintf("%s em %s (%s", cmp.Or(what, "aparelho sem nome"), strings.Join(f.Where, ", "), f.USB)
	if f.Serial != "" {
		title += ", número de série " + f.Serial
	}
	return title + ")"
}

// describeSetting writes the line for all devices together, and how it is tried.
func describeSetting(b *strings.Builder, proposed []string) error {
	if len(proposed) == 0 {
		b.WriteString("Ainda não há linha a escrever na configuração: faça antes o que falta acima.\n")
		return nil
	}
	line, err := toml.Marshal(map[string][]string{"equipamentos": proposed})
	if err != nil {
		return fmt.Errorf("não foi possível escrever a linha da configuração: %w", err)
	}
	fmt.Fprintf(b, "Escreva em %s:\n\n  %s\n"+
		"Reinicie o agente e rode zelo-agent call ConsultarSAT: confirma o equipamento e não altera nada nele.\n"+
		"Até lá o modelo é uma suspeita, pois a identidade USB só sugere.\n", defaultPaths().config, line)
	return nil
}
