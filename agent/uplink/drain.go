package uplink

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
)

// drain is the state of one session.
type drain struct {
	u      *Uplink
	s      Session
	sent   map[string]*sent
	id     uint64
	resend time.Duration
	quiet  time.Time // since when the collector owes an acknowledgement
}

// sent is what is under way of one stream.
type sent struct {
	cursor  uint64            // highest sequence sent
	under   map[uint64]flight // by sequence, not yet acknowledged
	bytes   int64             // of all under way
	noticed time.Time         // since when records wait for company; zero when none do
}

// flight is a record under way.
type flight struct {
	hash  [sha256.Size]byte
	bytes int64
	at    time.Time // when it was sent
}

func newDrain(u *Uplink, s Session) *drain {
	d := &drain{u: u, s: s, sent: map[string]*sent{}, resend: firstResend}
	d.rewind()
	return d
}

// longWait is how long run sleeps when nothing is due.
const longWait = time.Hour

func (d *drain) run(ctx context.Context) error {
	beat := time.NewTicker(d.u.o.BeatEvery)
	defer beat.Stop()
	due := time.NewTimer(longWait)
	defer due.Stop()
	if err := d.beat(); err != nil {
		return err
	}
	for {
		wait, err := d.pump()
		if err != nil {
			return err
		}
		due.Reset(min(wait, max(0, d.patience())))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.s.Done():
			return errors.New("the connection was lost")
		case <-d.u.o.Buffer.Appended():
		case m := <-d.u.messages:
			if err := d.message(m); err != nil {
				return err
			}
		case <-due.C:
			d.sendAgain()
		case <-d.u.soon:
			if err := d.beat(); err != nil {
				return err
			}
		case <-beat.C:
			if err := d.beat(); err != nil {
				return err
			}
		}
	}
}

// waiting reports whether an acknowledgement is owed.
func (d *drain) waiting() bool {
	for _, st := range d.sent {
		if len(st.under) > 0 {
			return true
		}
	}
	return false
}

// stale is how long a single record may wait for its acknowledgement while others
// are acknowledged.
const stale = 5 * time.Minute

// patience is how long to wait yet for what is under way: until the collector has
// said nothing for too long, or until a single record was passed over.
func (d *drain) patience() time.Duration {
	if !d.waiting() {
		return longWait
	}
	left := d.resend - time.Since(d.quiet)
	for _, st := range d.sent {
		for _, f := range st.under {
			left = min(left, stale-time.Since(f.at))
		}
	}
	return left
}

// sendAgain rewinds when patience is at its end.
func (d *drain) sendAgain() {
	if d.patience() > 0 {
		return
	}
	d.u.o.Log.Warn("no acknowledgement, sending again", "after", d.resend)
	d.rewind()
	d.resend = min(2*d.resend, longResend)
	d.quiet = time.Now()
}

// rewind makes everything unacknowledged be sent again.
func (d *drain) rewind() {
	for _, name := range d.u.o.Streams {
		d.sent[name] = &sent{under: map[uint64]flight{}}
	}
}

// slowPump is how long sending may take before it counts as the network's
// silence, not the collector's.
const slowPump = time.Second

// pump sends as much as windows and limits allow. After each batch it begins
// again with the most important stream. It says when to look again.
func (d *drain) pump() (wait time.Duration, err error) {
	began := time.Now()
	if !d.waiting() {
		d.quiet = began
	}
	for more := true; more; {
		more, wait = false, longWait
		for _, stream := range d.u.o.Streams {
			sent, later, err := d.batch(stream)
			if err != nil {
				return 0, err
			}
			if more = sent; sent {
				break
			}
			wait = min(wait, later)
		}
	}
	if time.Since(began) > slowPump {
		d.quiet = time.Now()
	}
	return wait, nil
}

// batch sends one batch of a stream when there is one to be sent now; otherwise it
// says when to look again.
func (d *drain) batch(stream string) (sent bool, later time.Duration, err error) {
	st := d.sent[stream]
	if len(st.under) >= windowRecords || st.bytes >= windowBytes {
		return false, longWait, nil
	}
	if !wire.Urgent(stream) {
		if later = d.u.pace.wait(); later > 0 {
			return false, later, nil
		}
	}
	records, err := d.u.o.Buffer.Peek(stream, st.cursor, batchRecords, batchBytes)
	if err != nil {
		return false, 0, fmt.Errorf("cannot read stream %q: %w", stream, err)
	}
	if len(records) == 0 {
		st.noticed = time.Time{}
		return false, longWait, nil
	}
	if later = st.company(stream, records); later > 0 {
		return false, later, nil
	}
	st.noticed = time.Time{}
	for _, p := range d.u.packer.split(stream, records) {
		if err := d.publish(stream, p); err != nil {
			return false, 0, err
		}
	}
	st.cursor = records[len(records)-1].Seq
	return true, 0, nil
}

