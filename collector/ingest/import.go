package ingest

import (
	"context"
	"crypto/sha256"
	"fmt"

	"zelo/collector/store"
)

// File is a document from anywhere.
type File struct {
	Name string // kept as provenance
	Raw  []byte
}

// streamImport is the stream name of imported files.
const streamImport = "import"

// Import stores files in one transaction and returns the verdict on each. What
// is no document that can be read goes into quarantine. An error means that
// nothing was stored.
func (g *Ingest) Import(ctx context.Context, files ...File) ([]Verdict, error) {
	m := message{Incoming: Incoming{Stream: streamImport, At: g.o.Now()}}
	for _, f := range files {
		m.records = append(m.records, &record{data: f.Raw, Record: store.Record{
			Stream: streamImport, File: f.Name, SHA256: sha256.Sum256(f.Raw), At: m.At}})
	}
	group := []message{m}
	g.prepareAll(group)
	if _, err := g.store(ctx, group); err != nil {
		return nil, fmt.Errorf("cannot import %d files: %w", len(files), err)
	}
	verdicts := make([]Verdict, len(files))
	for i, r := range m.records {
		verdicts[i] = r.verdict
	}
	return verdicts, nil
}
