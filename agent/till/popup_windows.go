package till

import (
	"context"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// stays is for how long a message stays when nobody answers it.
const stays = 10 * time.Minute

// Popup shows a message to the user whose session is active, and does not wait for the
// answer. It does not push itself before the program in use.
func Popup(_ context.Context, title, text string) error {
	session, err := activeSession()
	if err != nil {
		return err
	}
	t, err := windows.UTF16FromString(title)
	if err != nil {
		return err
	}
	m, err := windows.UTF16FromString(text)
	if err != nil {
		return err
	}
	send := windows.NewLazySystemDLL("wtsapi32.dll").NewProc("WTSSendMessageW")
	if err := send.Find(); err != nil {
		return err
	}
	const bytes = 2 // of a character; lengths are without the ending zero
	var answer uint32
	ok, _, err := send.Call(0, uintptr(session), uintptr(unsafe.Pointer(&t[0])), uintptr(bytes*(len(t)-1)),
		uintptr(unsafe.Pointer(&m[0])), uintptr(bytes*(len(m)-1)), windows.MB_OK|windows.MB_ICONINFORMATION,
		uintptr(stays.Seconds()), uintptr(unsafe.Pointer(&answer)), 0)
	if ok == 0 {
		return fmt.Errorf("cannot send a message to session %d: %w", session, err)
	}
	return nil
}

// activeSession is that of the user who is at this computer, here or from afar.
func activeSession() (uint32, error) {
	var first *windows.WTS_SESSION_INFO
	var n uint32
	if err := windows.WTSEnumerateSessions(0, 0, 1, &first, &n); err != nil {
		return 0, fmt.Errorf("cannot list the sessions of this computer: %w", err)
	}
	defer windows.WTSFreeMemory(uintptr(unsafe.Pointer(first)))
	for _, s := range unsafe.Slice(first, n) {
		if s.State == windows.WTSActive && s.SessionID != 0 {
			return s.SessionID, nil
		}
	}
	return 0, ErrNobody
}
