package router

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/sim"
)

// What is meant for one device, as a command from afar is, goes to no other that took
// its place meanwhile.
func TestCallForADeviceThatWasSwapped(t *testing.T) {
	var swapped atomic.Bool
	one := func(w *world, b *sim.Sim, o *Options) {
		o.Devices = []DeviceOptions{{Address: "usb", Open: func(context.Context) (Conn, sat.Info, error) {
			switch {
			case w.away.Load():
				return nil, sat.Info{}, sat.ErrGone
			case swapped.Load():
				return plugged{b}, sat.Info{Serial: "900000002"}, nil
			}
			return plugged{w.sim}, sat.Info{Serial: "900000001"}, nil
		}}}
	}
	withTwo(t, one, func(w *world, b *sim.Sim) {
		code(t, "sale", w.sellAt("001", 1, sim.DefaultCode, "PAO"), 6000)
		ask := func(d sat.Device) (sat.Reply, error) {
			return d.Call(context.Background(), sat.Request{Function: sat.ConsultarSAT})
		}
		first, at := w.Device("900000001"), w.Device("usb")
		if _, err := ask(first); err != nil {
			t.Fatal(err)
		}
		w.away.Store(true)
		w.sim.Unplug()
		ask(at)
		swapped.Store(true)
		w.away.Store(false)
		time.Sleep(time.Minute)
		if reply, err := ask(first); !errors.Is(err, sat.ErrNotSent) {
			t.Errorf("another device answered: %s, %v", reply.Code, err)
		}
		for name, d := range map[string]sat.Device{"by its address": at, "by its number": w.Device("900000002")} {
			if reply, err := ask(d); err != nil || reply.Code != 8000 {
				t.Errorf("%s: %s, %v", name, reply.Code, err)
			}
		}
	})
}
