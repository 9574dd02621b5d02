package monitor

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"zelo/agent/wire"
)

// readComputer reads what Windows says of the computer. It does not tell cheaply how
// often USB devices failed: the router's events tell of those that come back.
func readComputer() *wire.Computer {
	c := &wire.Computer{System: systemName(), Booted: bootedAt().UnixMilli(), ClockSynced: clockSynced()}
	c.MemoryTotal, c.MemoryFree = memory()
	c.Antivirus, c.AntivirusBy = antivirus(time.Now())
	return c
}

// open opens a key of the machine for reading, as 64-bit programs see it.
func open(path string) (registry.Key, error) {
	return registry.OpenKey(registry.LOCAL_MACHINE, path, registry.READ|registry.WOW64_64KEY)
}

// text is a value of a key of the machine; "" when there is none.
func text(path, name string) string {
	k, err := open(path)
	if err != nil {
		return ""
	}
	defer k.Close()
	s, _, _ := k.GetStringValue(name)
	return s
}

// number is a value of a key of the machine.
func number(path, name string) (uint64, bool) {
	k, err := open(path)
	if err != nil {
		return 0, false
	}
	defer k.Close()
	n, _, err := k.GetIntegerValue(name)
	return n, err == nil
}

const firstWindows11 = 22000

// systemName is "Windows 10 Pro 22H2". Windows 11 calls itself 10 in its registry.
func systemName() string {
	const path = `SOFTWARE\Microsoft\Windows NT\CurrentVersion`
	name := text(path, "ProductName")
	if _, _, build := windows.RtlGetNtVersionNumbers(); build >= firstWindows11 {
		name = strings.Replace(name, "Windows 10", "Windows 11", 1)
	}
	return strings.TrimSpace(name + " " + text(path, "DisplayVersion"))
}

func bootedAt() time.Time { return time.Now().Add(-windows.DurationSinceBoot()) }

// memory is the computer's, in bytes: all, and what programs can still have.
func memory() (total, free int64) {
	var s struct {
		length, load                                         uint32
		total, free, pageTotal, pageFree, room, roomLeft, ex uint64
	}
	s.length = uint32(unsafe.Sizeof(s))
	if ok, _, _ := windows.NewLazySystemDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx").Call(uintptr(unsafe.Pointer(&s))); ok == 0 {
		return 0, 0
	}
	return int64(s.total), int64(s.free)
}

// clockSynced tells by the settings of Windows' time service: 1 when it asks the
// network, -1 when it is off, 0 when they do not say.
func clockSynced() int {
	const path = `SYSTEM\CurrentControlSet\Services\W32Time`
	const disabled = 4
	start, known := number(path, "Start")
	source := text(path+`\Parameters`, "Type")
	switch {
	case known && start == disabled, strings.EqualFold(source, "NoSync"):
		return -1
	case source != "":
		return 1
	}
	return 0
}

// antivirus tells how the computer is protected, and by what. Windows' own security
// center keeps what each product tells of itself; where it keeps none, the settings of
// Windows Defender count.
func antivirus(now time.Time) (state, product string) {
	const providers = `SOFTWARE\Microsoft\Security Center\Provider\Av`
	if k, err := open(providers); err == nil {
		defer k.Close()
		names, _ := k.ReadSubKeyNames(filesMost)
		for _, name := range names {
			n, known := number(providers+`\`+name, "STATE")
			if s := productState(uint32(n)); known && (state == "" || s == wire.AntivirusOn) {
				state, product = s, text(providers+`\`+name, "DISPLAYNAME")
			}
		}
	}
	if state != "" {
		return state, product
	}
	return defender(now)
}

// defender judges Windows Defender by its settings.
func defender(now time.Time) (state, product string) {
	const path = `SOFTWARE\Microsoft\Windows Defender`
	const old = 7 * 24 * time.Hour
	k, err := open(path + `\Signature Updates`)
	if err != nil {
		return "", ""
	}
	defer k.Close()
	raw, _, err := k.GetBinaryValue("SignaturesLastUpdated")
	if err != nil || len(raw) != 8 {
		return "", ""
	}
	product = "Windows Defender"
	updated := windows.Filetime{LowDateTime: binary.LittleEndian.Uint32(raw), HighDateTime: binary.LittleEndian.Uint32(raw[4:])}
	for _, setting := range [][2]string{{path, "DisableAntiSpyware"}, {path, "DisableAntiVirus"}, {path + `\Real-Time Protection`, "DisableRealtimeMonitoring"}} {
		if n, known := number(setting[0], setting[1]); known && n != 0 {
			return wire.AntivirusOff, product
		}
	}
	if now.Sub(time.Unix(0, updated.Nanoseconds())) > old {
		return wire.AntivirusOutdated, product
	}
	return wire.AntivirusOn, product
}

// readDisks are the fixed volumes; the agent's own is marked.
func readDisks(folder string) map[string]wire.Disk {
	all := map[string]wire.Disk{}
	drives, _ := windows.GetLogicalDrives()
	for i := range 26 {
		name := string(rune('A'+i)) + ":"
		root, err := windows.UTF16PtrFromString(name + `\`)
		if drives&(1<<i) == 0 || err != nil || windows.GetDriveType(root) != windows.DRIVE_FIXED {
			continue
		}
		var free, total uint64
		if windows.GetDiskFreeSpaceEx(root, &free, &total, nil) == nil {
			all[name] = wire.Disk{Total: int64(total), Free: int64(free), Own: strings.EqualFold(filepath.VolumeName(folder), name)}
		}
	}
	return all
}

func readRemote() map[string]wire.Remote {
	all := readRemoteFiles(remoteFiles(os.Getenv("ProgramData"), os.Getenv("SystemRoot")))
	for _, path := range []string{`SOFTWARE\TeamViewer`, `SOFTWARE\WOW6432Node\TeamViewer`} {
		if id, known := number(path, "ClientID"); known && id > 0 {
			all[teamViewer] = wire.Remote{ID: fmt.Sprint(id), Version: text(path, "Version")}
		}
	}
	return all
}

func remoteFiles(data, system string) []remoteFile {
	return []remoteFile{
		{anyDesk, filepath.Join(data, `AnyDesk\system.conf`)},
		{rustDesk, filepath.Join(system, `ServiceProfiles\LocalService\AppData\Roaming\RustDesk\config\RustDesk.toml`)},
	}
}

// residentBytes is the memory that the agent takes.
func residentBytes() int64 {
	var c struct {
		length, faults uint32
		peak, resident uintptr
		pools          [4]uintptr
		file, peakFile uintptr
	}
	c.length = uint32(unsafe.Sizeof(c))
	p := windows.NewLazySystemDLL("psapi.dll").NewProc("GetProcessMemoryInfo")
	if ok, _, _ := p.Call(uintptr(windows.CurrentProcess()), uintptr(unsafe.Pointer(&c)), uintptr(c.length)); ok == 0 {
		return 0
	}
	return int64(c.resident)
}
