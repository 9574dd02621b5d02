package export

import (
	"archive/zip"
	"bufio"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"github.com/klauspost/compress/flate"

	"zelo/collector/store"
)

// ZIP writes documents as they were received, each under [File], and after them
// manifesto.csv (one line per document with hash and signature check),
// relatorio.txt (the report it returns) and SHA256SUMS. The same documents in the
// same order make the same bytes. Manifest and sums grow in temporary files.
func ZIP(w io.Writer, docs iter.Seq[store.Exported]) (*Report, error) {
	z := &zipper{zip: zip.NewWriter(w), report: &Report{}}
	z.zip.RegisterCompressor(zip.Deflate, z.compressor)
	err := z.begin()
	if err == nil {
		err = z.write(docs)
	}
	z.manifest.drop()
	z.sums.drop()
	if err != nil {
		return nil, fmt.Errorf("cannot write the export: %w", err)
	}
	return z.report, nil
}

type zipper struct {
	zip            *zip.Writer
	flate          *flate.Writer // one file is written at a time
	report         *Report
	table          *table
	manifest, sums spool
}

// compressor reuses one writer's memory for all files.
func (z *zipper) compressor(w io.Writer) (io.WriteCloser, error) {
	if z.flate != nil {
		z.flate.Reset(w)
		return z.flate, nil
	}
	var err error
	z.flate, err = flate.NewWriter(w, flate.DefaultCompression)
	return z.flate, err
}

func (z *zipper) begin() (err error) {
	if z.manifest, err = newSpool(); err != nil {
		return err
	}
	if z.sums, err = newSpool(); err != nil {
		return err
	}
	z.table, err = newTable(z.manifest, "chave", "arquivo", "sha256", "emissão", "valor", "assinatura", "motivo")
	return err
}

func (z *zipper) write(docs iter.Seq[store.Exported]) error {
	for e := range docs {
		if e.Err != nil {
			return e.Err
		}
		if err := z.add(e); err != nil {
			return err
		}
	}
	if err := z.table.end(); err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		copy func(io.Writer) error
	}{{"manifesto.csv", z.manifest.copy}, {"relatorio.txt", z.report.Write}, {"SHA256SUMS", z.sums.copy}} {
		f, err := z.create(part.name, time.Time{})
		if err == nil {
			err = part.copy(f)
		}
		if err != nil {
			return err
		}
	}
	return z.zip.Close()
}

func (z *zipper) add(e store.Exported) error {
	name := File(e.Document)
	f, err := z.create(name, e.Issued)
	if err != nil {
		return err
	}
	if _, err := f.Write(e.Body); err != nil {
		return err
	}
	z.report.Add(e)
	sum := fmt.Sprintf("%x", e.SHA256)
	if _, err := fmt.Fprintf(z.sums, "%s  %s\n", sum, name); err != nil {
		return err
	}
	return z.table.row(digits(e.Key), name, sum, Moment(e.Issued), amount(e.Total), VerdictWord(e.Verdict), text(e.Reason))
}

// create begins a file, dated with its document's time of issue.
func (z *zipper) create(name string, at time.Time) (io.Writer, error) {
	if y := at.Year(); y < 1980 || y > 2100 { // what a ZIP can tell
		at = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return z.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: at})
}

// spool is a temporary file that is written, then copied once.
type spool struct {
	*bufio.Writer
	file *os.File
}

func newSpool() (spool, error) {
	f, err := os.CreateTemp("", "zelo-export-")
	if err != nil {
		return spool{}, err
	}
	return spool{bufio.NewWriter(f), f}, nil
}

func (s spool) copy(w io.Writer) error {
	err := s.Flush()
	if err == nil {
		_, err = s.file.Seek(0, io.SeekStart)
	}
	if err == nil {
		_, err = io.Copy(w, s.file)
	}
	return err
}

func (s spool) drop() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name())
	}
}
