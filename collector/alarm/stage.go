package alarm

import (
	"fmt"
	"time"
)

// Stage is where a device stands in its life. A person sets it; alarms and forecasts
// follow it.
type Stage string

// The stages. The zero Stage is InUse.
const (
	InUse    Stage = "em-operacao"
	Draining Stage = "esvaziando" // sells no more, and sends what it still holds
	Closed   Stage = "encerrado"  // put away
	Lost     Stage = "extraviado"
)

// Stages are all of them in the order of a device's life.
func Stages() []Stage { return []Stage{InUse, Draining, Closed, Lost} }

// String is the stage in pt-BR.
func (s Stage) String() string {
	switch s {
	case Draining:
		return "esvaziando"
	case Closed:
		return "encerrado"
	case Lost:
		return "extraviado"
	}
	return "em operação"
}

// Away tells whether nobody expects anything of the device any more.
func (s Stage) Away() bool { return s == Closed || s == Lost }

// matters tells whether a rule is judged at a device's stage.
func (r *Rule) matters(d *Device) bool {
	switch {
	case d == nil || d.Stage == InUse || d.Stage == "":
		return true
	case d.Stage == Draining:
		return r.Until >= untilDrained
	}
	return r.Until == untilGone
}

// until is how long in a device's life a rule is judged.
type until int

const (
	whileInUse   until = iota
	untilDrained       // it tells what keeps a device from sending what it holds
	untilGone          // it is about documents, which outlive the device
)

// ProposeStage says which stage the facts speak for, and why (pt-BR); ok is false
// when they speak for none but the present one. A person decides.
func ProposeStage(f Facts, now time.Time) (s Stage, why string, ok bool) {
	d := f.Device
	if d == nil || d.Stage.Away() {
		return "", "", false
	}
	fresh := !d.StatusAt.IsZero() && now.Sub(d.StatusAt) < 2*day
	switch {
	case d.Stage == Draining && fresh && d.PendingSince.IsZero() && d.Gaps.Count == 0 && d.Ahead.Count == 0 && f.Missing.Count == 0 && f.Unresolved.Count == 0:
		return Closed, "O equipamento confirma que não há pendentes, e todos os números dele estão salvos na nuvem.", true
	case !d.Silent.IsZero() && now.Sub(d.Silent) >= 30*day:
		return Lost, fmt.Sprintf("O equipamento não responde desde %s, e o caixa dele continua em contato.", moment(d.Silent)), true
	case d.Stage == Draining:
		return "", "", false
	case d.Block == ForDeactivation:
		return Draining, "Foi pedida a cessação de uso deste equipamento.", true
	case d.Block == ByTaxOffice && !now.Before(banned()):
		return Draining, "A SEFAZ bloqueou o equipamento, e o uso é vedado desde 01/01/2026.", true
	case !now.Before(banned()) && !d.LastIssued.IsZero() && now.Sub(d.LastIssued) >= 30*day:
		return Draining, fmt.Sprintf("Não emite desde %s, e o uso é vedado desde 01/01/2026.", date(d.LastIssued)), true
	}
	return "", "", false
}

// banned is when the emission of CF-e became prohibited in SP and CE (dossier on
// CF-e documents, 7).
func banned() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, brasilia) }
