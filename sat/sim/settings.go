package sim

import (
	"crypto/x509"
	"fmt"
	"regexp"
	"time"

	"zelo/sat"
)

// Settings change what surrounds a device or what it has gone through. A nil
// field leaves things as they are. As JSON they are the "set" command of the
// control protocol.
type Settings struct {
	Online      *bool      `json:"online"`       // connected to the SEFAZ
	State       *sat.State `json:"state"`        // 1, 2, 4: blocked by order; 3: blocked by days without the SEFAZ; 0: neither, and connected
	Portal      *sat.State `json:"portal"`       // what the SEFAZ's portal holds: 0, 1, 2 or 4
	CertIssued  *string    `json:"cert_issued"`  // day, "2026-12-11"
	CertExpires *string    `json:"cert_expires"` // last day, "2026-12-11"
	MemoryUsed  *int64     `json:"memory_used"`  // bytes beside the pending documents
	ClockOffset *string    `json:"clock_offset"` // of the device's clock, "-2h30m"
	Number      *int       `json:"number"`       // nCFe last used
	Update      *string    `json:"update"`       // software version the SEFAZ offers, "01.01.00"
}

// Set applies settings, all or none. A device that is connected talks to the
// SEFAZ at once. New dates mean a new key and certificate.
func (s *Sim) Set(c Settings) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	st := s.st
	from, to, err := c.validity(s.signer.Certificate())
	for _, set := range []func(*state) error{c.setBlock, c.setClock, c.setNumbers} {
		if err == nil {
			err = set(&st)
		}
	}
	if err == nil && (c.CertIssued != nil || c.CertExpires != nil) {
		err = s.certify(from, to)
	}
	if err != nil {
		return fmt.Errorf("cannot set up the simulated device: %w", err)
	}
	s.st = st
	now := s.now()
	if c.State != nil && *c.State == sat.StateBlockedAutonomous {
		s.st.Online, s.st.LastContact = false, now.Add(-s.o.AutoBlock-time.Second)
	}
	s.talk(now)
	s.save()
	return nil
}

func (c Settings) setBlock(st *state) error {
	if c.State != nil {
		switch *c.State {
		case sat.StateUnblocked:
			st.Blocked, st.Portal, st.Online = *c.State, *c.State, true
		case sat.StateBlockedSEFAZ, sat.StateBlockedContribuinte, sat.StateBlockedDeactivation:
			st.Blocked, st.Portal = *c.State, *c.State
		case sat.StateBlockedAutonomous:
		default:
			return fmt.Errorf("no operating state has the number %d", *c.State)
		}
	}
	if c.Portal != nil {
		if *c.Portal < sat.StateUnblocked || *c.Portal > sat.StateBlockedDeactivation || *c.Portal == sat.StateBlockedAutonomous {
			return fmt.Errorf("the portal orders no block with the number %d", *c.Portal)
		}
		st.Portal = *c.Portal
	}
	if c.Online != nil {
		st.Online = *c.Online
	}
	return nil
}

// validity is that of the certificate to be, from the days given and the present
// one.
func (c Settings) validity(cert *x509.Certificate) (from, to time.Time, err error) {
	from, to = cert.NotBefore, cert.NotAfter
	for _, d := range []struct {
		text *string
		to   *time.Time
		plus time.Duration
	}{{c.CertIssued, &from, 0}, {c.CertExpires, &to, 24*time.Hour - time.Second}} {
		if d.text == nil {
			continue
		}
		t, err := time.ParseInLocation(time.DateOnly, *d.text, sat.Brasilia())
		if err != nil {
			return from, to, fmt.Errorf("%q is no day like 2026-12-11", *d.text)
		}
		*d.to = t.Add(d.plus)
	}
	if !from.Before(to) {
		return from, to, fmt.Errorf("a certificate cannot end on %s and begin on %s", to.Format(time.DateOnly), from.Format(time.DateOnly))
	}
	return from, to, nil
}

func (c Settings) setClock(st *state) error {
	if c.ClockOffset != nil {
		d, err := time.ParseDuration(*c.ClockOffset)
		if err != nil {
			return fmt.Errorf("%q is no duration like -2h30m", *c.ClockOffset)
		}
		st.ClockOffset = d
	}
	return nil
}

func (c Settings) setNumbers(st *state) error {
	if c.MemoryUsed != nil {
		if *c.MemoryUsed < 0 {
			return fmt.Errorf("memory used cannot be %d bytes", *c.MemoryUsed)
		}
		st.MemoryUsed = *c.MemoryUsed
	}
	if c.Number != nil {
		if *c.Number < 0 || *c.Number > lastNumber {
			return fmt.Errorf("nCFe %d is outside 0 to %d", *c.Number, lastNumber)
		}
		st.Number = *c.Number
	}
	if c.Update != nil {
		if *c.Update != "" && !regexp.MustCompile(`^\d\d\.\d\d\.\d\d$`).MatchString(*c.Update) {
			return fmt.Errorf("%q is no version like 01.00.00", *c.Update)
		}
		st.Update = *c.Update
	}
	return nil
}
