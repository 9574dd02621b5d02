//go:build !windows

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// An agent that is to start again does so in the same process, as the service
// manager knows it.
func TestStartAgain(t *testing.T) {
	if mark := os.Getenv("ZELO_TEST_START_AGAIN"); mark != "" {
		fmt.Println("pid", os.Getpid())
		if err := os.Mkdir(mark, 0o700); err == nil {
			t.Error(startAgain())
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestStartAgain$")
	cmd.Env = append(os.Environ(), "ZELO_TEST_START_AGAIN="+filepath.Join(t.TempDir(), "mark"))
	out, err := cmd.CombinedOutput()
	if want := fmt.Sprint("pid ", cmd.ProcessState.Pid()); err != nil || strings.Count(string(out), want) != 2 {
		t.Errorf("%v: %s", err, out)
	}
}
