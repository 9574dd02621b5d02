package buffer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	bbolt "go.etcd.io/bbolt"
)

// The file is one bbolt bucket. Its keys say what they are, so that a page torn
// from the tree can still be understood:
//
//	d stream 0 seq chunk     data of a record
//	w stream 0 seq           the record waits
//	c seq stream             the record is an acknowledged copy
//	t table 0 key 0 0 chunk  value of a table, zeros in the key escaped
//	head                     format and epoch, written last when a file is made
//
// Every value begins with the CRC-32C of key and rest. Data and values are cut
// into chunks so small that four fill a page: bbolt then never needs two adjacent
// pages, and free pages are room whatever their order. A chunk is time, in the
// first one the size of the whole, and data; an index entry is time and size.
const (
	format     = 1 // 2026-11-21
	bucketName = "zelo"
	headKey    = "head"

	kindCopy    = 'c'
	kindData    = 'd'
	kindTable   = 't'
	kindWaiting = 'w'

	pageSize   = 4096
	elementMax = 1004    // key and value of one element; bbolt adds 16, and 16 per page
	maxKey     = 128     // bytes of a table key
	maxValue   = 8 << 20 // bytes of a record or value
	sealSize   = 4
)

func validName(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 32
}

func dataKey(stream string, seq uint64) []byte    { return recordKey(kindData, stream, seq) }
func waitingKey(stream string, seq uint64) []byte { return recordKey(kindWaiting, stream, seq) }

func recordKey(kind byte, stream string, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(append([]byte{kind}, stream...), 0), seq)
}

func copyKey(seq uint64, stream string) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{kindCopy}, seq), stream...)
}

func tableKey(table string, key []byte) []byte {
	return append(tablePrefix(table, key), 0, 0)
}

func tablePrefix(table string, prefix []byte) []byte {
	k := append(append([]byte{kindTable}, table...), 0)
	return append(k, bytes.ReplaceAll(prefix, []byte{0}, []byte{0, 0xFF})...)
}

func chunkKey(key []byte, n int) []byte {
	return binary.BigEndian.AppendUint16(key[:len(key):len(key)], uint16(n))
}

// place is a key taken apart.
type place struct {
	kind  byte
	name  string // stream or table
	seq   uint64 // of a record
	key   []byte // of a table
	owner []byte // the key without chunk
	chunk int
}

func parseKey(k []byte) (p place, ok bool) {
	if len(k) < 4 {
		return p, false
	}
	p.kind, p.owner = k[0], k
	if p.kind == kindData || p.kind == kindTable {
		p.owner, p.chunk = k[:len(k)-2], int(binary.BigEndian.Uint16(k[len(k)-2:]))
	}
	name, rest, _ := bytes.Cut(p.owner[1:], []byte{0})
	switch p.kind {
	case kindCopy:
		if len(k) < 9 {
			return p, false
		}
		p.seq, name = binary.BigEndian.Uint64(k[1:]), k[9:]
	case kindData, kindWaiting:
		if len(rest) != 8 {
			return p, false
		}
		p.seq = binary.BigEndian.Uint64(rest)
	case kindTable:
		if p.key, ok = bytes.CutSuffix(rest, []byte{0, 0}); !ok {
			return p, false
		}
		p.key = bytes.ReplaceAll(p.key, []byte{0, 0xFF}, []byte{0})
	default:
		return p, false
	}
	p.name = string(name)
	return p, validName(p.name)
}

// String names the place for people.
func (p place) String() string {
	switch p.kind {
	case 0:
		return "entrada sem nome"
	case kindTable:
		return fmt.Sprintf("%s: entrada %q", p.name, p.key)
	}
	return fmt.Sprintf("%s: registro %d", p.name, p.seq)
}

func checksum(key, body []byte) uint32 {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, body)
}

func seal(key, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, sealSize+len(body)), checksum(key, body)), body...)
}

