package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"zelo/collector/account"
	"zelo/collector/enrol"
	"zelo/collector/export"
	"zelo/collector/fleet"
	"zelo/collector/store"
	"zelo/sat"
)

// cmdBackup writes everything of a collector into one encrypted file, while it serves.
func cmdBackup(ctx context.Context, con console, args []string) error {
	fs, folder := flags(con, "backup")
	path := fs.String("o", "", "arquivo a gravar, que ainda não existe")
	var to []string
	fs.Func("para", "chave pública age1… de quem poderá abrir a cópia; pode ser repetida", func(s string) error {
		to = append(to, s)
		return nil
	})
	passwordFile := fs.String("senha-arquivo", "", "arquivo com a senha na primeira linha; sem ele e sem -para a senha é pedida")
	key := fs.String("nova-chave", "", "só cria uma chave neste arquivo e mostra a parte pública dela")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *key != "" {
		return newKey(con, *key)
	}
	if *path == "" {
		return errors.New("falta -o, o arquivo a gravar")
	}
	if _, err := os.Lstat(*path); err == nil {
		return fmt.Errorf("já existe %s, e nenhuma cópia é gravada por cima de outra: escolha outro nome", *path)
	}
	config, err := loadConfig(*folder)
	if err != nil {
		return err
	}
	recipients, own, err := sealing(con, to, *passwordFile)
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, config.database(*folder))
	if err != nil {
		return fmt.Errorf("não foi possível abrir o banco de dados: %w", err)
	}
	defer s.Close()
	w := &backup{folder: *folder, config: config, store: s, con: con}
	if err := w.run(ctx, *path, recipients, own); err != nil {
		return fmt.Errorf("não foi possível fazer a cópia de segurança em %s: %w", *path, err)
	}
	return nil
}

// backup is one being made.
type backup struct {
	folder string
	config Config
	store  *store.Store
	con    console
}

// run writes beside the path, reads what it wrote, and gives it its name then.
func (b *backup) run(ctx context.Context, path string, recipients []age.Recipient, own age.Identity) error {
	began := time.Now()
	partial := path + ".parcial"
	f, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(partial)
	defer f.Close()
	wrote, err := b.write(ctx, f, recipients)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	copied := time.Since(began)
	p := newProgress(ctx, b.con, "Conferindo")
	_, found, err := checkBackup(f, p.watch, own)
	p.end()
	if err == nil && wrote.Differ(found) != "" {
		err = errDamaged
	}
	if err != nil {
		return fmt.Errorf("relida depois de gravada: %w", err)
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := errors.Join(os.Rename(partial, path), syncFolder(filepath.Dir(path))); err != nil {
		return err
	}
	_, err = fmt.Fprintf(b.con.out, "Cópia de segurança em %s: %s de %d tabelas, %s, gravada em %s e conferida por releitura em %s.\n", path,
		rows(wrote.Total()), len(wrote), megabytes(size), seconds(copied), seconds(time.Since(began)-copied))
	return err
}

func (b *backup) write(ctx context.Context, f *os.File, recipients []age.Recipient) (wrote store.Tallies, err error) {
	files, err := b.files()
	if err != nil {
		return nil, err
	}
	p := newProgress(ctx, b.con, "Copiando")
	defer p.end()
	err = b.store.Dump(ctx, func(d *store.Dump) error {
		w, err := newBackupWriter(f, recipients, backupHeader{Format: backupFormat, Product: version, Schema: d.Schema,
			Epoch: b.store.Epoch(), At: time.Now().UTC(), About: d.About})
		if err != nil {
			return err
		}
		for _, one := range files {
			if err := w.file(one); err != nil {
				return err
			}
		}
		if wrote, err = d.Write(p.watch(w, d.About)); err != nil {
			return err
		}
		return w.end(wrote)
	})
	return wrote, err
}

// maxKept is the largest file of the folder that a backup takes along: certificates,
// keys and settings are small, what people leave there may not be.
const maxKept = 1 << 20

// files are those of the folder, but for the database, which is copied row by row,
// and the broker's, which it makes anew. The folder may be a link, and files in it, too.
func (b *backup) files() (out []backupFile, err error) {
	folder, err := filepath.EvalSymlinks(b.folder)
	if err != nil {
		return nil, fmt.Errorf("não foi possível ler a pasta do coletor: %w", err)
	}
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && name == brokerFolder:
			return fs.SkipDir
		case d.IsDir(), strings.HasPrefix(name, databaseFile), strings.HasSuffix(name, ".parcial"):
			return nil
		}
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was somebody's temporary file
		}
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() || info.Size() > maxKept {
			fmt.Fprintf(b.con.err, "%s não vai na cópia: nela vão arquivos de até 1 MB da pasta do coletor.\n", path)
			return nil
		}
		data, err := os.ReadFile(path)
		out = append(out, backupFile{filepath.ToSlash(name), data})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("não foi possível ler a pasta do coletor: %w", err)
	}
	for _, one := range []struct{ key, at string }{{"autoridades", b.config.Authorities}, {"email_senha_arquivo", b.config.MailSecret}} {
		if inside, err := filepath.Rel(b.folder, one.at); one.at != "" && (err != nil || !filepath.IsLocal(inside)) {
			fmt.Fprintf(b.con.err, "%s (%s) fica fora da pasta do coletor e não vai na cópia: sem ele o coletor restaurado não começa.\n", one.at, one.key)
		}
	}
	return out, complete(folder, out)
}

