package guest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/link"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

// driver tries what package link says of USB and of serial ports: which device it
// takes, from whom, and what it does when the device is not as it should be.
func driver(t *testing.T) {
	one, other := keyed(t, "900000001"), keyed(t, "900000002")
	for _, w := range ways() {
		t.Run("one owner/"+w.name, func(t *testing.T) { oneOwner(t, w, one) })
		t.Run("closes in time/"+w.name, func(t *testing.T) { closesInTime(t, w, one) })
		if w.name != "bulk" {
			t.Run("left to the kernel/"+w.name, func(t *testing.T) {
				p := w.start(t, one)
				refused(t, w.model, "use serial:"+p.info.Where)
			})
		}
	}
	t.Run("bulk", func(t *testing.T) {
		w := ways()[len(ways())-1]
		t.Run("by model and serial number", func(t *testing.T) { byModel(t, w, one, other) })
		t.Run("empty packets", func(t *testing.T) { emptyPackets(t, w, one) })
		t.Run("takes no bytes", func(t *testing.T) { takesNoBytes(t, w, one) })
		t.Run("halted", func(t *testing.T) { haltedEndpoint(t, w, one) })
		t.Run("driver without a port", func(t *testing.T) { takenFromDriver(t, w, one) })
	})
}

// refused tries to open over USB what must not be opened.
func refused(t *testing.T, where, because string) {
	t.Helper()
	c, _, err := link.OpenUSB(t.Context(), where)
	if err == nil {
		c.Close()
	}
	if !errors.Is(err, sat.ErrGone) || !strings.Contains(err.Error(), because) {
		t.Errorf("%s: %v, want %q", where, err, because)
	}
}

func oneOwner(t *testing.T, w way, o sim.Options) {
	p := w.start(t, o)
	c, _, err := w.open(t.Context(), p.info.Where)
	if err == nil {
		c.Close()
	}
	if !errors.Is(err, sat.ErrGone) || !strings.Contains(err.Error(), "another program uses it") {
		t.Errorf("the second open: %v", err)
	}
	p.sells(t, 1)
	p.reopen(t, p.info.Where)
	p.sells(t, 2)
}

// reopen closes the device and opens it again, by this name.
func (p *plugged) reopen(t *testing.T, where string) {
	t.Helper()
	p.conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var err error
	if p.conn, p.info, err = p.open(ctx, where); err != nil {
		t.Fatal(err)
	}
}

func byModel(t *testing.T, w way, one, other sim.Options) {
	first := w.start(t, one)
	first.reopen(t, w.model)
	second := w.start(t, other)
	refused(t, w.model, `"900000002"`)
	refused(t, w.model+"/900000003", `serial number "900000003"`)
	second.reopen(t, w.model+"/900000002")
	if second.info.Serial != "900000002" {
		t.Errorf("opened %+v", second.info)
	}
	second.sells(t, 1)
	first.sells(t, 1)
	second.away(t)
	first.away(t)
}

// emptyPackets has both sides say nothing, and sees that the device is told where
// each transfer ends.
func emptyPackets(t *testing.T, w way, o sim.Options) {
	p := w.start(t, o)
	for range 3 {
		if err := p.cable.sayNothing(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	large := sattest.Request(sat.TesteFimAFim, 1, strings.Repeat("x", 5000))
	if r, err := p.conn.Call(ctx, large); err != nil || r.Session != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	p.cable.becomes(func() {
		if p.cable.full == 0 || p.cable.open > 0 {
			t.Errorf("%d writes filled their last packet, %d of them without an end", p.cable.full, p.cable.open)
		}
	})
}

// takesNoBytes: the outcome is unknown in time, and the device is as good as new
// when it takes bytes again.
func takesNoBytes(t *testing.T, w way, o sim.Options) {
	p := w.start(t, o)
	p.cable.becomes(func() { p.cable.deaf = true })
	start := time.Now()
	req := sattest.Sale(1)
	r, err := p.conn.Call(t.Context(), req)
	if sat.OutcomeOf(req, r, err) != sat.Unknown || !errors.Is(err, sat.ErrGone) || time.Since(start) > patience {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	p.conn.Close()
	p.cable.becomes(func() {
		if p.cable.deaf = false; len(p.cable.held) > 0 {
			t.Errorf("%d transfers still wait to leave", len(p.cable.held))
		}
	})
	p.reopen(t, p.info.Where)
	p.sells(t, 2)
	if n := len(p.sim.Issued()); n != 1 {
		t.Errorf("it issued %d documents, want 1", n)
	}
}

func haltedEndpoint(t *testing.T, w way, o sim.Options) {
	p := w.start(t, o)
	p.cable.becomes(func() { p.cable.halted = true })
	req := sattest.Sale(1)
	if r, err := p.conn.Call(t.Context(), req); sat.OutcomeOf(req, r, err) != sat.Unknown || !errors.Is(err, sat.ErrGone) {
		t.Errorf("got %v", err)
	}
	p.reopen(t, p.info.Where)
	p.sells(t, 2)
}

// takenFromDriver: a driver of the kernel that gives no port, a display's, takes the
// device because somebody told it to.
func takenFromDriver(t *testing.T, w way, o sim.Options) {
	const lcd = "/sys/bus/usb/drivers/usblcd/"
	id := []byte(strings.Replace(w.model, ":", " ", 1))
	if err := os.WriteFile(lcd+"new_id", id, 0); err != nil {
		t.Fatal(err)
	}
	defer os.WriteFile(lcd+"remove_id", id, 0)
	w.subsystem, w.member, w.begins = "usbmisc", "DEVNAME", "lcd"
	w.where = func(e uevent) string { // .../1-1/1-1:1.0/usbmisc/lcd0
		return filepath.Base(filepath.Dir(filepath.Dir(filepath.Dir(e["DEVPATH"]))))
	}
	p := w.start(t, o)
	p.sells(t, 1)
}

// closesInTime: bytes that a port's device does not take are not waited for.
func closesInTime(t *testing.T, w way, o sim.Options) {
	p := w.start(t, o)
	p.cable.becomes(func() { p.cable.deaf = true })
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	req := sattest.Sale(1)
	if r, err := p.conn.Call(ctx, req); sat.OutcomeOf(req, r, err) != sat.Unknown {
		t.Errorf("%+v, %v", r, err)
	}
	start := time.Now()
	p.conn.Close()
	if d := time.Since(start); d > 4*time.Second {
		t.Errorf("closing took %v", d)
	}
}
