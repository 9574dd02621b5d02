package main

import (
	"context"
	"fmt"
)

// What the system's service manager knows of the agent.
const (
	serviceName  = "zelo-agent"
	serviceTitle = "Zelo"
	serviceAbout = "Guarda os cupons fiscais deste caixa e cuida do equipamento SAT."
)

// serviceArgs are the arguments with which the service manager starts the agent.
func serviceArgs(config string) []string {
	if config == "" {
		return []string{"service", "run"}
	}
	return []string{"service", "-config", config, "run"}
}

func cmdService(_ context.Context, args []string) error {
	fs, path := flags("service")
	word, err := verb(fs, args)
	if err != nil {
		return err
	}
	switch word {
	case "run": // what the service manager calls
		return runService(*path)
	case "install":
		if _, err := loadConfig(*path); err != nil {
			return err
		}
		return controlService(word, *path)
	case "uninstall", "start", "stop":
		return controlService(word, *path)
	}
	return fmt.Errorf("use zelo-agent service install, uninstall, start ou stop")
}
