package main

import (
	"zelo/agent/lan"
	"zelo/agent/router"
)

// makeLAN opens this agent to its neighbours. Without an identity there are none,
// and a port that is taken keeps nobody from selling.
func (a *agent) makeLAN() (err error) {
	if a.config.LAN == "" {
		return nil
	}
	if a.keeper == nil {
		a.log.Warn("no neighbours: this till is not enrolled")
		return nil
	}
	id := a.keeper.identity()
	a.lan, err = lan.New(lan.Options{
		Lender: a.router, Codec: a.codec, Log: a.log, Certificate: id.certificate, Roots: id.roots,
		Allowed: a.config.Trusted, Now: a.clock.Now,
		Listen: a.config.LAN, Peers: a.config.Peers, Discover: a.config.Seek,
	})
	if err != nil {
		a.log.Error("no neighbours", "err", err)
	}
	return nil
}

// meetAs shows neighbours a renewed identity, and trusts whom its collector trusts
// now.
func (a *agent) meetAs(id *identity) {
	if a.lan == nil {
		return
	}
	if err := a.lan.Renew(id.certificate, id.roots); err != nil {
		a.log.Error("neighbours see the identity of before", "err", err)
	}
}

// neighbours are the agents that may lend a device now.
func (a *agent) neighbours() (all []router.Neighbour) {
	if a.lan != nil {
		for _, n := range a.lan.Neighbours() {
			all = append(all, n)
		}
	}
	return all
}
