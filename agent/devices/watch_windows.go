package devices

import (
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// notifyFilter is CM_NOTIFY_FILTER with the identity of a device interface class
// (cfgmgr32.h); the room behind it is that of the largest of its variants.
type notifyFilter struct {
	size, flags, kind, reserved uint32
	class                       windows.GUID
	_                           [400 - 16]byte
}

// hear has Windows' word of devices left in told, until stop is called. All classes
// of interface count: makers' drivers have their own. Unlike the service's device
// events this also works in a program at a console.
func hear(told chan<- struct{}) (stop func(), err error) {
	register := windows.NewLazySystemDLL("cfgmgr32.dll").NewProc("CM_Register_Notification")
	unregister := windows.NewLazySystemDLL("cfgmgr32.dll").NewProc("CM_Unregister_Notification")
	for _, p := range []*windows.LazyProc{register, unregister} {
		if err := p.Find(); err != nil {
			return nil, fmt.Errorf("cannot hear of devices: %w", err)
		}
	}
	const allClasses, deviceInterface = 1, 0 // CM_NOTIFY_FILTER_FLAG_ALL_INTERFACE_CLASSES, CM_NOTIFY_FILTER_TYPE_DEVICEINTERFACE
	filter := notifyFilter{flags: allClasses, kind: deviceInterface}
	filter.size = uint32(unsafe.Sizeof(filter))
	callback := windows.NewCallback(func(_, _, _, _, _ uintptr) uintptr {
		tell(told)
		return 0 // ERROR_SUCCESS
	})
	var handle uintptr
	if r, _, _ := register.Call(uintptr(unsafe.Pointer(&filter)), 0, callback, uintptr(unsafe.Pointer(&handle))); r != 0 {
		return nil, fmt.Errorf("cannot hear of devices: %w", windows.CONFIGRET(r))
	}
	return func() { unregister.Call(handle) }, nil
}

// listing names the serial ports in a text that differs when one came or went. The
// registry keeps only those that are there.
func listing(string) string {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, `HARDWARE\DEVICEMAP\SERIALCOMM`, registry.QUERY_VALUE)
	if err != nil {
		return "" // there never was a port
	}
	defer key.Close()
	names, _ := key.ReadValueNames(0)
	for i, name := range names {
		port, _, _ := key.GetStringValue(name)
		names[i] = name + " " + port
	}
	slices.Sort(names)
	return strings.Join(names, "\n")
}
