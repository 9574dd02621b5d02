package alarm

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// conditions are what befalls a device that loses its way to the tax office, each with the
// rule that tells of it, those that tell of others first.
var conditions = []struct {
	code  Code
	set   func(*Device)
	words string
}{
	{BlockedAutonomous, block(Autonomous), "Bloqueio autônomo (estado 3) desde 19/11/2026 08:40."},
	{NetworkDown, func(d *Device) { d.NoNetwork = now.Add(-12 * day) }, "Rede do equipamento desconectada desde 09/11/2026 14:00."},
	{NoContact, func(d *Device) { d.LastContact = now.Add(-11 * day) }, "Último contato do equipamento com a SEFAZ em 10/11/2026 14:00."},
	{PendingOld, func(d *Device) { d.PendingSince, d.Pending = now.Add(-10*day), 212 }, "Há cerca de 212 documentos pendentes de envio à SEFAZ, o mais antigo de 11/11/2026 14:00."},
	{NotTransmitted, func(d *Device) { d.LastSent, d.LastIssued = now.Add(-11*day), now.Add(-9*day) }, "Vendeu em 12/11/2026 14:00 e desde então não transmitiu"},
}

// TestOneAlarmForOneCause: of all that may come together, in whatever order it comes and
// goes, one alarm stands, which tells of all; the others are behind it, or over.
func TestOneAlarmForOneCause(t *testing.T) {
	for set := range 1 << len(conditions) {
		f, name, whole := healthy(), "", -1
		for i, c := range conditions {
			if set&(1<<i) != 0 {
				c.set(f.Device)
				name += " " + string(c.code)
				if whole < 0 {
					whole = i
				}
			}
		}
		t.Run("with"+name, func(t *testing.T) {
			got := Eval(f, now)
			for i, c := range conditions {
				at := slices.IndexFunc(got, func(r Raised) bool { return r.Code == c.code })
				switch {
				case set&(1<<i) == 0:
					if at >= 0 {
						t.Errorf("%s is raised", c.code)
					}
				case at < 0:
					t.Errorf("%s is over", c.code)
				case i == whole && got[at].Behind != "":
					t.Errorf("%s is behind %s", c.code, got[at].Behind)
				case i > whole && got[at].Behind != conditions[whole].code:
					t.Errorf("%s is behind %q", c.code, got[at].Behind)
				}
				if whole < 0 || set&(1<<i) == 0 {
					continue
				}
				one := find(f, conditions[whole].code)
				if one == nil || one.Severity != Critical || !strings.Contains(one.Detail, c.words) || strings.Count(one.Detail, c.words) != 1 {
					t.Errorf("it does not tell of %s once: %+v", c.code, one)
				}
			}
			const blocked, foretold = 1, 4 + 8 // a block to come follows from contact and pending documents
			if _, ok := Forecast(f, now); ok != (set&blocked == 0 && set&foretold != 0) {
				t.Errorf("forecast: %v", ok)
			}
		})
	}
}

// TestPartsOfABlock: what is no reason of the block stands beside it.
func TestPartsOfABlock(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Device)
		code   Code
		behind Code
		says   string // the block's alarm
	}{
		{"a certificate that expired", func(d *Device) { d.CertExpires = now.AddDate(0, 0, -1) }, CertificateExpiring, BlockedAutonomous, "venceu em 20/11/2026"},
		{"a certificate that expires in a week", func(d *Device) { d.CertExpires = now.AddDate(0, 0, 7) }, CertificateExpiring, "", ""},
		{"a full memory", func(d *Device) { d.Memory = 0.95 }, MemoryFilling, BlockedAutonomous, "Memória do equipamento com 95 %"},
		{"a memory that fills", func(d *Device) { d.Memory = 0.85 }, MemoryFilling, "", ""},
		{"a weak battery", func(d *Device) { d.Battery, d.BatterySince = BatteryLow, now.Add(-day) }, BatteryWeak, "", ""},
		{"numbers missing", func(d *Device) { d.Gaps = some(2, now) }, NumbersMissing, "", ""},
		{"a clock that is off", func(d *Device) { d.ClockOff = time.Hour }, ClockOff, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := device(block(Autonomous))
			c.change(f.Device)
			got := Eval(f, now)
			if !slices.ContainsFunc(got, func(r Raised) bool { return r.Code == c.code && r.Behind == c.behind }) {
				t.Errorf("not behind %q", c.behind)
			}
			if whole := find(f, BlockedAutonomous); whole == nil || !strings.Contains(whole.Detail, c.says) {
				t.Errorf("the block does not say %q: %+v", c.says, whole)
			}
		})
	}
}

// TestPartOfWhatIsLesser: an alarm is as grave as its gravest part.
func TestPartOfWhatIsLesser(t *testing.T) {
	f := device(func(d *Device) { d.NoNetwork, d.PendingSince = now.Add(-time.Hour), now.Add(-9*day) })
	got := find(f, NetworkDown)
	if got == nil || got.Severity != Critical || got.Step != 1 || !got.Since.Equal(now.Add(-time.Hour)) {
		t.Errorf("%+v", got)
	}
	f.Device.NoNetwork = time.Time{}
	if find(f, NetworkDown) != nil || find(f, PendingOld) == nil {
		t.Error("what is left does not stand alone")
	}
	f.Device.Stage = Draining
	block(Autonomous)(f.Device)
	if find(f, PendingOld) == nil {
		t.Error("behind a rule that is not judged at this stage")
	}
}

// TestEveryRuleInhibits takes what raises each rule and lets each other that it depends on,
// or is part of, hold too: it is behind that one, and stands again without it.
func TestEveryRuleInhibits(t *testing.T) {
	hold := map[Code]func(*Facts){
		AgentSilent:        func(f *Facts) { f.Agent.Heard = now.Add(-20 * time.Minute) },
		DeviceNotAnswering: func(f *Facts) { f.Device.Silent = now.Add(-time.Hour) },
		StatusOld:          func(f *Facts) { f.Device.StatusAt = now.Add(-2 * day) },
	}
	for _, c := range conditions {
		hold[c.code] = func(f *Facts) { c.set(f.Device) }
	}
	for _, c := range cases {
		r, _ := RuleOf(c.code)
		above := slices.Clone(r.DependsOn)
		for _, part := range r.PartOf {
			if c.step >= part.From {
				above = append(above, part.Of)
			}
		}
		if c.want == 0 {
			continue
		}
		for _, parent := range above {
			t.Run(fmt.Sprintf("%s/%s/%s", c.code, c.name, parent), func(t *testing.T) {
				f := c.f
				if f.Agent != nil {
					a := *f.Agent
					f.Agent = &a
				}
				if f.Device != nil {
					d := *f.Device
					f.Device = &d
				}
				if hold[parent] == nil {
					t.Fatalf("nothing here raises %s", parent)
				}
				hold[parent](&f)
				for _, got := range Eval(f, now) {
					if got.Code == c.code && got.Behind == parent {
						return
					}
				}
				t.Errorf("not behind %s: %+v", parent, Eval(f, now))
			})
		}
	}
}
