package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"
)

const (
	stopHint     = 6 * time.Second  // within which the agent stops
	serviceLimit = 30 * time.Second // for a service to start or stop
	servicePoll  = 100 * time.Millisecond
	forgiveAfter = 24 * time.Hour // without a failure the count of failures begins anew
)

// program is the agent as the service manager sees it.
type program struct{ config string }

// Execute reports that the service runs before any file is opened: Windows gives
// a service little time. What ends by itself is a failure, and started again.
func (p program) Execute(_ []string, requests <-chan svc.ChangeRequest, changes chan<- svc.Status) (bool, uint32) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	changes <- svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
	ended := make(chan error, 1)
	go func() { ended <- p.run(ctx) }()
	for {
		select {
		case err := <-ended:
			if err != nil {
				return true, 1
			}
			return false, 0
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				changes <- r.CurrentStatus
			case svc.Stop, svc.Shutdown:
				changes <- svc.Status{State: svc.StopPending, WaitHint: uint32(stopHint.Milliseconds())}
				cancel()
			}
		}
	}
}

// run is `zelo-agent run` with its log in a file.
func (p program) run(ctx context.Context) error {
	folder := defaultPaths().folder
	var out io.Writer = io.Discard // an agent without a log is better than none
	if err := makeFolder(folder); err == nil {
		if l, err := openLog(filepath.Join(folder, logName), logBytes); err == nil {
			defer l.Close()
			out = l
		}
	}
	c, err := startConfig(p.config)
	if err == nil {
		err = run(ctx, c, out)
	}
	if err != nil {
		slog.New(slog.NewTextHandler(out, nil)).Error("agent failed", "err", err)
	}
	return err
}

func runService(config string) error {
	err := svc.Run(serviceName, program{config})
	if errors.Is(err, windows.ERROR_FAILED_SERVICE_CONTROLLER_CONNECT) {
		return errors.New("este comando é do Windows; para ver o agente trabalhar use zelo-agent run")
	}
	return err
}

func controlService(word, config string) error {
	m, err := mgr.Connect()
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		return fmt.Errorf("abra o terminal como administrador: %w", err)
	}
	if err != nil {
		return fmt.Errorf("não foi possível falar com os serviços do Windows: %w", err)
	}
	defer m.Disconnect()
	if word == "install" {
		return installService(m, config)
	}
	s, err := m.OpenService(serviceName)
	if errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST) {
		return errors.New("o serviço não está instalado: use zelo-agent service install")
	}
	if err != nil {
		return fmt.Errorf("não foi possível abrir o serviço: %w", err)
	}
	defer s.Close()
	switch word {
	case "start":
		return startService(s)
	case "stop":
		return stopService(s)
	}
	if err := stopService(s); err != nil {
		return err
	}
	if err := s.Delete(); err != nil {
		return fmt.Errorf("não foi possível remover o serviço: %w", err)
	}
	return nil
}

// installService registers the agent to start with the computer.
func installService(m *mgr.Mgr, config string) error {
	program, err := os.Executable()
	if err == nil && config != "" {
		config, err = filepath.Abs(config)
	}
	if err != nil {
		return err
	}
	s, err := m.CreateService(serviceName, program, mgr.Config{StartType: mgr.StartAutomatic,
		ErrorControl: mgr.ErrorNormal, DisplayName: serviceTitle, Description: serviceAbout}, serviceArgs(config)...)
	if errors.Is(err, windows.ERROR_SERVICE_EXISTS) {
		return errors.New("o serviço já está instalado")
	}
	if err != nil {
		return fmt.Errorf("não foi possível instalar o serviço: %w", err)
	}
	defer s.Close()
	if err := tuneService(s); err != nil {
		fmt.Fprintln(os.Stderr, "O serviço foi instalado, mas este Windows não aceitou tudo o que se pediu dele:", err)
	}
	return nil
}

// tuneService has the agent start a little after what Windows itself needs, and
// again whenever it fails. It works without, too.
func tuneService(s *mgr.Service) error {
	again := func(after time.Duration) mgr.RecoveryAction {
		return mgr.RecoveryAction{Type: mgr.ServiceRestart, Delay: after}
	}
	restarts := []mgr.RecoveryAction{again(time.Second), again(5 * time.Second), again(time.Minute)}
	late := windows.SERVICE_DELAYED_AUTO_START_INFO{IsDelayedAutoStartUp: 1}
	refused := func(what string, err error) error {
		if err == nil {
			return nil
		}
		return fmt.Errorf("%s: %w", what, err)
	}
	return errors.Join(
		refused("reiniciar depois de uma falha", s.SetRecoveryActions(restarts, uint32(forgiveAfter.Seconds()))),
		refused("reiniciar depois de um erro", s.SetRecoveryActionsOnNonCrashFailures(true)),
		refused("iniciar com atraso", windows.ChangeServiceConfig2(s.Handle, windows.SERVICE_CONFIG_DELAYED_AUTO_START_INFO,
			(*byte)(unsafe.Pointer(&late)))))
}

func startService(s *mgr.Service) error {
	if err := s.Start(); err != nil && !errors.Is(err, windows.ERROR_SERVICE_ALREADY_RUNNING) {
		return fmt.Errorf("não foi possível iniciar o serviço: %w", err)
	}
	return await(s, svc.Running)
}

func stopService(s *mgr.Service) error {
	if _, err := s.Control(svc.Stop); err != nil && !errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) {
		return fmt.Errorf("não foi possível parar o serviço: %w", err)
	}
	return await(s, svc.Stopped)
}

// await waits until the service manager says that the service is in a state.
func await(s *mgr.Service, state svc.State) error {
	for limit := time.Now().Add(serviceLimit); ; time.Sleep(servicePoll) {
		switch now, err := s.Query(); {
		case err != nil:
			return fmt.Errorf("não se sabe do estado do serviço: %w", err)
		case now.State == state:
			return nil
		case state == svc.Running && now.State == svc.Stopped:
			return fmt.Errorf("o serviço parou ao iniciar; o motivo está em %s", filepath.Join(defaultPaths().folder, logName))
		case time.Now().After(limit):
			return errors.New("o serviço não respondeu a tempo")
		}
	}
}

// startAgain is what an agent that nobody looks after can do to be started again.
func startAgain() error { return errRestart }
