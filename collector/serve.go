package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"zelo/agent/wire"
	"zelo/collector/broker"
	"zelo/collector/enrol"
	"zelo/collector/ingest"
	"zelo/collector/web"
)

func cmdServe(ctx context.Context, con console, args []string) error {
	fs, folder := flags(con, "serve")
	if err := fs.Parse(args); err != nil {
		return err
	}
	config, err := loadConfig(*folder)
	if err != nil {
		return err
	}
	c, err := open(ctx, *folder, config, newLog(con.err, config.Log, config.LogFormat))
	if err != nil {
		return err
	}
	saveMemory()
	return c.serve(ctx, func(listening) {})
}

// listening says where a running collector is reached.
type listening struct{ pages, enrolment, mqtt, metrics string }

// post is a running broker.
type post struct {
	ingest.Sender
	up         func() bool
	close      func()
	disconnect func(agent string) error // nil when it is not ours to do
	told       enrol.HandlerOptions     // to agents that enrol
}

// serve starts everything top to bottom, calls ready, waits for ctx, and stops
// bottom to top. It closes the collector.
func (c *collector) serve(ctx context.Context, ready func(listening)) error {
	began := time.Now()
	c.log.Info("collector starts", "version", version, "folder", c.folder)
	failed := make(chan error, 3)
	stop := &stopper{log: c.log}
	defer stop.all()
	stop.later("database", c.close)

	// A second collector in this folder ends here, before it takes the broker's files.
	enrolment, err := c.listen(c.config.Enrolment)
	if err != nil {
		return err
	}
	b, err := c.startBroker()
	if err != nil {
		enrolment.Close()
		return err
	}
	stop.later("broker", b.close)
	b.told.Enrolment = "https://" + c.config.reached(enrolment.Addr().String())
	b.told.CommandKey = c.fleet.CommandKey()
	c.told = b.told

	inner, stopIngest := context.WithCancel(context.WithoutCancel(ctx))
	var ingesting sync.WaitGroup
	ingesting.Go(func() { c.ingest.Run(inner, b) })
	ingesting.Go(func() { c.fleet.Run(inner, b) })
	ingesting.Go(func() { c.notifier.Run(inner) })
	ingesting.Go(func() { c.api.SendLinks(inner, c.log) })
	ingesting.Go(func() { c.keepTime(inner, c.timedWork()...) })
	if b.disconnect != nil {
		ingesting.Go(func() { c.registry.Watch(inner, b.disconnect, c.log) })
	}
	stop.later("ingest", func() { stopIngest(); ingesting.Wait() })

	stop.later("enrolment", c.startHTTP(&http.Server{
		TLSConfig: c.ca.EntranceConfig([]string{c.config.Name}, time.Now), ReadTimeout: 15 * time.Second, WriteTimeout: 15 * time.Second,
		Handler: c.registry.Handler(b.told),
	}, enrolment, failed))

	pages, err := c.listen(c.config.Pages)
	if err != nil {
		return err
	}
	handler, err := c.pages()
	if err != nil {
		pages.Close()
		return err
	}
	stop.later("pages", c.startHTTP(&http.Server{Handler: handler, ReadTimeout: 30 * time.Second}, pages, failed))

	where := listening{pages.Addr().String(), enrolment.Addr().String(), b.told.Broker, ""}
	if c.config.Metrics != "" {
		metrics, err := c.listen(c.config.Metrics)
		if err != nil {
			return err
		}
		where.metrics = metrics.Addr().String()
		stop.later("metrics", c.startHTTP(&http.Server{Handler: c.watched(b.up), ReadTimeout: 15 * time.Second, WriteTimeout: 15 * time.Second}, metrics, failed))
	}
	c.log.Info("collector ready", "took", time.Since(began).Round(time.Millisecond), "pages", c.config.pagesURL(),
		"enrolment", where.enrolment, "mqtt", where.mqtt)
	ready(where)
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	return err
}

// startBroker starts the broker of this collector, or the connection to another.
func (c *collector) startBroker() (post, error) {
	if c.config.External != "" {
		return c.useBroker()
	}
	b, err := broker.Start(broker.Options{
		Listen: c.config.MQTT, Web: c.config.Web, TLS: c.ca.ServerConfig([]string{c.config.Name}, time.Now), CAs: c.ca.Pool(),
		Folder: filepath.Join(c.folder, brokerFolder), Agent: c.registry.Agent, Receive: c.ingest.Receive, Refused: c.figures.refused.Inc, Links: c.links(), Log: c.log,
	})
	if err != nil {
		return post{}, fmt.Errorf("não foi possível ouvir os agentes em %s: %w", strings.TrimSpace(c.config.MQTT+" "+c.config.Web), err)
	}
	c.figures.connected(b.Connected)
	told := enrol.HandlerOptions{Broker: c.config.reached(b.Addr()), Name: c.config.Name, Log: c.log}
	if at := b.WebAddr(); at != "" {
		told.Fallback = "wss://" + c.config.reached(at) + "/mqtt"
	}
	return post{b, b.Up, b.Close, b.Disconnect, told}, nil
}

