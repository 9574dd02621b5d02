package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"zelo/agent/devices"
	"zelo/agent/lan"
	"zelo/agent/monitor"
	"zelo/agent/remote"
	"zelo/agent/router"
	"zelo/agent/till"
	"zelo/agent/uplink"
	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat"
	"zelo/sat/ipc"
)

// agent holds the running parts, in the order they start.
type agent struct {
	config   Config
	log      *slog.Logger
	started  time.Time
	lock     *devices.Lock // of the devices, against libraries
	buffer   *buffer.Buffer
	codec    *wire.Codec
	router   *router.Router
	monitor  *monitor.Monitor
	reminder *till.Reminder // nil when nobody is to be reminded
	clock    *uplink.Clock
	uplink   *uplink.Uplink // nil until enrolled
	lan      *lan.LAN       // nil when there are no neighbours
	keys     *remote.Keys   // of remote commands; nil without
	remote   *remote.Remote // nil until enrolled
	again    chan struct{}  // to start the agent again
	keeper   *keeper        // nil until enrolled
}

// run starts everything top to bottom, waits for ctx, and stops bottom to top. The
// log goes to out.
func run(ctx context.Context, c Config, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, closeLog := withLog(c.Folder, out)
	defer closeLog()
	a := &agent{config: c, started: time.Now(), log: newLog(c.Log, out), again: make(chan struct{}, 1),
		lock: devices.NewLock(devices.LockIn(bridgeFolder(c)))}
	a.log.Info("agent starts", "version", version, "folder", c.Folder)
	if err := makeFolders(c); err != nil {
		return fmt.Errorf("não foi possível criar a pasta do agente: %w", err)
	}
	var err error
	if a.codec, err = wire.NewCodec(); err != nil {
		return err
	}
	defer a.codec.Close()
	if err := a.openBuffer(); err != nil {
		return err
	}
	defer a.closeBuffer()
	if a.clock, err = uplink.NewClock(a.buffer, built(), time.Now); err != nil {
		return err
	}
	if err := a.makeRouter(); err != nil {
		return err
	}
	a.makeMonitor()
	a.makeReminder()
	a.makeUplink()
	if err := a.makeLAN(); err != nil {
		return err
	}
	at, err := listen(c)
	if err != nil {
		return err
	}

	// The device side outlives the tills' side: calls in flight are answered first.
	inner, stopInner := context.WithCancel(context.WithoutCancel(ctx))
	defer stopInner()
	var parts, tills sync.WaitGroup
	failed := make(chan error, 5)
	a.startParts(inner, &parts, failed)
	a.serveTills(ctx, at, &tills, failed)
	a.log.Info("agent ready", "socket", c.Socket, "devices", c.Devices, "enrolled", a.uplink != nil)

	select {
	case <-ctx.Done():
	case err = <-failed:
	case <-a.again:
		err = errRestart
	}
	stop := time.Now()
	cancel()
	tills.Wait()
	stopInner()
	parts.Wait()
	a.log.Info("agent stopped", "took", time.Since(stop).Round(time.Millisecond))
	return err
}

// serveTills starts all that tills and people at them call.
func (a *agent) serveTills(ctx context.Context, at listeners, tills *sync.WaitGroup, failed chan<- error) {
	calls := a.monitor.Metered(a.router)
	options := ipc.Options{Log: a.log, Delivered: a.router.Delivered, Lost: a.router.Lost}
	tills.Go(func() { failed <- ipc.Serve(ctx, at.till, calls, options) })
	if at.far != nil {
		sealed := options
		sealed.Key = a.config.farKey()
		tills.Go(func() { failed <- ipc.Serve(ctx, at.far, calls, sealed) })
	}
	if page := a.listenPage(); page != nil {
		tills.Go(func() { a.servePage(ctx, page) })
	}
	tills.Go(func() { failed <- a.serveControl(ctx, at.control, at.door) })
}

// startParts starts all that does not serve the tills themselves.
func (a *agent) startParts(ctx context.Context, parts *sync.WaitGroup, failed chan<- error) {
	parts.Go(func() { failed <- a.router.Run(ctx) })
	if a.uplink != nil {
		parts.Go(func() { a.uplink.Run(ctx) })
		parts.Go(func() { a.keeper.Run(ctx) })
	}
	if a.remote != nil {
		parts.Go(func() { a.remote.Run(ctx) })
	}
	parts.Go(func() { a.monitor.Run(ctx) })
	if a.reminder != nil {
		parts.Go(func() { a.reminder.Run(ctx) })
	}
	if a.lan != nil {
		parts.Go(func() { failed <- a.lan.Run(ctx) })
	}
	parts.Go(func() { a.rest(ctx) })
	parts.Go(func() { devices.Watch(ctx, a.log, a.router.Replugged) })
}

