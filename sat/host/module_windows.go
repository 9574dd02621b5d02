package main

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// module is a library loaded by LoadLibraryEx.
type module windows.Handle

// open loads the library; what it needs in turn is looked for in its own folder
// first, not in this program's.
func open(path string) (module, error) {
	handle, err := windows.LoadLibraryEx(path, 0, windows.LOAD_WITH_ALTERED_SEARCH_PATH)
	return module(handle), err
}

// find returns the address of a function, 0 when there is none of that name.
func (m module) find(name string, arguments int) uintptr {
	for _, spelt := range names(name, arguments) {
		if at, err := windows.GetProcAddress(windows.Handle(m), spelt); err == nil {
			return at
		}
	}
	return 0
}

func invoke(function uintptr, args ...uintptr) uintptr {
	returned, _, _ := syscall.SyscallN(function, args...)
	return returned
}

// keep keeps the pipes from programs that the library starts: one that outlives
// this process would hold the agent's end open.
func keep(pipes ...uint64) {
	for _, p := range pipes {
		windows.SetHandleInformation(windows.Handle(p), windows.HANDLE_FLAG_INHERIT, 0)
	}
}
