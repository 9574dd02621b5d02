package alarm

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestHysteresis: an alarm ends later than it begins, so that a value on the edge
// does not make one after another.
func TestHysteresis(t *testing.T) {
	for _, c := range []struct {
		name   string
		memory float64
		open   int // step of the open alarm
		step   int
	}{
		{"rises to the step", 0.70, 0, 1},
		{"below the step", 0.69, 0, 0},
		{"falls a little", 0.68, 1, 1},
		{"falls to the end", 0.67, 1, 1},
		{"falls below", 0.669, 1, 0},
		{"a graver step falls a little", 0.83, 2, 2},
		{"a graver step falls below", 0.81, 2, 1},
		{"rises on", 0.85, 1, 2},
		{"not yet", 0.84, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := device(func(d *Device) { d.Memory = c.memory })
			f.Open = map[Code]int{MemoryFilling: c.open}
			step := 0
			if got := find(f, MemoryFilling); got != nil {
				step = got.Step
			}
			if step != c.step {
				t.Errorf("step %d, want %d", step, c.step)
			}
		})
	}
	falling := disk(11)
	falling.Open = map[Code]int{DiskFilling: 1}
	if got := find(falling, DiskFilling); got == nil || got.Step != 1 {
		t.Errorf("where less is worse: %+v", got)
	}
	falling.Agent.Disks[1].Free = 13
	if got := find(falling, DiskFilling); got != nil {
		t.Errorf("over: %+v", got)
	}
	held := library(time.Minute)
	held.Open = map[Code]int{MakersLibrary: 1}
	if find(held, MakersLibrary) == nil {
		t.Error("what is open needs no hold any more")
	}
}

// TestEveryScaleHolds: each step of each rule begins at its value, and once open ends only
// when the value is better by what the rule says.
func TestEveryScaleHolds(t *testing.T) {
	const little = 1e-6
	for _, r := range Rules() {
		worse := 1.0
		if r.Scale.falls() {
			worse = -1
		}
		for i, step := range r.Scale.Steps {
			for _, c := range []struct {
				v    float64
				open int
				want bool // that the step is reached
			}{
				{step.At, 0, true}, {step.At - worse*little, 0, false},
				{step.At - worse*(r.Scale.Clear-little), i + 1, true}, {step.At - worse*(r.Scale.Clear+little), i + 1, false},
			} {
				if n, severity := r.Scale.reached(c.v, c.open); (n > i) != c.want || n > 0 && severity != r.Scale.Steps[n-1].Severity {
					t.Errorf("%s at %v, open at %d: step %d, %v", r.Code, c.v, c.open, n, severity)
				}
			}
		}
	}
}

func TestTenantsThresholds(t *testing.T) {
	f := device(func(d *Device) { d.LastContact = now.Add(-13 * time.Hour) })
	if find(f, NoContact) != nil {
		t.Fatal("raised by the defaults")
	}
	reseller := Policy{Steps: map[Code][]float64{NoContact: {12, 24, 48}, PendingOld: {1, 2, 3}}, ContactLimit: 15, Holidays: []string{"25/01"}}
	f.Policy = Policy{}.Over(reseller)
	if got := find(f, NoContact); got == nil || got.Severity != Warning {
		t.Errorf("%+v", got)
	}
	shop := Policy{Steps: map[Code][]float64{NoContact: {6, 12, 48}}, Holidays: []string{"08/12"}}
	f.Policy = shop.Over(reseller)
	if got := find(f, NoContact); got == nil || got.Severity != Critical {
		t.Errorf("the shop's own do not count: %+v", got)
	}
	if !reflect.DeepEqual(f.Policy.Steps[PendingOld], []float64{1, 2, 3}) || f.Policy.ContactLimit != 15 || len(f.Policy.Holidays) != 2 {
		t.Errorf("%+v", f.Policy)
	}
	if len(reseller.Steps) != 2 || reseller.Steps[NoContact][0] != 12 {
		t.Errorf("the reseller's own changed: %+v", reseller)
	}
	f.Policy.Steps[NoContact] = []float64{1} // of another version of the rule
	if find(f, NoContact) != nil {
		t.Error("thresholds that do not fit were used")
	}
}

