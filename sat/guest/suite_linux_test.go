package guest

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	name  string
	model string // as link.OpenUSB takes it
	usb   func(serial string) descriptors
	// The kernel says that the device has come by a uevent of this subsystem, whose
	// member of this name begins so.
	subsystem, member, begins string
	where                     func(uevent) string
	open                      func(context.Context, string) (*link.Conn, sat.Info, error)
}

func ways() []way {
	return []way{
		{"cdc-acm", "0525:a4a7", acm, "tty", "DEVNAME", "ttyACM", node, openPort},
		{"ftdi", "0403:6001", ftdi, "tty", "DEVNAME", "ttyUSB", node, openPort},
		{"bulk", "2fe7:0001", bulk, "usb", "DEVTYPE", "usb_interface", port, link.OpenUSB},
	}
}

// node is the file of a device.
func node(e uevent) string { return "/dev/" + e["DEVNAME"] }

// port is where the device of an interface is plugged in.
func port(e uevent) string { return filepath.Base(filepath.Dir(e["DEVPATH"])) }

// openPort opens the serial port that a driver of the kernel made.
func openPort(ctx context.Context, path string) (*link.Conn, sat.Info, error) {
	return link.OpenSerial(ctx, path, 0)
}

// plugged is a simulator with its cable.
type plugged struct {
	way
	sim   *sim.Sim
	cable *device        // nil before it was first plugged in
	line  sync.WaitGroup // of the simulator's side
	conn  *link.Conn     // the till's side
	info  sat.Info
	place string // of the device in sysfs
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
	p.attach(t)
	event, err := heard.next("add", p.subsystem, p.member, p.begins, patience)
	if err != nil {
		t.Fatal(err)
	}
	interfaces, _, _ := strings.Cut(event["DEVPATH"], ":") // .../1-1/1-1:1.0/...
	p.place = "/sys" + filepath.Dir(interfaces)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if p.conn, p.info, err = p.open(ctx, p.where(event)); err != nil {
		t.Fatal(err)
	}
}

// attach plugs the simulator in.
func (p *plugged) attach(t *testing.T) {
	t.Helper()
	cable, err := attach(p.usb(p.sim.Hello().Serial))
	if err != nil {
		t.Fatal(err)
	}
	p.cable = cable
	p.line.Go(func() { link.Serve(context.Background(), cable, p.sim, p.sim.Hello()) })
}

// unplug pulls the cable, if it has not come off already.
func (p *plugged) unplug() {
	p.sim.Unplug()
	if p.cable != nil {
		p.cable.Close()
	}
	p.line.Wait()
}

// away unplugs the device and waits until the kernel has noticed: when several go
// at once, it may take what comes next for one of them.
func (p *plugged) away(t *testing.T) {
	t.Helper()
	heard, err := openUevents()
	if err != nil {
		t.Fatal(err)
	}
	defer heard.close()
	p.conn.Close()
	p.unplug()
	if _, err := os.Stat(p.place); err != nil {
		return
	}
	if _, err := heard.next("remove", "usb", "DEVPATH", strings.TrimPrefix(p.place, "/sys"), patience); err != nil {
		t.Error(err)
	}
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
	one, other := keyed(t, "900000001"), keyed(t, "900000002")
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			first, second := w.start(t, one), w.start(t, other)
			if got := []string{first.info.Serial, second.info.Serial}; !slices.Equal(got, []string{"900000001", "900000002"}) {
				t.Errorf("serial numbers %q", got)
			}
			first.sells(t, 1)
			second.sells(t, 1)
			first.unplug()
			<-first.conn.Gone()
			second.sells(t, 2)
			if n, m := len(first.sim.Issued()), len(second.sim.Issued()); n != 1 || m != 2 {
				t.Errorf("they issued %d and %d documents, want 1 and 2", n, m)
			}
		})
	}
}

// sells has the device issue a sale.
func (p *plugged) sells(t *testing.T, session int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req := sattest.Sale(session)
	if r, err := p.conn.Call(ctx, req); sat.OutcomeOf(req, r, err) != sat.Issued {
		t.Errorf("device %s: %+v, %v", p.info.Serial, r, err)
	}
}

// keysAt is where the guest finds the keys of simulators, which the emulated
// processor would take long to make.
const keysAt = "/keys"

// makeKeys makes the files below keysAt: an authority, and what it issued to these
// devices.
func makeKeys(serials ...string) (map[string][]byte, error) {
	ca, err := cfe.NewTestCA(time.Now())
	if err != nil {
		return nil, err
	}
	keys := map[string][]byte{}
	if keys["ca"], err = ca.PEM(); err != nil {
		return nil, err
	}
	for _, serial := range serials {
		signer, err := ca.Issue(cfe.DeviceCert{Serial: serial, CNPJ: "08723218000186", Name: "TESTE",
			NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(4, 0, 0)})
		if err != nil {
			return nil, err
		}
		if keys[serial], err = signer.PEM(); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// keyed is the simulator of a device that has keys.
func keyed(t *testing.T, serial string) sim.Options {
	t.Helper()
	authority, err := os.ReadFile(keysAt + "/ca")
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(keysAt + "/" + serial)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := cfe.LoadCA(authority)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := cfe.LoadSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return sim.Options{Serial: serial, CA: ca, Signer: signer}
}
