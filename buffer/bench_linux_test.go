package buffer

import (
	"os"
	"slices"
	"syscall"
)

func fdatasync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }

func median(f []float64) float64 {
	slices.Sort(f)
	return f[len(f)/2]
}
