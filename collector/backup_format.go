package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"filippo.io/age"
	"github.com/fxamacker/cbor/v2"
	"github.com/klauspost/compress/zstd"

	"zelo/collector/store"
)

// backupFormat is the version of what a backup file holds.
//
// 1 (2026-11-22): age around zstd around frames. A frame is its kind, one byte, the
// length of what follows, four bytes, the high one first, and that many bytes of CBOR
// (RFC 8949). In order: one header, files, and for each table the table and its rows,
// which are as store.Sink has them; at last the trailer.
const backupFormat = 1

// Kinds of frames.
const (
	frameHeader  = 'H'
	frameFile    = 'F'
	frameTable   = 'T'
	frameRow     = 'R'
	frameTrailer = 'Z'
)

// maxFrame bounds a frame: the largest body in the store is 32 MiB.
const maxFrame = 64 << 20

// backupHeader says what a backup is of.
type backupHeader struct {
	Format  int
	Product string // version of the program
	Schema  int64  // of the store's tables
	Epoch   [16]byte
	At      time.Time
	About   int64 // rows, estimated
}

// backupFile is a file of the collector's folder, its name with slashes.
type backupFile struct {
	Name string
	Data []byte
}

type backupTable struct {
	Name    string
	Columns []string
}

// backupTrailer says what must have come before it.
type backupTrailer struct {
	Tables store.Tallies
	Files  [sha256.Size]byte // of their frames' contents
}

// What can be wrong with a backup, for people.
var (
	errNoBackup    = errors.New("este arquivo não é uma cópia de segurança do Zelo, ou o começo dele está danificado: use outra cópia")
	errWrongKey    = errors.New("a senha ou a chave não abre esta cópia: use a senha, ou o arquivo de chave (-chave), com que ela foi feita")
	errDamaged     = errors.New("a cópia está danificada ou não está inteira: use outra")
	errNewerFormat = errors.New("a cópia foi feita por uma versão mais nova do programa: atualize o zelo-collector deste computador")
)

// backupWriter writes a backup. It is a store.Sink.
type backupWriter struct {
	out   *bufio.Writer
	age   io.WriteCloser
	zip   *zstd.Encoder
	files []byte // what the trailer's hash is of
}

func newBackupWriter(w io.Writer, recipients []age.Recipient, h backupHeader) (*backupWriter, error) {
	b := &backupWriter{out: bufio.NewWriterSize(w, 1<<20)}
	var err error
	if b.age, err = age.Encrypt(b.out, recipients...); err != nil {
		return nil, err
	}
	if b.zip, err = zstd.NewWriter(b.age, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1)); err != nil {
		return nil, err
	}
	return b, b.put(frameHeader, h)
}

func (b *backupWriter) put(kind byte, v any) error {
	content, err := cbor.Marshal(v)
	if err != nil {
		return err
	}
	return b.frame(kind, content)
}

func (b *backupWriter) frame(kind byte, content []byte) error {
	if len(content) > maxFrame {
		return fmt.Errorf("cannot write %d bytes as one piece of a backup", len(content))
	}
	_, err := b.zip.Write(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(content))))
	if err == nil {
		_, err = b.zip.Write(content)
	}
	return err
}

// file adds a file. Files come before tables.
func (b *backupWriter) file(f backupFile) error {
	content, err := cbor.Marshal(f)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	b.files = append(b.files, sum[:]...)
	return b.frame(frameFile, content)
}

// Table begins a table.
func (b *backupWriter) Table(name string, columns []string) error {
	return b.put(frameTable, backupTable{name, columns})
}

// Row adds a row of it.
func (b *backupWriter) Row(row []byte) error { return b.frame(frameRow, row) }

// end writes the trailer and everything that is on the way.
func (b *backupWriter) end(tables store.Tallies) error {
	err := b.put(frameTrailer, backupTrailer{tables, sha256.Sum256(b.files)})
	return errors.Join(err, b.zip.Close(), b.age.Close(), b.out.Flush())
}

// backupReader reads a backup: the header and the files when it is opened.
type backupReader struct {
	header backupHeader
	files  []backupFile

	zip  *zstd.Decoder
	sums []byte
	kind byte // of the frame read last, with its content
	last []byte
}

