package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"zelo/agent/remote"
	"zelo/agent/till"
	"zelo/agent/wire"
	"zelo/sat"
)

// Remote commands: what agent/remote needs of this agent.

// errRestart ends an agent that is to be started again.
var errRestart = errors.New("o agente foi parado para reiniciar")

// startConfig is the configuration to start with: one on trial, or the one before it
// when the agent did not work with that.
func startConfig(path string) (Config, error) {
	trial := remote.Trial{Path: cmp.Or(path, defaultPaths().config)}
	if reverted, err := trial.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "zelo-agent:", err) // no reason not to sell
	} else if reverted {
		fmt.Fprintln(os.Stderr, "zelo-agent: com a configuração nova o agente não funcionou; ele começa com a antiga")
	}
	return loadConfig(path)
}

// makeRemote prepares the carrying out of commands for an enrolled agent. A till
// where that fails sells all the same.
func (a *agent) makeRemote() {
	keys, err := remote.OpenKeys(filepath.Join(a.config.Folder, identityFolder))
	if err != nil {
		a.log.Error("no remote commands", "err", err)
		return
	}
	r, err := remote.New(remote.Options{
		Buffer: a.buffer, Codec: a.codec, Keys: keys, Log: a.log,
		Agent:  func() string { return a.keeper.identity().Agent },
		Device: a.deviceNamed, LastDocument: a.router.LastDocument, SinceSale: a.router.SinceSale, Blocked: a.blocked, Heard: a.heard, Now: a.collectorTime, Clock: time.Now,
		Poll: a.monitor.Read, Beat: func() { a.uplink.Beat() },
		OwnLog: func() ([]byte, error) { return readLog(a.config.Folder) }, Bundle: a.supportFiles, Secrets: a.secrets,
		Config: a.configText, Check: a.checkConfig, Trial: remote.Trial{Path: a.config.path}, Restart: a.restart,
	})
	if err != nil {
		a.log.Error("no remote commands", "err", err)
		return
	}
	a.keys, a.remote = keys, r
}

// blocked reports whether a device's latest status says that it refuses to sell.
func (a *agent) blocked(serial string) bool {
	s, _ := a.monitor.Last(serial)
	return s.State.Blocked()
}

// command takes a command of the collector.
func (a *agent) command(payload []byte) {
	if a.remote != nil {
		a.remote.Receive(payload)
	}
}

// commandKey takes the key with which the collector signs commands.
func (a *agent) commandKey(key []byte) {
	if a.keys == nil {
		return
	}
	if err := a.keys.Pin(key); err != nil {
		a.log.Warn("command key not taken", "err", err)
	}
}

// sealKey is the key for which the collector seals secrets; nil when this agent
// carries out no commands.
func (a *agent) sealKey() []byte {
	if a.keys == nil {
		return nil
	}
	return a.keys.Public()
}

// restart has the agent end and start again.
func (a *agent) restart() {
	select {
	case a.again <- struct{}{}:
	default:
	}
}

// deviceNamed finds a device of this computer.
func (a *agent) deviceNamed(serial string) (sat.Device, string, bool) {
	for _, d := range a.router.Devices() {
		if d.Info.Serial == serial && d.Address != "" {
			_, code := a.router.Code(serial)
			return a.router.Device(serial), code, true
		}
	}
	return nil, "", false
}

// heard reports whether the collector answered since the agent started.
func (a *agent) heard() bool {
	_, known := a.clock.Off()
	return known || !a.uplink.State().LastAck.IsZero()
}

// collectorTime is the time at the collector, as well as it is known here.
func (a *agent) collectorTime() time.Time {
	if now, known := a.clock.Collector(); known {
		return now
	}
	return a.clock.Now()
}

// proxyPassword is that of the shop's proxy; "" when there is none.
func (c Config) proxyPassword() string {
	if u := c.proxyURL(); u != nil {
		if _, ok := u.User.Password(); ok {
			_, password, _ := strings.Cut(c.Proxy[:strings.LastIndexByte(c.Proxy, '@')], "//")
			_, password, _ = strings.Cut(password, ":")
			return password // as it is written, with its signs in code
		}
	}
	return ""
}

