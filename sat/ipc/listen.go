package ipc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// DefaultMode lets every user of the machine reach the socket: the activation
// code in the call is the authority, as with a maker's library.
const DefaultMode fs.FileMode = 0o666

// errTaken is an address that another process holds.
var errTaken = errors.New("another process already answers there; stop it first, or name another address")

// Listen opens the address at which tills call: the path of a Unix socket, or
// "tcp:HOST:PORT" with a numeric host of this computer (127.0.0.1), which is what
// the library on Windows knows. It fails when another process answers there.
//
// The folder of a Unix socket is made (0755) when missing, the socket gets the
// permissions of mode and takes the place of a dead one that an earlier process
// left behind; any other kind of file is left alone.
func Listen(address string, mode fs.FileMode) (net.Listener, error) {
	open := func() (net.Listener, error) { return listenUnix(address, mode) }
	if at, ok := strings.CutPrefix(address, "tcp:"); ok {
		open = func() (net.Listener, error) { return listenLoopback(at) }
	}
	ln, err := open()
	if err != nil {
		return nil, fmt.Errorf("cannot listen at %q: %w", address, err)
	}
	return ln, nil
}

func listenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := removeDead(path); err != nil {
		return nil, err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// listenLoopback takes a port of this computer alone.
func listenLoopback(at string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(at)
	if err != nil {
		return nil, fmt.Errorf("write tcp:127.0.0.1:PORT: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, errors.New("other computers would reach it; write tcp:127.0.0.1:PORT")
	}
	return ListenTCP(at)
}

// ListenTCP opens HOST:PORT so that no other program can answer there as long as
// this one does. Which computers reach it is the caller's care.
func ListenTCP(at string) (net.Listener, error) {
	config := net.ListenConfig{Control: exclusive}
	ln, err := config.Listen(context.Background(), "tcp", at)
	if inUse(err) {
		return nil, fmt.Errorf("%w: %w", errTaken, err)
	}
	return ln, err
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
		return errTaken
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
