// Package guest tests what needs a kernel: the simulator as a real USB device,
// plugged in and pulled out at will, and the conformance suite (sattest) run on it
// through the kernel's own drivers.
//
// A test boots a small virtual machine (QEMU in software: no root, no KVM, no
// module of the machine's own kernel). Its only program is this very test,
// compiled once more, which is the guest's init: it loads the kernel's modules,
// runs the same test there, where that means the suite, and switches off. What it
// prints on the serial port of the guest is what the test outside judges.
//
// The USB devices are made by the guest's process through vhci_hcd, the kernel's
// client of USB/IP: every request of the kernel's drivers to the device arrives as
// a message on a socket (dossier on the device link, 6.4).
//
// What is tested is package link behind the kernel's drivers cdc_acm and ftdi_sio,
// and over the bulk endpoints of a device without a driver; link's way to these
// endpoints once more as a 32-bit program; and the agent's watcher of devices, with
// the time from the plug to the open device.
//
// .ci/e2e-usb.sh fetches QEMU and a kernel; without them the test is skipped.
package guest
