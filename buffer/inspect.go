package buffer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"os"
	"slices"
	"time"
)

// This file reads a bbolt file page by page and believes nothing in it: no
// damage can make it panic, loop, or take more memory than the file's size.
// bbolt itself promises none of that.

// Layout of bbolt's pages, version 2, unchanged since 2014.
const (
	pageHeader   = 16 // id, flags, count, overflow
	elementSize  = 16 // of the table behind the header
	pageBranch   = 0x01
	pageLeaf     = 0x02
	pageFree     = 0x10
	boltMagic    = 0xED0CDAED
	boltVersion  = 2
	metaSize     = 56 // before its checksum
	bucketHeader = 16 // root, sequence
	deepest      = 32 // levels of a tree
)

// Report is what Check found in a buffer file.
type Report struct {
	Epoch   [16]byte
	Streams []StreamStats  // by name
	Tables  map[string]int // entries by name, without quarantined records
	Damage  []string       // in Portuguese; empty when the file is sound
}

// inspection is what a file holds and what is wrong with it.
type inspection struct {
	r     io.ReaderAt
	pages uint64 // in the file
	high  uint64 // pages in use or once used, the first pages of the file

	epoch   [16]byte
	format  uint32 // zero when no head was found
	streams map[string]count
	oldest  map[string]int64
	tables  map[string]int
	damage  []string
	holes   bool     // something of the tree cannot be read
	unread  []string // what that is, named; records are known by their index

	seen    []bool          // pages of the tree and of the free list
	bad     map[uint64]bool // pages of the tree that make no sense
	free    []bool          // pages in the free list
	records int             // less the index entries: zero when they match
	take    func(k, v []byte)
	now     value // put together at the moment
}

type element struct {
	key, value []byte
	child      uint64 // of a branch
	bucket     bool
}

// inspect reads a whole file; take gets every sound element of its tree and may
// be nil.
func inspect(r io.ReaderAt, size int64, take func(k, v []byte)) *inspection {
	in := &inspection{r: r, pages: uint64(size / pageSize), take: take, bad: map[uint64]bool{},
		streams: map[string]count{}, oldest: map[string]int64{}, tables: map[string]int{}}
	in.seen, in.free = make([]bool, in.pages), make([]bool, in.pages)
	m, ok := in.meta()
	if !ok {
		return in
	}
	if in.high = m.pages; in.high > in.pages {
		in.broken("arquivo cortado: %d de %d páginas", in.pages, in.high)
	}
	in.freelist(m.freelist)
	in.tree(m.root, nil, nil, 0, in.bucket)
	in.endValue()
	if in.format == 0 {
		in.broken("não é um buffer do Zelo, ou nunca ficou pronto")
	}
	if in.records != 0 {
		in.broken("registros e índices não combinam")
	}
	return in
}

func (in *inspection) sound() bool { return len(in.damage) == 0 }

func (in *inspection) broken(format string, args ...any) {
	in.damage = append(in.damage, fmt.Sprintf(format, args...))
}

// hole notes what cannot be read of the tree; without a name it is a record,
// which its index entry or nobody can name.
func (in *inspection) hole(name string) {
	in.holes = true
	if name != "" {
		in.unread = append(in.unread, name)
	}
}

type meta struct {
	root, freelist, pages, tx uint64
}

// meta reads the newer of the two first pages.
func (in *inspection) meta() (newest meta, found bool) {
	for i := range int64(2) {
		var p [pageHeader + metaSize + 8]byte
		_, err := in.r.ReadAt(p[:], i*pageSize)
		le, m := binary.LittleEndian, p[pageHeader:]
		sum := fnv.New64a()
		sum.Write(m[:metaSize])
		if err != nil || le.Uint32(m) != boltMagic || le.Uint32(m[4:]) != boltVersion || le.Uint32(m[8:]) != pageSize ||
			le.Uint64(m[metaSize:]) != sum.Sum64() {
			in.broken("página inicial %d estragada", i)
			in.hole(fmt.Sprintf("página inicial %d: a última gravação pode faltar", i))
			continue
		}
		one := meta{le.Uint64(m[16:]), le.Uint64(m[32:]), le.Uint64(m[40:]), le.Uint64(m[48:])}
		if !found || one.tx > newest.tx {
			newest, found = one, true
		}
	}
	return newest, found
}

// read returns a page that says that it is the one asked for.
func (in *inspection) read(id uint64) ([]byte, error) {
	if id < 2 || id >= in.pages {
		return nil, fmt.Errorf("página %d fora do arquivo", id)
	}
	p := make([]byte, pageSize)
	if _, err := in.r.ReadAt(p, int64(id)*pageSize); err != nil {
		return nil, fmt.Errorf("página %d ilegível: %w", id, err)
	}
	if binary.LittleEndian.Uint64(p) != id {
		return nil, fmt.Errorf("página %d estragada", id)
	}
	return p, nil
}

