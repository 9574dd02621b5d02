package till

import (
	"bytes"
	"context"
	"html/template"
	"net/http"
	"strings"
	"time"

	"zelo/sat"
)

// view is what the page shows.
type view struct {
	State
	Now    time.Time
	Top    Finding   // the sentence
	Others []Finding // worth knowing besides
	Rows   []row     // the devices, when there are several
	Here   []Device  // those to show in detail; one that is not configured when there is none
	Test   *Finding  // the result of a test just made
	Offer  *Offer    // for the shop's certificate; nil while none of its warnings is due
	Remind bool      // people here are reminded of it, and may put that off
}

func (t *till) words() template.FuncMap {
	return template.FuncMap{
		"moment":   func(at time.Time) string { return moment(t.o.Now(), at) },
		"since":    func(at time.Time) string { return since(t.o.Now(), at) },
		"validity": func(day time.Time) string { return validity(t.o.Now(), day) },
		"clock":    clock, "number": number, "money": money, "groups": groups,
		"memory": memoryWord, "network": networkWord, "shape": newShape, "progress": progress,
	}
}

func (t *till) show(w http.ResponseWriter, _ *http.Request) { t.render(w, nil) }

// test carries out "Testar agora". One test at a time is enough, whoever asks.
func (t *till) test(w http.ResponseWriter, r *http.Request) {
	if !t.testing.TryLock() {
		t.render(w, &Finding{Severity: Notice, Text: "Um teste já está em andamento.", Todo: "Aguarde alguns segundos e teste de novo."})
		return
	}
	defer t.testing.Unlock()
	ctx, cancel := context.WithTimeout(r.Context(), sat.ConsultarSAT.Deadline())
	defer cancel()
	begun := t.o.Now()
	state := t.o.State()
	name := newFleet(state).name(state.Device)
	if err := t.o.Test(ctx); err != nil {
		t.o.Log.Warn("test of the device failed", "err", err)
		t.render(w, &Finding{Severity: Critical, Text: "O " + name + " não confirmou o teste das " + clock(begun) + ".",
			Todo: "Se há uma venda em andamento, espere ela terminar e teste de novo. Se não há, verifique o cabo USB e a energia do equipamento."})
		return
	}
	t.render(w, &Finding{Severity: Fine, Text: "O " + name + " respondeu ao teste das " + clock(begun) + "."})
}

// dismiss carries out "Não avisar de novo até o próximo prazo".
func (t *till) dismiss(w http.ResponseWriter, r *http.Request) {
	if t.o.Reminder != nil {
		if err := t.o.Reminder.Dismiss(); err != nil {
			t.o.Log.Error("reminders not put off", "err", err)
			http.Error(w, "O agente não conseguiu guardar a escolha; o motivo está no registro dele.", http.StatusInternalServerError)
			return
		}
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (t *till) render(w http.ResponseWriter, tested *Finding) {
	v := view{State: t.o.State(), Now: t.o.Now(), Test: tested}
	all, f := judge(v.State, v.Now), newFleet(v.State)
	v.Rows, v.Here = f.rows(v.Now), f.here
	if len(v.Here) == 0 {
		v.Here = []Device{{}}
	}
	for _, c := range shopCertificates(v.Certificates, v.Now) {
		if c.level != noLevel && t.o.Offer != (Offer{}) {
			v.Offer = &t.o.Offer
		}
	}
	v.Remind = t.o.Reminder != nil && t.o.Reminder.Due()
	v.Top = all[0]
	for _, f := range all[1:] {
		if f.Severity != Fine {
			v.Others = append(v.Others, f)
		}
	}
	var b bytes.Buffer
	if err := t.page.Execute(&b, v); err != nil {
		t.o.Log.Error("page failed", "err", err)
		http.Error(w, "O agente não conseguiu montar esta página; o motivo está no registro dele.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(b.Bytes())
}

// progress says and paints how a command stands.
func progress(c Command) shape {
	switch {
	case c.Failed:
		return shape{"warning", "Sem sucesso"}
	case c.Ended:
		return shape{"fine", "Feito"}
	}
	return shape{"notice", "Em andamento"}
}

// shape is a state as the page paints it.
type shape struct{ Class, Word string }

func newShape(s Severity) shape {
	switch s {
	case Critical:
		return shape{"critical", "Crítico"}
	case Warning:
		return shape{"warning", "Atenção"}
	case Notice:
		return shape{"notice", "Aviso"}
	}
	return shape{"fine", "Em ordem"}
}

func memoryWord(s sat.Status) string {
	if used, ok := s.MemoryFraction(); ok {
		return percent(used)
	}
	if s.MemoryUsed.Text == "" {
		return none
	}
	return s.MemoryUsed.Text + " de " + s.MemoryTotal.Text
}

func networkWord(s sat.Status) string {
	if s.Connected() {
		return "conectado"
	}
	if s.LAN == "" {
		return none
	}
	return strings.ToLower(strings.ReplaceAll(s.LAN, "_", " "))
}
