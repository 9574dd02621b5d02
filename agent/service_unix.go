//go:build !windows

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/kardianos/service"
)

// program is the agent as the service manager sees it. Start returns at once.
type program struct {
	config string
	cancel context.CancelFunc
	done   chan struct{}
}

func (p *program) Start(s service.Service) error {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel, p.done = cancel, make(chan struct{})
	go func() {
		defer close(p.done)
		c, err := startConfig(p.config)
		if err == nil {
			err = run(ctx, c, os.Stderr)
		}
		if errors.Is(err, errRestart) {
			err = startAgain()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "zelo-agent:", err)
			os.Exit(1) // the service manager starts us again
		}
	}()
	return nil
}

func (p *program) Stop(service.Service) error {
	p.cancel()
	<-p.done
	return nil
}

func newService(config string) (service.Service, error) {
	return service.New(&program{config: config}, &service.Config{
		Name: serviceName, DisplayName: serviceTitle, Description: serviceAbout, Arguments: serviceArgs(config),
	})
}

func runService(config string) error {
	s, err := newService(config)
	if err != nil {
		return err
	}
	return s.Run()
}

func controlService(word, config string) error {
	s, err := newService(config)
	if err != nil {
		return err
	}
	return service.Control(s, word)
}

// startAgain starts the agent anew in the same process, without the minutes for which
// a service manager waits after a failure. It returns only if it cannot.
func startAgain() error {
	program, err := os.Executable()
	if err == nil {
		err = syscall.Exec(program, os.Args, os.Environ())
	}
	return fmt.Errorf("não foi possível iniciar o agente de novo: %w", err)
}
