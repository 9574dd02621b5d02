package monitor

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"

	"zelo/agent/wire"
)

// readPrograms are the running programs with libraries of a SAT, and why some could not
// be looked at.
func readPrograms() (all []program, unseen string) {
	snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return nil, wire.UnseenFailed
	}
	defer windows.CloseHandle(snapshot)
	wide, system := seesWide(), isSystem()
	e := windows.ProcessEntry32{}
	e.Size = uint32(unsafe.Sizeof(e))
	for err = windows.Process32First(snapshot, &e); err == nil; err = windows.Process32Next(snapshot, &e) {
		name := windows.UTF16ToString(e.ExeFile[:])
		own := int(e.ParentProcessID) == os.Getpid() && strings.HasPrefix(strings.ToLower(name), libraryHost)
		if own || e.ProcessID <= kernelProcess {
			continue
		}
		p, err := readProgram(e.ProcessID, wide)
		p.name = name
		switch {
		case errors.Is(err, errEnded), system && errors.Is(err, windows.ERROR_ACCESS_DENIED):
			// From the system itself only Windows' own protected programs hide.
		case errors.Is(err, errWide):
			unseen = cmp.Or(unseen, wire.UnseenWide)
		case errors.Is(err, windows.ERROR_ACCESS_DENIED):
			unseen = cmp.Or(unseen, wire.UnseenDenied)
		case err != nil:
			unseen = cmp.Or(unseen, wire.UnseenFailed)
		case p.ours || p.makers != "":
			all = append(all, p)
		}
	}
	return all, unseen
}

// kernelProcess is Windows itself.
const kernelProcess = 4

// Why a process cannot be looked at.
var (
	errWide  = errors.New("a program of 64 bits")
	errEnded = errors.New("the program ended")
)

// seesWide tells whether programs of 64 bits, if there are any, can be looked at: by an
// agent that does not run as one of 32 bits among them.
func seesWide() bool {
	var narrow bool
	err := windows.IsWow64Process(windows.CurrentProcess(), &narrow)
	return err == nil && !narrow
}

// isSystem tells whether the agent runs as Windows runs services.
func isSystem() bool {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	return err == nil && user.User.Sid.IsWellKnown(windows.WinLocalSystemSid)
}

// readProgram looks at one process. What fails while it ends is no failure.
func readProgram(pid uint32, wide bool) (p program, err error) {
	process, err := windows.OpenProcess(windows.PROCESS_QUERY_INFORMATION|windows.PROCESS_VM_READ|windows.SYNCHRONIZE, false, pid)
	if errors.Is(err, windows.ERROR_INVALID_PARAMETER) {
		return p, errEnded
	}
	if err != nil {
		return p, err
	}
	defer windows.CloseHandle(process)
	defer func() {
		if event, _ := windows.WaitForSingleObject(process, 0); event == windows.WAIT_OBJECT_0 {
			err = errEnded
		}
	}()
	var narrow bool
	if err := windows.IsWow64Process(process, &narrow); err == nil && !narrow && !wide {
		return p, errWide
	}
	modules := make([]windows.Handle, 1024) // a program with more shows the first ones
	size, used := unsafe.Sizeof(modules[0]), uint32(0)
	err = windows.EnumProcessModulesEx(process, &modules[0], uint32(len(modules)*int(size)), &used, windows.LIST_MODULES_ALL)
	if errors.Is(err, windows.ERROR_PARTIAL_COPY) {
		return p, nil // it has hardly begun, or is none of Windows' programs
	}
	if err != nil {
		return p, err
	}
	path := make([]uint16, 1024)
	for _, base := range modules[:min(len(modules), int(used)/int(size))] {
		if windows.GetModuleFileNameEx(process, base, &path[0], uint32(len(path))) != nil {
			continue // it was freed meanwhile
		}
		if path := windows.UTF16ToString(path); mayBeSAT(path) {
			p.add(path, image{process, uintptr(base)}.exports())
		}
	}
	return p, nil
}

// image is a library in the memory of a process: what is loaded, whatever became of its
// file.
type image struct {
	process windows.Handle
	base    uintptr
}

// at reads so much from a place in the image; nil when that is not there.
func (i image) at(place, n uint32) []byte {
	b := make([]byte, n)
	if n == 0 || windows.ReadProcessMemory(i.process, i.base+uintptr(place), &b[0], uintptr(n), nil) != nil {
		return nil
	}
	return b
}

// number reads 32 bits; what is not there is zero.
func (i image) number(place uint32) uint32 {
	b := i.at(place, 4)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint32(b)
}

// exports are the names of the functions that the library offers (Microsoft's PE format,
// "The .edata section").
func (i image) exports() (names []string) {
	const (
		most, longest = 4096, 64 // names, and bytes of one
		wide          = 0x20b    // magic number of a library of 64 bits
	)
	header := i.number(0x3c) + 24 // behind signature and file header
	end, table := i.number(header+56), i.number(header+96)
	if i.number(header)&0xffff == wide {
		table = i.number(header + 112)
	}
	if table == 0 {
		return nil
	}
	places := i.at(i.number(table+32), 4*min(i.number(table+24), most))
	for ; len(places) > 0; places = places[4:] {
		place := binary.LittleEndian.Uint32(places)
		name, _, _ := bytes.Cut(i.at(place, min(longest, end-min(place, end))), []byte{0})
		names = append(names, string(name))
	}
	return names
}
