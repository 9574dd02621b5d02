package till

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPopup runs a program as the user whose desktop is there.
func TestPopup(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIP: only root speaks to other users' desktops")
	}
	dir, err := os.MkdirTemp("", "zelo-popup-") // where every user may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	said := filepath.Join(dir, "said")
	script := "#!/bin/sh\n{ /usr/bin/id -u; echo \"$DBUS_SESSION_BUS_ADDRESS\"; printf '%s\\n' \"$@\"; } > " + said + "\n"
	if err := os.WriteFile(filepath.Join(dir, "notify-send"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	sessions := filepath.Join(dir, "run")
	for _, name := range []string{"0/bus", "120/bus", "junk/bus"} {
		touch(t, filepath.Join(sessions, name))
	}
	if err := popup(t.Context(), sessions, "a", "b"); !errors.Is(err, ErrNobody) {
		t.Errorf("with no person logged on: %v", err)
	}
	touch(t, filepath.Join(sessions, "1000/bus"))
	if err := popup(t.Context(), sessions, "Título", "-texto\ncom linhas"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(said)
	want := "1000\nunix:path=" + sessions + "/1000/bus\n"
	if err != nil || !strings.HasPrefix(string(got), want) || !strings.HasSuffix(string(got), "--\nTítulo\n-texto\ncom linhas\n") {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "notify-send"), []byte("#!/bin/sh\n/bin/sleep 20 &\n/bin/sleep 20\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	stopped, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if start := time.Now(); popup(stopped, sessions, "a", "b") == nil || time.Since(start) > 4*time.Second {
		t.Errorf("a program that hangs holds up the agent's stop for %s", time.Since(start))
	}
	t.Setenv("PATH", sessions)
	if err := popup(t.Context(), sessions, "a", "b"); err == nil {
		t.Error("without the program the message counts as shown")
	}
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
}
