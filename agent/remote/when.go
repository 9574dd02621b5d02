package remote

import (
	"fmt"
	"time"

	"zelo/agent/wire"
	"zelo/sat"
)

// tooLate is why a command ends without having begun.
const tooLate = "O prazo passou antes que pudesse começar."

// when decides whether a command may begin now, by the collector's time and for how
// long nobody has sold; if not, what it waits for, in pt-BR.
func when(c wire.Command, spec wire.CommandSpec, now time.Time, sinceSale time.Duration) (ok bool, text string) {
	w := spec.Window
	if c.Window != nil {
		w = *c.Window
	}
	idle := time.Duration(w.Idle) * time.Millisecond
	start := time.UnixMilli(c.NotBefore)
	switch {
	case now.After(time.UnixMilli(c.Expires)):
		return false, tooLate
	case now.Before(start):
		return false, "Marcado para " + stamp(start) + "."
	case !w.Open(now):
		return false, fmt.Sprintf("Espera a janela das %s às %s.", hour(w.From), hour(w.To))
	case sinceSale < idle:
		return false, fmt.Sprintf("Espera que o caixa fique %s sem vender; se não ficar até %s, não é feito.", minutes(idle), stamp(time.UnixMilli(c.Expires)))
	}
	return true, ""
}

func stamp(t time.Time) string { return t.In(sat.Brasilia()).Format("02/01 15:04") }

func hour(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }

func minutes(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%d segundos", int(d.Seconds()))
	}
	if d < 2*time.Minute {
		return "1 minuto"
	}
	return fmt.Sprintf("%d minutos", int(d.Minutes()))
}
