package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"zelo/collector/api"
	"zelo/collector/enrol"
	"zelo/collector/store"
)

// cmdCA shows the certificate authorities of a collector, and replaces them in the
// three steps that collector/enrol tells of (rotate.go).
func cmdCA(ctx context.Context, con console, args []string) error {
	fs, folder := flags(con, "ca")
	force := fs.Bool("force", false, "não espera pelos caixas que faltam: eles terão de ser ligados de novo, com um código")
	words, err := parse(fs, args)
	if err != nil {
		return err
	}
	if len(words) != 1 || !slices.Contains([]string{"status", "rotate", "switch", "retire"}, words[0]) {
		return errors.New("escreva o que fazer: zelo-collector ca status | rotate | switch | retire")
	}
	config, err := loadConfig(*folder)
	if err != nil {
		return err
	}
	ca, err := enrol.OpenCA(*folder)
	if err != nil {
		return fmt.Errorf("não foi possível abrir a autoridade certificadora do coletor: %w", err)
	}
	s, err := store.Open(ctx, config.database(*folder))
	if err != nil {
		return fmt.Errorf("não foi possível abrir o banco de dados: %w", err)
	}
	defer s.Close()
	r := rotation{*folder, ca, s, *force, con.out}
	if words[0] == "status" {
		return r.status(ctx)
	}
	return r.step(ctx, words[0])
}

// rotation is one call of `zelo-collector ca`.
type rotation struct {
	folder string
	ca     *enrol.CA
	store  *store.Store
	force  bool
	out    io.Writer
}

func (r *rotation) status(ctx context.Context) error {
	if err := r.ca.CheckAuthorities(ctx, r.store); err != nil {
		return otherAuthorities(r.folder, err)
	}
	names, ends := r.ca.Authorities()
	for i, name := range names {
		what := "emite os certificados"
		if i > 0 && r.ca.Stage() == enrol.Announced {
			what = "é a próxima: os caixas já confiam nela, mas ainda não emite"
		} else if i > 0 {
			what = "é a anterior: os caixas ainda confiam nela"
		}
		fmt.Fprintf(r.out, "%s, válida até %s: %s\n", name, ends[i].Format("02/01/2006"), what)
	}
	n, others, err := r.ca.Holders(ctx, r.store)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, "Caixas em dia com isso: %d. Faltam: %d.\n", n, len(others))
	for _, h := range others {
		heard := "nunca ouvido"
		if !h.HeardAt.IsZero() {
			heard = "ouvido em " + h.HeardAt.In(time.Local).Format("02/01/2006 15:04")
		}
		fmt.Fprintf(r.out, "  %s  %s  %s\n", h.Agent, cmp.Or(h.Host, "–"), heard)
	}
	return nil
}

// step does one step and tells the store. One that was cut off between the two is
// told only.
func (r *rotation) step(ctx context.Context, name string) error {
	to := map[string]enrol.Stage{"rotate": enrol.Announced, "switch": enrol.Switched, "retire": enrol.Settled}[name]
	switch err := r.ca.CheckAuthorities(ctx, r.store); {
	case errors.Is(err, enrol.ErrOtherAuthority) && r.ca.Stage() == to && r.ca.Follows(ctx, r.store):
	case err != nil:
		return otherAuthorities(r.folder, err)
	default:
		if err := r.carryOut(ctx, name); err != nil {
			return err
		}
	}
	if err := r.ca.Adopt(ctx, r.store); err != nil {
		return err
	}
	_, err := fmt.Fprintf(r.out, "%s\nReinicie o coletor agora. Se há outros coletores neste banco de dados, copie para a pasta de cada um a pasta %s, inteira, e reinicie-os também.\n",
		map[string]string{
			"rotate": "Nova autoridade criada. Os caixas passam a confiar nela, cada um quando se renova, o que leva minutos para os que estão conectados. Acompanhe com `zelo-collector ca status`; depois, `zelo-collector ca switch`.",
			"switch": "A nova autoridade emite os certificados. Os caixas trocam o seu sozinhos. Acompanhe com `zelo-collector ca status`; depois, `zelo-collector ca retire`.",
			"retire": "A autoridade anterior não vale mais.",
		}[name], enrol.CAFolder)
	return err
}

// carryOut changes the files, when all tills are ready for it or need not be.
func (r *rotation) carryOut(ctx context.Context, name string) error {
	_, others, err := r.ca.Holders(ctx, r.store)
	if err != nil {
		return err
	}
	switch {
	case name == "rotate", len(others) == 0:
	case !r.force:
		return fmt.Errorf("%s ainda não em dia com o passo anterior; veja quais com `zelo-collector ca status`. "+
			"Com -force o passo é dado sem eles", count(len(others), "caixa", "caixas"))
	case name == "switch":
		fmt.Fprintf(r.out, "%s renovam a identidade quando voltarem, se for antes de `zelo-collector ca retire`.\n", count(len(others), "caixa", "caixas"))
	default:
		fmt.Fprintf(r.out, "Têm de ser ligados de novo, com um código: %s.\n", count(len(others), "caixa", "caixas"))
	}
	switch name {
	case "rotate":
		r.ca, err = enrol.Rotate(r.folder, time.Now())
	case "switch":
		r.ca, err = enrol.Switch(r.folder)
	default:
		r.ca, err = enrol.Retire(r.folder)
	}
	if errors.Is(err, enrol.ErrStage) {
		return errors.New("este não é o próximo passo: a ordem é rotate, switch, retire; veja onde está com `zelo-collector ca status`")
	}
	return err
}

// checkAuthorities refuses a folder whose authorities are not those that the tills of
// this database trust.
func (c *collector) checkAuthorities(ctx context.Context) error {
	return otherAuthorities(c.folder, c.ca.CheckAuthorities(ctx, c.store))
}

func otherAuthorities(folder string, err error) error {
	if !errors.Is(err, enrol.ErrOtherAuthority) {
		return err
	}
	return fmt.Errorf("a autoridade certificadora em %s não é a que os caixas deste banco de dados conhecem. Se outro coletor usa o banco, "+
		"copie dele a pasta %s, inteira; se um `zelo-collector ca` foi interrompido nesta pasta, repita-o: %w", folder, enrol.CAFolder, err)
}

// cmdRevoke ends the identity of one computer.
func cmdRevoke(ctx context.Context, con console, args []string) error {
	fs, folder := flags(con, "revoke")
	agents, err := parse(fs, args)
	if err != nil {
		return err
	}
	if len(agents) != 1 {
		return errors.New("escreva a identificação do agente, que a página do caixa mostra: zelo-collector revoke AGENTE")
	}
	return with(ctx, con, *folder, func(c *collector) error {
		agent := strings.TrimSpace(agents[0])
		if err := c.api.RevokeTill(ctx, api.CommandLine(), agent); err != nil {
			return fmt.Errorf("não foi possível revogar o agente %s: %w", agent, err)
		}
		_, err := fmt.Fprintf(con.out, "A identidade de %s foi revogada: ele é desconectado em segundos e não se conecta mais. O que estiver guardado nele fica nele até ser ligado de novo, com outro código.\n", agent)
		return err
	})
}
