package main

import "syscall"

// dieWithParent keeps no process behind when the demonstration itself is killed.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
