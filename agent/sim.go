package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"zelo/sat"
	"zelo/sat/sim"
)

// cmdSim runs a simulated device as a process of its own.
func cmdSim(ctx context.Context, args []string) error {
	fs := newFlagSet("sim")
	var o sim.Options
	var p sim.Ports
	kind := fs.String("tipo", "SAT", "SAT ou MFE")
	memory := fs.String("memoria", string(sim.LastOnly), "sessões lembradas: last (só a última, uma vez) ou generous")
	environment := fs.Int("ambiente", int(sim.Test), "1 produção, 2 teste")
	expires := fs.String("certificado-vence", "", "último dia do certificado, AAAA-MM-DD")
	level := fs.String("log", "warn", "debug, info, warn ou error")
	fs.StringVar(&o.Serial, "serie", "900000001", "número de série, nove dígitos")
	fs.StringVar(&o.Layout, "leiaute", "0.08", "0.06, 0.07 ou 0.08")
	fs.StringVar(&o.Code, "codigo", sim.DefaultCode, "código de ativação")
	fs.StringVar(&o.Dir, "pasta", "", "onde o equipamento guarda o que é e o que emitiu (issued.jsonl)")
	fs.BoolVar(&o.Factory, "de-fabrica", false, "começa como sai da fábrica: sem ativação nem vínculo")
	fs.BoolVar(&p.PTY, "pty", false, "oferece uma porta serial simulada")
	fs.StringVar(&p.Link, "link", "", "atalho para a porta serial simulada")
	fs.StringVar(&p.TCP, "tcp", "", "endereço TCP onde atende, por exemplo 127.0.0.1:9100")
	fs.StringVar(&p.Control, "controle", "", "endereço ou soquete do protocolo de controle")
	if err := fs.Parse(args); err != nil {
		return err
	}
	o.Kind, o.Memory, o.Environment, o.Log = sim.Kind(*kind), sim.Memory(*memory), sim.Environment(*environment), newLog(*level, os.Stderr)
	o.Latency = map[sat.Function]time.Duration{}
	if *expires != "" {
		t, err := time.ParseInLocation(time.DateOnly, *expires, sat.Brasilia())
		if err != nil {
			return fmt.Errorf("-certificado-vence: escreva o dia como 2026-12-31")
		}
		o.CertIssued, o.CertExpires = t.AddDate(-5, 0, 0), t.Add(24*time.Hour-time.Second)
	}
	if !p.PTY && p.TCP == "" {
		return errors.New("diga onde atender: -pty ou -tcp endereço:porta")
	}
	p.Ready = func(port, where string) { fmt.Printf("%s %s\n", port, where) }
	s, err := sim.New(o)
	if err != nil {
		return err
	}
	defer s.Close()
	err = s.Run(ctx, p)
	if errors.Is(err, sim.ErrCrashed) {
		fmt.Fprintln(os.Stderr, "zelo-agent: o equipamento simulado caiu, como o roteiro mandou")
	}
	return err
}