func openBackup(r io.Reader, identities ...age.Identity) (*backupReader, error) {
	plain, err := age.Decrypt(bufio.NewReaderSize(r, 1<<20), identities...)
	var other *age.NoIdentityMatchError
	switch {
	case errors.As(err, &other):
		return nil, errWrongKey
	case err != nil:
		return nil, fmt.Errorf("%w (%w)", errNoBackup, err)
	}
	b := &backupReader{}
	if b.zip, err = zstd.NewReader(plain, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxFrame)); err != nil {
		return nil, err
	}
	if err := b.begin(); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *backupReader) close() { b.zip.Close() }

func (b *backupReader) begin() error {
	if err := b.next(); err != nil {
		return err
	}
	if err := b.take(frameHeader, &b.header); err != nil {
		return err
	}
	if b.header.Format != backupFormat {
		return fmt.Errorf("%w (formato %d, este programa lê o %d)", errNewerFormat, b.header.Format, backupFormat)
	}
	for {
		if err := b.next(); err != nil || b.kind != frameFile {
			return err
		}
		var f backupFile
		if err := b.take(frameFile, &f); err != nil {
			return err
		}
		if !filepath.IsLocal(filepath.FromSlash(f.Name)) {
			return fmt.Errorf("%w (um arquivo se chama %q)", errDamaged, f.Name)
		}
		sum := sha256.Sum256(b.last)
		b.files, b.sums = append(b.files, f), append(b.sums, sum[:]...)
	}
}

// next reads a frame.
func (b *backupReader) next() error {
	var head [5]byte
	if _, err := io.ReadFull(b.zip, head[:]); err != nil {
		return broken(err)
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return fmt.Errorf("%w (uma parte de %d bytes)", errDamaged, n)
	}
	b.kind, b.last = head[0], make([]byte, n)
	_, err := io.ReadFull(b.zip, b.last)
	return broken(err)
}

func broken(err error) error {
	if err != nil {
		err = fmt.Errorf("%w (%w)", errDamaged, err)
	}
	return err
}

// take reads the last frame, which must be of a kind.
func (b *backupReader) take(kind byte, v any) error {
	if b.kind != kind {
		return fmt.Errorf("%w (%q no lugar de %q)", errDamaged, b.kind, kind)
	}
	if err := cbor.Unmarshal(b.last, v); err != nil {
		return fmt.Errorf("%w (%w)", errDamaged, err)
	}
	return nil
}

// rows gives the tables to a sink and returns what the trailer says they hold. The
// files have been compared with it, the tables not.
func (b *backupReader) rows(to store.Sink) (store.Tallies, error) {
	for {
		var err error
		switch b.kind {
		case frameRow:
			err = to.Row(b.last)
		case frameTrailer:
			return b.trailer()
		default:
			var t backupTable
			if err = b.take(frameTable, &t); err == nil {
				err = to.Table(t.Name, t.Columns)
			}
		}
		if err == nil {
			err = b.next()
		}
		if err != nil {
			return nil, err
		}
	}
}

func (b *backupReader) trailer() (store.Tallies, error) {
	var t backupTrailer
	if err := b.take(frameTrailer, &t); err != nil {
		return nil, err
	}
	if t.Files != sha256.Sum256(b.sums) {
		return nil, fmt.Errorf("%w (um arquivo da pasta não é o que era)", errDamaged)
	}
	// What ends here must end as it was written, too.
	switch n, err := b.zip.Read(make([]byte, 1)); {
	case n > 0:
		return nil, fmt.Errorf("%w (há algo depois do fim)", errDamaged)
	case err != io.EOF:
		return nil, broken(err)
	}
	return t.Tables, nil
}

// checkBackup reads a backup to its end and compares everything with its trailer.
func checkBackup(r io.Reader, watch func(store.Sink, int64) store.Sink, identities ...age.Identity) (*backupReader, store.Tallies, error) {
	b, err := openBackup(r, identities...)
	if err != nil {
		return nil, nil, err
	}
	defer b.close()
	var found store.Tallies
	want, err := b.rows(watch(&found, b.header.About))
	if err != nil {
		return nil, nil, err
	}
	if table := want.Differ(found); table != "" {
		return nil, nil, fmt.Errorf("%w (a tabela %s)", errDamaged, table)
	}
	return b, found, nil
}
