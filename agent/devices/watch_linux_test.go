package devices

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestListingDiffers changes a computer and looks whether the listing shows it.
func TestListingDiffers(t *testing.T) {
	write := func(t *testing.T, path, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		change func(t *testing.T, root string)
		want   bool
	}{
		"device without a port comes": {func(t *testing.T, root string) { write(t, filepath.Join(root, bus, "1-3/devnum"), "9\n") }, true},
		"device goes":                 {func(t *testing.T, root string) { must(t, os.RemoveAll(filepath.Join(root, bus, "1-1"))) }, true},
		"device came back, same port": {func(t *testing.T, root string) { write(t, filepath.Join(root, bus, "1-1/devnum"), "8\n") }, true},
		"port comes":                  {func(t *testing.T, root string) { write(t, filepath.Join(root, "dev/ttyUSB0"), "") }, true},
		"port goes":                   {func(t *testing.T, root string) { must(t, os.Remove(filepath.Join(root, "dev/ttyACM0"))) }, true},
		"port is opened to others":    {func(t *testing.T, root string) { must(t, os.Chmod(filepath.Join(root, "dev/ttyACM0"), 0o660)) }, true},
		"udev gives the port a name": {func(t *testing.T, root string) {
			write(t, filepath.Join(root, "dev/serial/by-id/usb-Tanca_1-if00"), "")
		}, true},
		"nothing changes": {func(*testing.T, string) {}, false},
		"somebody writes to the port": {func(t *testing.T, root string) {
			must(t, os.Chtimes(filepath.Join(root, "dev/ttyACM0"), time.Time{}, time.Now().Add(time.Hour)))
		}, false},
		"interface gets a driver": {func(t *testing.T, root string) { write(t, filepath.Join(root, bus, "1-1:1.2/bInterfaceClass"), "ff") }, false},
		"unrelated file in dev":   {func(t *testing.T, root string) { write(t, filepath.Join(root, "dev/sdb"), "") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			root := tree(t, linkers())
			before := listing(root)
			c.change(t, root)
			if after := listing(root); (after != before) != c.want {
				t.Errorf("before\n%s\nafter\n%s", before, after)
			}
		})
	}
	if got := listing(t.TempDir()); got != "" {
		t.Errorf("a computer without USB lists %q", got)
	}
}

func TestEventsThatConcernDevices(t *testing.T) {
	for event, want := range map[string]bool{
		"add@/devices/pci0/usb1/1-1\x00ACTION=add\x00SUBSYSTEM=usb\x00DEVTYPE=usb_device\x00": true,
		"remove@/devices/x/tty/ttyACM0\x00ACTION=remove\x00SUBSYSTEM=tty\x00":                 true,
		"add@/devices/x/block/sda\x00ACTION=add\x00SUBSYSTEM=block\x00":                       false,
		"add@/devices/SUBSYSTEM=usb\x00ACTION=add\x00SUBSYSTEM=usbmisc\x00":                   false,
		"bind@/devices/x/1-1:1.0\x00ACTION=bind\x00SUBSYSTEM=usb\x00":                         false, // somebody opened it
		"change@/devices/x/tty/tty0\x00ACTION=change\x00SUBSYSTEM=tty\x00":                    false,
		"add": false,
		"":    false,
	} {
		if got := concerns([]byte(event)); got != want {
			t.Errorf("concerns(%q) is %v", event, got)
		}
	}
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte("add@/devices/x\x00SUBSYSTEM=usb\x00"))
	f.Fuzz(func(t *testing.T, event []byte) {
		if concerns(event) && !bytes.HasPrefix(event, []byte("add@")) && !bytes.HasPrefix(event, []byte("remove@")) {
			t.Errorf("%q counts", event)
		}
	})
}

// TestWatchHearsTheKernel asks the kernel to tell again of a terminal that it has
// (Documentation/ABI/testing/sysfs-uevent), and waits for the real event.
func TestWatchHearsTheKernel(t *testing.T) {
	told := make(chan struct{}, 1)
	stop, err := hear(told)
	if err != nil {
		t.Skip("SKIP: the kernel's events cannot be heard here: ", err)
	}
	stop() // it ends without an event
	const terminal = "/sys/class/tty/tty0/uevent"
	if err := unix.Access(terminal, unix.W_OK); err != nil {
		t.Skip("SKIP: no right to have the kernel send an event: ", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	changed, ended := make(chan time.Time, 8), make(chan struct{})
	go func() {
		defer close(ended)
		Watch(ctx, slog.New(slog.DiscardHandler), func() { changed <- time.Now() })
	}()
	// The watch may not hear yet: ask until it tells.
	again := time.NewTicker(400 * time.Millisecond)
	defer again.Stop()
	for heard := false; !heard; {
		if err := os.WriteFile(terminal, []byte("add"), 0); err != nil {
			t.Skip("SKIP: the kernel does not send an event on demand: ", err)
		}
		select {
		case <-changed:
			heard = true
		case <-again.C:
		case <-ended:
			t.Fatal("no event was told within 5 s")
		}
	}
	cancel()
	<-ended
}
