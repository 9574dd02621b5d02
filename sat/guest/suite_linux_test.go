package guest

import (
	"context"
	"sync"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/link"
	"zelo/sat/sattest"
	"zelo/sat/sim"
)

// patience bounds what the kernel is expected to do.
const patience = 20 * time.Second

// suiteOnSerial runs the suite on a device for which the kernel has a driver of
// serial ports, whose ports are named so.
func suiteOnSerial(usb func(serial string) descriptors, port string) func(*testing.T) {
	return func(t *testing.T) {
		sattest.Run(t, overUSB(usb, "tty", "DEVNAME", port, func(ctx context.Context, e uevent) (*link.Conn, sat.Info, error) {
			return link.OpenSerial(ctx, "/dev/"+e["DEVNAME"], 0)
		}))
	}
}

// suiteOnBulk runs the suite on a device without a driver, through usbfs.
func suiteOnBulk(t *testing.T) {
	sattest.Run(t, overUSB(bulk, "usb", "DEVTYPE", "usb_interface", func(ctx context.Context, e uevent) (*link.Conn, sat.Info, error) {
		stream, err := openUSB("/sys" + e["DEVPATH"])
		if err != nil {
			return nil, sat.Info{}, err
		}
		return link.Open(ctx, stream, link.Options{Driver: "usb", Where: e["DEVPATH"]})
	}))
}

// overUSB opens the simulator as a USB device. The kernel's word that a device has
// come whose member name begins so is what it is opened by.
func overUSB(usb func(serial string) descriptors, subsystem, name, begins string,
	open func(context.Context, uevent) (*link.Conn, sat.Info, error)) sattest.Opener {
	return func(t *testing.T, o sim.Options) *sattest.Bench {
		s, err := sim.New(o)
		if err != nil {
			t.Fatal(err)
		}
		var plugged *device
		var conn *link.Conn
		var line sync.WaitGroup
		plug := func() sat.Device {
			heard, err := openUevents()
			if err != nil {
				t.Fatal(err)
			}
			defer heard.close()
			d, err := attach(usb(s.Hello().Serial))
			if err != nil {
				t.Fatal(err)
			}
			plugged = d
			line.Go(func() { link.Serve(context.Background(), d, s, s.Hello()) })
			event, err := heard.added(subsystem, name, begins, patience)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if conn, _, err = open(ctx, event); err != nil {
				t.Fatal(err)
			}
			return conn
		}
		unplug := func() {
			s.Unplug()
			if plugged != nil {
				plugged.Close()
			}
			line.Wait()
		}
		t.Cleanup(func() {
			if conn != nil {
				conn.Close()
			}
			unplug()
			s.Close()
		})
		return &sattest.Bench{
			Device: plug(), Sim: s,
			Unplug: func() { unplug(); <-conn.Gone() },
			Reopen: func() sat.Device { conn.Close(); unplug(); s.Plug(); return plug() },
		}
	}
}
