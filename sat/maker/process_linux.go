package maker

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// bind starts the command with both pipes, as descriptors 3 and 4. The kernel
// kills it when this process ends. release is called after its end.
func bind(cmd *exec.Cmd, in, out *os.File) (release func(), err error) {
	cmd.ExtraFiles = []*os.File{in, out}
	path := cmd.Dir
	if set := os.Getenv("LD_LIBRARY_PATH"); set != "" {
		path = strings.Join([]string{path, set}, ":")
	}
	cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return func() {}, cmd.Start()
}