// visit is read for a page that is met on the way and may be met only once.
func (in *inspection) visit(id uint64) ([]byte, error) {
	p, err := in.read(id)
	if err == nil && (in.seen[id] || id >= in.high) {
		return nil, fmt.Errorf("página %d usada duas vezes ou nunca", id)
	}
	if err == nil {
		in.seen[id] = true
	}
	return p, err
}

func (in *inspection) freelist(id uint64) {
	p, err := in.visit(id)
	if err != nil || binary.LittleEndian.Uint16(p[8:]) != pageFree {
		in.broken("lista de páginas livres estragada")
		return
	}
	more := min(uint64(binary.LittleEndian.Uint32(p[12:])), in.pages-id-1, in.pages*8/pageSize+1)
	p = append(p, make([]byte, more*pageSize)...)
	if _, err := in.r.ReadAt(p, int64(id)*pageSize); err != nil {
		in.broken("lista de páginas livres ilegível: %v", err)
		return
	}
	for i := range more {
		in.seen[id+1+i] = true
	}
	n, ids := uint64(binary.LittleEndian.Uint16(p[10:])), p[pageHeader:]
	if n == 0xFFFF {
		n, ids = binary.LittleEndian.Uint64(ids), ids[8:]
	}
	if n > uint64(len(ids)/8) {
		in.broken("lista de páginas livres cortada")
		return
	}
	for i := range n {
		page := binary.LittleEndian.Uint64(ids[i*8:])
		if page < 2 || page >= in.high || page < in.pages && (in.free[page] || in.seen[page]) {
			in.broken("lista de páginas livres estragada")
			clear(in.free)
			return
		}
		if page < in.pages {
			in.free[page] = true
		}
	}
}

// tree walks a B+tree whose keys lie from low up to, but without, high, and
// gives its leaves' elements to fn.
func (in *inspection) tree(id uint64, low, high []byte, depth int, fn func(element)) {
	p, err := in.visit(id)
	var elements []element
	if err == nil {
		elements, err = parsePage(p)
	}
	if err == nil && in.free[id] {
		in.broken("página %d em uso e livre ao mesmo tempo", id)
	}
	if err == nil && depth > deepest {
		err = fmt.Errorf("página %d funda demais", id)
	}
	for i, e := range elements {
		if i > 0 && bytes.Compare(elements[i-1].key, e.key) >= 0 || bytes.Compare(e.key, low) < 0 ||
			high != nil && bytes.Compare(e.key, high) >= 0 {
			err = fmt.Errorf("página %d com chaves fora de ordem", id)
		}
	}
	if err != nil {
		in.broken("%v", err)
		in.hole(fmt.Sprintf("página %d: não se sabe o que havia nela", id))
		in.bad[id] = true
		return
	}
	branch := binary.LittleEndian.Uint16(p[8:]) == pageBranch
	for i, e := range elements {
		if !branch {
			fn(e)
			continue
		}
		below := high
		if i+1 < len(elements) {
			below = elements[i+1].key
		}
		in.tree(e.child, e.key, below, depth+1, fn)
	}
}

var errPage = errors.New("página estragada")

// parsePage takes a leaf or branch apart.
func parsePage(p []byte) ([]element, error) {
	if len(p) < pageHeader {
		return nil, errPage
	}
	le := binary.LittleEndian
	flags, count := le.Uint16(p[8:]), int(le.Uint16(p[10:]))
	if flags != pageBranch && flags != pageLeaf || le.Uint32(p[12:]) != 0 ||
		flags == pageBranch && count == 0 || pageHeader+count*elementSize > len(p) {
		return nil, errPage
	}
	out := make([]element, count)
	for i := range out {
		at := uint64(pageHeader + i*elementSize)
		h := p[at:]
		e, position, keySize, valueSize := element{}, uint64(le.Uint32(h)), uint64(le.Uint32(h[4:])), uint64(0)
		if flags == pageBranch {
			e.child = le.Uint64(h[8:])
		} else {
			e.bucket = le.Uint32(h) == 1
			position, keySize, valueSize = uint64(le.Uint32(h[4:])), uint64(le.Uint32(h[8:])), uint64(le.Uint32(h[12:]))
		}
		position += at
		if keySize == 0 || position+keySize+valueSize > uint64(len(p)) {
			return nil, errPage
		}
		e.key, e.value = p[position:position+keySize], p[position+keySize:position+keySize+valueSize]
		out[i] = e
	}
	return out, nil
}

// bucket takes an element of the root: our one bucket, as a tree or, when it is
// small, in place.
func (in *inspection) bucket(e element) {
	if !e.bucket || string(e.key) != bucketName || len(e.value) < bucketHeader {
		in.broken("conteúdo de outro programa: %q", e.key)
		in.hole("conteúdo de outro programa")
		return
	}
	if root := binary.LittleEndian.Uint64(e.value); root != 0 {
		in.tree(root, nil, nil, 0, in.element)
		return
	}
	elements, err := parsePage(e.value[bucketHeader:])
	if err != nil {
		in.broken("%v", err)
		in.hole("uma página: não se sabe o que havia nela")
	}
	for _, e := range elements {
		in.element(e)
	}
}

