package main

import (
	"context"
	"fmt"
	"os"

	"github.com/kardianos/service"
)

// program is the agent as the system's service manager sees it. Start returns at
// once, before any file is opened: Windows gives a service little time.
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
		c, err := loadConfig(p.config)
		if err == nil {
			err = run(ctx, c)
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

func cmdService(_ context.Context, args []string) error {
	fs, path := flags("service")
	word, err := verb(fs, args)
	if err != nil {
		return err
	}
	run := []string{"service"}
	if *path != "" {
		run = append(run, "-config", *path)
	}
	s, err := service.New(&program{config: *path}, &service.Config{
		Name: "zelo-agent", DisplayName: "Zelo", Arguments: append(run, "run"),
		Description: "Guarda os cupons fiscais deste caixa e cuida do equipamento SAT.",
	})
	if err != nil {
		return err
	}
	switch word {
	case "run": // what the service manager calls
		return s.Run()
	case "install", "uninstall", "start", "stop":
		return service.Control(s, word)
	}
	return fmt.Errorf("use zelo-agent service install, uninstall, start ou stop")
}
