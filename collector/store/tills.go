package store

import (
	"cmp"
	"slices"

	"zelo/collector/alarm"
)

// Till is one row of the list of tills: an agent with its devices and open
// alarms, or a device that no agent has reported.
type Till struct {
	Agent   Agent // zero ID for a device without agent
	Devices []Device
	Alarms  []Alarm // open, gravest first; those explained by another last
}

// Severity is that of the gravest alarm that stands for itself, 0 without one.
func (t Till) Severity() alarm.Severity {
	worst := alarm.Severity(0)
	for _, a := range t.Alarms {
		if a.Behind == "" {
			worst = max(worst, a.Severity)
		}
	}
	return worst
}

// Tills returns all tills, the worst first, also those of others that serve somebody
// in sight: these come without whose they are.
func (r *Reader) Tills() ([]Till, error) {
	args := arguments{}
	agents, err := all(r, scanAgent, `SELECT `+r.sharedAgents(&args)+` FROM agents WHERE `+r.sharesAgents("id", &args)+` ORDER BY id`, args...)
	if err != nil {
		return nil, err
	}
	devices, err := r.Devices()
	if err != nil {
		return nil, err
	}
	alarms, err := r.OpenAlarms()
	if err != nil {
		return nil, err
	}
	tills := make([]*Till, 0, len(agents))
	byAgent, byDevice := map[string]*Till{}, map[string]*Till{}
	for _, a := range agents {
		byAgent[a.ID] = &Till{Agent: a}
		tills = append(tills, byAgent[a.ID])
	}
	for _, d := range devices {
		t := byAgent[d.Agent]
		if t == nil {
			t = &Till{}
			tills = append(tills, t)
		}
		t.Devices = append(t.Devices, d)
		byDevice[d.Serial] = t
	}
	for _, a := range alarms {
		t := byAgent[a.Subject.ID]
		if a.Subject.Kind == alarm.OfDevice {
			t = byDevice[a.Subject.ID]
		}
		if t != nil {
			t.Alarms = append(t.Alarms, a)
		}
	}
	out := make([]Till, len(tills))
	for i, t := range tills {
		out[i] = *t
	}
	slices.SortStableFunc(out, func(a, b Till) int {
		return cmp.Or(cmp.Compare(b.Severity(), a.Severity()), cmp.Compare(len(b.Alarms), len(a.Alarms)),
			cmp.Compare(a.Agent.Host, b.Agent.Host))
	})
	return out, nil
}

// Till returns one of the Tills by its agent.
func (r *Reader) Till(agent string) (t Till, err error) {
	args := arguments{agent}
	t.Agent, err = one(r, scanAgent, `SELECT `+r.sharedAgents(&args)+` FROM agents WHERE id = $1 AND `+r.sharesAgents("id", &args), args...)
	if err != nil {
		return t, err
	}
	if t.Devices, err = r.DevicesOf(agent); err != nil {
		return t, err
	}
	t.Alarms, err = r.openAlarms("a.kind = 'agent' AND a.subject = $1 OR d.agent = $1", arguments{agent})
	return t, err
}
