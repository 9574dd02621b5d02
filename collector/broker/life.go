package broker

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"zelo/agent/wire"
)

// Bounds.
const (
	maxPacket   = wire.MaxPacket + 1<<10 // the server's own headers count too
	maxWaiting  = 64 << 20               // bytes published and not yet taken by Receive
	maxMessages = 64 << 10               // and their number
	maxStored   = 64 << 20               // bytes of session records
	startTime   = 10 * time.Second
	stopTime    = 4 * time.Second
	writeTime   = 5 * time.Second // for a client to take what was written to it
	probeTime   = 5 * time.Second
	watchEvery  = 15 * time.Second
)

// life is one life of the embedded server, with the collector's own connection
// to it.
type life struct {
	server  *server.Server
	conn    *nats.Conn
	stream  nats.JetStreamContext
	folder  string
	port    int // of the MQTT listener
	webPort int // of the WebSocket listener, if any
}

// newFolder makes an empty folder for the next life, in the system's folder for
// temporary files when there is no room in the broker's own.
func (b *Broker) newFolder() (string, error) {
	folder, err := emptyFolder(b.o.Folder)
	if err == nil {
		return folder, nil
	}
	b.o.Log.Error("no room in the broker's folder, using another one: free some space or mend the disk", "folder", b.o.Folder, "err", err)
	other, oerr := os.MkdirTemp("", "zelo-broker-")
	if oerr == nil {
		oerr = writable(other)
	}
	if oerr != nil {
		os.Remove(other)
		return "", errors.Join(err, oerr)
	}
	return other, nil
}

// begin starts a server in an empty folder, on the broker's port.
func (b *Broker) begin(folder string) (_ *life, err error) {
	l := &life{folder: folder}
	defer func() {
		if err != nil {
			l.end()
		}
	}()
	secret := rand.Text()
	opts, err := b.serverOptions(folder, secret)
	if err != nil {
		return nil, err
	}
	if l.server, err = server.NewServer(opts); err != nil {
		return nil, err
	}
	log := &logger{log: b.o.Log, fatal: make(chan string, 1), seldom: &b.refused}
	l.server.SetLoggerV2(log, false, false, false)
	go l.server.Start()
	if err := l.ready(log.fatal); err != nil {
		return nil, err
	}
	l.port, l.webPort = opts.MQTT.Port, opts.Websocket.Port
	l.conn, err = nats.Connect("", nats.InProcessServer(l.server), nats.UserInfo(collectorUser, secret),
		nats.MaxReconnects(-1), nats.ErrorHandler(b.inlet.tellDropped))
	if err != nil {
		return nil, err
	}
	if err := b.inlet.subscribe(l.conn); err != nil {
		return nil, err
	}
	if err := l.conn.FlushTimeout(startTime); err != nil {
		return nil, err
	}
	return l, l.makeProbe()
}

// ready waits until the server listens, or says why it does not.
func (l *life) ready(fatal <-chan string) error {
	for deadline := time.Now().Add(startTime); time.Now().Before(deadline); {
		if l.server.ReadyForConnections(100 * time.Millisecond) {
			return nil
		}
		select {
		case text := <-fatal:
			return errors.New(text)
		default:
		}
	}
	return errors.New("the server did not become ready in time")
}

// collectorUser is the name of the collector's own connection. No agent can have
// it: a dot is not allowed in an agent's id.
const collectorUser = "zelo.collector"

func (b *Broker) serverOptions(folder, secret string) (*server.Options, error) {
	config := b.o.TLS.Clone()
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, b.o.CAs
	b.turnstile.at(config)
	o := &server.Options{}
	// QoS 2 would let an agent fill the folder; nobody needs it.
	if err := o.ProcessConfigString(`mqtt { reject_qos2_publish: true }`); err != nil {
		return nil, err
	}
	o.ServerName, o.DontListen, o.NoSigs = "zelo", true, true
	o.JetStream, o.StoreDir, o.DisableJetStreamBanner = true, folder, true
	o.JetStreamMaxMemory, o.JetStreamMaxStore = 16<<20, maxStored
	o.MaxPayload, o.MaxSubs, o.NoSystemAccount = maxPacket, 32, true
	o.NoSublistCache = true // one for each connection, and a common one that thousands of agents overrun
	o.CustomClientAuthentication = &gate{b, secret}
	o.WriteDeadline = writeTime // who does not read is dropped, with all that waits for it
	o.MaxClosedClients = 100    // of which the server keeps what nobody asks for
	if b.o.Web != "" {
		o.Websocket = server.WebsocketOpts{Host: b.web.host, Port: b.web.asked(), TLSConfig: config, HandshakeTimeout: startTime,
			AuthTimeout: 10, SameOrigin: true}
	}
	if b.o.Links != nil {
		if err := b.o.Links.options(o, b.o.TLS, b.o.CAs); err != nil {
			return nil, err
		}
	}
	o.MQTT.Host, o.MQTT.Port = b.mqtt.host, b.mqtt.asked()
	o.MQTT.TLSConfig, o.MQTT.TLSTimeout, o.MQTT.AuthTimeout = config, 10, 10
	return o, nil
}

// gate decides who may connect, and what for.
type gate struct {
	b      *Broker
	secret string
}

