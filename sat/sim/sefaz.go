package sim

import (
	"slices"
	"time"

	"zelo/sat"
)

// contactEvery is how often a connected device talks to the SEFAZ.
const contactEvery = 10 * time.Minute

// DefaultAutoBlock is how long a device works without the SEFAZ when its
// parameters do not say: sources give 10 or 15 days (dossier on CF-e documents,
// 4.3).
const DefaultAutoBlock = 10 * 24 * time.Hour

// contact lets the device talk to the SEFAZ when that is due.
func (s *Sim) contact(now time.Time) {
	if now.Sub(s.st.LastContact) >= contactEvery {
		s.talk(now)
	}
}

// talk takes the SEFAZ's orders and sends the pending documents, if the device is
// connected.
func (s *Sim) talk(now time.Time) {
	st := &s.st
	if !st.Online || st.Stage < active {
		return
	}
	st.LastContact = now
	if st.Portal == sat.StateBlockedSEFAZ || st.Portal == sat.StateBlockedDeactivation {
		st.Blocked = st.Portal
	}
	if len(st.Pending) > 0 {
		st.LastSent, st.Pending = now, nil
		s.log("SAT-SEFAZ", "info", "lote de CF-e enviado")
	}
}

// operation is ESTADO_OPERACAO: a block by order, else the autonomous one.
func (s *Sim) operation(now time.Time) sat.State {
	if s.st.Blocked != sat.StateUnblocked {
		return s.st.Blocked
	}
	if s.st.Stage >= active && s.mustBlock(now) {
		return sat.StateBlockedAutonomous
	}
	return sat.StateUnblocked
}

// mustBlock reports a cause of the autonomous block (dossier on CF-e documents,
// 4.3): memory 95 % full, certificate expired, no contact or a document unsent
// for too long.
func (s *Sim) mustBlock(now time.Time) bool {
	late := func(t time.Time) bool { return now.Sub(t) > s.o.AutoBlock }
	return s.memoryUsed()*100 >= s.o.MemoryTotal*95 ||
		now.After(s.signer.Certificate().NotAfter) ||
		late(s.st.LastContact) ||
		slices.ContainsFunc(s.st.Pending, func(p pending) bool { return late(p.Time) })
}

func (s *Sim) memoryUsed() int64 {
	used := s.st.MemoryUsed
	for _, p := range s.st.Pending {
		used += p.Size
	}
	return used
}

// bloquear answers BloquearSAT: the taxpayer blocks a device after asking for it
// on the SEFAZ's portal (dossier 5.6).
func (s *Sim) bloquear(req sat.Request) []byte {
	switch {
	case s.st.Blocked != sat.StateUnblocked:
		return s.say(req, 16002)
	case !s.st.Online:
		return s.say(req, 16003)
	case s.st.Portal != sat.StateBlockedContribuinte:
		return s.say(req, 16004)
	case len(s.st.Pending) > 0:
		return s.say(req, 16099)
	}
	s.st.Blocked = sat.StateBlockedContribuinte
	return s.say(req, 16000)
}

// desbloquear answers DesbloquearSAT: only what the portal has let go.
func (s *Sim) desbloquear(req sat.Request, now time.Time) []byte {
	switch state := s.operation(now); {
	case state == sat.StateUnblocked:
		return s.say(req, 17005)
	case state == sat.StateBlockedAutonomous:
		return s.say(req, 17006)
	case state == sat.StateBlockedDeactivation:
		return s.say(req, 17007)
	case !s.st.Online:
		return s.say(req, 17004)
	case s.st.Portal == sat.StateBlockedContribuinte:
		return s.say(req, 17002)
	case s.st.Portal != sat.StateUnblocked:
		return s.say(req, 17003)
	}
	s.st.Blocked = sat.StateUnblocked
	return s.say(req, 17000)
}
