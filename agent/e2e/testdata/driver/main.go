// Command driver is a maker's driver for the simulated device at the address in
// ZELO_DRIVER_DEVICE: the fake maker's library (sat/shim/testdata/maker.c) runs it
// for each call.
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
	"zelo/sat/link"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "driver:", err)
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
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, _, err := link.OpenTCP(ctx, os.Getenv("ZELO_DRIVER_DEVICE"))
	if err != nil {
		return err
	}
	defer conn.Close()
	reply, err := conn.Call(ctx, sat.Request{Till: "driver", Session: session, Function: f,
		Args: strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00")})
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(reply.Raw)
	return err
}
