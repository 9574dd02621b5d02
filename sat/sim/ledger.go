package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Record is a document the device issued. In a ledger file it is one line of
// JSON, with the document in base64.
type Record struct {
	Key     string    `json:"key"`
	Cancels string    `json:"cancels,omitempty"` // the sale it cancels; "" for a sale
	Session int       `json:"session"`           // numeroSessao of the call
	Time    time.Time `json:"time"`              // of issue, on the device's clock
	XML     []byte    `json:"xml"`
	Reply   []byte    `json:"reply"` // as the device wrote it
}

// ledgerFile is what the device issued, in order: the truth against which tests
// compare what was archived.
const ledgerFile = "issued.jsonl"

// ledger holds what was issued, in memory and, when it has a file, on the disk
// before anyone hears of it.
type ledger struct {
	records []Record
	byKey   map[string]int
	file    *os.File // nil without a folder
}

// openLedger reads the ledger of a folder; without one it begins empty. A line
// cut by a crash was never answered: it is dropped.
func openLedger(dir string) (*ledger, error) {
	l := &ledger{byKey: map[string]int{}}
	if dir == "" {
		return l, nil
	}
	path := filepath.Join(dir, ledgerFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the list of issued documents: %w", err)
	}
	raw, err := io.ReadAll(f)
	whole := bytes.LastIndexByte(raw, '\n') + 1
	for n := 0; err == nil && n < whole; {
		var r Record
		end := n + bytes.IndexByte(raw[n:], '\n') + 1
		if err = json.Unmarshal(raw[n:end], &r); err == nil {
			l.keep(r)
		}
		n = end
	}
	if err == nil {
		err = f.Truncate(int64(whole))
	}
	if err == nil {
		_, err = f.Seek(int64(whole), io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot read the list of issued documents %q: %w", path, err)
	}
	l.file = f
	return l, nil
}

func (l *ledger) keep(r Record) {
	l.byKey[r.Key] = len(l.records)
	l.records = append(l.records, r)
}

// add writes a record and syncs it.
func (l *ledger) add(r Record) error {
	if l.file != nil {
		line, err := json.Marshal(r)
		if err == nil {
			_, err = l.file.Write(append(line, '\n'))
		}
		if err == nil {
			err = l.file.Sync()
		}
		if err != nil {
			return fmt.Errorf("cannot write the list of issued documents: %w", err)
		}
	}
	l.keep(r)
	return nil
}

// find returns the record of a key.
func (l *ledger) find(key string) (Record, bool) {
	i, ok := l.byKey[key]
	if !ok {
		return Record{}, false
	}
	return l.records[i], true
}

// cancelled reports whether a sale was cancelled.
func (l *ledger) cancelled(key string) bool {
	for _, r := range l.records {
		if r.Cancels == key {
			return true
		}
	}
	return false
}

func (l *ledger) close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
