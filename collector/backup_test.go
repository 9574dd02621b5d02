package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"zelo/agent/wire"
	"zelo/collector/enrol"
	"zelo/collector/store"
)

// keyed makes a key for backups.
func keyed(t *testing.T) (file, recipient string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "copias.chave")
	out := runs(t, "backup", "-nova-chave", file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info, err)
	}
	return file, out[strings.LastIndex(out, "age1") : len(out)-1]
}

// identity is the key in such a file.
func identity(t *testing.T, file string) *age.X25519Identity {
	t.Helper()
	list, err := opening(console{}, file, "")
	if err != nil || len(list) != 1 {
		t.Fatalf("%d keys, %v", len(list), err)
	}
	return list[0].(*age.X25519Identity)
}

// secret is a file with a password.
func secret(t *testing.T, password string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "senha")
	if err := os.WriteFile(path, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// within is everything in a folder but the database and the broker's.
func within(t *testing.T, folder string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(folder, path)
		if err != nil || d.IsDir() || strings.HasPrefix(name, databaseFile) || strings.HasPrefix(name, brokerFolder+string(filepath.Separator)) {
			return err
		}
		raw, err := os.ReadFile(path)
		out[name] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// stored says what a collector's database holds, and its epoch.
func stored(t *testing.T, folder string) (store.Tallies, [16]byte) {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(folder, databaseFile))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var all store.Tallies
	err = s.Dump(t.Context(), func(d *store.Dump) (err error) {
		all, err = d.Write(new(store.Tallies))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, s.Epoch()
}

// without leaves out what a restoration changes.
func without(all store.Tallies) (out store.Tallies) {
	for _, one := range all {
		if one.Table != "meta" && one.Table != "sessions" && one.Table != "links" {
			out = append(out, one)
		}
	}
	return out
}

// TestBackupOfARunningCollector: what it makes is a collector with the same tills,
// documents and people, in a store of its own.
func TestBackupOfARunningCollector(t *testing.T) {
	folder, _, at := started(t, nil)
	id, pair := enrols(t, at.enrolment, last(runs(t, "enrol", "-pasta", folder)))
	sale := coupon(t)
	sends(t, "tls://"+id.Broker, id, pair, sale)
	if err := errors.Join(os.Mkdir(filepath.Join(folder, externalFolder), 0o700),
		os.WriteFile(filepath.Join(folder, externalFolder, "coletor.pem"), []byte("PEM"), 0o600),
		os.WriteFile(filepath.Join(folder, "filme.bin"), make([]byte, maxKept+1), 0o600)); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(folder, configFile)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("email_senha_arquivo = ''"), []byte("email_senha_arquivo = '/etc/zelo/senha'"), 1)
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	key, recipient := keyed(t)
	_, second := keyed(t)
	path := filepath.Join(t.TempDir(), "copia.zelo")
	var out, said bytes.Buffer
	if err := dispatch(t.Context(), console{&out, &said}, []string{"backup", "-pasta", folder, "-o", path, "-para", second, "-para", recipient}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "conferida por releitura") || !strings.Contains(said.String(), "filme.bin não vai na cópia") || !strings.Contains(said.String(), "/etc/zelo/senha (email_senha_arquivo) fica fora") {
		t.Errorf("%s%s", &out, &said)
	}
	raw, err := os.ReadFile(path)
	if err != nil || bytes.Contains(raw, []byte("PRIVATE KEY")) || bytes.Contains(raw, []byte("<CFe>")) {
		t.Errorf("it can be read, %v", err)
	}
	if out := runs(t, "restore", "-conferir", "-chave", key, path); !strings.Contains(out, "está inteira") {
		t.Error(out)
	}
	again := filepath.Join(t.TempDir(), "outro", "coletor")
	runs(t, "restore", "-pasta", again, "-chave", key, path)

	want := within(t, folder)
	delete(want, "filme.bin")
	if got := within(t, again); len(want) < 4 || !maps.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	had, epoch := stored(t, folder)
	has, newEpoch := stored(t, again)
	if table := without(had).Differ(without(has)); table != "" || epoch == newEpoch || had.Total() < 10 {
		t.Errorf("%s differs; epochs %x, %x", table, epoch, newEpoch)
	}
	for _, one := range has {
		if (one.Table == "links" || one.Table == "sessions") && one.Rows > 0 {
			t.Errorf("%d %s came back", one.Rows, one.Table)
		}
	}
	table := filepath.Join(t.TempDir(), "tudo.zip")
	if out := runs(t, "export", "-pasta", again, "-o", table); !strings.HasPrefix(out, "1 documento ") {
		t.Error(out)
	}
	fails(t, []string{"não foi possível restaurar", "não está vazia"}, "restore", "-pasta", again, "-chave", key, path)
	fails(t, []string{"já existe"}, "backup", "-pasta", again, "-o", path, "-para", recipient)
}

// sample makes a collector with nothing in it, and a backup of it.
func sample(t *testing.T) (folder, path, key string) {
	t.Helper()
	folder = fresh(t)
	key, recipient := keyed(t)
	path = filepath.Join(t.TempDir(), "copia.zelo")
	runs(t, "backup", "-pasta", folder, "-o", path, "-para", recipient)
	return folder, path, key
}

// TestBackupWithPassword: a password is read from a file, never from the arguments.
func TestBackupWithPassword(t *testing.T) {
	folder := fresh(t)
	path := filepath.Join(t.TempDir(), "copia.zelo")
	fails(t, []string{"pelo menos 12"}, "backup", "-pasta", folder, "-o", path, "-senha-arquivo", secret(t, "curta"))
	fails(t, []string{"falta a senha"}, "backup", "-pasta", folder, "-o", path, "-senha-arquivo", secret(t, ""))
	runs(t, "backup", "-pasta", folder, "-o", path, "-senha-arquivo", secret(t, "cavalo correto bateria"))
	again := filepath.Join(t.TempDir(), "outro")
	fails(t, []string{errWrongKey.Error()}, "restore", "-pasta", again, "-senha-arquivo", secret(t, "cavalo errado bateria"), path)
	if _, err := os.Lstat(again); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a restoration that failed left its folder: %v", err)
	}
	runs(t, "restore", "-pasta", again, "-senha-arquivo", secret(t, "cavalo correto bateria"), path)
	fails(t, []string{"não há um terminal", "-senha-arquivo"}, "restore", "-pasta", t.TempDir(), path)
}

// TestBackupThroughLinks: a folder that is a link, and keys that are, go into a backup as
// what they lead to; one that would lack the authority is not made.
func TestBackupThroughLinks(t *testing.T) {
	folder, _, key := sample(t)
	_, recipient := keyed(t)
	elsewhere := t.TempDir()
	link := filepath.Join(t.TempDir(), "zelo")
	config := filepath.Join(folder, configFile)
	want := within(t, folder)
	if err := errors.Join(os.Symlink(folder, link), os.Rename(config, filepath.Join(elsewhere, "c")), os.Symlink(filepath.Join(elsewhere, "c"), config)); err != nil {
		t.Fatal(err)
	}
	path, again := filepath.Join(elsewhere, "copia.zelo"), filepath.Join(t.TempDir(), "outro")
	runs(t, "backup", "-pasta", link, "-o", path, "-para", recipient, "-para", identity(t, key).Recipient().String())
	runs(t, "restore", "-pasta", again, "-chave", key, path)
	if got := within(t, again); len(want) < 3 || !maps.Equal(want, got) {
		t.Errorf("files %v, want %v", got, want)
	}
	ca := filepath.Join(folder, enrol.CAFolder)
	if err := errors.Join(os.Rename(ca, filepath.Join(elsewhere, "ca")), os.Symlink(filepath.Join(elsewhere, "ca"), ca)); err != nil {
		t.Fatal(err)
	}
	fails(t, []string{"não pode ir na cópia", enrol.CAFolder}, "backup", "-pasta", link, "-o", filepath.Join(elsewhere, "sem.zelo"), "-para", recipient)
}

// rewrite makes another backup of one, with what change did to it.
func rewrite(t *testing.T, path, key string, change func(*backupHeader, *[]backupFile, *store.Tallies), tail string) string {
	t.Helper()
	id := identity(t, key)
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	b, err := openBackup(in, id)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	var out bytes.Buffer
	var none store.Tallies
	change(&b.header, &b.files, &none)
	w, err := newBackupWriter(&out, []age.Recipient{id.Recipient()}, b.header)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range b.files {
		if err := w.file(f); err != nil {
			t.Fatal(err)
		}
	}
	tables, err := b.rows(w)
	if err != nil {
		t.Fatal(err)
	}
	change(&b.header, &b.files, &tables)
	if tail != "" {
		err = errors.Join(w.put(frameTrailer, backupTrailer{tables, sha256.Sum256(w.files)}), w.frame(frameRow, []byte(tail)))
	}
	if err := errors.Join(err, w.end(tables)); err != nil {
		t.Fatal(err)
	}
	return written(t, out.Bytes())
}

func written(t *testing.T, raw []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "copia.zelo")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRestoreRefuses: every way a backup can be bad has a name, and leaves nothing.
func TestRestoreRefuses(t *testing.T) {
	_, path, key := sample(t)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	otherKey, _ := keyed(t)
	for _, c := range []struct {
		name, path, key string
		words           []string
	}{
		{"another key", path, otherKey, []string{errWrongKey.Error()}},
		{"no key", path, path, []string{"não tem uma chave"}},
		{"no backup", written(t, []byte("PK\x03\x04 a zip file")), key, []string{errNoBackup.Error()}},
		{"empty", written(t, nil), key, []string{errNoBackup.Error()}},
		{"cut", written(t, raw[:len(raw)*2/3]), key, []string{errDamaged.Error()}},
		{"a byte less", written(t, raw[:len(raw)-1]), key, []string{errDamaged.Error()}},
		{"a byte more", written(t, append(slices.Clone(raw), 0)), key, []string{errDamaged.Error()}},
		{"newer format", rewrite(t, path, key, func(h *backupHeader, _ *[]backupFile, _ *store.Tallies) { h.Format = 2 }, ""), key, []string{"versão mais nova", "formato 2"}},
		{"newer tables", rewrite(t, path, key, func(h *backupHeader, _ *[]backupFile, _ *store.Tallies) { h.Schema = 9999 }, ""), key, []string{"versão mais nova", "9999"}},
		{"other rows than it says", rewrite(t, path, key, func(_ *backupHeader, _ *[]backupFile, all *store.Tallies) {
			if len(*all) > 0 {
				(*all)[0].Sum[7]++
			}
		}, ""), key, []string{"não é o que foi lido"}},
		{"no configuration", rewrite(t, path, key, func(_ *backupHeader, f *[]backupFile, _ *store.Tallies) {
			*f = slices.DeleteFunc(*f, func(f backupFile) bool { return f.Name == configFile })
		}, ""), key, []string{"danificada", configFile}},
		{"a file elsewhere", rewrite(t, path, key, func(_ *backupHeader, f *[]backupFile, _ *store.Tallies) { (*f)[0].Name = "../../fora" }, ""), key, []string{"danificada", "fora"}},
		{"something behind the end", rewrite(t, path, key, func(*backupHeader, *[]backupFile, *store.Tallies) {}, "x"), key, []string{"depois do fim"}},
		{"a file that is there", rewrite(t, path, key, func(_ *backupHeader, f *[]backupFile, _ *store.Tallies) { *f = slices.Insert(*f, 0, (*f)[0]) }, ""), key, []string{"exist"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := t.TempDir()
			fails(t, c.words, "restore", "-pasta", folder, "-chave", c.key, c.path)
			if left, err := os.ReadDir(folder); len(left) > 0 || err != nil {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
	t.Run("not there", func(t *testing.T) {
		fails(t, []string{"não foi possível abrir a cópia"}, "restore", "-chave", key, path+"x")
	})
	t.Run("a database elsewhere that is no address", func(t *testing.T) {
		fails(t, []string{"banco: escreva como"}, "restore", "-pasta", t.TempDir(), "-chave", key, "-banco", "mysql://x/y", path)
	})
	t.Run("interrupted", func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		stop()
		folder := t.TempDir()
		if err := dispatch(ctx, console{io.Discard, io.Discard}, []string{"restore", "-pasta", folder, "-chave", key, path}); err == nil {
			t.Error("it went on")
		}
		if left, _ := os.ReadDir(folder); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// TestBackupByteByByte: no byte of a backup can change, and none can be missing,
// unnoticed.
func TestBackupByteByByte(t *testing.T) {
	_, path, key := sample(t)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	id := identity(t, key)
	same := func(to store.Sink, _ int64) store.Sink { return to }
	if _, _, err := checkBackup(bytes.NewReader(raw), same, id); err != nil {
		t.Fatal(err)
	}
	step := max(1, len(raw)/400)
	for i := 0; i < len(raw); i += step {
		bad := slices.Clone(raw)
		bad[i] ^= 0x10
		if _, _, err := checkBackup(bytes.NewReader(bad), same, id); err == nil {
			t.Errorf("byte %d of %d was changed unnoticed", i, len(raw))
		}
		if _, _, err := checkBackup(bytes.NewReader(raw[:i]), same, id); err == nil {
			t.Errorf("%d of %d bytes were taken for all", i, len(raw))
		}
	}
}

// TestBackupMadeByAnybody: whoever has the public key can make a file that opens, but
// not one that is taken for whole.
func TestBackupMadeByAnybody(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for name, frames := range map[string]string{"nothing": "", "no header": "R\x00\x00\x00\x01\x80", "a huge frame": "H\xff\xff\xff\xff", "no CBOR": "H\x00\x00\x00\x01\xff",
		"half a frame": "H\x00\x00\x00\x09\xa0", "no version": "H\x00\x00\x00\x01\xa0"} {
		t.Run(name, func(t *testing.T) {
			var file bytes.Buffer
			sealed, err := age.Encrypt(&file, id.Recipient())
			if err != nil {
				t.Fatal(err)
			}
			zip, err := zstd.NewWriter(sealed)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := zip.Write([]byte(frames)); errors.Join(err, zip.Close(), sealed.Close()) != nil {
				t.Fatal(err)
			}
			if b, err := openBackup(&file, id); err == nil {
				t.Errorf("taken: %+v", b.header)
			}
		})
	}
}

// TestDiskFull: a disk that is full leaves no half backup and no half collector.
func TestDiskFull(t *testing.T) {
	small := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", small).CombinedOutput(); err != nil {
		t.Skipf("SKIP: no small file system can be mounted here: %s", out)
	}
	t.Cleanup(func() { exec.Command("umount", small).Run() })
	folder, path, key := sample(t)
	fails(t, []string{"não foi possível restaurar", "full"}, "restore", "-pasta", small, "-chave", key, path)
	if left, err := os.ReadDir(small); len(left) > 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
	_, recipient := keyed(t)
	if err := os.WriteFile(filepath.Join(small, "cheio"), make([]byte, 128<<10-8192), 0o600); err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 64<<10)
	for i := range noise {
		noise[i] = byte(i*i>>7 ^ i)
	}
	if err := os.WriteFile(filepath.Join(folder, "cadeia.pem"), noise, 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, []string{"não foi possível fazer a cópia", "no space"}, "backup", "-pasta", folder, "-o", filepath.Join(small, "c.zelo"), "-para", recipient)
	if left, err := os.ReadDir(small); len(left) != 1 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestRestoreGoesOn: a till enrolled before the backup is served after it with the
// certificate that it has, and so is one that enrolled after it.
func TestRestoreGoesOn(t *testing.T) {
	folder, _, at := started(t, nil)
	token := last(runs(t, "enrol", "-pasta", folder, "-caixas", "2"))
	before, beforePair := enrols(t, at.enrolment, token)
	key, recipient := keyed(t)
	path := filepath.Join(t.TempDir(), "copia.zelo")
	runs(t, "backup", "-pasta", folder, "-o", path, "-para", recipient)
	after, afterPair := enrols(t, at.enrolment, token)
	again := filepath.Join(t.TempDir(), "outro")
	runs(t, "restore", "-pasta", again, "-chave", key, path)
	at = serves(t, again, nil)
	before.Broker, after.Broker = at.mqtt, at.mqtt
	if ack := sends(t, "tls://"+at.mqtt, before, beforePair, coupon(t)); len(ack.Records) != 1 {
		t.Errorf("%+v", ack)
	}
	if ack := sends(t, "tls://"+at.mqtt, after, afterPair, coupon(t)); len(ack.Records) != 1 || ack.StoreEpoch == (wire.Epoch{}) {
		t.Errorf("%+v", ack)
	}
}

func TestWithBank(t *testing.T) {
	for _, c := range []struct{ name, text, bank, want string }{
		{"there", "nome = 'a'\nbanco = ''\nlog = 'info'\n", "postgres://u:p@h/z", "nome = 'a'\nbanco = 'postgres://u:p@h/z'\nlog = 'info'\n"},
		{"back", "banco='postgres://u:p@h/z'", bankHere, "banco = ''"},
		{"not there", "nome = 'a'\n", "postgres://u:p@h/z", "banco = 'postgres://u:p@h/z'\nnome = 'a'\n"},
		{"a comment", "# banco = 'x'\nnome = 'a'", "postgres://u:p@h/z", "banco = 'postgres://u:p@h/z'\n# banco = 'x'\nnome = 'a'"},
		{"over lines", "banco = '''\npostgres://u:p@h/z'''\n", "postgres://u:geheim@h/y", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := withBank([]byte(c.text), c.bank)
			if string(got) != c.want || (err == nil) != (c.want != "") || err != nil && strings.Contains(err.Error(), "geheim") {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestMoveRefuses(t *testing.T) {
	folder, _, _ := started(t, nil)
	file := secret(t, "postgres://zelo:geheim@/zelo?host="+t.TempDir())
	fails(t, []string{"um coletor", "pare o serviço"}, "move", "-pasta", folder, "-banco", "@"+file)
	fails(t, []string{"falta -banco"}, "move", "-pasta", folder)
	fails(t, []string{"já usa este banco"}, "move", "-pasta", folder, "-banco", bankHere)
	other := fresh(t)
	before := within(t, other)
	_, epoch := stored(t, other)
	var o, e bytes.Buffer
	err := dispatch(t.Context(), console{&o, &e}, []string{"move", "-pasta", other, "-banco", "@" + file})
	if err == nil || strings.Contains(fmt.Sprint(err, &e), "geheim") || !maps.Equal(before, within(t, other)) {
		t.Errorf("a server that is not there: %v", err)
	}
	if _, now := stored(t, other); now != epoch {
		t.Error("a move that failed changed the epoch")
	}
}
