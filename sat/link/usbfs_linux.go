package link

import "unsafe"

// What usbfs takes (linux/usbdevice_fs.h), laid out by the compiler as on the
// system that the program is built for: pointers and, with them, the numbers of the
// ioctls differ between 32 and 64 bits.

// urb is struct usbdevfs_urb: one transfer.
type urb struct {
	kind, endpoint         uint8
	status                 int32
	flags                  uint32
	buffer                 unsafe.Pointer
	length, actual         int32
	start, packets, errors int32
	signal                 uint32
	context                unsafe.Pointer
}

const (
	urbBulk       = 3
	urbZeroPacket = 0x40 // an empty packet after a full last one
)

// disconnectClaim is struct usbdevfs_disconnect_claim.
type disconnectClaim struct {
	number, flags uint32
	driver        [256]byte
}

// onlyFromDriver is the flag that names the driver to take the interface from.
const onlyFromDriver = 1

// The ioctls: direction, size of the argument, 'U' for usbfs, number.
const (
	ioctlWrite = 1 << 30
	ioctlRead  = 2 << 30

	usbfsSubmit          = ioctlRead | unsafe.Sizeof(urb{})<<16 | 'U'<<8 | 10
	usbfsDiscard         = 'U'<<8 | 11
	usbfsReap            = ioctlWrite | unsafe.Sizeof(uintptr(0))<<16 | 'U'<<8 | 13
	usbfsClaim           = ioctlRead | unsafe.Sizeof(uint32(0))<<16 | 'U'<<8 | 15
	usbfsClearHalt       = ioctlRead | unsafe.Sizeof(uint32(0))<<16 | 'U'<<8 | 21
	usbfsDisconnectClaim = ioctlRead | unsafe.Sizeof(disconnectClaim{})<<16 | 'U'<<8 | 27
)
