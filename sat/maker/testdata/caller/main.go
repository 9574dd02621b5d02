// Command caller opens a maker's library and makes calls of it:
//
//	caller LIBRARY CALLS [hang]
//
// It says how each kind of call went and ends. With hang it makes a call that
// hangs instead, and says so once the library is given up.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"zelo/sat"
	"zelo/sat/maker"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run(args []string) error {
	calls, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	c, _, err := maker.Open(context.Background(), maker.Options{Library: args[0], Slack: 100 * time.Millisecond})
	if err != nil {
		return err
	}
	defer c.Close()
	for session := range calls {
		r, err := c.Call(context.Background(), sat.Request{Session: session, Function: sat.TrocarCodigoDeAtivacao,
			Args: []string{"antigo", "1", "novo", "novo"}})
		if err != nil || r.Session != session || r.Code != 18001 {
			return fmt.Errorf("call %d: %s, %w", session, r.Raw, err)
		}
	}
	if len(args) == 3 {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_, err := c.Call(ctx, sat.Request{Session: 1, Function: sat.ConsultarSAT})
		<-c.Gone()
		if errors.Is(err, sat.ErrNotSent) || !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("the call that hangs: %w", err)
		}
	}
	fmt.Println("ok")
	return nil
}
