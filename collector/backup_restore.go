package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/pelletier/go-toml/v2"

	"zelo/agent/wire"
	"zelo/collector/store"
)

// cmdRestore makes a collector of a backup, where nothing is yet.
func cmdRestore(ctx context.Context, con console, args []string) error {
	fs, folder := flags(con, "restore")
	key := fs.String("chave", "", "arquivo com a chave da cópia")
	passwordFile := fs.String("senha-arquivo", "", "arquivo com a senha na primeira linha; sem ele e sem -chave a senha é pedida")
	bank := bankFlag(fs)
	only := fs.Bool("conferir", false, "só lê a cópia até o fim e confere tudo; não grava nada")
	paths, err := parse(fs, args)
	if err != nil {
		return err
	}
	if len(paths) != 1 {
		return errors.New("escreva o arquivo da cópia: zelo-collector restore ARQUIVO")
	}
	identities, err := opening(con, *key, *passwordFile)
	if err != nil {
		return err
	}
	f, err := os.Open(paths[0])
	if err != nil {
		return fmt.Errorf("não foi possível abrir a cópia de segurança: %w", err)
	}
	defer f.Close()
	r := &restoration{folder: *folder, con: con, file: f, path: paths[0], identities: identities}
	if *only {
		err = r.check(ctx)
	} else if r.bank, err = readBank(*bank); err == nil {
		err = r.run(ctx)
	}
	if err != nil {
		return fmt.Errorf("não foi possível restaurar a cópia %s: %w", paths[0], err)
	}
	return nil
}

// restoration is one under way.
type restoration struct {
	folder     string
	con        console
	file       *os.File
	path       string
	identities []age.Identity
	bank       string // where the database shall be; "" is where the backup says

	made []string // files and folders that were made, to be taken away again
}

func (r *restoration) check(ctx context.Context) error {
	p := newProgress(ctx, r.con, "Conferindo")
	b, found, err := checkBackup(r.file, p.watch, r.identities...)
	p.end()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(r.con.out, "A cópia %s, de %s, está inteira: %s de %d tabelas e %s.\n", r.path, when(b.header.At),
		rows(found.Total()), len(found), count(len(b.files), "arquivo", "arquivos"))
	return err
}

// run restores all or nothing: the configuration, which makes the folder a
// collector's, comes last.
func (r *restoration) run(ctx context.Context) (err error) {
	began := time.Now()
	b, err := openBackup(r.file, r.identities...)
	if err != nil {
		return err
	}
	defer b.close()
	files, address, err := r.plan(b.files)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			r.undo()
		}
	}()
	if err := r.emptyFolder(); err != nil {
		return err
	}
	stage, err := store.NewStage(ctx, address, b.header.Schema)
	if err != nil {
		return placed(err)
	}
	defer func() { err = errors.Join(err, stage.Discard(ctx)) }()
	var restored store.Tallies
	p := newProgress(ctx, r.con, "Restaurando")
	err = stage.Fill(ctx, func(to store.Sink) (_ store.Tallies, err error) {
		restored, err = b.rows(p.watch(to, b.header.About))
		return restored, err
	})
	p.end()
	if err == nil {
		err = stage.Renew(ctx, onceOnly(), time.Now())
	}
	if err == nil {
		err = r.put(files[:len(files)-1])
	}
	if err == nil {
		err = stage.Publish(ctx)
	}
	if err != nil {
		return err
	}
	if address == filepath.Join(r.folder, databaseFile) {
		r.made = append(r.made, address)
	}
	if err := r.put(files[len(files)-1:]); err != nil {
		return fmt.Errorf("o banco de dados está restaurado, mas falta o %s na pasta; esvazie o banco e tente de novo: %w", configFile, err)
	}
	_, err = fmt.Fprintf(r.con.out, "Coletor de %s restaurado em %s: %s de %d tabelas e %s, conferidos, em %s.\n"+
		"Os caixas ligados a ele voltam sozinhos e mandam de novo o que ainda têm. As pessoas precisam entrar de novo.\n"+
		"Caixas revogados depois da cópia valem outra vez: revogue-os de novo. Comandos que não podem ser repetidos e ainda não tinham resposta ficam como sem resultado conhecido.\n"+
		"Ponha-o em funcionamento com:\n  zelo-collector serve -pasta %s\n", when(b.header.At), r.folder, rows(restored.Total()), len(restored),
		count(len(files), "arquivo", "arquivos"), seconds(time.Since(began)), r.folder)
	return err
}

