package devices

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"unsafe"

	"golang.org/x/sys/windows"
)

// LockIn is the name of the mutex that libraries look for too.
func LockIn(string) string { return "ZeloEquipamento" }

// Who may do what in the shared folder, in Windows' own notation: the system and
// administrators everything; every user adds files, which are theirs alone, and
// reads one of the agent's.
const (
	folderRights = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OIIO;FA;;;CO)(A;;0x1200A2;;;BU)"
	fileRights   = "D:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FR;;;BU)"
)

// Share makes the folder that the agent and the libraries of all users share, with
// a file that they may read. Whoever adds a file cannot see or take away others'.
func Share(folder, readable string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	file := filepath.Join(folder, readable)
	f, err := os.OpenFile(file, os.O_RDONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), Protect(file, fileRights), Protect(folder, folderRights))
}

// Protect gives a file or folder the rights, a DACL in Windows' own notation (SDDL),
// in place of those it inherits.
func Protect(path, rights string) error {
	d, err := windows.SecurityDescriptorFromString(rights)
	if err != nil {
		return err
	}
	list, _, err := d.DACL()
	if err == nil {
		err = windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT,
			windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, list, nil)
	}
	if err != nil {
		return fmt.Errorf("cannot set who may use %s: %w", path, err)
	}
	return nil
}

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
