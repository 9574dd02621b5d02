package store

import "time"

// AddDictionary archives what an agent packs its batches with. Its name is the
// body's hash.
func (w *Writer) AddDictionary(agent string, body Packed, now time.Time) error {
	return w.exec(`INSERT INTO dictionaries (agent, name, size, body, received_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (agent, name) DO NOTHING`, agent, body.SHA256[:], body.Size, body.zip, ms(now))
}

// Dictionary returns a dictionary of an agent by its name.
func (r *Reader) Dictionary(agent string, name [32]byte) ([]byte, error) {
	var zip []byte
	if err := r.get(into{&zip}, `SELECT body FROM dictionaries WHERE agent = $1 AND name = $2`, agent, name[:]); err != nil {
		return nil, err
	}
	return r.s.unpack(zip, name[:])
}
