package buffer

import (
	"bytes"
	"encoding/binary"
)

// quarantine is the table of the records set into quarantine, by stream and
// sequence. It is a table like any other so that agents that know of no
// quarantine read the file all the same.
const quarantine = "quarantine"

// Quarantine takes a waiting record out of its stream for good, because whoever
// drains the stream cannot use it: it is kept and counted, and blocks nothing.
// Like waiting records, those of evictable streams are dropped when the buffer is
// full, no others. A record that does not wait is passed over.
func (b *Batch) Quarantine(stream string, seq uint64) {
	b.changes = append(b.changes, change{act: actQuarantine, name: stream, seq: seq})
}

func quarantineKey(stream string, seq uint64) []byte {
	return tableKey(quarantine, binary.BigEndian.AppendUint64(append([]byte(stream), 0), seq))
}

// parseQuarantine takes the table key of a quarantined record apart.
func parseQuarantine(p place) (stream string, seq uint64, ok bool) {
	name, rest, found := bytes.Cut(p.key, []byte{0})
	if p.kind != kindTable || p.name != quarantine || !found || len(rest) != 8 || !validName(string(name)) {
		return "", 0, false
	}
	return string(name), binary.BigEndian.Uint64(rest), true
}

// quarantine moves a waiting record to the table.
func (t *txn) quarantine(stream string, seq uint64) error {
	r, ok, err := t.find(stream, seq)
	if err != nil || !ok {
		return err
	}
	v, err := t.data(r)
	if err != nil {
		return err
	}
	if err := t.drop(r); err != nil {
		return err
	}
	r.kind = kindTable
	key := quarantineKey(stream, seq)
	if t.b.Get(chunkKey(key, 0)) == nil { // salvage may have brought it to both places
		t.count(r, 1)
	}
	return store(t.b, key, r.at, v.data)
}

// find returns a waiting record; ok is false when it does not wait.
func (t *txn) find(stream string, seq uint64) (r record, ok bool, err error) {
	key := waitingKey(stream, seq)
	sealed := t.b.Get(key)
	if sealed == nil {
		return record{}, false, nil
	}
	r, err = parseIndex(key, sealed)
	return r, true, err
}

// quarantined are the oldest quarantined records of a stream.
func (t *txn) quarantined(stream string, most int) (out []record, err error) {
	within := tablePrefix(quarantine, append([]byte(stream), 0))
	c := t.b.Cursor()
	for k, _ := c.Seek(within); bytes.HasPrefix(k, within) && len(out) < most; k, _ = c.Seek(behind(k)) {
		p, _ := parseKey(k)
		v, err := load(t.b, p.owner)
		if err != nil {
			return nil, err
		}
		if _, seq, ok := parseQuarantine(p); ok {
			out = append(out, record{stream, seq, v.at, v.size, kindTable})
		}
	}
	return out, nil
}

// moved is the most pages that the records which a batch sets into quarantine
// take in their new place, before those of the old one are free.
func (b *Buffer) moved(batch *Batch) (pages int, err error) {
	if !batch.has(actQuarantine) {
		return 0, nil
	}
	err = b.view(func(t *txn) error {
		for _, c := range batch.changes {
			if c.act != actQuarantine {
				continue
			}
			r, _, err := t.find(c.name, c.seq)
			if err != nil {
				return err
			}
			pages += pagesFor(fileBytes(len(c.name)+maxKey, r.size)) + pathPages(2, b.o.MaxBytes)
		}
		return nil
	})
	return pages, err
}
