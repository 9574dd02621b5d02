package guest

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// inGuest is set on the kernel's command line, and so in the environment of init.
const inGuest = "ZELO_GUEST"

func isGuest() bool { return os.Getpid() == 1 && os.Getenv(inGuest) != "" }

func TestMain(m *testing.M) {
	if !isGuest() {
		os.Exit(m.Run())
	}
	code := 1
	if err := prepare(); err != nil {
		fmt.Println("guest:", err)
	} else {
		code = m.Run()
	}
	fmt.Printf("%s%d\n", ended, code)
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// prepare makes the kernel ready: what programs expect is mounted, and the modules
// are loaded in the order of their names, which the initramfs gave them.
func prepare() error {
	for _, m := range []struct{ kind, at string }{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}} {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			return fmt.Errorf("cannot make the folder %s: %w", m.at, err)
		}
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil {
			return fmt.Errorf("cannot mount %s: %w", m.at, err)
		}
	}
	modules, err := os.ReadDir(modulesAt)
	if err != nil {
		return fmt.Errorf("cannot find the kernel's modules: %w", err)
	}
	for _, m := range modules {
		f, err := os.Open(modulesAt + "/" + m.Name())
		if err != nil {
			return fmt.Errorf("cannot open module %s: %w", m.Name(), err)
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil {
			return fmt.Errorf("cannot load module %s: %w", m.Name(), err)
		}
	}
	return nil
}
