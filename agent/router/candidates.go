package router

import (
	"slices"
	"time"

	"zelo/agent/wire"
	"zelo/sat"
	"zelo/sat/cfe"
)

// candidate is a device here, or a neighbour, that may serve a fiscal call.
type candidate struct {
	device    *owner
	neighbour Neighbour
}

// home is the till's own device, or else the first; nil when the agent has none.
// Own tells that it is configured to be the till's, mine that the activation code in
// the till's calls is meant for it.
func (r *Router) home(till string) (o *owner, own, mine bool) {
	if o = r.named(r.own[till]); o != nil {
		return o, true, true
	}
	if len(r.owners) > 0 {
		return r.owners[0], false, r.own[till] == ""
	}
	return nil, false, false
}

// candidates are those that may serve a fiscal call, best first: devices here,
// then neighbours, and at last the till's own to refuse it when no other here may. A
// cancellation belongs to the device that issued the sale.
func (r *Router) candidates(req sat.Request) (out []candidate) {
	home, own, mine := r.home(req.Till)
	switch {
	case !mine && home != nil && !r.authorised(req):
		return nil
	case req.Function == sat.CancelarUltimaVenda:
		return r.issuer(home, req)
	case home != nil && (len(r.owners) == 1 && len(r.lan()) == 0 || !r.authorised(req)):
		return []candidate{{device: home}}
	}
	devices, first := make([]facts, len(r.owners)), -1
	for i, o := range r.owners {
		devices[i] = o.facts()
		if o == home && (own || len(r.owners) == 1) {
			first = i
		}
	}
	here := order(devices, first, needOf(req), r.policy, r.now())
	for _, i := range here {
		out = append(out, candidate{device: r.owners[i]})
	}
	for _, n := range r.lenders(req) {
		out = append(out, candidate{neighbour: n})
	}
	if len(here) == 0 && home != nil {
		out = append(out, candidate{device: home})
	}
	return out
}

// issuer is who may cancel a sale.
func (r *Router) issuer(home *owner, req sat.Request) []candidate {
	if k, err := cfe.ParseKey(req.Arg("chave")); err == nil {
		if o := r.named(k.Serial()); o != nil {
			return []candidate{{device: o}}
		}
		if home == nil || r.authorised(req) {
			for _, n := range r.lenders(req) {
				return []candidate{{neighbour: n}}
			}
		}
	}
	if home == nil {
		return nil
	}
	return []candidate{{device: home}}
}

// authorised reports whether the caller's activation code is that of a device this
// agent knows, here now or not, so that others may serve it too, each with its own.
func (r *Router) authorised(req sat.Request) bool {
	return r.codes.has(req.Arg(sat.CodeParam))
}

// jobFor makes a till's call on a device, which is called with its own activation
// code unless the till's is meant for it. The code of another device is not meant for
// the first one, only because the till has none of its own.
func (r *Router) jobFor(o *owner, req sat.Request) *job {
	home, own, mine := r.home(req.Till)
	code := r.codes.get(o.state().Info.Serial)
	others := !own && code != "" && code != req.Arg(sat.CodeParam) && r.authorised(req)
	return &job{req: req, foreign: o != home || !mine || others}
}

// elsewhere reports whether a call may be served by another than the one that has
// its open case.
func (r *Router) elsewhere(req sat.Request, old *entry) bool {
	return slices.ContainsFunc(r.candidates(req), func(c candidate) bool {
		if c.neighbour != nil {
			return c.neighbour.Name() != old.Peer
		}
		s := c.device.state()
		return s.Answering && s.Info.Serial != old.Serial
	})
}

// lenders are the neighbours that may serve a fiscal call, best first.
func (r *Router) lenders(req sat.Request) []Neighbour {
	var devices []facts
	var by []Neighbour
	key, _ := cfe.ParseKey(req.Arg("chave"))
	for _, n := range r.lan() {
		for _, o := range n.Offers() {
			if req.Function == sat.CancelarUltimaVenda {
				if o.Serial == key.Serial() {
					return []Neighbour{n}
				}
				continue
			}
			if o.Unfit == "" {
				devices, by = append(devices, factsOf(o)), append(by, n)
			}
		}
	}
	var out []Neighbour
	for _, i := range order(devices, -1, needOf(req), r.policy, r.now()) {
		if !slices.ContainsFunc(out, func(n Neighbour) bool { return n.Name() == by[i].Name() }) {
			out = append(out, by[i])
		}
	}
	return out
}

// factsOf is what a neighbour's offer says of a device.
func factsOf(o wire.Lendable) facts {
	f := facts{serial: o.Serial, answering: true, code: true, cnpj: o.CNPJ, waiting: o.Waiting}
	f.status.Layout = o.Layout
	if o.Memory >= 0 {
		const whole = 1 << 20
		f.status.MemoryTotal = sat.Size{Bytes: whole}
		f.status.MemoryUsed = sat.Size{Bytes: int64(o.Memory * whole)}
	}
	if o.Expires != 0 {
		f.status.CertExpires = time.UnixMilli(o.Expires)
	}
	return f
}
