package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"zelo/agent/till"
	"zelo/agent/uplink"
	"zelo/agent/wire"
	"zelo/sat"
	"zelo/sat/ipc"
)

// listenPage opens the address of the local page; nil when there is none. A port
// that is taken keeps nobody from selling.
func (a *agent) listenPage() net.Listener {
	if a.config.Page == "" {
		return nil
	}
	ln, err := ipc.ListenTCP(a.config.Page)
	if err != nil {
		a.log.Error("no local page", "err", err)
		return nil
	}
	return ln
}

// servePage answers until ctx ends. Its failure is not the agent's.
func (a *agent) servePage(ctx context.Context, ln net.Listener) {
	host, _, _ := net.SplitHostPort(a.config.Page)
	o := till.Options{State: a.tillState, Test: a.testDevice, Host: host, Offer: a.offer(), Reminder: a.reminder, Log: a.log, Now: time.Now}
	if a.config.Hub {
		o.Hub = &till.Hub{Device: a.monitor.Metered(a.router), Code: func() (string, string) { return a.router.Code("") }, Delivered: a.router.Delivered, Lost: a.router.Lost}
	}
	h, err := till.New(o)
	if err != nil {
		ln.Close()
		a.log.Error("no local page", "err", err)
		return
	}
	a.log.Info("local page", "address", "http://"+ln.Addr().String(), "sathub", a.config.Hub)
	if err := serveHTTP(ctx, ln, h); err != nil {
		a.log.Error("local page ended", "err", err)
	}
}

// serveHTTP answers until ctx ends, and returns when what is under way then has been
// answered, or was given up after a moment.
func serveHTTP(ctx context.Context, ln net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		within, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if s.Shutdown(within) != nil {
			s.Close()
		}
	})
	if err := s.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		stop()
		return err
	}
	<-ended
	return nil
}

// testDevice asks the device whether it is there.
func (a *agent) testDevice(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sat.ConsultarSAT.Deadline())
	defer cancel()
	reply, err := a.router.Device("").Call(ctx, sat.Request{Function: sat.ConsultarSAT})
	if err == nil && !reply.Code.Success() {
		err = &sat.Error{Op: "test", Code: reply.Code}
	}
	return err
}

// tillState gathers what the local page shows.
func (a *agent) tillState() till.State {
	name, _ := os.Hostname()
	s := till.State{Name: name, Commands: a.tillCommands(), Certificates: a.companyCertificates()}
	for i, d := range a.router.Devices() {
		one := till.Device{Address: d.Address, Info: d.Info, Answering: d.Answering,
			Since: d.Since, InDoubt: d.OpenCases, DoubtSince: d.DoubtSince, CodeKnown: d.CodeKnown, Unfit: d.Unfit}
		one.Status, one.StatusAt = a.monitor.Last(d.Info.Serial)
		if i == 0 {
			s.Device = one
		} else {
			s.Others = append(s.Others, one)
		}
	}
	for _, st := range a.buffer.Stats().Streams {
		if st.Name == wire.StreamDocuments {
			s.Cloud = till.Cloud{Saved: st.Copies, Waiting: st.Waiting, Oldest: st.Oldest}
		}
	}
	if a.uplink != nil {
		u := a.uplink.State()
		s.Cloud.Enrolled, s.Cloud.Connected, s.Cloud.Since, s.Cloud.LastAck = true, u.Connected, u.Since, u.LastAck
		s.Cloud.Full = a.uplink.Stats().Full
		switch {
		case errors.Is(u.Err, uplink.ErrClock):
			s.Cloud.Trouble = till.WrongClock
		case errors.Is(u.Err, uplink.ErrProxy):
			s.Cloud.Trouble = till.BadProxy
		}
	}
	last, err := a.router.LastSale()
	if err != nil {
		a.log.Warn("last sale not shown", "err", err)
	}
	if err == nil && last.Key != "" {
		s.Sale = &till.Sale{At: last.At, Key: last.Key, Total: last.Total, Cancellation: last.Cancellation}
	}
	return s
}

// checkPage says what is wrong with an address of the local page.
func checkPage(address string) error {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	if err != nil || ip == nil || ip.IsUnspecified() {
		return fmt.Errorf("escreva o número IP e a porta, por exemplo %s; vazio para não ter a página", defaultPage)
	}
	return nil
}

const defaultPage = "127.0.0.1:9018"