// company is how long records still wait for more to fill their batch.
func (st *sent) company(stream string, records []buffer.Record) time.Duration {
	bytes := 0
	for _, r := range records {
		bytes += len(r.Data)
	}
	if len(records) >= batchRecords || bytes >= batchBytes/2 {
		return 0
	}
	if st.noticed.IsZero() {
		st.noticed = time.Now()
	}
	return gathering(stream) - time.Since(st.noticed)
}

// publish sends one message and notes what is under way by it. A record that no
// message can carry is out of the way of the others; it always comes alone.
func (d *drain) publish(stream string, p part) error {
	b := wire.Batch{Version: wire.Version, Epoch: d.u.o.Buffer.Epoch()}
	for _, r := range p.records {
		b.Records = append(b.Records, wire.Record{Seq: r.Seq, Data: r.Data})
	}
	if err := d.offer(p.device.offer(false)); err != nil {
		return err
	}
	d.id++
	packets, err := d.u.packer.pack(d.id, p.device, b)
	if err != nil && len(p.records) == 1 {
		d.quarantine(stream, p.records[0], err)
		return nil
	}
	if err == nil {
		err = d.put(stream, packets)
	}
	if err != nil {
		return fmt.Errorf("cannot publish to stream %q: %w", stream, err)
	}
	if p.device != nil {
		d.u.packer.gather(p.device, b.Records, b.Epoch)
	}
	st, now := d.sent[stream], time.Now()
	for _, r := range p.records {
		st.under[r.Seq] = flight{r.SHA256, int64(len(r.Data)), now}
		st.bytes += int64(len(r.Data))
	}
	return nil
}

// quarantine sets a record aside that no message can carry, and tells the collector
// so in the same commit. If that fails the record waits on, out of the way of the
// others, until the next session tries again.
func (d *drain) quarantine(stream string, r buffer.Record, reason error) {
	log := d.u.o.Log.With("stream", stream, "record", r.Seq, "reason", reason)
	event, err := d.u.o.Codec.Encode(wire.Item{Version: wire.Version, Kind: wire.KindEvent, Code: wire.EventQuarantined,
		At: d.u.o.Now().UnixMilli(), Detail: map[string]string{"stream": stream, "seq": fmt.Sprint(r.Seq),
			"sha256": fmt.Sprintf("%x", r.SHA256), "size": fmt.Sprint(len(r.Data))}})
	if err == nil {
		b := &buffer.Batch{}
		b.Quarantine(stream, r.Seq)
		b.Append(wire.StreamEvents, event)
		_, err = d.u.o.Buffer.Commit(b)
	}
	if err != nil {
		log.Error("a record cannot be sent and could not be set aside", "err", err)
		return
	}
	log.Error("a record cannot be sent, it was set aside on this till")
}

// send packs and publishes what is not a batch.
func (d *drain) send(stream string, v any) error {
	d.id++
	packets, err := d.u.o.Codec.Pack(d.id, v)
	if err == nil {
		err = d.put(stream, packets)
	}
	if err != nil {
		return fmt.Errorf("cannot publish to stream %q: %w", stream, err)
	}
	return nil
}

// put hands payloads to the network and counts them.
func (d *drain) put(stream string, packets [][]byte) error {
	for _, p := range packets {
		d.u.pace.count(len(wire.UpTopic("", stream)) + len(p))
		if err := d.s.Publish(stream, p); err != nil {
			return err
		}
	}
	return nil
}

func (d *drain) offer(o *wire.Offer) error {
	if o == nil {
		return nil
	}
	return d.send(wire.StreamDictionary, *o)
}

// beat sends the agent's pulse, and asks again about dictionaries that the
// collector said nothing of.
func (d *drain) beat() error {
	d.u.beats++
	b := d.u.o.Beat()
	b.Version, b.Number = wire.Version, d.u.beats
	d.u.beatAt = time.Now()
	if err := d.send(wire.StreamBeat, b); err != nil {
		return err
	}
	for _, dev := range d.u.packer.devices {
		if dev.state == unasked {
			continue // with its next document
		}
		if err := d.offer(dev.offer(true)); err != nil {
			return err
		}
	}
	return nil
}
