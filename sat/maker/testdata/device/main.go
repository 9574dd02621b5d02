// Command device is the device of the fake maker's library
// (sat/shim/testdata/maker.c): it carries out one call at the simulator that the
// test serves at the socket in ZELO_TEST_DEVICE. It gives up after 3 s. It writes
// nothing when there is no reply.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"zelo/sat"
	"zelo/sat/ipc"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "device:", err)
		os.Exit(1)
	}
}

func run(name, number string) error {
	f, ok := sat.FunctionByName(name)
	session, err := strconv.Atoi(number)
	if err != nil || !ok {
		return fmt.Errorf("cannot make call %q of session %q", name, number)
	}
	raw, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	var args []string
	if len(raw) > 0 {
		args = strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	c, err := ipc.Dial(ctx, "unix", os.Getenv("ZELO_TEST_DEVICE"), ipc.Options{})
	if err != nil {
		return err
	}
	defer c.Close()
	reply, err := c.Call(ctx, sat.Request{Session: session, Function: f, Args: args})
	os.Stdout.Write(reply.Raw) // also when it is no reply
	return err
}
