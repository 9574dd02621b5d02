package wire

import (
	"crypto/sha256"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// Dictionary is what batches of one device have in common: an earlier batch of
// its documents, as encoded. It is safe for concurrent use.
type Dictionary struct {
	Name Name
	Data []byte
	zip  *zstd.Encoder
}

// NewDictionary makes a dictionary of an encoded batch, of at most MaxDictionary
// bytes.
func NewDictionary(data []byte) (*Dictionary, error) {
	if len(data) < 8 || len(data) > MaxDictionary {
		return nil, fmt.Errorf("cannot make a dictionary of %d bytes: it takes 8 to %d", len(data), MaxDictionary)
	}
	d := &Dictionary{Name: NameOf(data), Data: data}
	var err error
	d.zip, err = newEncoder(zstd.WithEncoderDictRaw(uint32(d.Name.Number()), data))
	if err != nil {
		return nil, fmt.Errorf("cannot make a dictionary of %d bytes: %w", len(data), err)
	}
	return d, nil
}

// NameOf is the name of a dictionary's bytes.
func NameOf(data []byte) Name { return sha256.Sum256(data) }

func (n Name) String() string { return fmt.Sprintf("%x", n[:8]) }

// LackError says that a message was packed with a dictionary that is not held, or
// not as it was: the agent is to send it again, packed without.
type LackError struct {
	Number Number
	Err    error // what unpacking said; nil when the dictionary is not held
}

func (e *LackError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("cannot unpack a message with dictionary %d: %v", e.Number, e.Err)
	}
	return fmt.Sprintf("message packed with dictionary %d, which is not held", e.Number)
}

// unpack restores what Pack or PackWith packed.
func (a *Assembler) unpack(agent string, data []byte) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(data); err != nil {
		return nil, err
	}
	if h.DictionaryID == 0 {
		return a.codec.un.DecodeAll(data, nil)
	}
	var dict []byte
	if a.Dictionary != nil {
		dict = a.Dictionary(agent, Number(h.DictionaryID))
	}
	if dict == nil {
		return nil, &LackError{Number: Number(h.DictionaryID)}
	}
	plain, err := a.unpackWith(dict, h.DictionaryID, data)
	if err != nil {
		return nil, &LackError{Number(h.DictionaryID), err}
	}
	return plain, nil
}

func (a *Assembler) unpackWith(dict []byte, id uint32, data []byte) (plain []byte, err error) {
	if a.un == nil {
		if a.un, err = newDecoder(); err != nil {
			return nil, err
		}
	}
	if err := a.un.ResetWithOptions(nil, zstd.WithDecoderDictDelete(), zstd.WithDecoderDictRaw(id, dict)); err != nil {
		return nil, err
	}
	return a.un.DecodeAll(data, nil)
}

func newDecoder() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(2*MaxBatch))
}