// Check is called by the server for every connection, for an MQTT client after
// TLS and its CONNECT packet.
func (g *gate) Check(c server.ClientAuthentication) bool {
	state := c.GetTLSConnectionState()
	if state == nil {
		o := c.GetOpts()
		return o.Username == collectorUser && o.Password == g.secret
	}
	if g.b.o.Links.admits(c, state.PeerCertificates[0]) {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	agent, err := g.b.o.Agent(ctx, state.PeerCertificates[0])
	if err == nil && !clientID(c, agent) {
		err = errors.New("its MQTT client id is not its agent id")
	}
	if err != nil {
		if g.b.o.Refused != nil {
			g.b.o.Refused()
		}
		if g.b.refused.tell(state.PeerCertificates[0].Subject.CommonName, time.Now()) {
			g.b.o.Log.Warn("connection refused", "from", c.RemoteAddress(), "err", err)
		}
		return false
	}
	g.b.turnstile.known(c.RemoteAddress(), agent)
	c.RegisterUser(&server.User{Username: agent, Permissions: permissions(agent)})
	return true
}

// clientID reports whether a client speaks MQTT and calls itself by its agent's id.
// Another id would throw out the client that has it. The server shows both only in
// the connection's name.
func clientID(c server.ClientAuthentication, agent string) bool {
	name, ok := c.(fmt.Stringer)
	return ok && speaksMQTT(c) && strings.HasSuffix(name.String(), " - "+strconv.Quote(agent))
}

func speaksMQTT(c server.ClientAuthentication) bool {
	name, ok := c.(fmt.Stringer)
	return ok && strings.Contains(name.String(), " - mid")
}

// permissions are an agent's own topics. The server keeps them for each connection in
// a tree of maps: naming the streams would take 5 KiB of each till.
func permissions(agent string) *server.Permissions {
	up, down := ownSubjects(agent)
	return &server.Permissions{Publish: &server.SubjectPermission{Allow: []string{up}}, Subscribe: &server.SubjectPermission{Allow: []string{down}}}
}

// ownSubjects are those that an agent may publish to, and hear.
func ownSubjects(agent string) (up, down string) {
	return subject(wire.UpTopic(agent, "*")), subject(wire.DownTopic(agent, "*"))
}

// probeSubject is where the collector proves that the folder takes records.
const probeSubject = "zelo.probe"

func (l *life) makeProbe() (err error) {
	if l.stream, err = l.conn.JetStream(nats.MaxWait(probeTime)); err != nil {
		return err
	}
	_, err = l.stream.AddStream(&nats.StreamConfig{Name: "probe", Subjects: []string{probeSubject}, MaxMsgs: 1})
	if err != nil {
		return fmt.Errorf("its folder %s does not work: %w", l.folder, err)
	}
	return nil
}

// probe stores a record as a new session would.
func (l *life) probe() error {
	if err := writable(l.folder); err != nil {
		return err
	}
	_, err := l.stream.Publish(probeSubject, []byte("x"))
	return err
}

// end stops the server and throws its folder away.
func (l *life) end() {
	if l.conn != nil {
		l.conn.Close()
	}
	if l.server != nil {
		stopped := make(chan struct{})
		go func() {
			l.server.Shutdown()
			l.server.WaitForShutdown()
			close(stopped)
		}()
		select {
		case <-stopped:
		case <-time.After(stopTime):
		}
	}
	os.RemoveAll(l.folder)
}

// emptyFolder makes a new folder below folder and removes what earlier lives
// left there. What stands in the way of folder itself is set aside, a full disk is not.
func emptyFolder(folder string) (string, error) {
	err := usable(folder)
	if errors.Is(err, syscall.ENOSPC) {
		return "", err
	}
	if err != nil {
		aside := folder + time.Now().Format("-20060102-150405.000")
		if rerr := os.Rename(folder, aside); rerr != nil {
			return "", errors.Join(err, rerr)
		}
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return "", err
		}
	}
	old, err := filepath.Glob(filepath.Join(folder, "life-*"))
	if err != nil {
		return "", err
	}
	for _, path := range old {
		os.RemoveAll(path)
	}
	if err := writable(folder); err != nil {
		return "", err
	}
	return os.MkdirTemp(folder, "life-")
}

// usable makes folder when it is missing and proves that it is writable.
func usable(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	return writable(folder)
}

// writable proves that a file can be made, filled and synced in folder.
func writable(folder string) error {
	f, err := os.CreateTemp(folder, "probe-")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 64<<10))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}

// logger gives the server's words to slog. They hold topics and addresses, never
// payloads.
type logger struct {
	log    *slog.Logger
	fatal  chan string
	seldom *seldom // refusals
}

func (l *logger) Noticef(format string, v ...any) {
	l.log.Debug("broker: " + fmt.Sprintf(format, v...))
}
func (l *logger) Debugf(format string, v ...any) { l.log.Debug("broker: " + fmt.Sprintf(format, v...)) }
func (l *logger) Tracef(format string, v ...any) { l.log.Debug("broker: " + fmt.Sprintf(format, v...)) }
func (l *logger) Warnf(format string, v ...any)  { l.log.Warn("broker: " + fmt.Sprintf(format, v...)) }

// Errorf tells refused clients once an hour for each address.
func (l *logger) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	if host, is := refusal(text); is && !l.seldom.tell(host, time.Now()) {
		l.log.Debug("broker: " + text)
		return
	}
	l.log.Warn("broker: " + text)
}

// Fatalf keeps the first reason why the server does not start; it ends nothing.
func (l *logger) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.log.Error("broker: " + text)
	select {
	case l.fatal <- text:
	default:
	}
}
