package devices

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/windows"
)

// LockIn is the name of the mutex that libraries look for too.
func LockIn(string) string { return "ZeloEquipamento" }

// tryReserve fails with ErrInUse when somebody holds the mutex. One whose owner
// died is free. POS programs run as any user, so the mutex is everybody's.
func tryReserve(lock string) (func(), error) {
	mutex, err := openMutex(`Global\` + lock)
	if err != nil {
		mutex, err = openMutex(`Local\` + lock)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the mutex %s of the device: %w", lock, err)
	}
	runtime.LockOSThread() // a mutex belongs to a thread
	got, err := windows.WaitForSingleObject(mutex, 0)
	if err == nil && (got == windows.WAIT_OBJECT_0 || got == windows.WAIT_ABANDONED) {
		return func() {
			windows.ReleaseMutex(mutex)
			windows.CloseHandle(mutex)
			runtime.UnlockOSThread()
		}, nil
	}
	runtime.UnlockOSThread()
	windows.CloseHandle(mutex)
	if err != nil {
		return nil, fmt.Errorf("cannot take the mutex %s of the device: %w", lock, err)
	}
	return nil, ErrInUse
}

func openMutex(name string) (windows.Handle, error) {
	everybody, err := windows.SecurityDescriptorFromString("D:(A;;GA;;;WD)")
	if err != nil {
		return 0, err
	}
	text, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return 0, err
	}
	attributes := windows.SecurityAttributes{SecurityDescriptor: everybody}
	attributes.Length = uint32(unsafe.Sizeof(attributes))
	mutex, err := windows.CreateMutexEx(&attributes, text, 0, windows.SYNCHRONIZE|windows.MUTEX_MODIFY_STATE)
	if errors.Is(err, windows.ERROR_ALREADY_EXISTS) { // opened
		err = nil
	}
	return mutex, err
}
