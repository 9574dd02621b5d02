package web

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"zelo/collector/api"
)

// computer shows the computer of a till.
func (s *site) computer(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	k, err := s.o.API.Computer(r.Context(), c, r.PathValue("id"))
	if err != nil {
		return err
	}
	t, err := s.o.API.Till(r.Context(), c, r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.render(w, c, http.StatusOK, "computer", "tills", "Computador de "+t.Name(), struct {
		Till api.Till
		Rows []computerRow
		api.Computer
	}{t.Till, computerRows(k), k})
}

// hasComputer tells whether a caller may see the computer of a till.
func (s *site) hasComputer(r *http.Request, c api.Caller, till string) (bool, error) {
	_, err := s.o.API.Computer(r.Context(), c, till)
	if errors.Is(err, api.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// computerRow is how one thing stands, as a sentence.
type computerRow struct {
	State api.State
	Name  string
	Says  string
	At    time.Time // when it was told
}

// computerRows are what is known, in the order in which it stops a shop.
func computerRows(k api.Computer) (rows []computerRow) {
	for _, d := range k.Disks {
		says := fmt.Sprintf("%s livres de %s.", room(d.Body.Free), room(d.Body.Total))
		if d.Body.Own {
			says += " É onde o agente guarda os documentos."
		}
		rows = append(rows, computerRow{d.State, "Disco " + d.Key, says, d.At})
	}
	c := k.Inventory.Computer
	b := c.Body
	if k.Memory != "" {
		rows = append(rows, computerRow{k.Memory, "Memória", fmt.Sprintf("%s livres de %s.", room(b.MemoryFree), room(b.MemoryTotal)), c.At})
	}
	if k.USB != "" {
		says := "Nenhuma falha em 24 horas."
		if b.USBErrors > 0 {
			says = count(b.USBErrors, "falha", "falhas") + " em 24 horas."
		}
		if b.USBLast != "" {
			says += " A última: " + strings.TrimSuffix(b.USBLast, ".") + "."
		}
		rows = append(rows, computerRow{k.USB, "USB", says, c.At})
	}
	if k.Clock != "" {
		says := "O sistema acerta o relógio pela rede."
		if b.ClockSynced < 0 {
			says = "O sistema não acerta o relógio pela rede. Ligue a hora automática."
		}
		rows = append(rows, computerRow{k.Clock, "Relógio", says, c.At})
	}
	if k.Antivirus != "" {
		word := map[string]string{"on": "ligado", "off": "desligado", "outdated": "desatualizado"}[b.Antivirus]
		name := b.AntivirusBy
		if name == "" {
			name = "Antivírus"
		}
		rows = append(rows, computerRow{k.Antivirus, "Antivírus", name + " " + word + ".", c.At})
	}
	for _, l := range k.Libraries { // that of no program stands for all
		b, says := l.Body, ""
		switch {
		case b.Makers:
			says = l.Key + " usa a do fabricante (" + b.Path + ") desde " + moment(time.UnixMilli(b.Since)) + "."
		case b.Unseen != "":
			says = "O agente não consegue ver a de todos os programas."
		case len(k.Libraries) == 1:
			says = "Nenhum programa usa a do fabricante."
		}
		if says != "" {
			rows = append(rows, computerRow{k.Library, "Biblioteca do PDV", says, l.At})
		}
	}
	if k.Agent != "" {
		h := k.Health.Body
		says := "Nenhuma falha em 24 horas."
		if h.Restarts+h.Panics > 0 {
			says = count(h.Restarts, "reinício inesperado", "reinícios inesperados") + " e " + count(h.Panics, "falha contida", "falhas contidas") + " em 24 horas."
		}
		if h.Memory > 0 {
			says += " Usa " + size(int(h.Memory)) + " de memória."
		}
		rows = append(rows, computerRow{k.Agent, "Agente", says, k.Health.At})
	}
	return rows
}

// room is a size of disks and memory, in the units that alarms use.
func room(bytes int64) string {
	return strings.Replace(fmt.Sprintf("%.1f GB", float64(bytes)/(1<<30)), ".", ",", 1)
}

// took is how long a sale took.
func took(d time.Duration) string {
	if d <= 0 {
		return none
	}
	return strings.Replace(fmt.Sprintf("%.1f s", d.Seconds()), ".", ",", 1)
}

// certificateWord says how a certificate of a company stands.
func certificateWord(now time.Time, c api.ComputerCertificate) string {
	switch {
	case c.Until().Before(now):
		return "Vencido"
	case c.State == api.Fine:
		return "Em dia"
	}
	return "Vencendo"
}

// opens is the address of a program for remote access. The operation made it of
// letters and digits alone, so that pages may link to a program.
func opens(p api.RemoteAccess) template.URL { return template.URL(p.Link) }
