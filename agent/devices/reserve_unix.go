//go:build unix

package devices

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// LockIn is the lock's name when libraries leave their calls in that folder.
func LockIn(folder string) string { return filepath.Join(folder, "equipamento.lock") }

// Share makes the folder that the agent and the libraries of all users share, with
// a file that they may read. Whoever adds a file cannot read or take away others',
// but may list them: the library opens the folder to make its file's name durable.
func Share(folder, readable string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(folder, readable), os.O_RDONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o644), f.Close(), os.Chmod(folder, 0o777|os.ModeSticky))
}

// tryReserve fails with ErrInUse when somebody holds the lock. POS programs run
// as any user, so the file is everybody's. It is created only when missing: Linux
// may forbid root to open another user's file that way (fs.protected_regular).
func tryReserve(lock string) (func(), error) {
	f, err := os.OpenFile(lock, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		f, err = os.OpenFile(lock, os.O_RDONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o666)
		if err == nil {
			f.Chmod(0o666) // past the umask
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the lock of the device: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
			return nil, ErrInUse
		}
		return nil, fmt.Errorf("cannot lock %s: %w", lock, err)
	}
	// A file that was removed meanwhile is nobody's lock any more.
	now, err := os.Stat(lock)
	held, herr := f.Stat()
	if err != nil || herr != nil || !os.SameFile(now, held) {
		f.Close()
		return nil, ErrInUse
	}
	return func() { f.Close() }, nil
}
