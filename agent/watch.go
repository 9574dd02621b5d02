package main

import (
	"time"

	"zelo/agent/monitor"
	"zelo/agent/till"
)

// What the agent sees without being asked: what agent/monitor needs of this agent, and
// what of it people at the till see.

func (a *agent) makeMonitor() {
	a.monitor = monitor.New(monitor.Options{
		Devices: a.watched, SinceSale: a.router.SinceSale, Known: a.router.Known, Ready: a.tells,
		Buffer: a.buffer, Codec: a.codec, Every: time.Duration(a.config.Status), Folder: a.config.Folder,
		Certificates: a.config.CertPaths, Log: a.log, Now: time.Now,
	})
}

// makeReminder makes what reminds people at the till of the shop's certificate; it is
// nil when they do not want it.
func (a *agent) makeReminder() {
	if !a.config.Remind {
		return
	}
	a.reminder = &till.Reminder{
		Certificates: a.companyCertificates, SinceSale: a.router.SinceSale, Show: till.Popup, Offer: a.offer(),
		Buffer: a.buffer, Log: a.log, Now: time.Now,
	}
	if a.config.Page != "" {
		a.reminder.Page = "http://" + a.config.Page
	}
}

// offer is what the shop is told of renewing its certificate.
func (a *agent) offer() till.Offer { return till.Offer{Text: a.config.Offer, Link: a.config.OfferLink} }

// watched are the devices whose status is read.
func (a *agent) watched() (all []monitor.Device) {
	for _, d := range a.router.Devices() {
		if d.Address == "" {
			continue // it is not at this computer any more
		}
		_, code := a.router.Code(d.Info.Serial)
		all = append(all, monitor.Device{Serial: d.Info.Serial, Code: code, Answering: d.Answering, Device: a.router.Device(d.Info.Serial)})
	}
	return all
}

// inventorySince is the first version of the wire that has inventories and logs.
const inventorySince = 3

// tells reports whether the collector takes inventories and logs, as far as it was heard
// since the agent started.
func (a *agent) tells() bool { return a.uplink != nil && a.uplink.State().Version >= inventorySince }

// companyCertificates are those that people at the till hear of: of each company the one
// that ends last.
func (a *agent) companyCertificates() (all []till.Certificate) {
	for _, c := range monitor.Newest(a.monitor.Certificates()) {
		all = append(all, till.Certificate{Holder: c.Holder, Expires: time.UnixMilli(c.Until)})
	}
	return all
}