func unseal(key, v []byte) ([]byte, bool) {
	if len(v) < sealSize || binary.BigEndian.Uint32(v) != checksum(key, v[sealSize:]) {
		return nil, false
	}
	return v[sealSize:], true
}

func sealIndex(key []byte, at int64, size int) []byte {
	body := binary.BigEndian.AppendUint64(nil, uint64(at))
	return seal(key, binary.BigEndian.AppendUint32(body, uint32(size)))
}

func sealHead(epoch [16]byte, version uint32) []byte {
	return seal([]byte(headKey), append(binary.BigEndian.AppendUint32(nil, version), epoch[:]...))
}

func unsealHead(v []byte) (epoch [16]byte, version uint32, ok bool) {
	body, ok := unseal([]byte(headKey), v)
	if !ok || len(body) < 20 {
		return epoch, 0, false
	}
	return [16]byte(body[4:20]), binary.BigEndian.Uint32(body), true
}

// value puts the chunks of one record or table entry together.
type value struct {
	owner []byte
	at    int64 // Unix nanoseconds
	size  int
	data  []byte // nil before the first chunk
}

var errIncomplete = errors.New("chunks missing")

func (v *value) whole() bool { return len(v.data) == v.size }

// add takes the next chunk. The first chunk of another owner starts anew.
func (v *value) add(p place, body []byte) error {
	if len(body) < 8 || (p.chunk == 0 && len(body) < 12) {
		return errIncomplete
	}
	at, body := int64(binary.BigEndian.Uint64(body)), body[8:]
	if p.chunk == 0 {
		*v = value{owner: append(v.owner[:0], p.owner...), at: at,
			size: int(binary.BigEndian.Uint32(body)), data: v.data[:0]}
		body = body[4:]
	}
	if !bytes.Equal(v.owner, p.owner) || at != v.at || len(v.data)+len(body) > v.size {
		return errIncomplete
	}
	if v.data = append(v.data, body...); v.data == nil {
		v.data = []byte{}
	}
	return nil
}

// chunkRoom is how much of a chunk is left for data under a key.
func chunkRoom(key int) int { return elementMax - key - 2 - sealSize - 8 }

// chunks is the number of elements that data under a key takes.
func chunks(key, size int) int {
	room := chunkRoom(key)
	return (size + 4 + room - 1) / room
}

// store writes data under an owner's key, which holds nothing yet.
func store(b *bbolt.Bucket, key []byte, at int64, data []byte) error {
	room := chunkRoom(len(key))
	for n := 0; n == 0 || len(data) > 0; n++ {
		head := binary.BigEndian.AppendUint64(make([]byte, sealSize, elementMax), uint64(at))
		take := min(room, len(data))
		if n == 0 {
			head = binary.BigEndian.AppendUint32(head, uint32(len(data)))
			take = min(room-4, len(data))
		}
		k, v := chunkKey(key, n), append(head, data[:take]...)
		binary.BigEndian.PutUint32(v, checksum(k, v[sealSize:]))
		if err := b.Put(k, v); err != nil {
			return err
		}
		data = data[take:]
	}
	return nil
}

// load reads what store wrote; data is nil when there is nothing.
func load(b *bbolt.Bucket, key []byte) (v value, err error) {
	for n := 0; n == 0 || !v.whole(); n++ {
		k := chunkKey(key, n)
		sealed := b.Get(k)
		if sealed == nil && n == 0 {
			return v, nil
		}
		p, known := parseKey(k)
		body, ok := unseal(k, sealed)
		if !known || !ok {
			return v, fmt.Errorf("%w: %s", ErrDamaged, p)
		}
		if err := v.add(p, body); err != nil {
			return v, fmt.Errorf("%w: %s: %w", ErrDamaged, p, err)
		}
	}
	return v, nil
}

// remove deletes what store wrote.
func remove(b *bbolt.Bucket, key []byte) error {
	for n := 0; ; n++ {
		k := chunkKey(key, n)
		if b.Get(k) == nil {
			return nil
		}
		if err := b.Delete(k); err != nil {
			return err
		}
	}
}
