package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"zelo/collector/api"
	"zelo/collector/export"
	"zelo/collector/ingest"
	"zelo/sat/cfe"
)

// cmdImport verifies files and stores them, or only verifies.
func cmdImport(ctx context.Context, con console, args []string) error {
	fs, folder := flags(con, "import")
	only := fs.Bool("verify-only", false, "só verifica: não guarda nada e não precisa de um coletor")
	paths, err := parse(fs, args)
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return errors.New("escreva as pastas ou os arquivos: zelo-collector import PASTA")
	}
	im := newImporter(con)
	if err := im.find(paths); err != nil {
		return fmt.Errorf("não foi possível procurar os arquivos: %w", err)
	}
	if *only {
		verifier := cfe.NewVerifier(nil)
		im.take = func(_ context.Context, files []ingest.File) (out []ingest.Verdict, err error) {
			for _, f := range files {
				_, v, _ := ingest.Examine(verifier, f.Raw, time.Now())
				out = append(out, v)
			}
			return out, nil
		}
		return im.run(ctx)
	}
	return with(ctx, con, *folder, func(c *collector) error {
		im.take = func(ctx context.Context, files []ingest.File) ([]ingest.Verdict, error) {
			return c.api.Import(ctx, api.CommandLine(), files...)
		}
		return errors.Join(im.run(ctx), c.ingest.Judge(context.WithoutCancel(ctx)))
	})
}

// importer takes files in groups and prints a line for each.
type importer struct {
	take  func(context.Context, []ingest.File) ([]ingest.Verdict, error)
	out   *bufio.Writer
	err   io.Writer
	bar   bool // err is a terminal
	files []found
	other int // files of a folder that do not call themselves XML
	done  int

	totals map[string]int // by verdict
}

func newImporter(con console) *importer {
	return &importer{out: bufio.NewWriter(con.out), err: con.err, bar: terminal(con.err), totals: map[string]int{}}
}

// found is a file to import: its path, and its name in the list.
type found struct{ path, name string }

// Bounds of one group, and from how many files on a bar is shown.
const (
	groupFiles = 200
	groupBytes = 8 << 20
	maxFile    = 16 << 20
	longImport = 500
)

// find lists the files to take: those named, and all XML files below folders. A folder
// may be a link.
func (im *importer) find(args []string) error {
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return err
		}
		if !info.IsDir() {
			im.files = append(im.files, found{arg, arg})
			continue
		}
		folder, err := filepath.EvalSymlinks(arg)
		if err != nil {
			return err
		}
		err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil || d.IsDir():
				return err
			case !strings.EqualFold(filepath.Ext(path), ".xml"):
				im.other++
				return nil
			}
			name, err := filepath.Rel(folder, path)
			im.files = append(im.files, found{path, filepath.ToSlash(name)})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (im *importer) run(ctx context.Context) error {
	defer im.summary()
	for len(im.files) > im.done {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("interrompido depois de %d de %d arquivos; os que foram listados estão prontos", im.done, len(im.files))
		}
		if err := im.group(ctx); err != nil {
			return fmt.Errorf("não foi possível guardar os arquivos depois de %d de %d: %w", im.done, len(im.files), err)
		}
	}
	return nil
}

// group takes as many files as fit into one transaction.
func (im *importer) group(ctx context.Context) error {
	var files []ingest.File
	unreadable := map[int]ingest.Verdict{}
	size, n := 0, 0
	for ; im.done+n < len(im.files) && n < groupFiles && size < groupBytes; n++ {
		f := im.files[im.done+n]
		raw, err := readFile(f.path)
		if err != nil {
			unreadable[n] = ingest.Verdict{Word: string(cfe.Rejected), Reason: err.Error()}
			continue
		}
		size += len(raw)
		files = append(files, ingest.File{Name: f.name, Raw: raw})
	}
	verdicts, err := im.take(ctx, files)
	if err != nil {
		return err
	}
	im.progress("")
	for i := range n {
		v, is := unreadable[i]
		if !is {
			v, verdicts = verdicts[0], verdicts[1:]
		}
		im.totals[v.Word]++
		fmt.Fprintf(im.out, "%s %s\n", im.files[im.done].name, v)
		im.done++
	}
	if err := im.out.Flush(); err != nil {
		return err
	}
	im.progress(fmt.Sprintf("[%-30s] %s de %s", strings.Repeat("#", 30*im.done/len(im.files)),
		export.Thousands(im.done), export.Thousands(len(im.files))))
	return nil
}

// readFile reads a file that can be a document.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.New("não foi possível abrir o arquivo")
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, errors.New("não foi possível ler o arquivo")
	case len(raw) > maxFile:
		return nil, errors.New("o arquivo tem mais de 16 MB: nenhum documento fiscal é tão grande")
	}
	return raw, nil
}

// progress replaces the last line of the terminal; "" only takes it away.
func (im *importer) progress(line string) {
	if im.bar && len(im.files) >= longImport {
		fmt.Fprint(im.err, "\r\033[K", line)
	}
}

func (im *importer) summary() {
	im.progress("")
	fmt.Fprintf(im.err, "%s:", count(im.done, "arquivo", "arquivos"))
	for _, t := range []struct{ verdict, words string }{{"verified", "conferem"}, {"recovered", "recuperados"}, {"kept", "guardados sem verificar"},
		{"unsigned", "sem assinatura"}, {"rejected", "rejeitados"}} {
		fmt.Fprintf(im.err, " %s %s,", export.Thousands(im.totals[t.verdict]), t.words)
	}
	fmt.Fprintf(im.err, " %s sem a extensão .xml não foram abertos\n", export.Thousands(im.other))
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return export.Thousands(n) + " " + many
}

// terminal tells whether a person watches w.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// cmdExport writes documents to a file, which appears only when it is whole.
func cmdExport(ctx context.Context, con console, args []string) error {
	fs, folder := flags(con, "export")
	var s api.Selection
	path := fs.String("o", "", "arquivo a gravar: .zip com os originais ou .csv com uma tabela")
	fs.StringVar(&s.CNPJ, "cnpj", "", "só desta loja")
	fs.StringVar(&s.Serial, "serie", "", "só deste equipamento")
	fs.StringVar(&s.Month, "mes", "", "só deste mês de emissão, AAAAMM")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *path == "" {
		return errors.New("falta -o, o arquivo a gravar")
	}
	return with(ctx, con, *folder, func(c *collector) error {
		n := 0
		err := wholeFile(*path, func(w io.Writer) (err error) {
			if strings.EqualFold(filepath.Ext(*path), ".csv") {
				n, err = c.api.ExportCSV(ctx, api.CommandLine(), s, w)
				return err
			}
			report, err := c.api.ExportZIP(ctx, api.CommandLine(), s, w)
			if err == nil {
				n = report.Documents()
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("não foi possível exportar: %w", err)
		}
		_, err = fmt.Fprintf(con.out, "%s em %s\n", count(n, "documento", "documentos"), *path)
		return err
	})
}

// wholeFile writes a file beside its place and moves it there at the end.
func wholeFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	w := bufio.NewWriterSize(f, 1<<20)
	err = write(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