// secrets are what leaves this computer in no file.
func (a *agent) secrets() (all []string) {
	for _, d := range a.router.Devices() {
		if _, code := a.router.Code(d.Info.Serial); code != "" {
			all = append(all, code)
		}
	}
	for _, s := range []string{a.config.FarKey, a.config.proxyPassword()} {
		if s != "" {
			all = append(all, s)
		}
	}
	return all
}

// Secrets in a configuration file, also in lines that somebody has commented out.
var (
	writtenKey      = regexp.MustCompile(`(chave_terminais["']?[ \t]*=[ \t]*["']+)[^\s"']+`)
	writtenPassword = regexp.MustCompile(`(proxy["']?[ \t]*=[ \t]*["']+[a-z]+://[^:@\s"]*:)[^\s"]*@`)
)

// configText is the configuration file as it stands, with a mask in place of its
// secrets, be they in use yet or not.
func (a *agent) configText() ([]byte, error) {
	text, err := os.ReadFile(a.config.path)
	if errors.Is(err, os.ErrNotExist) {
		var b bytes.Buffer
		err = describeConfig(&b)
		text = b.Bytes()
	}
	text = writtenKey.ReplaceAll(text, []byte("${1}"+remote.Masked))
	return writtenPassword.ReplaceAll(text, []byte("${1}"+remote.Masked+"@")), err
}

// checkConfig judges a configuration that is to take the place of the file's, and puts
// the secrets in whose mask it has.
func (a *agent) checkConfig(text []byte) ([]byte, error) {
	old, err := loadConfig(a.config.path)
	if err != nil {
		old = a.config
	}
	var whole []byte
	for line := range bytes.Lines(text) {
		key, _, _ := bytes.Cut(line, []byte("="))
		secret := ""
		switch string(bytes.TrimSpace(key)) {
		case "chave_terminais":
			secret = old.FarKey
		case "proxy":
			secret = old.proxyPassword()
		}
		if secret != "" {
			line = bytes.ReplaceAll(line, []byte(remote.Masked), []byte(secret))
		}
		whole = append(whole, line...)
	}
	c, err := parseConfig(whole, a.config.path)
	if err == nil && c.Folder != a.config.Folder {
		err = errors.New("pasta: não se troca à distância, porque é onde estão os cupons e a identidade do agente")
	}
	return whole, err
}

// supportFiles are what a support bundle holds.
func (a *agent) supportFiles(context.Context) (map[string][]byte, error) {
	config, err := a.configText()
	if err != nil {
		return nil, err
	}
	log, err := readLog(a.config.Folder)
	if err != nil {
		log = append(log, "\n(o log não pôde ser lido até o fim: "+err.Error()+")\n"...)
	}
	status, err := json.MarshalIndent(a.status(), "", "  ")
	if err != nil {
		return nil, err
	}
	cases, err := json.MarshalIndent(a.router.Cases(), "", "  ")
	if err != nil {
		return nil, err
	}
	var about bytes.Buffer
	fmt.Fprintf(&about, "zelo-agent %s\n%s/%s, %s\niniciado em %s\nrelógio deste computador: %s\nhora do coletor: %s\n", version, runtime.GOOS, runtime.GOARCH, runtime.Version(),
		a.started.Format(time.RFC3339), time.Now().Format(time.RFC3339), a.collectorTime().Format(time.RFC3339))
	return map[string][]byte{"agente.toml": config, "agente.log": log, "versao.txt": about.Bytes(),
		"situacao.json": status, "vendas-em-duvida.json": cases}, nil
}

// commandsUnder are the commands under way, and the last that ended.
func (a *agent) commandsUnder() (under []remote.Doing, last *remote.Doing) {
	if a.remote == nil {
		return nil, nil
	}
	if d, ok := a.remote.Latest(); ok {
		last = &d
	}
	return a.remote.Under(), last
}

// showLast is for how long people at the till see a command that has ended.
const showLast = 24 * time.Hour

// tillCommands are what people at the till see of remote commands.
func (a *agent) tillCommands() (all []till.Command) {
	under, last := a.commandsUnder()
	if last != nil && time.Since(last.At) < showLast {
		under = append(under, *last)
	}
	for _, d := range under {
		all = append(all, till.Command{Title: d.Title, By: d.By, Serial: d.Serial, Text: d.Text, At: d.At,
			Ended: wire.CommandEnded(d.State), Failed: wire.CommandEnded(d.State) && d.State != wire.CommandDone})
	}
	return all
}
