package till

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Popup shows a message to the users who have a desktop here, by the program
// notify-send of their desktop.
func Popup(ctx context.Context, title, text string) error {
	return popup(ctx, "/run/user", title, text)
}

// firstUser is the number from which on users are people.
const firstUser = 1000

func popup(ctx context.Context, sessions, title, text string) error {
	program, err := exec.LookPath("notify-send")
	if err != nil {
		return fmt.Errorf("this computer has no way to show messages: %w", err)
	}
	buses, err := filepath.Glob(filepath.Join(sessions, "*", "bus"))
	if err != nil {
		return err
	}
	said := ErrNobody
	for _, bus := range buses {
		user, err := strconv.ParseUint(filepath.Base(filepath.Dir(bus)), 10, 32)
		if err != nil || user < firstUser {
			continue
		}
		if err = notify(ctx, program, bus, uint32(user), title, text); err == nil {
			said = nil
		} else if said != nil {
			said = errors.Join(said, err)
		}
	}
	return said
}

// notify runs the program as its user: a desktop takes messages from nobody else.
func notify(ctx context.Context, program, bus string, user uint32, title, text string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, program, "--app-name=Zelo", "--urgency=normal", "--", title, text)
	c.Env = []string{"DBUS_SESSION_BUS_ADDRESS=unix:path=" + bus, "XDG_RUNTIME_DIR=" + filepath.Dir(bus)}
	c.Dir, c.WaitDelay = "/", time.Second // what it started may hold its output
	if int(user) != os.Getuid() {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	}
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot show a message to user %d: %w: %s", user, err, out)
	}
	return nil
}
