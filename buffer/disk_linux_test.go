package buffer

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

const insideNamespace = "ZELO_BUFFER_SMALL_DISK"

// TestFullDisk runs TestSmallDisk where a disk of 20 MiB can be mounted without
// leaving a trace: in a mount namespace of its own.
func TestFullDisk(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSmallDisk$", "-test.v")
	cmd.Env = append(os.Environ(), insideNamespace+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || strings.Contains(string(out), "SKIP:") {
		t.Skipf("SKIP: this machine lets nobody mount a small disk: %v %s", err, out)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: TestSmallDisk/") {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestSmallDisk(t *testing.T) {
	dir := os.Getenv(insideNamespace)
	if dir == "" {
		t.Skip("SKIP: run by TestFullDisk on a disk of its own")
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=20m"); err != nil {
		t.Skip("SKIP: cannot mount a tmpfs: ", err)
	}
	path := filepath.Join(dir, "b")
	o := small()
	o.MaxBytes = 32 << 20
	b := mustOpen(t, path, o)
	t.Run("the bound is what the disk can hold", func(t *testing.T) {
		if got := b.Stats().Bound; got != 16<<20 {
			t.Errorf("bound of %d bytes on a disk of 20 MiB", got)
		}
	})
	t.Run("what is allocated stays writable on a full disk", func(t *testing.T) {
		filler := fillDisk(t, dir)
		defer os.Remove(filler)
		for i := range 100 {
			mustAppend(t, b, "documents", noise(uint64(i), 5000))
		}
	})
	t.Run("no room for a new file", func(t *testing.T) {
		filler := fillDisk(t, dir)
		defer os.Remove(filler)
		_, _, err := Open(filepath.Join(dir, "other"), o)
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("open: %v", err)
		}
	})
	t.Run("a full disk under a file that is not allocated", func(t *testing.T) {
		before := len(mustPeek(t, b, "documents"))
		punch(t, path, 4<<20, 12<<20)
		filler := fillDisk(t, dir)
		var err error
		n := 0
		for ; err == nil; n++ {
			var batch Batch
			batch.Append("documents", noise(uint64(n), 50000))
			_, err = b.Commit(&batch)
		}
		if !errors.Is(err, ErrFull) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("commit on a full disk: %v", err)
		}
		if got := len(mustPeek(t, b, "documents")); got != before+n-1 {
			t.Errorf("%d records wait, want %d", got, before+n-1)
		}
		os.Remove(filler)
		mustAppend(t, b, "documents", noise(1, 50000))
		mustClose(t, b)
		b = mustOpen(t, path, o)
		if got := len(mustPeek(t, b, "documents")); got != before+n {
			t.Errorf("%d records wait after reopening, want %d", got, before+n)
		}
	})
	t.Run("a disk that may only be read", func(t *testing.T) {
		b := mustOpen(t, path, o)
		want := len(mustPeek(t, b, "documents"))
		mustClose(t, b)
		os.Remove(path + ".lock")
		if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
		if r, err := Check(path); err != nil || len(r.Damage) > 0 || r.Streams[0].Waiting != want {
			t.Errorf("check: %+v, %v", r, err)
		}
		if records, lost := readAll(t, path, "documents"); len(records) != want || len(lost) > 0 {
			t.Errorf("read %d of %d, lost %q", len(records), want, lost)
		}
		if _, _, err := Open(path, o); !errors.Is(err, syscall.EROFS) {
			t.Errorf("open: %v", err)
		}
	})
}

// fillDisk takes what is left of a disk.
func fillDisk(t *testing.T, dir string) string {
	t.Helper()
	f, err := os.CreateTemp(dir, "filler")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return f.Name()
}

// punch gives allocated blocks back to the disk.
func punch(t *testing.T, path string, from, size int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const keepSizePunchHole = 3
	if err := syscall.Fallocate(int(f.Fd()), keepSizePunchHole, from, size); err != nil {
		t.Skip("SKIP: no holes in files here: ", err)
	}
}

func TestFileIsReallyAllocated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	mustOpen(t, path, small())
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	if st.Blocks*512 < 8<<20 {
		t.Errorf("%d of %d bytes are allocated", st.Blocks*512, 8<<20)
	}
}

func TestReadOnlyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	b := mustOpen(t, path, small())
	mustAppend(t, b, "documents", []byte("d"))
	mustClose(t, b)
	protect(t, path)
	if _, _, err := Open(path, small()); !errors.Is(err, os.ErrPermission) {
		t.Errorf("open: %v", err)
	}
	if r, err := Check(path); err != nil || len(r.Damage) > 0 || r.Streams[0].Waiting != 1 {
		t.Errorf("check: %+v, %v", r, err)
	}
}

// protect makes a file unwritable, for root as well.
func protect(t *testing.T, path string) {
	t.Helper()
	if os.Getuid() != 0 {
		os.Chmod(path, 0o400)
		return
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	const getFlags, setFlags, immutable = 0x80086601, 0x40086602, 0x10 // FS_IOC_...
	var flags uint32
	call := func(request uintptr) syscall.Errno {
		_, _, e := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(&flags)))
		return e
	}
	e := call(getFlags)
	if flags |= immutable; e == 0 {
		e = call(setFlags)
	}
	t.Cleanup(func() {
		flags &^= immutable
		call(setFlags)
		f.Close()
	})
	if e != 0 {
		t.Skip("SKIP: this file system protects no file from root: ", e)
	}
}

// TestPagesAreWrittenAhead finds the file's end of what has ever been written: a
// commit must not be the first to write its pages, see writeAhead.
func TestPagesAreWrittenAhead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	b := mustOpen(t, path, small())
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const seekHole = 4
	high := func() int64 {
		at, err := b.high()
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	written := func() int64 {
		at, err := f.Seek(0, seekHole)
		if err != nil || at == 8<<20 && high() < 1<<20 {
			t.Skip("SKIP: this file system does not tell what was never written: ", err)
		}
		return at
	}
	for i := range 300 {
		mustAppend(t, b, "documents", noise(uint64(i), 9000))
		if written() <= high() {
			t.Fatalf("commit %d took pages up to %d and nothing is written behind them", i, high())
		}
	}
	for i, r := range mustPeek(t, b, "documents") {
		if !bytes.Equal(r.Data, noise(uint64(i), 9000)) {
			t.Fatalf("record %d was overwritten", i)
		}
	}
}
