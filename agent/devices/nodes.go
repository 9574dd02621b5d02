package devices

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// node is a device as Windows keeps it: a USB device, one of its functions, or
// what a driver made of one.
type node struct {
	id, parent  string // USB\VID_0525&PID_A4A7\900004019
	service     string // driver; empty when it has none
	class       string // Ports, Net, ...
	maker, name string
	port        string // COM3
	place       string
	problem     int // CM_PROB_..., 0 for none
}

// usbNode is the identity of a whole USB device (Microsoft: standard USB
// identifiers). Functions have &MI_ before the last part. The last part is the
// serial number, or, when the device has none, made up by Windows, with & in it.
var usbNode = regexp.MustCompile(`(?i)^USB\\VID_([0-9A-F]{4})&PID_([0-9A-F]{4})\\([^\\]+)$`)

// maxDepth bounds how far below the device something of it may be.
const maxDepth = 8

// pluggedFrom makes devices of nodes: each with what its functions and their
// drivers made of it. Hubs are left out.
func pluggedFrom(nodes []node) []Plugged {
	byID := map[string]node{}
	for _, n := range nodes {
		byID[strings.ToUpper(n.id)] = n
	}
	var all []Plugged
	at := map[string]int{} // place in all, by identity
	for _, n := range nodes {
		m := usbNode.FindStringSubmatch(n.id)
		if m == nil || strings.HasPrefix(strings.ToUpper(n.service), "USBHUB") {
			continue
		}
		p := Plugged{Vendor: identity(m[1]), Product: identity(m[2]), Maker: n.maker, Name: n.name, Place: n.place}
		if !strings.Contains(m[3], "&") {
			p.Serial = m[3]
		}
		at[strings.ToUpper(n.id)] = len(all)
		all = append(all, p)
	}
	for _, n := range nodes {
		i, ok := deviceOf(n, byID, at)
		if !ok {
			continue
		}
		all[i].Problem = max(all[i].Problem, n.problem)
		switch {
		case n.class == "Net":
			all[i].Networks = append(all[i].Networks, n.name)
		case n.port != "":
			all[i].Ports = append(all[i].Ports, n.port)
		}
		switch {
		case strings.EqualFold(n.service, "usbccgp"): // only splits it into its functions
		case n.service == "":
			all[i].Interfaces = append(all[i].Interfaces, Interface{Class: vendorClass})
		default:
			all[i].Interfaces = append(all[i].Interfaces, Interface{Driver: n.service})
		}
	}
	for i := range all {
		slices.Sort(all[i].Ports)
		all[i].Lasting = all[i].Ports // Windows gives a device the same number again
	}
	return all
}

// deviceOf goes up from a node to the device that it is or belongs to.
func deviceOf(n node, byID map[string]node, at map[string]int) (place int, ok bool) {
	for range maxDepth {
		if i, ok := at[strings.ToUpper(n.id)]; ok {
			return i, true
		}
		if n, ok = byID[strings.ToUpper(n.parent)]; !ok {
			return 0, false
		}
	}
	return 0, false
}

func identity(digits string) uint16 {
	v, _ := strconv.ParseUint(digits, 16, 16) // four hexadecimal digits
	return uint16(v)
}
