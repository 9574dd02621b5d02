package api

import (
	"context"
	"errors"
	"slices"
	"time"

	"zelo/collector/alarm"
	"zelo/collector/store"
)

// Till is one till: an agent with its devices and open alarms, or a device that
// no agent has reported.
type Till struct {
	store.Till
	ID    string // the agent's, or the serial number of a device without one
	State State
	Worst *Alarm // the gravest alarm that stands for itself; nil without one
}

// Name is what people call the till.
func (t Till) Name() string {
	switch {
	case t.Agent.Host != "":
		return t.Agent.Host
	case t.Agent.ID != "":
		return "Caixa " + t.Agent.ID
	}
	return "SAT " + t.ID
}

// Shop is the name of the shop, from the documents of its devices, else of its agent's
// establishment; "" when neither is known.
func (t Till) Shop() string {
	for _, d := range t.Devices {
		if d.IssuerName != "" {
			return d.IssuerName
		}
	}
	return t.Agent.Shop
}

// Issuers are the CNPJ for which its devices issue, each once.
func (t Till) Issuers() (all []string) {
	for _, d := range t.Devices {
		if d.Issuer != "" && !slices.Contains(all, d.Issuer) {
			all = append(all, d.Issuer)
		}
	}
	return all
}

// Unheard tells whether nothing is heard of its agent, however grave that is by now, or
// never was.
func (t Till) Unheard() bool {
	return t.Agent.ID != "" && t.Agent.HeardAt.IsZero() ||
		slices.ContainsFunc(t.Alarms, func(a store.Alarm) bool { return a.Code == alarm.AgentSilent })
}

// LastSale is when the newest document of its devices was issued.
func (t Till) LastSale() (last time.Time) {
	for _, d := range t.Devices {
		if d.LastIssued.After(last) {
			last = d.LastIssued
		}
	}
	return last
}

// Documents is how many documents of its devices are in the archive.
func (t Till) Documents() (n int) {
	for _, d := range t.Devices {
		n += d.Documents
	}
	return n
}

func tillOf(t store.Till) Till {
	out := Till{Till: t, ID: t.Agent.ID, State: Fine}
	switch {
	case t.Agent.ID == "":
		out.ID, out.State = t.Devices[0].Serial, Archive
	case t.Agent.HeardAt.IsZero():
		out.State = Waiting
	}
	causesFirst(out.Alarms)
	if len(out.Alarms) > 0 && out.Alarms[0].Behind == "" {
		worst := alarmOf(out.Alarms[0])
		out.Worst, out.State = &worst, worst.State
	}
	return out
}

// Tills lists all tills, the worst first.
func (a *API) Tills(ctx context.Context, c Caller) (tills []Till, err error) {
	err = a.view(ctx, c, opTills, func(r *store.Reader) error {
		tills, err = readTills(r)
		return err
	})
	return tills, err
}

func readTills(r *store.Reader) (tills []Till, err error) {
	list, err := r.Tills()
	for _, t := range list {
		tills = append(tills, tillOf(t))
	}
	return tills, err
}

// TillPage is one till with what happened there lately.
type TillPage struct {
	Till
	Others   []Alarm // open alarms beside the worst, gravest first
	Events   []store.Event
	Coupons  []Listed            // newest first
	Identity []store.Certificate // of the agent, newest first
	Ended    store.Revocation    // of its identity; zero while that stands
}

// Lengths of the lists on a till's page.
const (
	shownEvents  = 20
	shownCoupons = 10
)

// Till returns one till by its id.
func (a *API) Till(ctx context.Context, c Caller, id string) (p TillPage, err error) {
	err = a.view(ctx, c, opTill, func(r *store.Reader) error {
		if err := readTill(r, id, &p); err != nil {
			return err
		}
		others := p.Alarms
		if p.Worst != nil {
			others = others[1:]
		}
		for _, one := range others {
			p.Others = append(p.Others, alarmOf(one))
		}
		for _, d := range p.Devices {
			found, _, err := r.Search(store.Search{Serial: d.Serial, Limit: shownCoupons})
			if err != nil {
				return err
			}
			listed, err := listAll(r, found)
			if err != nil {
				return err
			}
			p.Coupons = append(p.Coupons, listed...)
		}
		slices.SortStableFunc(p.Coupons, func(a, b Listed) int { return b.Issued.Compare(a.Issued) })
		p.Coupons = p.Coupons[:min(len(p.Coupons), shownCoupons)]
		if p.Events, err = r.EventsOf(p.Agent.ID, shownEvents); err != nil || p.Agent.ID == "" {
			return err
		}
		if p.Ended, err = r.Revocation(p.Agent.ID); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		p.Identity, err = r.Certificates(p.Agent.ID)
		return err
	})
	return p, err
}

func readTill(r *store.Reader, id string, p *TillPage) error {
	t, err := r.Till(id)
	if errors.Is(err, store.ErrNotFound) {
		return readLoneDevice(r, id, p)
	}
	if err != nil {
		return err
	}
	p.Till = tillOf(t)
	return nil
}

// readLoneDevice reads a device that no agent has reported. A device with an
// agent is not a till of its own.
func readLoneDevice(r *store.Reader, serial string, p *TillPage) error {
	d, err := r.Device(serial)
	if err != nil {
		return err
	}
	if d.Agent != "" {
		return ErrNotFound
	}
	t := store.Till{Devices: []store.Device{d}}
	open, err := r.OpenAlarms()
	for _, a := range open {
		if a.Subject == (alarm.Subject{Kind: alarm.OfDevice, ID: serial}) {
			t.Alarms = append(t.Alarms, a)
		}
	}
	p.Till = tillOf(t)
	return err
}
