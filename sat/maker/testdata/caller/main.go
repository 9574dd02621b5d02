// Command caller drives a maker's library as the agent does, for tests of what
// runs in Wine and of what becomes of processes:
//
//	caller calls LIBRARY N            makes N calls, and says ok
//	caller sales LIBRARY SESSION...   makes a sale of each session, and says what
//	                                  became of it, one line each: SESSION OUTCOME
//	                                  there|gone MESSAGE. A library that is gone is
//	                                  opened again for the next
//	caller hang LIBRARY               makes a call of session 6, and says what the
//	                                  library prints
//	caller serve LIBRARY              serves the library by sat/ipc: says its port,
//	                                  and gone when it is; until its input ends
//	caller wait                       does nothing until it is killed
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"zelo/sat"
	"zelo/sat/ipc"
	"zelo/sat/maker"
)

func main() {
	if os.Args[1] == "wait" {
		time.Sleep(time.Hour)
	}
	acts := map[string]func(library string, args []string) error{"calls": calls, "sales": sales, "hang": hang, "serve": serve}
	if err := acts[os.Args[1]](os.Args[2], os.Args[3:]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func open(library string, log *slog.Logger) (*maker.Conn, error) {
	c, _, err := maker.Open(context.Background(), maker.Options{Library: library, Slack: 200 * time.Millisecond, Log: log})
	return c, err
}

func calls(library string, args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	c, err := open(library, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	for session := range n {
		r, err := c.Call(context.Background(), sat.Request{Session: session, Function: sat.TrocarCodigoDeAtivacao,
			Args: []string{"antigo", "1", "novo", "novo"}})
		if err != nil || r.Session != session || r.Code != 18001 {
			return fmt.Errorf("call %d: %s, %w", session, r.Raw, err)
		}
	}
	fmt.Println("ok")
	return nil
}

func sales(library string, sessions []string) error {
	c, err := open(library, nil)
	if err != nil {
		return err
	}
	defer func() { c.Close() }()
	for _, s := range sessions {
		session, err := strconv.Atoi(s)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		req := sat.Request{Session: session, Function: sat.EnviarDadosVenda, Args: []string{"12345678", "<CFe/>"}}
		r, err := c.Call(ctx, req)
		cancel()
		if sat.OutcomeOf(req, r, err) == sat.Unknown && err != nil {
			<-c.Gone() // at once, or after the slack
		}
		select {
		case <-c.Gone():
			fmt.Println(session, sat.OutcomeOf(req, r, err), "gone", r.Message)
			c.Close()
			if c, err = open(library, nil); err != nil {
				return err
			}
		default:
			fmt.Println(session, sat.OutcomeOf(req, r, err), "there", r.Message)
		}
	}
	return nil
}

func hang(library string, _ []string) error {
	c, err := open(library, slog.New(slog.NewTextHandler(os.Stdout, nil)))
	if err != nil {
		return err
	}
	_, err = c.Call(context.Background(), sat.Request{Session: 6, Function: sat.ConsultarSAT})
	return err
}

func serve(library string, _ []string) error {
	c, err := open(library, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	ln, err := ipc.ListenTCP("127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr().(*net.TCPAddr).Port)
	ctx, stop := context.WithCancel(context.Background())
	go func() { <-c.Gone(); fmt.Println("gone") }()
	go func() { io.Copy(io.Discard, os.Stdin); stop() }()
	return ipc.Serve(ctx, ln, c, ipc.Options{})
}