// links joins the brokers of collectors that share a database.
func (c *collector) links() *broker.Links {
	if c.config.Link == "" {
		return nil
	}
	folder := filepath.Join(c.folder, externalFolder)
	return &broker.Links{Listen: c.config.Link, Peers: c.config.peers(), TLS: c.ca.ClientConfig(folder, c.config.ExternalUser, time.Now)}
}

// useBroker connects to a broker elsewhere.
func (c *collector) useBroker() (post, error) {
	codec, err := wire.NewCodec()
	if err != nil {
		return post{}, err
	}
	if servers := c.config.cluster(); servers != nil {
		return c.useCluster(servers, codec)
	}
	at, err := url.Parse(c.config.External)
	if err != nil {
		return post{}, err
	}
	folder, err := c.keepServer(at.Hostname())
	if err != nil {
		return post{}, err
	}
	b := broker.StartExternal(broker.ExternalOptions{Broker: c.config.External, TLS: c.ca.ClientConfig(folder, c.config.ExternalUser, time.Now),
		Group: c.config.group(), Codec: codec, Receive: c.ingest.Receive, Log: c.log})
	return post{b, b.Up, b.Close, nil, enrol.HandlerOptions{Broker: at.Host, Name: at.Hostname(), Log: c.log}}, nil
}

// useCluster connects to a NATS cluster elsewhere, whose first name is that for tills.
func (c *collector) useCluster(servers []string, codec *wire.Codec) (post, error) {
	var names []string
	for _, at := range servers {
		name, _, _ := net.SplitHostPort(at)
		names = append(names, name)
	}
	folder, err := c.keepServer(names...)
	if err != nil {
		return post{}, err
	}
	keys, made, err := broker.KeepCluster(folder)
	if err != nil {
		return post{}, fmt.Errorf("não foi possível guardar as chaves do cluster do NATS: %w", err)
	}
	if made {
		c.log.Warn("the rights at the NATS cluster were made, take them to all its servers", "file", filepath.Join(folder, broker.RightsFile))
	}
	b, err := broker.StartCluster(broker.ClusterOptions{Servers: servers, TLS: c.ca.ClientConfig(folder, c.config.ExternalUser, time.Now), CAs: c.ca.Pool(),
		Keys: keys, Codec: codec, Agent: c.registry.Agent, Receive: c.ingest.Receive, Refused: c.figures.refused.Inc, Log: c.log})
	if err != nil {
		return post{}, err
	}
	_, port, _ := net.SplitHostPort(c.config.MQTT)
	told := enrol.HandlerOptions{Broker: net.JoinHostPort(names[0], port), Name: names[0], Log: c.log}
	return post{b, b.Up, b.Close, b.Disconnect, told}, nil
}

// keepServer keeps the certificate that the keeper of a broker elsewhere, reached by
// names, takes there, and returns its folder.
func (c *collector) keepServer(names ...string) (folder string, err error) {
	folder = filepath.Join(c.folder, externalFolder)
	made, err := c.ca.KeepServer(folder, names, time.Now())
	if err != nil {
		return "", fmt.Errorf("não foi possível guardar o certificado do broker externo: %w", err)
	}
	if made {
		c.log.Warn("a certificate for the broker was made, take it there", "broker", names, "file", filepath.Join(folder, enrol.ServerFile))
	}
	return folder, nil
}

func (c *collector) pages() (http.Handler, error) {
	return web.New(web.Options{API: c.api, Secure: c.config.Address != "", Log: c.log, Now: time.Now})
}

func (c *collector) listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("não foi possível ouvir em %s (outro programa usa esta porta?): %w", addr, err)
	}
	return l, nil
}

// startHTTP serves on l, with TLS when the server has a configuration for it, and
// returns what stops it. Its goroutine ends with the server.
func (c *collector) startHTTP(s *http.Server, l net.Listener, failed chan<- error) (stop func()) {
	s.ReadHeaderTimeout, s.IdleTimeout, s.MaxHeaderBytes = 10*time.Second, 2*time.Minute, 64<<10
	s.ErrorLog = slog.NewLogLogger(c.log.Handler(), slog.LevelDebug)
	var serving sync.WaitGroup
	serving.Go(func() {
		err := error(nil)
		if s.TLSConfig != nil {
			err = s.ServeTLS(l, "", "")
		} else {
			err = s.Serve(l)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	})
	return func() {
		// Requests under way get a moment; a long download is cut off.
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if s.Shutdown(ctx) != nil {
			s.Close()
		}
		serving.Wait()
	}
}

// stopper stops what was started, the last first.
type stopper struct {
	log   *slog.Logger
	parts []struct {
		name string
		stop func()
	}
}

func (s *stopper) later(name string, stop func()) {
	s.parts = append(s.parts, struct {
		name string
		stop func()
	}{name, stop})
}

func (s *stopper) all() {
	began := time.Now()
	for i := len(s.parts) - 1; i >= 0; i-- {
		start := time.Now()
		s.parts[i].stop()
		s.log.Info("stopped", "part", s.parts[i].name, "took", time.Since(start).Round(time.Millisecond))
	}
	s.log.Info("collector stopped", "took", time.Since(began).Round(time.Millisecond))
}
