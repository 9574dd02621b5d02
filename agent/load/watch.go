package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// fact is something that raises an alarm about a till's device, or ends it.
type fact struct {
	Till int
	Over bool
}

// The alarm that facts raise, as the collector calls it.
const factCode = "case-unresolved"

// happened is a fact with when its till wrote it down.
type happened struct {
	fact
	Serial string
	At     time.Time
}

// seenKey is what somebody sees: the alarm of a device is open, or is over.
type seenKey struct {
	serial string
	over   bool
}

// watcher is a person with a page that keeps itself current, and a program that is told
// by a signed webhook. Three goroutines are its own; close ends them.
type watcher struct {
	pages  string // http://host:port
	client *http.Client
	hook   *http.Server
	secret string // of the webhook's signatures
	stop   context.CancelFunc
	parts  sync.WaitGroup

	mu      sync.Mutex
	open    map[string]bool // devices in alarm on the page
	page    map[seenKey]time.Time
	channel map[seenKey]time.Time
	fetches []time.Duration
	err     error
}

// newWatcher signs in by a link's secret, opens the stream of news, and has the
// collector tell a webhook of this machine.
func newWatcher(ctx context.Context, pages, secret string) (*watcher, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	w := &watcher{pages: "http://" + pages, client: &http.Client{Jar: jar}, open: map[string]bool{}, page: map[seenKey]time.Time{}, channel: map[seenKey]time.Time{}}
	in, err := w.client.PostForm(w.pages+"/entrar", url.Values{"secret": {secret}})
	if err != nil {
		return nil, fmt.Errorf("cannot sign in: %w", err)
	}
	in.Body.Close()
	if in.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("cannot sign in: the collector answers %s", in.Status)
	}
	ctx, w.stop = context.WithCancel(ctx)
	if err := w.listen(); err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.pages+"/novidades", nil)
	if err != nil {
		return nil, err
	}
	news, err := w.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("cannot listen to news: %w", err)
	}
	changed := make(chan struct{}, 1)
	w.parts.Go(func() {
		defer close(changed)
		defer news.Body.Close()
		for lines := bufio.NewScanner(news.Body); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "data:") {
				select {
				case changed <- struct{}{}:
				default:
				}
			}
		}
	})
	w.parts.Go(func() {
		for range changed {
			if err := w.look(ctx); err != nil && ctx.Err() == nil {
				w.mu.Lock()
				w.err = err
				w.mu.Unlock()
			}
		}
	})
	return w, nil
}

// listen makes the webhook.
func (w *watcher) listen() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.hook = &http.Server{Handler: http.HandlerFunc(w.told), ReadTimeout: time.Minute}
	w.parts.Go(func() { w.hook.Serve(l) })
	order, err := json.Marshal(map[string]string{"name": "carga", "address": "http://" + l.Addr().String() + "/", "template": "", "least": "notice"})
	if err != nil {
		return err
	}
	answer, err := w.client.Post(w.pages+"/api/v1/notices/hooks", "application/json", bytes.NewReader(order))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	var made struct{ Secret string }
	if err == nil {
		err = json.Unmarshal(raw, &made)
	}
	if err != nil || made.Secret == "" {
		return fmt.Errorf("cannot make a webhook: %s %s: %w", answer.Status, raw, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secret = made.Secret
	return nil
}

// look fetches the list of alarms and notes what is new in it.
func (w *watcher) look(ctx context.Context) error {
	began := time.Now()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.pages+"/api/v1/alarms", nil)
	if err != nil {
		return err
	}
	answer, err := w.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var list struct {
		Open []struct{ Code, Subject string }
	}
	if err := json.NewDecoder(answer.Body).Decode(&list); err != nil {
		return fmt.Errorf("cannot read the list of alarms (%s): %w", answer.Status, err)
	}
	open := map[string]bool{}
	for _, a := range list.Open {
		if a.Code == factCode {
			open[a.Subject] = true
		}
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fetches = append(w.fetches, now.Sub(began))
	for serial := range open {
		note(w.page, seenKey{serial, false}, now)
	}
	for serial := range w.open {
		if !open[serial] {
			note(w.page, seenKey{serial, true}, now)
		}
	}
	w.open = open
	return nil
}

// note keeps the first time.
func note(in map[seenKey]time.Time, key seenKey, at time.Time) {
	if in[key].IsZero() {
		in[key] = at
	}
}

// told is the webhook.
func (w *watcher) told(_ http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	var message struct {
		Events []struct{ Type, Code, Subject string }
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	err = errors.Join(err, json.Unmarshal(raw, &message))
	if w.secret != "" && !signed(r.Header.Get("Zelo-Signature"), w.secret, raw) {
		err = errors.Join(err, errors.New("a webhook's signature is wrong"))
	}
	if err != nil {
		w.err = err
		return
	}
	for _, e := range message.Events {
		if e.Code == factCode {
			note(w.channel, seenKey{e.Subject, e.Type == "alarm.cleared"}, now)
		}
	}
}

// signed tells whether a signature, t=<seconds>,v1=<hexadecimal>, is that of a body.
func signed(signature, secret string, body []byte) bool {
	at, sum, _ := strings.Cut(strings.TrimPrefix(signature, "t="), ",v1=")
	given, err := hex.DecodeString(sum)
	m := hmac.New(sha256.New, []byte(secret))
	io.WriteString(m, at+".")
	m.Write(body)
	return err == nil && hmac.Equal(given, m.Sum(nil))
}

// saw tells whether the page and the channel saw something.
func (w *watcher) saw(key seenKey) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.page[key].IsZero() && !w.channel[key].IsZero()
}

// complete tells whether so many facts were seen, on the page and by the channel.
func (w *watcher) complete(facts int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.page) >= facts && len(w.channel) >= facts
}

// delays are how long facts took to the page and to the channel, each sorted. The page
// and the channel must have seen all of them.
func (w *watcher) delays(facts []happened) (page, channel []time.Duration, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range facts {
		key := seenKey{f.Serial, f.Over}
		p, c := w.page[key], w.channel[key]
		if p.IsZero() || c.IsZero() {
			return nil, nil, errors.Join(w.err, fmt.Errorf("device %s, over %v: on the page %v, told %v", f.Serial, f.Over, !p.IsZero(), !c.IsZero()))
		}
		page, channel = append(page, p.Sub(f.At)), append(channel, c.Sub(f.At))
	}
	slices.Sort(page)
	slices.Sort(channel)
	return page, channel, w.err
}

// reading is how long it usually takes to fetch the list of alarms.
func (w *watcher) reading() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.Sort(w.fetches)
	return percentile(w.fetches, 50)
}

func (w *watcher) close() {
	w.stop()
	w.hook.Close()
	w.parts.Wait()
}

// percentile of what is sorted; 0 of nothing.
func percentile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(math.Ceil(float64(len(sorted)*percent)/100))-1].Round(time.Millisecond)
}
