package guest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/cfe"
	"zelo/sat/link"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

// patience bounds what the kernel is expected to do.
const patience = 20 * time.Second

// way is a way of reaching the simulator over USB.
type way struct {
	name string
	usb  func(serial string) descriptors
	// The kernel says that the device has come by a uevent of this subsystem, whose
	// member of this name begins so.
	subsystem, member, begins string
	open                      func(context.Context, uevent) (*link.Conn, sat.Info, error)
}

func ways() []way {
	return []way{
		{"cdc-acm", acm, "tty", "DEVNAME", "ttyACM", openPort},
		{"ftdi", ftdi, "tty", "DEVNAME", "ttyUSB", openPort},
		{"bulk", bulk, "usb", "DEVTYPE", "usb_interface", openBulk},
	}
}

// openPort opens the serial port that a driver of the kernel made.
func openPort(ctx context.Context, e uevent) (*link.Conn, sat.Info, error) {
	return link.OpenSerial(ctx, "/dev/"+e["DEVNAME"], 0)
}

// openBulk opens an interface that no driver took, through usbfs.
func openBulk(ctx context.Context, e uevent) (*link.Conn, sat.Info, error) {
	stream, err := openUSB("/sys" + e["DEVPATH"])
	if err != nil {
		return nil, sat.Info{}, err
	}
	return link.Open(ctx, stream, link.Options{Driver: "usb", Where: e["DEVPATH"]})
}

// plugged is a simulator with its cable.
type plugged struct {
	way
	sim   *sim.Sim
	cable *device        // nil before it was first plugged in
	line  sync.WaitGroup // of the simulator's side
	conn  *link.Conn     // the till's side
	info  sat.Info
}

// start makes a simulator and plugs it in. It is unplugged by t.Cleanup.
func (w way) start(t *testing.T, o sim.Options) *plugged {
	t.Helper()
	s, err := sim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	p := &plugged{way: w, sim: s}
	t.Cleanup(func() {
		if p.conn != nil {
			p.conn.Close()
		}
		p.unplug()
		s.Close()
	})
	p.plug(t)
	return p
}

// plug plugs the simulator in and opens it where the kernel says that it is.
func (p *plugged) plug(t *testing.T) {
	t.Helper()
	heard, err := openUevents()
	if err != nil {
		t.Fatal(err)
	}
	defer heard.close()
	cable, err := attach(p.usb(p.sim.Hello().Serial))
	if err != nil {
		t.Fatal(err)
	}
	p.cable = cable
	p.line.Go(func() { link.Serve(context.Background(), cable, p.sim, p.sim.Hello()) })
	event, err := heard.added(p.subsystem, p.member, p.begins, patience)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if p.conn, p.info, err = p.open(ctx, event); err != nil {
		t.Fatal(err)
	}
}

// unplug pulls the cable, if it has not come off already.
func (p *plugged) unplug() {
	p.sim.Unplug()
	if p.cable != nil {
		p.cable.Close()
	}
	p.line.Wait()
}

// bench is a [sattest.Opener].
func (w way) bench(t *testing.T, o sim.Options) *sattest.Bench {
	p := w.start(t, o)
	return &sattest.Bench{
		Device: p.conn, Sim: p.sim,
		Unplug: func() { p.unplug(); <-p.conn.Gone() },
		Reopen: func() sat.Device {
			p.conn.Close()
			p.unplug()
			p.sim.Plug()
			p.plug(t)
			return p.conn
		},
	}
}

// twoAlike has two devices of one model plugged in at once: each says which it is,
// and one goes on selling while the other is unplugged.
func twoAlike(t *testing.T) {
	ca, err := cfe.NewTestCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	// The keys are made once: each takes the emulated processor a second or more.
	options := func(serial string) sim.Options {
		signer, err := ca.Issue(cfe.DeviceCert{Serial: serial, CNPJ: "08723218000186", Name: "TESTE",
			NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(4, 0, 0)})
		if err != nil {
			t.Fatal(err)
		}
		return sim.Options{Serial: serial, CA: ca, Signer: signer}
	}
	one, other := options("900000001"), options("900000002")
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			first, second := w.start(t, one), w.start(t, other)
			if got := []string{first.info.Serial, second.info.Serial}; !slices.Equal(got, []string{"900000001", "900000002"}) {
				t.Errorf("serial numbers %q", got)
			}
			sells := func(p *plugged, session int) {
				t.Helper()
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				req := sattest.Sale(session)
				if r, err := p.conn.Call(ctx, req); sat.OutcomeOf(req, r, err) != sat.Issued {
					t.Errorf("device %s: %+v, %v", p.info.Serial, r, err)
				}
			}
			sells(first, 1)
			sells(second, 1)
			first.unplug()
			<-first.conn.Gone()
			sells(second, 2)
			if n, m := len(first.sim.Issued()), len(second.sim.Issued()); n != 1 || m != 2 {
				t.Errorf("they issued %d and %d documents, want 1 and 2", n, m)
			}
		})
	}
}
