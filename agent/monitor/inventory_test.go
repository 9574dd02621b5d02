package monitor

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"zelo/agent/wire"
	"zelo/sat"
	"zelo/sat/cfe"
)

// TestThingsAreToldWhenTheyChange: once, daily, and when they are gone; a restart tells
// nothing twice and forgets nothing.
func TestThingsAreToldWhenTheyChange(t *testing.T) {
	x := newBench(t)
	now := time.Now()
	disk := func(free int64) []wire.Inventory {
		return []wire.Inventory{{What: wire.InventoryDisk, Key: "C:", Disk: &wire.Disk{Total: 1000, Free: free}},
			{What: wire.InventoryRemote, Key: anyDesk, Remote: &wire.Remote{ID: "123456789"}}}
	}
	for _, step := range []struct {
		name   string
		after  time.Duration
		things []wire.Inventory
		want   int
		gone   string
	}{
		{"first", 0, disk(500), 2, ""},
		{"the same", time.Hour, disk(500), 0, ""},
		{"about the same", time.Hour, disk(501), 0, ""},
		{"less", time.Hour, disk(490), 1, ""},
		{"little: each percent counts", time.Hour, disk(90), 1, ""},
		{"a little less", time.Hour, disk(79), 1, ""},
		{"daily", 20 * time.Hour, disk(79), 1, ""},
		{"one is gone", time.Minute, disk(79)[:1], 1, anyDesk},
		{"gone is told once", time.Minute, disk(79)[:1], 0, ""},
	} {
		now = now.Add(step.after)
		x.Monitor = New(x.o) // as after a restart
		if err := x.tell(now, step.things); err != nil {
			t.Fatal(err)
		}
		n, gone := 0, ""
		for _, list := range x.things() {
			for _, in := range list {
				if n++; in.Gone {
					gone = in.Key
				}
			}
		}
		if n != step.want || gone != step.gone {
			t.Errorf("%s: %d told, %q gone", step.name, n, gone)
		}
	}
}

// TestEverythingIsToldOfThisComputer looks at the very computer of the test.
func TestEverythingIsToldOfThisComputer(t *testing.T) {
	x := newBench(t)
	ready := false
	x.o.Ready = func() bool { return ready }
	x.lookAround(t.Context())
	if n := len(x.things()); n != 0 {
		t.Errorf("%d kinds of things for a collector that knows none", n)
	}
	ready = true
	x.lookAround(t.Context())
	all := x.things()
	if len(all[wire.InventoryComputer]) != 1 || len(all[wire.InventoryHealth]) != 1 || len(all[wire.InventoryDisk]) == 0 {
		t.Fatalf("%v", all)
	}
	c, h := all[wire.InventoryComputer][0].Computer, all[wire.InventoryHealth][0].Health
	if c.System == "" || c.MemoryTotal < c.MemoryFree || c.MemoryFree <= 0 || c.Booted <= 0 {
		t.Errorf("%+v", c)
	}
	if h.Memory <= 0 || h.Goroutines <= 0 || h.Restarts != 0 {
		t.Errorf("%+v", h)
	}
	own := 0
	for _, d := range all[wire.InventoryDisk] {
		if d.Disk.Total <= 0 || d.Disk.Free > d.Disk.Total {
			t.Errorf("%s: %+v", d.Key, d.Disk)
		}
		if d.Disk.Own {
			own++
		}
	}
	if own != 1 {
		t.Errorf("the agent's folder is on %d of the volumes", own)
	}
}

