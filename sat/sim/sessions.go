package sim

import (
	"slices"

	"zelo/sat"
)

// Memory says which replies ConsultarNumeroSessao still knows.
type Memory string

const (
	// LastOnly is what devices were seen to do: only the command just before the
	// query is known, and the query itself counts as one, so that asking again
	// fails (dossier 5.2). The zero Memory means it too.
	LastOnly Memory = "last"
	// Generous remembers the replies of the last hundred sessions, however often
	// they are asked.
	Generous Memory = "generous"
)

// sessionsKept is how many session numbers must not repeat (dossier 5.1).
const sessionsKept = 100

// stored is a reply as it was written, with its session and function.
type stored struct {
	Session  int          `json:"session"`
	Function sat.Function `json:"function"`
	Raw      []byte       `json:"raw"`
}

// remember keeps the reply just written.
func (st *state) remember(one stored, m Memory) {
	st.Sessions = latest(append(st.Sessions, one.Session), sessionsKept)
	keep := 1
	if m == Generous {
		keep = sessionsKept
	}
	st.Replies = latest(append(st.Replies, one), keep)
	if one.Function.Fiscal() {
		st.Fiscal = &one
	}
}

func latest[T any](all []T, n int) []T { return slices.Clone(all[max(0, len(all)-n):]) }

// lastReply is the newest reply to this function that the device still knows.
func (s *Sim) lastReply(f sat.Function) []byte {
	for _, one := range slices.Backward(s.st.Replies) {
		if one.Function == f {
			return one.Raw
		}
	}
	return nil
}

// numeroSessao answers ConsultarNumeroSessao: the stored reply as it was, under
// its own session number.
func (s *Sim) numeroSessao(req sat.Request) []byte {
	if s.st.Stage != linked {
		return s.say(req, 11002)
	}
	wanted := number(req.Arg("cNumeroDeSessao"))
	for _, one := range slices.Backward(s.st.Replies) {
		if one.Session == wanted {
			return one.Raw
		}
	}
	return s.say(req, 11003)
}

// ultimaSessao answers ConsultarUltimaSessaoFiscal: the reply to the last sale or
// cancellation, whatever it said.
func (s *Sim) ultimaSessao(req sat.Request) []byte {
	switch {
	case s.st.Stage != linked:
		return s.say(req, 19002)
	case s.st.Fiscal == nil:
		return s.say(req, 19003)
	}
	return s.st.Fiscal.Raw
}