func TestPolicyBounds(t *testing.T) {
	steps := func(code Code, values ...float64) Policy { return Policy{Steps: map[Code][]float64{code: values}} }
	for _, c := range []struct {
		name string
		p    Policy
		want string // "" is taken
	}{
		{"nothing set", Policy{}, ""},
		{"rising", steps(NoContact, 12, 24, 48), ""},
		{"falling", steps(CertificateExpiring, 120, 60, 30, 20, 10, 5, 0), ""},
		{"no such rule", steps("nope", 1), "não tem limites"},
		{"a rule without a scale", steps(BlockedAutonomous, 1), "não tem limites"},
		{"too few", steps(NoContact, 12), "escreva 3 limites, em horas"},
		{"too low", steps(NoContact, 0, 24, 48), "vai de 1 a 1440 horas"},
		{"too high", steps(MemoryFilling, 50, 60, 100), "vai de 10 a 99 %"},
		{"no number", steps(NoContact, math.NaN(), 24, 48), "vai de 1"},
		{"out of order", steps(NoContact, 24, 12, 48), "do menos ao mais grave"},
		{"twice the same", steps(NoContact, 24, 24, 48), "do menos ao mais grave"},
		{"falling out of order", steps(CertificateExpiring, 60, 90, 30, 15, 7, 1, 0), "do menos ao mais grave"},
		{"a limit", Policy{ContactLimit: 15, PendingLimit: 8}, ""},
		{"a limit too long", Policy{ContactLimit: 61}, "de 1 a 60"},
		{"a negative limit", Policy{PendingLimit: -1}, "de 1 a 60"},
		{"levels", Policy{Escalate: []int{10, 20}}, ""},
		{"levels out of order", Policy{Escalate: []int{20, 10}}, "maior que o anterior"},
		{"too many levels", Policy{Escalate: []int{1, 2, 3, 4, 5, 6}}, "no máximo 5"},
		{"hours", Policy{Opens: 60, Closes: 1440}, ""},
		{"hours turned round", Policy{Opens: 600, Closes: 540}, "começar antes de terminar"},
		{"holidays", Policy{Holidays: []string{"25/01", "29/02", "12/06/2027"}}, ""},
		{"no holiday", Policy{Holidays: []string{"30/02"}}, `"30/02" não é uma data`},
		{"too many holidays", Policy{Holidays: make([]string, 101)}, "no máximo 100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.p.Check()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	for _, r := range Rules() {
		if len(r.Scale.Steps) == 0 {
			continue
		}
		if err := checkSteps(r.Code, Policy{}.Values(r)); err != nil {
			t.Errorf("the default of %s: %v", r.Code, err)
		}
	}
}

func TestNationalHolidays(t *testing.T) {
	for year, want := range map[int]string{ // feriados nacionais e pontos facultativos, as the federal government published them
		2023: "01/01 20/02 21/02 07/04 21/04 01/05 08/06 07/09 12/10 02/11 15/11 25/12",
		2024: "01/01 12/02 13/02 29/03 21/04 01/05 30/05 07/09 12/10 02/11 15/11 20/11 25/12",
		2025: "01/01 03/03 04/03 18/04 21/04 01/05 19/06 07/09 12/10 02/11 15/11 20/11 25/12",
		2026: "01/01 16/02 17/02 03/04 21/04 01/05 04/06 07/09 12/10 02/11 15/11 20/11 25/12",
		2027: "01/01 08/02 09/02 26/03 21/04 01/05 27/05 07/09 12/10 02/11 15/11 20/11 25/12",
		2028: "01/01 28/02 29/02 14/04 21/04 01/05 15/06 07/09 12/10 02/11 15/11 20/11 25/12",
		2029: "01/01 12/02 13/02 30/03 21/04 01/05 31/05 07/09 12/10 02/11 15/11 20/11 25/12",
		2030: "01/01 04/03 05/03 19/04 21/04 01/05 20/06 07/09 12/10 02/11 15/11 20/11 25/12",
		2038: "01/01 08/03 09/03 21/04 23/04 01/05 24/06 07/09 12/10 02/11 15/11 20/11 25/12",
	} {
		var got []string
		for _, d := range NationalHolidays(year) {
			got = append(got, d.Format("02/01"))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%d: %s, want %s", year, strings.Join(got, " "), want)
		}
	}
}

func TestBusiness(t *testing.T) {
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 11, day, hour, minute, 0, 0, brasilia) }
	saturdays := Policy{Opens: 9 * 60, Closes: 12 * 60, Saturdays: true}
	for _, c := range []struct {
		name     string
		p        Policy
		from, to time.Time
		want     time.Duration
	}{
		{"within a day", Policy{}, at(18, 9, 0), at(18, 9, 30), 30 * time.Minute},
		{"before it opens", Policy{}, at(18, 5, 0), at(18, 8, 30), 30 * time.Minute},
		{"after it closes", Policy{}, at(18, 17, 30), at(18, 23, 0), 30 * time.Minute},
		{"over night", Policy{}, at(18, 17, 0), at(19, 9, 0), 2 * time.Hour},
		{"over a holiday and a weekend", Policy{}, at(19, 17, 0), at(23, 9, 0), 2 * time.Hour}, // Friday 20 is one
		{"Saturday is none", Policy{}, at(21, 8, 0), at(21, 18, 0), 0},
		{"Saturday is one", saturdays, at(21, 8, 0), at(21, 18, 0), 3 * time.Hour},
		{"Sunday is none", saturdays, at(22, 8, 0), at(22, 18, 0), 0},
		{"a town's own holiday", Policy{Holidays: []string{"18/11"}}, at(18, 9, 0), at(18, 18, 0), 0},
		{"the state's and the town's", Policy{Holidays: []string{"18/11"}}.Over(Policy{Holidays: []string{"17/11"}}), at(17, 9, 0), at(19, 9, 0), time.Hour},
		{"of another year", Policy{Holidays: []string{"18/11/2027"}}, at(18, 9, 0), at(18, 18, 0), 9 * time.Hour},
		{"backwards", Policy{}, at(18, 18, 0), at(18, 9, 0), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.p.Filled().Business(c.from, c.to); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestEscalation(t *testing.T) {
	friday := time.Date(2026, 11, 13, 17, 0, 0, 0, brasilia) // Monday to Thursday follow, Friday 20 is a holiday
	for _, c := range []struct {
		name            string
		s               Severity
		after           time.Duration
		taken, silenced bool
		want            int
	}{
		{"just begun", Critical, 0, false, false, 0},
		{"half an hour", Critical, 30 * time.Minute, false, false, 1},
		{"over the weekend", Critical, 2*day + 15*time.Hour, false, false, 1},
		{"Monday at 9", Critical, 2*day + 16*time.Hour, false, false, 2},
		{"Monday evening", Critical, 3 * day, false, false, 3},
		{"taken on", Critical, 3 * day, true, false, 0},
		{"silenced", Critical, 3 * day, false, true, 0},
		{"a warning", Warning, 3 * day, false, false, 0},
		{"long ago", Critical, 400 * day, false, false, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := (Policy{}).Level(c.s, friday, c.taken, c.silenced, friday.Add(c.after)); got != c.want {
				t.Errorf("level %d, want %d", got, c.want)
			}
		})
	}
}
