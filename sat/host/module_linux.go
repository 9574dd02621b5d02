package main

import (
	"syscall"

	"github.com/ebitengine/purego"
)

// module is a library loaded by dlopen.
type module uintptr

func open(path string) (module, error) {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	return module(handle), err
}

// find returns the address of a function, 0 when there is none of that name.
func (m module) find(name string, arguments int) uintptr {
	for _, spelt := range names(name, arguments) {
		if at, err := purego.Dlsym(uintptr(m), spelt); err == nil {
			return at
		}
	}
	return 0
}

func invoke(function uintptr, args ...uintptr) uintptr {
	returned, _, _ := purego.SyscallN(function, args...)
	return returned
}

// keep keeps the pipes from programs that the library starts: one that outlives
// this process would hold the agent's end open.
func keep(pipes ...uint64) {
	for _, p := range pipes {
		syscall.CloseOnExec(int(p))
	}
}
