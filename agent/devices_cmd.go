package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"zelo/agent/devices"
)

// cmdDevices tells a technician which devices are plugged in and what they lack.
// It needs no running agent, opens nothing and changes nothing.
func cmdDevices(_ context.Context, args []string) error {
	fs := flag.NewFlagSet("devices", flag.ContinueOnError)
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
		return fmt.Errorf("não foi possível ver os equipamentos ligados; este sistema pode não ter USB, como uma máquina virtual: %w", err)
	}
	found := devices.Examine(machine)
	if asJSON {
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		return out.Encode(found)
	}
	var b strings.Builder
	for _, f := range found {
		describeFinding(&b, f)
	}
	fmt.Fprintf(&b, "A identidade USB só sugere o modelo. Para confirmar: escreva a linha em %s,\n"+
		"reinicie o agente e rode zelo-agent call ConsultarSAT, que não altera nada no equipamento.\n", defaultPaths().config)
	_, err = io.WriteString(w, b.String())
	return err
}

// describeFinding writes one device: the verdict first, then what to do.
func describeFinding(b *strings.Builder, f devices.Finding) {
	title := "nenhum equipamento"
	if f.USB != "" {
		title = strings.Join(f.Where, ", ") + ": " + f.USB
		if f.Name != "" {
			title += " " + f.Name
		}
	}
	if f.Serial != "" {
		title += ", número de série " + f.Serial
	}
	fmt.Fprintf(b, "%s  %s\n", strings.ToUpper(string(f.Level)), title)
	if len(f.Models) > 0 {
		fmt.Fprintf(b, "  pode ser  %s\n", strings.Join(f.Models, ", "))
	}
	fmt.Fprintf(b, "  por quê   %s\n", f.Why)
	for i, step := range f.Missing {
		fmt.Fprintf(b, "  faça %d    %s\n", i+1, step)
	}
	for _, note := range f.Notes {
		fmt.Fprintf(b, "  saiba     %s\n", note)
	}
	for _, t := range f.Try {
		switch {
		case !opens(t.Address):
			fmt.Fprintf(b, "  achada    %s; esta versão do agente ainda não usa bibliotecas de fabricante\n", strings.TrimPrefix(t.Address, "biblioteca:"))
		case len(t.Models) == 0:
			fmt.Fprintf(b, "  linha     equipamento = '%s'  (só se ele fala o protocolo aberto do Zelo)\n", t.Address)
		default:
			fmt.Fprintf(b, "  linha     equipamento = '%s'  (%s)\n", t.Address, strings.Join(t.Models, ", "))
		}
	}
	b.WriteString("\n")
}

// opens reports whether the agent accepts an address as its setting.
func opens(address string) bool {
	c := defaultConfig()
	c.Device = address
	return c.check("") == nil
}
