package api

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"zelo/collector/export"
	"zelo/collector/store"
)

// Selection says which documents to export. Empty fields do not narrow.
type Selection struct {
	CNPJ   string // of the shop
	Serial string // of the device
	Month  string // AAAAMM of the date of issue
}

func (s Selection) period() (store.Period, error) {
	p := store.Period{From: "000101", To: "999912", CNPJ: compact(s.CNPJ)}
	if p.CNPJ != "" && len(p.CNPJ) != 14 {
		return p, problem("O CNPJ tem 14 dígitos ou letras. Confira se falta ou sobra algum.")
	}
	if serial := compact(s.Serial); serial != "" && len(serial) != 9 {
		return p, problem("O número de série do SAT tem 9 dígitos. Confira se falta ou sobra algum.")
	}
	if s.Month != "" {
		if len(s.Month) != 6 || s.Month < "000101" || s.Month > "999912" || s.Month[4:] < "01" || s.Month[4:] > "12" ||
			strings.Trim(s.Month, "0123456789") != "" {
			return p, problem("O mês não existe. Escreva ano e mês, como em 202512.")
		}
		p.From, p.To = s.Month, s.Month
	}
	return p, nil
}

func (s Selection) String() string {
	return strings.Join([]string{cmp.Or(s.CNPJ, "todas as lojas"), cmp.Or(s.Serial, "todos os equipamentos"), cmp.Or(s.Month, "todos os meses")}, ", ")
}

// documents yields what a selection holds.
func (s Selection) documents(r *store.Reader, p store.Period) iter.Seq[store.Exported] {
	serial := compact(s.Serial)
	return func(yield func(store.Exported) bool) {
		for e := range r.Export(p) {
			if e.Err == nil && serial != "" && e.Serial != serial {
				continue
			}
			if !yield(e) {
				return
			}
		}
	}
}

// Preview counts what a selection holds, as the control report of its export
// will.
func (a *API) Preview(ctx context.Context, c Caller, s Selection) (report export.Report, err error) {
	p, err := s.period()
	if err != nil {
		return report, err
	}
	err = a.view(ctx, c, opPreview, func(r *store.Reader) error {
		for e := range s.documents(r, p) {
			if e.Err != nil {
				return e.Err
			}
			report.Add(e)
		}
		return nil
	})
	return report, err
}

// ExportZIP writes the original files of a selection. It is recorded: they hold
// personal data.
func (a *API) ExportZIP(ctx context.Context, c Caller, s Selection, w io.Writer) (report *export.Report, err error) {
	err = a.export(ctx, c, opExportZIP, "exportação dos originais", s, func(r *store.Reader, docs iter.Seq[store.Exported]) error {
		report, err = export.ZIP(w, docs)
		return err
	})
	return report, err
}

// ExportCSV writes a table of the documents of a selection and returns how many
// they are. It is recorded: they hold personal data.
func (a *API) ExportCSV(ctx context.Context, c Caller, s Selection, w io.Writer) (n int, err error) {
	err = a.export(ctx, c, opExportCSV, "exportação da tabela", s, func(r *store.Reader, docs iter.Seq[store.Exported]) error {
		n, err = export.CSV(w, docs, func(key string) (bool, error) { return isCancelled(r, key) })
		return err
	})
	return n, err
}

// How many exports one person may have under way, and all together: each holds a view
// of the store for as long as its reader takes, and others need views too.
const (
	exportsAtOnce = 2
	exportsOfAll  = 3
)

// everybody is whom no person is called.
const everybody = ""

func (a *API) export(ctx context.Context, c Caller, op Op, act string, s Selection, write func(*store.Reader, iter.Seq[store.Exported]) error) error {
	p, err := s.period()
	if err != nil {
		return err
	}
	if !a.exports.take(c.Who(), exportsAtOnce) {
		return &Busy{"Já há duas exportações suas em andamento. Espere uma terminar e peça esta de novo.", time.Minute}
	}
	defer a.exports.give(c.Who())
	if !a.exports.take(everybody, exportsOfAll) {
		return &Busy{"Há exportações demais em andamento agora. Espere um minuto e peça esta de novo.", time.Minute}
	}
	defer a.exports.give(everybody)
	if err := a.record(ctx, c, op, act, s.String(), ""); err != nil {
		return err
	}
	return a.view(ctx, c, op, func(r *store.Reader) error { return write(r, s.documents(r, p)) })
}

// FileName is what an export of the selection is called, without its ending.
func (s Selection) FileName() string {
	name := "zelo"
	for _, part := range []string{compact(s.CNPJ), compact(s.Serial), compact(s.Month)} {
		if part != "" {
			name += "-" + part
		}
	}
	return name
}

// Shop is a taxpayer whose devices are known.
type Shop struct {
	CNPJ, Name string
	Serials    []string // of its devices
}

// Shops lists the taxpayers of all devices by name.
func (a *API) Shops(ctx context.Context, c Caller) (shops []Shop, err error) {
	err = a.view(ctx, c, OpShops, func(r *store.Reader) error {
		devices, err := r.Devices()
		for _, d := range devices {
			if d.Issuer == "" {
				continue
			}
			i := slices.IndexFunc(shops, func(s Shop) bool { return s.CNPJ == d.Issuer })
			if i < 0 {
				i = len(shops)
				shops = append(shops, Shop{CNPJ: d.Issuer, Name: d.IssuerName})
			}
			shops[i].Serials = append(shops[i].Serials, d.Serial)
		}
		return err
	})
	slices.SortFunc(shops, func(a, b Shop) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.CNPJ, b.CNPJ)) })
	if err != nil {
		err = fmt.Errorf("cannot list the shops: %w", err)
	}
	return shops, err
}
