package link

import (
	"testing"
	"unsafe"
)

// The numbers are those that linux/usbdevice_fs.h gives, on 32 and on 64 bits. Run
// with GOARCH=386 as well.
func TestUsbfsNumbers(t *testing.T) {
	wide := unsafe.Sizeof(uintptr(0)) == 8
	for _, c := range []struct {
		name        string
		got, w32, w uintptr
	}{
		{"SUBMITURB", usbfsSubmit, 0x802C550A, 0x8038550A},
		{"DISCARDURB", usbfsDiscard, 0x550B, 0x550B},
		{"REAPURBNDELAY", usbfsReap, 0x4004550D, 0x4008550D},
		{"CLAIMINTERFACE", usbfsClaim, 0x8004550F, 0x8004550F},
		{"CLEAR_HALT", usbfsClearHalt, 0x80045515, 0x80045515},
		{"DISCONNECT_CLAIM", usbfsDisconnectClaim, 0x8108551B, 0x8108551B},
	} {
		want := c.w32
		if wide {
			want = c.w
		}
		if c.got != want {
			t.Errorf("%s is %#x, want %#x", c.name, c.got, want)
		}
	}
}
