package remote

import (
	"crypto/sha256"

	"zelo/agent/wire"
	"zelo/buffer"
)

// file is what a command brings.
type file struct {
	name, kind string
	data       []byte
	cut        bool
}

const (
	textFile = "text/plain; charset=utf-8"
	zipFile  = "application/zip"
)

// maxWaiting bounds what results may take of the buffer while the collector is away:
// they are never evicted.
const maxWaiting = 16 << 20

// bring queues a result in parts and returns its name; nil when there is no room for
// it. Results never touch the room that is reserved for sales: these commits only
// append. The report that names the parts follows them.
func (r *Remote) bring(e *entry, f file) *wire.Result {
	if len(f.data) > wire.MaxResult {
		f.data, f.cut = f.data[len(f.data)-wire.MaxResult:], true
	}
	for _, s := range r.o.Buffer.Stats().Streams {
		if s.Name == wire.StreamCommands && s.Bytes+int64(len(f.data)) > maxWaiting {
			r.o.Log.Warn("no room for the result of a command", "id", e.command.ID, "bytes", len(f.data))
			return nil
		}
	}
	result := &wire.Result{Name: f.name, Type: f.kind, Size: int64(len(f.data)), Body: sha256.Sum256(f.data), Cut: f.cut}
	for from := 0; from < len(f.data); from += wire.ResultPart {
		part := wire.Part{Body: result.Body, Index: result.Parts, Data: f.data[from:min(from+wire.ResultPart, len(f.data))]}
		if err := r.queue(e, part); err != nil {
			r.o.Log.Error("result of a command not queued", "id", e.command.ID, "err", err)
			return nil
		}
		result.Parts++
	}
	return result
}

func (r *Remote) queue(e *entry, part wire.Part) error {
	b := &buffer.Batch{}
	err := r.add(b, e.command, wire.Report{At: r.o.Clock().UnixMilli(), Part: &part})
	if err == nil {
		_, err = r.o.Buffer.Commit(b)
	}
	return err
}
