package soak

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
)

// What bbolt's file looks like (bbolt, internal/common): two meta pages, the one
// with the higher transaction that has its checksum counts; a commit writes and
// syncs its pages, then writes and syncs one meta page.
const (
	pageSize   = 4096
	sectorSize = 512
)

// image is a buffer's file as the operating system has it at one moment.
type image []byte

// newest is the transaction that counts and the pages in use.
func (m image) newest() (txid, pages uint64) {
	for at := 0; at+pageSize <= len(m) && at < 2*pageSize; at += pageSize {
		meta := m[at+16 : at+80]
		sum := fnv.New64a()
		sum.Write(meta[:56])
		if id := binary.LittleEndian.Uint64(meta[48:]); sum.Sum64() == binary.LittleEndian.Uint64(meta[56:]) && id >= txid {
			txid, pages = id, binary.LittleEndian.Uint64(meta[40:])
		}
	}
	return txid, pages
}

// snapshot reads a file that its owner may be writing to: pages of a commit under
// way may be in it or not, but no commit ended meanwhile.
func snapshot(path string) (image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for range 100 {
		meta := make(image, 2*pageSize)
		if _, err := io.ReadFull(f, meta); err != nil {
			return nil, err
		}
		txid, pages := meta.newest()
		const growth = 256 // pages that a commit under way may have added
		whole := make(image, (int(pages)+growth)*pageSize)
		n, err := f.ReadAt(whole, 0)
		if err != nil && err != io.EOF {
			return nil, err
		}
		whole = whole[:n]
		copy(whole, meta)
		again := make(image, 2*pageSize)
		if _, err := f.ReadAt(again, 0); err != nil {
			return nil, err
		}
		if now, _ := again.newest(); now == txid {
			return whole, nil
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("the file never stood still")
}

// cutPower is what a disk holds after the power failed between two images: of the
// sectors written and not yet synced some are there. A meta page is written when
// all data has been synced.
func cutPower(r *rand.Rand, a, b image) image {
	from, _ := a.newest()
	to, _ := b.newest()
	mixed := bytes.Clone(a)
	mixed = append(mixed, make([]byte, max(0, len(b)-len(a)))...)
	switch synced := r.IntN(2) == 0; {
	case to > from+1: // a commit of its own in between: the disk has one or the other
		if synced {
			return bytes.Clone(b)
		}
		return bytes.Clone(a)
	case to == from+1 && synced:
		copy(mixed, b)
		copy(mixed, a[:2*pageSize])
		for at := 0; at < 2*pageSize; at += sectorSize {
			if r.IntN(2) == 0 {
				copy(mixed[at:at+sectorSize], b[at:])
			}
		}
	default:
		for at := 2 * pageSize; at < len(b); at += sectorSize {
			if r.IntN(2) == 0 {
				copy(mixed[at:min(at+sectorSize, len(mixed))], b[at:min(at+sectorSize, len(b))])
			}
		}
	}
	return mixed
}