// makeFolders makes the agent's folder, through which every user's programs reach
// the one they share with the agent.
func makeFolders(c Config) error {
	if err := makeFolder(c.Folder); err != nil {
		return err
	}
	return devices.Share(bridgeFolder(c), router.MarksFile)
}

func bridgeFolder(c Config) string { return filepath.Join(c.Folder, "ponte") }

// listeners are where the agent is called.
type listeners struct {
	till, control net.Listener
	door          door         // that control serves
	far           net.Listener // of tills on other computers; nil when they may not
}

// listen opens them all or none.
func listen(c Config) (at listeners, err error) {
	if at.till, err = ipc.Listen(c.Socket, ipc.DefaultMode); err != nil {
		return at, fmt.Errorf("não foi possível ouvir o PDV: %w", err)
	}
	if at.control, at.door, err = openDoor(c.Folder); err != nil {
		at.till.Close()
		return at, fmt.Errorf("não foi possível abrir o controle do agente: %w", err)
	}
	if c.Far == "" {
		return at, nil
	}
	if at.far, err = ipc.ListenTCP(c.Far); err != nil {
		at.till.Close()
		at.control.Close()
		return at, fmt.Errorf("não foi possível ouvir os PDVs de outros computadores em %s: %w", c.Far, err)
	}
	return at, nil
}

// reserve keeps the libraries of this machine off the device. A lock that cannot
// be had at all keeps nobody from selling: without it they use the device neither.
func (a *agent) reserve(ctx context.Context) (func(), error) {
	release, err := a.lock.Reserve(ctx)
	if err == nil || errors.Is(err, devices.ErrInUse) {
		return release, err
	}
	a.log.Error("the device is used without its lock", "err", err)
	return func() {}, nil
}

func newLog(level string, out io.Writer) *slog.Logger {
	var l slog.Level
	l.UnmarshalText([]byte(level))
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: l}))
}

// statusQuota bounds what waits of status readings, devices' logs and the computer: at
// the usual pace, months of them.
const statusQuota = 16 << 20

func (a *agent) openBuffer() error {
	path := bufferFile(a.config)
	b, recovery, err := buffer.Open(path, buffer.Options{
		Streams: []buffer.Stream{{Name: wire.StreamEvents}, {Name: wire.StreamDocuments}, {Name: wire.StreamCommands},
			{Name: wire.StreamStatus, Evictable: true, Quota: statusQuota}},
		MaxBytes: a.config.Buffer << 20, Log: a.log, Evicted: a.evicted,
	})
	if err != nil {
		return fmt.Errorf("não foi possível abrir os cupons guardados em %s: %w", path, err)
	}
	a.buffer = b
	if recovery.SetAside != "" {
		return a.tellDamage(recovery)
	}
	return nil
}

// evicted tells the collector of records that were dropped for want of room.
func (a *agent) evicted(stream string, first, last uint64, n int) (string, []byte) {
	v, err := a.codec.Encode(wire.Item{Version: wire.Version, Kind: wire.KindEvent, Code: wire.EventEvicted,
		At: time.Now().UnixMilli(), Detail: map[string]string{"stream": stream,
			"first": fmt.Sprint(first), "last": fmt.Sprint(last), "count": fmt.Sprint(n)}})
	if err != nil {
		a.log.Error("eviction not told", "err", err)
		return "", nil
	}
	return wire.StreamEvents, v
}

// tellDamage queues word of a damaged buffer file and what was lost with it.
func (a *agent) tellDamage(r buffer.Recovery) error {
	a.log.Error("the buffer was damaged", "set aside", r.SetAside, "damage", r.Damage, "salvaged", r.Salvaged, "lost", r.Lost)
	v, err := a.codec.Encode(wire.Item{Version: wire.Version, Kind: wire.KindEvent, Code: wire.EventBufferDamaged,
		At: time.Now().UnixMilli(), Detail: map[string]string{"set-aside": filepath.Base(r.SetAside),
			"damage": strings.Join(r.Damage, "; "), "lost": strings.Join(r.Lost, "; ")}})
	if err != nil {
		return err
	}
	b := &buffer.Batch{}
	b.Append(wire.StreamEvents, v)
	_, err = a.buffer.Commit(b)
	return err
}