// onceOnly are the commands that are never repeated after an unknown outcome.
func onceOnly() (names []string) {
	for _, c := range wire.Commands() {
		if c.Once {
			names = append(names, c.Name)
		}
	}
	return names
}

// plan says which files to write, the configuration last, and where the database
// goes.
func (r *restoration) plan(files []backupFile) ([]backupFile, string, error) {
	i := slices.IndexFunc(files, func(f backupFile) bool { return f.Name == configFile })
	if i < 0 {
		return nil, "", fmt.Errorf("%w (falta o %s)", errDamaged, configFile)
	}
	config := files[i]
	if r.bank != "" {
		text, err := withBank(config.Data, r.bank)
		if err != nil {
			return nil, "", err
		}
		config.Data = text
	}
	var c Config
	if err := toml.Unmarshal(config.Data, &c); err != nil {
		return nil, "", fmt.Errorf("%w (%s: %w)", errDamaged, configFile, unreadable(err))
	}
	return append(slices.Delete(slices.Clone(files), i, i+1), config), c.database(r.folder), nil
}

// placed says what to do about a database that is not empty.
func placed(err error) error {
	if errors.Is(err, store.ErrNotEmpty) {
		return fmt.Errorf("%w, e diga qual com -banco postgres://…, -banco @ARQUIVO ou -banco %s", err, bankHere)
	}
	return err
}

// emptyFolder makes the folder, or wants it empty but for what a restoration that was
// killed may have left of its database.
func (r *restoration) emptyFolder() error {
	entries, err := os.ReadDir(r.folder)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(r.folder, 0o700); err == nil {
			r.made = append(r.made, r.folder)
		}
	}
	if err != nil {
		return fmt.Errorf("não foi possível usar a pasta do coletor: %w", err)
	}
	for _, e := range entries {
		if name := e.Name(); name != "lost+found" && !strings.HasPrefix(name, databaseFile+".parcial") {
			return fmt.Errorf("a pasta %s não está vazia (há nela %s), e nada é gravado por cima: escolha outra com -pasta, ou esvazie-a", r.folder, name)
		}
	}
	return nil
}

// put writes files of the folder, to the disk.
func (r *restoration) put(files []backupFile) error {
	for _, f := range files {
		path := filepath.Join(r.folder, filepath.FromSlash(f.Name))
		if err := r.folderOf(path); err != nil {
			return err
		}
		r.made = append(r.made, path)
		if err := writeNew(path, f.Data); err != nil {
			return err
		}
		if err := syncFolder(filepath.Dir(path)); err != nil {
			return err
		}
	}
	return nil
}

func (r *restoration) folderOf(path string) error {
	folder := filepath.Dir(path)
	if _, err := os.Stat(folder); err == nil {
		return nil
	}
	if err := r.folderOf(folder); err != nil {
		return err
	}
	r.made = append(r.made, folder)
	return os.Mkdir(folder, 0o700)
}

// undo takes away what was made, the last first.
func (r *restoration) undo() {
	for _, path := range slices.Backward(r.made) {
		os.Remove(path) // what is not there was not made
	}
}

// withBank is the text of a configuration with another database.
func withBank(text []byte, bank string) ([]byte, error) {
	if bank == bankHere {
		bank = ""
	}
	line, err := toml.Marshal(map[string]string{"banco": bank})
	if err != nil {
		return nil, err
	}
	line = bytes.TrimSpace(line)
	lines := bytes.Split(text, []byte("\n"))
	i := slices.IndexFunc(lines, func(l []byte) bool {
		key, _, is := bytes.Cut(l, []byte("="))
		return is && string(bytes.TrimSpace(key)) == "banco"
	})
	if i >= 0 {
		lines[i] = line
	} else {
		lines = slices.Insert(lines, 0, line)
	}
	text = bytes.Join(lines, []byte("\n"))
	var c Config
	if err := toml.Unmarshal(text, &c); err != nil || c.Database != bank {
		return nil, fmt.Errorf("não foi possível trocar o banco no %s: escreva nele %s", configFile, withoutSecret(bank))
	}
	return text, nil
}
