package lan

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"zelo/agent/wire"
)

const (
	beaconEvery = 5 * time.Second // with a fifth of jitter
	maxBeacon   = 512             // bytes of a datagram
	listenAgain = 30 * time.Second
)

// discover broadcasts beacons and hears others' until ctx ends. When the port is
// taken, neighbours are found by their addresses alone until it is free.
func (l *LAN) discover(ctx context.Context) {
	for ctx.Err() == nil {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{Port: int(l.port)})
		if err != nil {
			l.log.Warn("neighbours are not looked for", "port", l.port, "err", err)
			pause(ctx, listenAgain)
			continue
		}
		stop := context.AfterFunc(ctx, func() { c.Close() })
		spoken := make(chan struct{})
		l.parts.Go(func() { defer close(spoken); l.speak(ctx, c) })
		l.hear(ctx, c)
		<-spoken
		stop()
		c.Close()
	}
}

// speak broadcasts on every network of this computer.
func (l *LAN) speak(ctx context.Context, c *net.UDPConn) {
	b, err := l.opt.Codec.Encode(l.beacon())
	if err != nil {
		l.log.Error("no beacon", "err", err)
		return
	}
	for ctx.Err() == nil {
		for _, to := range broadcasts() {
			if _, err := c.WriteToUDPAddrPort(b, netip.AddrPortFrom(to, l.port)); err != nil {
				l.log.Debug("beacon not sent", "to", to, "err", err)
			}
		}
		pause(ctx, beaconEvery-beaconEvery/10+rand.N(beaconEvery/5))
	}
}

// hear takes note of who says to be on this network.
func (l *LAN) hear(ctx context.Context, c *net.UDPConn) {
	buf := make([]byte, maxBeacon)
	for ctx.Err() == nil {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			pause(ctx, 100*time.Millisecond) // Windows reports earlier datagrams refused
			continue
		}
		at, err := parseBeacon(l.opt.Codec, buf[:n])
		ip := from.Addr().Unmap()
		if err != nil || at.Agent == l.trust.Load().agent || !local(ip) {
			continue
		}
		l.know(ctx, addressOf(ip, at.Port), false)
	}
}

// parseBeacon reads a datagram that anyone may have sent.
func parseBeacon(c *wire.Codec, b []byte) (wire.Beacon, error) {
	var at wire.Beacon
	if err := c.Decode(b, &at); err != nil {
		return at, err
	}
	if at.Version < 1 || !wire.ValidAgent(at.Agent) || at.Port == 0 {
		return at, fmt.Errorf("cannot use a beacon of version %d, port %d", at.Version, at.Port)
	}
	return at, nil
}

// local reports whether an address can be of a shop's network. Others are for the
// list.
func local(ip netip.Addr) bool {
	return ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsLoopback()
}

// broadcasts are the broadcast addresses of this computer's IPv4 networks.
func broadcasts() (all []netip.Addr) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	const wanted = net.FlagUp | net.FlagBroadcast
	for _, i := range interfaces {
		if i.Flags&wanted != wanted || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			continue // it went away just now
		}
		for _, a := range addresses {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && p.Bits() < 31 {
				all = append(all, broadcast(p))
			}
		}
	}
	return all
}

// broadcast is the last address of an IPv4 network.
func broadcast(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}
