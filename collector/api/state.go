package api

import "zelo/collector/alarm"

// State is how something stands, for a person at a glance.
type State string

// The states.
const (
	Fine     State = "fine"     // checked, and nothing to do
	Notice   State = "notice"   // to be known, nothing to do yet
	Warning  State = "warning"  // to be looked after
	Critical State = "critical" // stopped, or about to
	Silent   State = "silent"   // not heard
	Waiting  State = "waiting"  // enrolled and never heard
	Archive  State = "archive"  // known from documents alone
)

// Word says a state in pt-BR.
func (s State) Word() string {
	switch s {
	case Fine:
		return "Em ordem"
	case Notice:
		return "Aviso"
	case Warning:
		return "Atenção"
	case Critical:
		return "Crítico"
	case Silent:
		return "Sem notícia"
	case Waiting:
		return "Aguardando"
	}
	return "Só arquivo"
}

// stateOf is how an alarm of a code and severity is shown.
func stateOf(c alarm.Code, s alarm.Severity) State {
	switch {
	case s == alarm.Critical:
		return Critical
	case s == alarm.Warning:
		return Warning
	case c == alarm.AgentSilent:
		return Silent
	}
	return Notice
}
