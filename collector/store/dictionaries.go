package store

import "time"

// AddDictionary archives what an agent packs its batches with, under the number
// that its messages name it by. It reports whether the store holds it now: not
// when another dictionary of the agent has the number.
func (w *Writer) AddDictionary(agent string, number uint32, body Packed, now time.Time) (held bool, err error) {
	err = w.exec(`INSERT INTO dictionaries (agent, number, sha256, size, body, received_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (agent, number) DO NOTHING`, agent, number, body.SHA256[:], body.Size, body.zip, ms(now))
	if err != nil {
		return false, err
	}
	var sum [32]byte
	err = w.get(into{hash(&sum)}, `SELECT sha256 FROM dictionaries WHERE agent = $1 AND number = $2`, agent, number)
	return sum == body.SHA256, err
}

// Dictionary returns a dictionary of an agent by its number.
func (r *Reader) Dictionary(agent string, number uint32) ([]byte, error) {
	var zip, sum []byte
	args := arguments{agent, number}
	err := r.get(into{&zip, &sum}, `SELECT body, sha256 FROM dictionaries WHERE agent = $1 AND number = $2 AND `+r.ofAgents("agent", &args), args...)
	if err != nil {
		return nil, err
	}
	return r.s.unpack(zip, sum)
}