func (a *agent) closeBuffer() {
	if err := a.buffer.Close(); err != nil {
		a.log.Error("buffer not closed cleanly", "err", err)
	}
}

func (a *agent) makeRouter() (err error) {
	a.router, err = router.New(router.Options{
		Buffer: a.buffer, Codec: a.codec, Log: a.log, Now: time.Now,
		Codes:  filepath.Join(a.config.Folder, "codigos"),
		Bridge: bridgeFolder(a.config), Reserve: a.reserve,
		DeviceTable: cancelTable(a.config.CancelSAT), TillTable: cancelTable(a.config.CancelPDV),
		Devices: a.deviceOptions(), Own: a.config.ownDevices(),
		Policy:       router.Policy(slices.Index(policies, a.config.Policy)),
		Neighbours:   a.neighbours,
		SecondDevice: a.config.Doubt == "outro-equipamento",
	})
	return err
}

// A maker's library that cannot be loaded is a process started in vain each time.
const libraryRetry = 30 * time.Second

func (a *agent) deviceOptions() (all []router.DeviceOptions) {
	for _, address := range a.config.Devices {
		d := router.DeviceOptions{Address: address, KeepAlive: devices.KeepAlive(address)}
		wait := 5 * time.Second
		if strings.HasPrefix(address, "biblioteca:") {
			wait, d.Retry = 30*time.Second, libraryRetry
		}
		d.Open = func(ctx context.Context) (router.Conn, sat.Info, error) {
			ctx, cancel := context.WithTimeout(ctx, wait)
			defer cancel()
			return devices.Open(ctx, address, devices.Options{Log: a.log})
		}
		all = append(all, d)
	}
	return all
}

// built is when this program was made, by the commit it was made from; zero when it
// does not say.
func built() time.Time {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			t, _ := time.Parse(time.RFC3339, s.Value)
			return t
		}
	}
	return time.Time{}
}

// makeUplink prepares the connection to the collector. A till that is not
// enrolled, or whose identity cannot be read, sells and keeps its documents.
func (a *agent) makeUplink() {
	keeper, err := newKeeper(a.config.Folder, a.clock.Now, a.log)
	if errors.Is(err, errNotEnrolled) {
		a.log.Warn("not enrolled: documents stay on this till")
		return
	}
	if err != nil {
		a.log.Error("no connection to the collector, documents stay on this till", "err", err)
		return
	}
	keeper.fallback, keeper.proxy = a.config.Fallback, a.config.proxy()
	keeper.changed, keeper.bound = a.meetAs, a.clock.Bound
	a.keeper = keeper
	a.makeRemote()
	a.uplink = uplink.New(uplink.Options{
		Buffer: a.buffer, Codec: a.codec, Log: a.log, Now: time.Now,
		Transport: keeper, Renew: keeper.ask,
		HourBytes: a.config.HourMB << 20,
		Streams:   []string{wire.StreamEvents, wire.StreamDocuments, wire.StreamCommands, wire.StreamStatus},
		Command:   a.command, CommandKey: a.commandKey,
		Beat: a.beat, BeatEvery: time.Duration(a.config.Beat), Clock: a.clock,
	})
	keeper.retry = a.uplink.Retry
}

// beat is the agent's pulse.
func (a *agent) beat() wire.Beat {
	host, _ := os.Hostname()
	s := a.buffer.Stats()
	b := wire.Beat{Version: wire.Version, Software: version, Host: host, System: runtime.GOOS + "/" + runtime.GOARCH,
		Started: a.started.UnixMilli(), Clock: time.Now().UnixMilli(), Epoch: a.buffer.Epoch(),
		Used: s.Used, Bound: s.Bound, SealKey: a.sealKey()}
	a.keeper.tell(&b)
	for _, st := range s.Streams {
		b.Waiting += st.Waiting
		if t := st.Oldest; !t.IsZero() && (b.Oldest == 0 || t.UnixMilli() < b.Oldest) {
			b.Oldest = t.UnixMilli()
		}
	}
	for _, d := range a.router.Devices() {
		if d.Info.Serial != "" {
			b.Devices = append(b.Devices, wire.BeatDevice{Serial: d.Info.Serial, Name: d.Info.Name,
				Answering: d.Answering, OpenCases: d.OpenCases})
		}
	}
	return b
}
