package ipc

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// DefaultMode lets every user of the machine reach the socket: the activation
// code in the call is the authority, as with a maker's library.
const DefaultMode fs.FileMode = 0o666

// Listen opens the Unix socket at path with the given permissions and makes its
// folder (0755) when missing. It takes the place of a dead socket that an earlier
// process left behind; it fails when another process answers there or when the
// path holds any other kind of file.
func Listen(path string, mode fs.FileMode) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the folder of socket %q: %w", path, err)
	}
	if err := removeDead(path); err != nil {
		return nil, fmt.Errorf("cannot listen on socket %q: %w", path, err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on socket %q: %w", path, err)
	}
	if err := os.Chmod(path, mode); err != nil {
		ln.Close()
		return nil, fmt.Errorf("cannot set the permissions of socket %q: %w", path, err)
	}
	return ln, nil
}

func removeDead(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("the path holds something that is not a socket; remove it or name another path")
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
		return errors.New("another process already answers there; stop it first")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