// element takes an element of our bucket.
func (in *inspection) element(e element) {
	if string(e.key) == headKey {
		var ok bool
		if in.epoch, in.format, ok = unsealHead(e.value); !ok {
			in.broken("cabeçalho estragado")
		}
		if in.format > format {
			in.broken("formato %d, gravado por uma versão mais nova", in.format)
		}
		return
	}
	p, known := parseKey(e.key)
	body, ok := unseal(e.key, e.value)
	if e.bucket || !known || !ok {
		in.broken("%s: conteúdo estragado", p)
		if p.kind == kindTable {
			in.hole(p.String())
		}
		in.hole("")
		return
	}
	if in.take != nil {
		in.take(e.key, e.value)
	}
	in.count(p, e, body)
}

// count adds a sound element to the figures and looks whether it fits the one
// before it.
func (in *inspection) count(p place, e element, body []byte) {
	if p.kind == kindCopy || p.kind == kindWaiting {
		r, err := parseIndex(e.key, e.value)
		if err != nil {
			in.broken("%s: índice estragado", p)
			return
		}
		in.records--
		in.streams[p.name] = in.streams[p.name].plus(r.count(1))
		if _, any := in.oldest[p.name]; r.kind == kindWaiting && !any {
			in.oldest[p.name] = r.at
		}
		return
	}
	if p.chunk == 0 {
		in.endValue()
		if p.kind == kindTable {
			in.tables[p.name]++
		} else {
			in.records++
		}
	}
	if err := in.now.add(p, body); err != nil {
		in.broken("%s: incompleto", p)
	} else if stream, seq, ok := parseQuarantine(p); ok && p.chunk == 0 {
		r := record{stream, seq, in.now.at, in.now.size, kindTable}
		in.streams[stream] = in.streams[stream].plus(r.count(1))
	}
}

func (in *inspection) endValue() {
	if !in.now.whole() {
		p, _ := parseKey(chunkKey(in.now.owner, 0))
		in.broken("%s: incompleto", p)
	}
}

// scan reads the pages that the tree does not reach and gives their sound
// elements to fn, with whether the page is known to be out of use.
func (in *inspection) scan(fn func(k, v []byte, stale bool)) {
	for id := uint64(2); id < in.pages; id++ {
		if in.seen[id] && !in.bad[id] {
			continue
		}
		p, err := in.read(id)
		if err != nil {
			continue
		}
		elements, err := parsePage(p)
		if err != nil || binary.LittleEndian.Uint16(p[8:]) != pageLeaf {
			continue
		}
		for i := 0; i < len(elements); i++ {
			e := elements[i]
			if e.bucket && len(e.value) >= bucketHeader {
				small, _ := parsePage(e.value[bucketHeader:])
				elements = append(elements, small...)
			} else if _, ok := unseal(e.key, e.value); ok {
				fn(e.key, e.value, in.free[id])
			}
		}
	}
}

// Check reads a whole buffer file that no process has open and changes nothing.
// The error says why it cannot be read; damage is in the report.
func Check(path string) (Report, error) {
	r, err := check(path)
	if err != nil {
		return r, fmt.Errorf("cannot check buffer %q: %w", path, err)
	}
	return r, nil
}

func check(path string) (Report, error) {
	f, size, err := openToRead(path)
	if err != nil {
		return Report{}, err
	}
	defer f.Close()
	in := inspect(f, size, nil)
	delete(in.tables, quarantine)
	r := Report{Epoch: in.epoch, Tables: in.tables, Damage: named(in.damage)}
	for _, name := range slices.Sorted(maps.Keys(in.streams)) {
		c := in.streams[name]
		s := StreamStats{Name: name, Waiting: c.waiting, Bytes: c.waitingBytes, Copies: c.copies, Quarantined: c.quarantined}
		if at, ok := in.oldest[name]; ok {
			s.Oldest = time.Unix(0, at)
		}
		r.Streams = append(r.Streams, s)
	}
	return r, nil
}

// lockedFile is a file that nobody else opens as a buffer meanwhile.
type lockedFile struct {
	*os.File
	lock *os.File // nil where nothing can be written
}

func (f *lockedFile) Close() error {
	if f.lock != nil {
		defer f.lock.Close()
	}
	return f.File.Close()
}

// openToRead opens a buffer file that no process has open.
func openToRead(path string) (*lockedFile, int64, error) {
	f, size, err := openRegular(path)
	if err != nil {
		return nil, 0, err
	}
	lock, err := lockFile(path + ".lock")
	if err != nil && !readOnly(err) {
		f.Close()
		return nil, 0, err
	}
	return &lockedFile{f, lock}, size, nil
}

// openRegular opens a regular file for reading; os.ErrNotExist when there is none.
func openRegular(path string) (*os.File, int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	return f, info.Size(), err
}