// TestRestartsNobodyAskedFor: a run that did not end counts, unless the computer was
// switched off with it.
func TestRestartsNobodyAskedFor(t *testing.T) {
	booted := time.UnixMilli(1000)
	for name, c := range map[string]struct {
		before life
		want   bool
	}{
		"first run":                 {life{}, false},
		"ended as it should":        {life{Alive: 2000, Clean: true}, false},
		"died":                      {life{Alive: 2000}, true},
		"the power went before":     {life{Alive: 500}, false},
		"ended, and the power went": {life{Alive: 500, Clean: true}, false},
	} {
		if got := restarted(c.before, booted); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	x := newBench(t)
	x.begin()
	if err := x.noteAlive(time.Now(), false); err != nil {
		t.Fatal(err)
	}
	x.begin() // the run before was killed
	x.end()
	x.begin()
	if h := x.health(); h.Restarts != 1 {
		t.Errorf("%+v", h)
	}
}

func TestSalesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newBench(t)
		d := x.device
		till := x.Metered(d)
		x.o.Now = time.Now
		sell := func(code sat.Code, err error, times int) {
			t.Helper()
			for range times {
				d.reply, d.err = sat.NewReply(sat.EnviarDadosVenda, 1, code), err
				till.Call(t.Context(), sat.Request{Till: "001", Session: 1, Function: sat.EnviarDadosVenda, Args: []string{"1", "x"}})
			}
		}
		till.Call(t.Context(), sat.Request{Till: "001", Function: sat.ConsultarSAT})
		sell(6010, nil, 3)
		sell(6002, nil, 1)
		sell(6098, nil, 2)                 // nobody knows
		sell(6000, errors.New("cable"), 1) // nobody knows
		sell(0, sat.ErrNotSent, 1)         // it reached no device
		x.sales.add("001", time.Now(), time.Second, sat.Issued, sat.Reply{})
		for ms := range 600 {
			x.sales.add("001", time.Now(), time.Duration(ms)*time.Millisecond, sat.Issued, sat.Reply{})
		}
		want := func(sold, rejected int, days ...string) {
			t.Helper()
			all := x.sales.take()
			if len(all) != len(days) {
				t.Fatalf("%d days: %+v", len(all), all)
			}
			for i, day := range days {
				if s := all[i].Sales; s.Day != day || all[i].Key != "001" {
					t.Errorf("%s %+v", all[i].Key, s)
				}
			}
			s := all[0].Sales
			if s.Sold != sold || s.Rejected != rejected {
				t.Errorf("%+v", s)
			}
			if sold > 600 && (s.Codes["06010"] != 3 || s.Longest != 1000 || s.Median < 200 || s.Median > 400 || s.P95 < 500) {
				t.Errorf("%+v", s)
			}
		}
		today, tomorrow := time.Now().In(sat.Brasilia()), time.Now().In(sat.Brasilia()).AddDate(0, 0, 1)
		want(601, 4, today.Format(time.DateOnly))
		if err := x.saveSales(); err != nil {
			t.Fatal(err)
		}
		x.Monitor = New(x.o) // as after a restart
		x.begin()
		want(601, 4, today.Format(time.DateOnly))
		x.sales.add("001", tomorrow, time.Second, sat.Issued, sat.Reply{})
		want(601, 4, today.Format(time.DateOnly), tomorrow.Format(time.DateOnly))
		want(1, 0, tomorrow.Format(time.DateOnly))
	})
}

// TestDocumentsOfOthers: numbers that no call here explains are told as issued outside.
func TestDocumentsOfOthers(t *testing.T) {
	x := newBench(t)
	known, direct := 0, 0
	x.o.Known = func(string, int, int) (int, int) { return known, direct }
	for _, step := range []struct {
		name          string
		number        int
		known, direct int
		foreign       int // since the start
	}{
		{"the first reading says where it stands", 10, 0, 0, 0},
		{"nothing new", 10, 0, 0, 0},
		{"all ours", 15, 5, 0, 0},
		{"two of somebody else", 20, 3, 1, 2},
		{"one more", 21, 0, 0, 3},
		{"the numbers began anew", 1, 0, 0, 3},
	} {
		known, direct = step.known, step.direct
		x.device.reply = status(sat.StateUnblocked, key(t, step.number))
		if err := x.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		o := wire.Outside{}
		for _, in := range x.outsideThings() {
			o = *in.Outside
		}
		if o.Foreign != step.foreign {
			t.Errorf("%s: %+v", step.name, o)
		}
	}
	if all := x.outsideThings(); len(all) != 1 || all[0].Key != serial || all[0].Outside.Direct != 1 || all[0].Outside.LastKey != key(t, 21) {
		t.Errorf("%+v", all)
	}
}

func key(t *testing.T, number int) string {
	t.Helper()
	k, err := cfe.NewKey(cfe.KeyParts{UF: 35, Issued: time.Date(2025, 12, 1, 12, 0, 0, 0, time.UTC), CNPJ: "11222333000181",
		Model: 59, Serial: serial, Number: number})
	if err != nil {
		t.Fatal(err)
	}
	return string(k)
}