// complete fails when something of the folder was left out that no other collector can
// stand in for.
func complete(folder string, taken []backupFile) error {
	for _, name := range []string{configFile, enrol.CAFolder, fleet.KeyFile, account.KeyFile} {
		if _, err := os.Stat(filepath.Join(folder, name)); errors.Is(err, fs.ErrNotExist) {
			continue // it is made when it is needed first
		}
		if !slices.ContainsFunc(taken, func(f backupFile) bool { return f.Name == name || strings.HasPrefix(f.Name, name+"/") }) {
			return fmt.Errorf("%s não pode ir na cópia, e sem ele ela não serve: ponha na pasta do coletor o próprio arquivo ou pasta, e não um link para uma pasta",
				filepath.Join(folder, name))
		}
	}
	return nil
}

// progress says on a terminal how far a copy is. It ends it with its context.
type progress struct {
	store.Sink
	ctx   context.Context
	con   console
	what  string
	bar   bool
	about int64

	table       string
	rows, bytes int64
	shown       time.Time
}

func newProgress(ctx context.Context, con console, what string) *progress {
	return &progress{ctx: ctx, con: con, what: what, bar: terminal(con.err)}
}

// watch is a sink through which rows reach another one.
func (p *progress) watch(to store.Sink, about int64) store.Sink {
	p.Sink, p.about = to, about
	return p
}

// Table begins a table.
func (p *progress) Table(name string, columns []string) error {
	p.table = name
	return p.Sink.Table(name, columns)
}

// Row passes a row on.
func (p *progress) Row(row []byte) error {
	p.rows, p.bytes = p.rows+1, p.bytes+int64(len(row))
	if p.rows%512 == 0 {
		if err := p.ctx.Err(); err != nil {
			return errors.New("interrompido")
		}
		p.show()
	}
	return p.Sink.Row(row)
}

func (p *progress) show() {
	if !p.bar || time.Since(p.shown) < 200*time.Millisecond {
		return
	}
	p.shown = time.Now()
	percent := ""
	if p.about > 0 { // an estimate
		percent = fmt.Sprintf(", %d %%", min(99, p.rows*100/p.about))
	}
	fmt.Fprintf(p.con.err, "\r\033[K%s %s: %s, %s%s", p.what, p.table, rows(p.rows), megabytes(p.bytes), percent)
}

func (p *progress) end() {
	if p.bar && !p.shown.IsZero() {
		fmt.Fprint(p.con.err, "\r\033[K")
	}
}

func rows(n int64) string { return count(int(n), "linha", "linhas") }

func megabytes(n int64) string {
	whole := export.Thousands(int(n / 1e6))
	return fmt.Sprintf("%s,%d MB", whole, n/1e5%10)
}

func seconds(d time.Duration) string {
	return strings.Replace(fmt.Sprintf("%.1f s", d.Seconds()), ".", ",", 1)
}

func when(t time.Time) string { return t.In(sat.Brasilia()).Format("02/01/2006 15:04") }

// writeNew writes a file that must not be there yet, for its owner alone, to the disk.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncFolder waits until the names in a folder are on disk.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
