package devices

import (
	"fmt"
	"strings"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// What Windows tells of a device (devpkey.h).
var (
	properties = windows.DEVPROPGUID{Data1: 0xa45c254e, Data2: 0xdf1c, Data3: 0x4efd, Data4: [8]byte{0x80, 0x20, 0x67, 0xd1, 0x46, 0xa8, 0x50, 0xe0}}
	relations  = windows.DEVPROPGUID{Data1: 0x4340a6c5, Data2: 0x93fa, Data3: 0x4706, Data4: [8]byte{0x97, 0x2c, 0x7b, 0x64, 0x80, 0x08, 0xa5, 0xa7}}
	reported   = windows.DEVPROPGUID{Data1: 0x540b947e, Data2: 0x8b40, Data3: 0x45bc, Data4: [8]byte{0xa8, 0xa2, 0x6a, 0x0b, 0x89, 0x4c, 0xbd, 0xa2}}

	deviceDescription  = windows.DEVPROPKEY{FmtID: properties, PID: 2}
	deviceService      = windows.DEVPROPKEY{FmtID: properties, PID: 6}
	deviceClass        = windows.DEVPROPKEY{FmtID: properties, PID: 9}
	deviceManufacturer = windows.DEVPROPKEY{FmtID: properties, PID: 13}
	deviceLocation     = windows.DEVPROPKEY{FmtID: properties, PID: 15}
	deviceParent       = windows.DEVPROPKEY{FmtID: relations, PID: 8}
	deviceSaysOfItself = windows.DEVPROPKEY{FmtID: reported, PID: 4} // its own product name
)

// lookUSB asks Windows for the devices on USB that are there, also those without a
// driver, and for the ports that FTDI's driver makes of some.
func lookUSB(string) ([]Plugged, error) {
	nodes, err := listNodes("USB")
	if err != nil {
		return nil, fmt.Errorf("cannot list USB devices: %w", err)
	}
	ports, err := listNodes("FTDIBUS")
	if err == nil { // where FTDI's driver never was, there is no such list
		nodes = append(nodes, ports...)
	}
	return pluggedFrom(nodes), nil
}

// listNodes lists the devices that are there on a bus (SetupAPI).
func listNodes(bus string) ([]node, error) {
	set, err := windows.SetupDiGetClassDevsEx(nil, bus, 0, windows.DIGCF_PRESENT|windows.DIGCF_ALLCLASSES, 0, "")
	if err != nil {
		return nil, err
	}
	defer set.Close()
	var all []node
	for i := 0; ; i++ {
		data, err := set.EnumDeviceInfo(i)
		if err != nil {
			return all, nil // there is no other
		}
		if n, ok := readNode(set, data); ok {
			all = append(all, n)
		}
	}
}

// readNode reads what is known of a device; it may go away meanwhile.
func readNode(set windows.DevInfo, data *windows.DevInfoData) (node, bool) {
	id, err := set.DeviceInstanceID(data)
	if err != nil {
		return node{}, false
	}
	text := func(key windows.DEVPROPKEY) string {
		value, _ := windows.SetupDiGetDeviceProperty(set, data, &key) // nil when it has none
		s, _ := value.(string)
		return printable(s)
	}
	n := node{id: id, parent: text(deviceParent), service: text(deviceService), class: text(deviceClass),
		maker: text(deviceManufacturer), name: text(deviceSaysOfItself), place: text(deviceLocation)}
	if n.name == "" {
		n.name = text(deviceDescription)
	}
	if key, err := set.OpenDevRegKey(data, windows.DICS_FLAG_GLOBAL, 0, windows.DIREG_DEV, windows.KEY_READ); err == nil {
		port, _, _ := registry.Key(key).GetStringValue("PortName")
		registry.Key(key).Close()
		if strings.HasPrefix(port, "COM") {
			n.port = printable(port)
		}
	}
	const hasProblem = 0x400 // DN_HAS_PROBLEM, cfg.h
	var status, problem uint32
	if windows.CM_Get_DevNode_Status(&status, &problem, data.DevInst, 0) == nil && status&hasProblem != 0 {
		n.problem = int(problem)
	}
	return n, true
}
