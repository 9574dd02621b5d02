package api

import (
	"cmp"
	"context"
	"regexp"
	"time"

	"zelo/collector/alarm"
	"zelo/collector/store"
)

// OpComputer shows the computer of a till.
const OpComputer Op = "tills.computer"

// Computer is what a till told of its computer, of the sales there and of its agent. The
// states are those of the till's open alarms, so that pages and alarms never differ.
type Computer struct {
	store.Inventory
	Memory       State // these are "" while nothing is known
	Antivirus    State
	Clock        State
	USB          State
	Agent        State
	Library      State
	Disks        []ComputerDisk
	Certificates []ComputerCertificate
	Remote       []RemoteAccess
}

// ComputerDisk is one volume.
type ComputerDisk struct {
	store.Told[store.Disk]
	State State
}

// ComputerCertificate is one certificate of a company.
type ComputerCertificate struct {
	store.Told[store.CompanyCertificate]
	State State
}

// Until is when it ends.
func (c ComputerCertificate) Until() time.Time { return instant(c.Body.Until) }

// RemoteAccess is a program by which the computer can be reached.
type RemoteAccess struct {
	store.Told[store.Remote]
	Name string // of the program
	Link string // opens it, called by that number; "" when number or program is none we know
}

// Booted is when the computer started; zero when that is not known.
func (c Computer) Booted() time.Time {
	return instant(c.Inventory.Computer.Body.Booted)
}

// Known tells whether anything was told.
func (c Computer) Known() bool {
	return c.Memory+c.Clock+c.Agent+c.USB != "" || len(c.Disks)+len(c.Certificates)+len(c.Remote)+len(c.Days) > 0
}

// Computer returns what is known of the computer of a till, to the till's own people:
// whom it only serves beside them does not find it.
func (a *API) Computer(ctx context.Context, c Caller, till string) (out Computer, err error) {
	err = a.view(ctx, c, OpComputer, func(r *store.Reader) error {
		told, err := r.Inventory(till, a.o.Now())
		if err != nil {
			return err
		}
		open, err := r.OpenAlarms()
		out = computerOf(told, alarmsOf(open, till), a.o.Now())
		return err
	})
	return out, err
}

// standing are the states of what may be in alarm: an agent's by code, certificates' by
// their key.
type standing struct {
	agent       map[alarm.Code]State
	certificate map[string]State
}

func alarmsOf(open []store.Alarm, agent string) standing {
	s := standing{map[alarm.Code]State{}, map[string]State{}}
	for _, a := range open {
		switch {
		case a.Subject == alarm.Subject{Kind: alarm.OfAgent, ID: agent}:
			s.agent[a.Code] = stateOf(a.Code, a.Severity)
		case a.Subject.Kind == alarm.OfCertificate:
			s.certificate[a.Subject.ID] = stateOf(a.Code, a.Severity)
		}
	}
	return s
}

func computerOf(told store.Inventory, s standing, now time.Time) Computer {
	out := Computer{Inventory: told}
	fine := cmp.Or(s.agent[alarm.AgentSilent], Fine) // nobody knows of a till that is silent whether all is well
	of := func(c alarm.Code) State { return cmp.Or(s.agent[c], fine) }
	if c := told.Computer.Body; !told.Computer.At.IsZero() {
		if c.MemoryTotal > 0 {
			out.Memory = of(alarm.MemoryLow)
		}
		out.USB = of(alarm.USBErrors)
		switch {
		case c.ClockSynced < 0:
			out.Clock = cmp.Or(s.agent[alarm.ComputerClock], Notice)
		case c.ClockSynced > 0:
			out.Clock = of(alarm.ComputerClock)
		}
		switch c.Antivirus {
		case "off", "outdated":
			out.Antivirus = cmp.Or(s.agent[alarm.AntivirusOff], Notice)
		case "on":
			out.Antivirus = fine
		}
	}
	if !told.Health.At.IsZero() {
		out.Agent = of(alarm.AgentUnwell)
	}
	if len(told.Libraries) > 0 {
		out.Library = cmp.Or(s.agent[alarm.MakersLibrary], of(alarm.LibraryUnseen))
	}
	fullest := 0
	for i, d := range told.Disks {
		out.Disks = append(out.Disks, ComputerDisk{d, fine})
		if freeShare(d.Body) < freeShare(told.Disks[fullest].Body) {
			fullest = i
		}
	}
	if len(out.Disks) > 0 { // the alarm is about the volume with the least room
		out.Disks[fullest].State = of(alarm.DiskFilling)
	}
	for _, c := range told.Certificates {
		one := ComputerCertificate{c, cmp.Or(s.certificate[c.Key], Fine)}
		if one.State == Fine && one.Until().Before(now) {
			one.State = Notice // a newer one took its place
		}
		out.Certificates = append(out.Certificates, one)
	}
	for _, p := range told.Remote {
		out.Remote = append(out.Remote, remoteAccess(p))
	}
	return out
}

func freeShare(d store.Disk) float64 {
	if d.Total <= 0 {
		return 1
	}
	return float64(d.Free) / float64(d.Total)
}

// remoteAccess makes a link of the number that a computer told only when it is well
// formed: it may have told anything.
func remoteAccess(p store.Told[store.Remote]) RemoteAccess {
	out := RemoteAccess{Told: p, Name: p.Key}
	link := ""
	switch p.Key {
	case "anydesk":
		out.Name, link = "AnyDesk", "anydesk:"
	case "rustdesk":
		out.Name, link = "RustDesk", "rustdesk://"
	case "teamviewer":
		out.Name, link = "TeamViewer", "teamviewer10://control?device="
	}
	if link != "" && regexp.MustCompile(`^[0-9A-Za-z]{1,32}$`).MatchString(p.Body.ID) {
		out.Link = link + p.Body.ID
	}
	return out
}

// computers are the operations about the computers of tills.
func computers() []Operation {
	roles := []store.Role{store.RolePlatform, store.RoleReseller, store.RoleTechnician, store.RoleTaxpayer}
	return []Operation{
		{OpComputer, "GET", "/tills/{till}/computer", roles, "", par("till", "till"), computerAnswer{},
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return says(sayComputer)(a.Computer(ctx, c, in.Values["till"]))
			}},
	}
}
