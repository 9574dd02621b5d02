package ipc

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestListenMakesFolderAndMode(t *testing.T) {
	needsSockets(t)
	for _, mode := range []fs.FileMode{DefaultMode, 0o660, 0o600} {
		path := filepath.Join(filepath.Dir(socketPath(t)), "zelo", "sat.sock")
		ln, err := Listen(path, mode)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("mode %v, %v; want %v", info.Mode(), err, mode)
		}
		folder, err := os.Stat(filepath.Dir(path))
		if err != nil || folder.Mode().Perm() != 0o755 {
			t.Errorf("folder %v, %v", folder.Mode(), err)
		}
		ln.Close()
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("the socket is still there: %v", err)
		}
	}
}

func TestListenReplacesADeadSocket(t *testing.T) {
	needsSockets(t)
	path := socketPath(t)
	dead, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false) // as a killed process leaves it
	dead.Close()
	ln, err := Listen(path, DefaultMode)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestListenOnAPort(t *testing.T) {
	ln, err := Listen("tcp:127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	at := ln.Addr().String()
	stop := serve(t, ln, instant, Options{})
	c, err := Dial(t.Context(), "tcp", at, Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if ln, err := Listen("tcp:"+at, 0); !errors.Is(err, errTaken) {
		t.Errorf("a second server on the port: %v, %v", ln, err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if ln, err = Listen("tcp:"+at, 0); err != nil {
		t.Fatalf("the port is not free again: %v", err)
	}
	ln.Close()
}

func TestListenRefusesAddresses(t *testing.T) {
	for name, address := range map[string]string{
		"no port":         "tcp:127.0.0.1",
		"no host":         "tcp::9019",
		"a host's name":   "tcp:localhost:9019",
		"every address":   "tcp:0.0.0.0:9019",
		"another network": "tcp:192.0.2.1:9019",
		"a strange port":  "tcp:127.0.0.1:sat",
	} {
		if ln, err := Listen(address, 0); err == nil || !strings.Contains(err.Error(), address) {
			t.Errorf("%s: %v, %v", name, ln, err)
		}
	}
}

func TestListenRefuses(t *testing.T) {
	t.Run("another server", func(t *testing.T) {
		path, _ := start(t, instant, Options{})
		if ln, err := Listen(path, DefaultMode); err == nil || !strings.Contains(err.Error(), "another process") {
			t.Errorf("%v, %v", ln, err)
		}
		till(t, path).greeted() // the first one still answers
	})
	needsSockets(t)
	t.Run("a file", func(t *testing.T) {
		path := socketPath(t)
		if err := os.WriteFile(path, []byte("archive"), 0o600); err != nil {
			t.Fatal(err)
		}
		if ln, err := Listen(path, DefaultMode); err == nil || !strings.Contains(err.Error(), "not a socket") {
			t.Errorf("%v, %v", ln, err)
		}
		if b, err := os.ReadFile(path); string(b) != "archive" {
			t.Errorf("the file is now %q, %v", b, err)
		}
	})
	t.Run("a link to a file", func(t *testing.T) {
		path := socketPath(t)
		if err := os.Symlink("/dev/null", path); err != nil {
			t.Fatal(err)
		}
		if ln, err := Listen(path, DefaultMode); err == nil {
			ln.Close()
			t.Error("a symbolic link was replaced")
		}
	})
	t.Run("a folder that is a file", func(t *testing.T) {
		path := socketPath(t)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if ln, err := Listen(filepath.Join(path, "s"), DefaultMode); err == nil {
			ln.Close()
			t.Error("listening below a file")
		}
	})
	t.Run("a path too long for a socket", func(t *testing.T) {
		path := filepath.Join(filepath.Dir(socketPath(t)), strings.Repeat("x", 120))
		if ln, err := Listen(path, DefaultMode); err == nil {
			ln.Close()
			t.Error("listening")
		}
	})
}

func needsSockets(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("SKIP: tills on Windows are served at a port, not on Unix sockets")
	}
}
