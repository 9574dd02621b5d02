package uplink

import (
	"errors"
	"fmt"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
)

// message takes one message from the collector. What cannot be understood is
// logged; an error means that the session is over.
func (d *drain) message(m message) error {
	var err error
	switch m.kind {
	case wire.DownAck:
		var a wire.Ack
		if err = d.u.o.Codec.Decode(m.payload, &a); err == nil {
			err = d.acknowledged(a)
		}
	case wire.DownHello:
		var h wire.Hello
		if err = d.u.o.Codec.Decode(m.payload, &h); err == nil {
			err = d.hello(h, m.at)
		}
	case wire.DownCommand:
		if d.u.o.Command != nil {
			d.u.o.Command(m.payload)
		}
	case wire.DownDictionary:
		var a wire.Answer
		if err = d.u.o.Codec.Decode(m.payload, &a); err == nil {
			return d.answer(a)
		}
	default:
		err = errors.New("unknown kind")
	}
	if err != nil {
		d.u.o.Log.Warn("message from the collector not taken", "kind", m.kind, "err", err)
	}
	return nil
}

// acknowledged frees exactly the records named.
func (d *drain) acknowledged(a wire.Ack) error {
	d.u.pace.obey(a.Slow)
	st := d.sent[a.Stream]
	if st == nil {
		return fmt.Errorf("acknowledgement of unknown stream %q", a.Stream)
	}
	acks := make([]buffer.Ack, len(a.Records))
	for i, r := range a.Records {
		acks[i] = buffer.Ack{Seq: r.Seq, SHA256: r.SHA256}
	}
	freed, err := d.u.o.Buffer.Acknowledge(a.Stream, a.Epoch, acks)
	if a.Epoch == wire.Epoch(d.u.o.Buffer.Epoch()) {
		st.land(a.Records)
	}
	if freed > 0 {
		if time.Since(d.quiet) < firstResend/2 {
			d.resend = firstResend // a slow link keeps what it has grown to
		}
		d.quiet = time.Now()
		d.u.mu.Lock()
		d.u.state.LastAck = d.u.o.Now()
		d.u.mu.Unlock()
	}
	return errors.Join(err, d.storeEpoch(a.StoreEpoch))
}

// land takes the records named off those under way. Another hash speaks of a record
// of another agent that runs with a copy of this buffer.
func (st *sent) land(records []wire.AckRecord) {
	for _, r := range records {
		if f, ok := st.under[r.Seq]; ok && f.hash == r.SHA256 {
			st.bytes -= f.bytes
			delete(st.under, r.Seq)
		}
	}
}

// hello takes the answer to a beat.
func (d *drain) hello(h wire.Hello, at time.Time) error {
	d.u.packer.ready = h.Version >= 2
	d.u.mu.Lock()
	d.u.state.Version = h.Version
	d.u.mu.Unlock()
	d.u.pace.obey(h.Slow)
	if len(h.CommandKey) > 0 && d.u.o.CommandKey != nil {
		d.u.o.CommandKey(h.CommandKey)
	}
	if h.Renew != "" && d.u.o.Renew != nil {
		d.u.o.Renew(h.Renew)
	}
	var err error
	if h.Beat == d.u.beats {
		err = d.u.o.Clock.learn(time.UnixMilli(h.Time), at.Sub(d.u.beatAt), time.Duration(h.Took)*time.Millisecond)
	}
	if errors.Is(err, errAhead) {
		d.u.o.Log.Warn("the collector's time is not believed", "time", time.UnixMilli(h.Time), "err", err)
		err = nil
	}
	return errors.Join(err, d.storeEpoch(h.StoreEpoch))
}

// answer takes the collector's word of a dictionary. When it lacks one that
// batches under way are packed with, they are sent again at once, without.
func (d *drain) answer(a wire.Answer) error {
	bring, lost := d.u.packer.answer(a)
	if lost {
		d.u.o.Log.Warn("the collector lacks a dictionary, sending without", "dictionary", a.Number)
		d.rewind()
	}
	return d.offer(bring)
}

// storeEpoch notices that the collector's store was restored from a backup: what
// it had acknowledged since may be gone, so everything still held is sent again.
func (d *drain) storeEpoch(e wire.Epoch) error {
	key := []byte("store-epoch")
	known, err := d.u.o.Buffer.Get(table, key)
	if err != nil || string(known) == string(e[:]) {
		return err
	}
	if known != nil {
		for _, stream := range d.u.o.Streams {
			n, err := d.u.o.Buffer.Requeue(stream)
			if err != nil {
				return err
			}
			d.u.o.Log.Warn("the collector's store was restored, sending again", "stream", stream, "records", n)
		}
		d.rewind()
	}
	b := &buffer.Batch{}
	b.Put(table, key, e[:])
	_, err = d.u.o.Buffer.Commit(b)
	return err
}
