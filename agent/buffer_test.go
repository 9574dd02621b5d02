package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"zelo/agent/wire"
	"zelo/buffer"
)

// bufferTill is a folder of an agent that is not running, with documents in its buffer.
type bufferTill struct {
	config, folder, file string
	documents            map[string][]byte // by the name they are to be exported under
}

func cannedTill(t *testing.T) bufferTill {
	t.Helper()
	c := bufferTill{folder: t.TempDir(), documents: map[string][]byte{}}
	c.config, c.file = filepath.Join(c.folder, "agent.toml"), filepath.Join(c.folder, "cupons.db")
	text := fmt.Sprintf("pasta = %s\nbuffer_mb = 32\n", strconv.Quote(c.folder))
	if err := os.WriteFile(c.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b := c.open(t)
	sale, cancel := "AD35250711222333000181599000001230000411234560", "ADC35250711222333000181599000001230000421234563"
	for name, golden := range map[string]string{sale: "venda-0.06.xml", cancel: "cancelamento-0.06.xml"} {
		doc, err := os.ReadFile(filepath.Join("..", "sat", "cfe", "testdata", "golden", golden))
		if err != nil {
			t.Fatal(err)
		}
		c.documents[name+".xml"] = doc
		appendItem(t, b, wire.StreamDocuments, wire.Item{Kind: wire.KindDocument, Body: doc})
	}
	records, err := b.Peek(wire.StreamDocuments, 0, 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Acknowledge(wire.StreamDocuments, b.Epoch(), []buffer.Ack{{Seq: records[0].Seq, SHA256: records[0].SHA256}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c bufferTill) open(t *testing.T) *buffer.Buffer {
	t.Helper()
	b, _, err := buffer.Open(c.file, buffer.Options{MaxBytes: 32 << 20,
		Streams: []buffer.Stream{{Name: wire.StreamEvents}, {Name: wire.StreamDocuments}, {Name: wire.StreamStatus, Evictable: true}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func appendItem(t *testing.T, b *buffer.Buffer, stream string, item wire.Item) {
	t.Helper()
	codec, err := wire.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	defer codec.Close()
	item.Version = wire.Version
	v, err := codec.Encode(item)
	if err != nil {
		t.Fatal(err)
	}
	appendRaw(t, b, stream, v)
}

func appendRaw(t *testing.T, b *buffer.Buffer, stream string, data []byte) {
	t.Helper()
	var batch buffer.Batch
	batch.Append(stream, data)
	if _, err := b.Commit(&batch); err != nil {
		t.Fatal(err)
	}
}

// command runs zelo-agent buffer and returns what it prints and how it ends.
func (c bufferTill) command(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := bufferCommand(t.Context(), append(args, "-config", c.config), &out)
	return out.String(), err
}

// damage spoils the free list, which costs nothing, or a document.
func (c bufferTill) damage(t *testing.T, documents bool) {
	t.Helper()
	f, err := os.ReadFile(c.file)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	for at := 2 * page; at < len(f); at += page {
		p := f[at : at+page]
		if in := bytes.Index(p, []byte("<CFeCanc>")); documents && in >= 0 {
			p[in] = '['
		} else if freeList := p[8] == 0x10; freeList && !documents {
			p[8] = 0
		}
	}
	if err := os.WriteFile(c.file, f, 0o600); err != nil {
		t.Fatal(err)
	}
}

func wantAll(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s lacks %q:\n%s", what, p, text)
		}
	}
}

func TestBufferCommandsOfAWholeFile(t *testing.T) {
	c := cannedTill(t)
	before := hashOf(t, c.file)
	out, err := c.command(t, "ls")
	if err != nil {
		t.Fatal(err)
	}
	wantAll(t, "ls", out, c.file, "documents", "em quarentena")
	if out, err = c.command(t, "check"); err != nil {
		t.Fatal(err)
	}
	wantAll(t, "check", out, "O arquivo está em ordem.")
	if out, err = c.command(t, "repair"); err != nil {
		t.Fatal(err)
	}
	wantAll(t, "repair", out, "não há o que consertar")
	if hashOf(t, c.file) != before {
		t.Error("the file was changed")
	}
}

func hashOf(t *testing.T, file string) [32]byte {
	t.Helper()
	f, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(f)
}

func TestBufferExport(t *testing.T) {
	c := cannedTill(t)
	b := c.open(t)
	appendRaw(t, b, wire.StreamDocuments, []byte("no item"))
	appendItem(t, b, wire.StreamDocuments, wire.Item{Kind: wire.KindDocument, Body: []byte("<CFe>torn")})
	appendItem(t, b, wire.StreamEvents, wire.Item{Kind: wire.KindEvent, Code: "no document"})
	b.Close()
	folder := filepath.Join(t.TempDir(), "a", "b")
	out, err := c.command(t, "export", "-para", folder)
	if err != nil {
		t.Fatal(err)
	}
	wantAll(t, "export", out, "Documentos gravados em "+folder+": 2 (já estavam lá: 0)", "Registros que não são documentos legíveis: 2")
	for name, doc := range c.documents {
		if got, err := os.ReadFile(filepath.Join(folder, name)); err != nil || !bytes.Equal(got, doc) {
			t.Errorf("%s: %v", name, err)
		}
	}
	contents := map[string]bool{}
	for _, name := range names(t, folder) {
		f, _ := os.ReadFile(filepath.Join(folder, name))
		contents[string(f)] = true
	}
	if len(contents) != 4 || !contents["no item"] || !contents["<CFe>torn"] {
		t.Errorf("%d files", len(contents))
	}
	t.Run("again", func(t *testing.T) {
		before := names(t, folder)
		out, err := c.command(t, "export", "-para", folder)
		if err != nil {
			t.Fatal(err)
		}
		wantAll(t, "export", out, folder+": 0 (já estavam lá: 4)")
		if after := names(t, folder); !slices.Equal(before, after) {
			t.Errorf("%q became %q", before, after)
		}
	})
	t.Run("over files of the same names", func(t *testing.T) {
		folder := t.TempDir()
		for name := range c.documents {
			os.WriteFile(filepath.Join(folder, name), []byte("the accountant's own"), 0o600)
		}
		if out, err := c.command(t, "export", "-para", folder); err != nil || !strings.Contains(out, folder+": 2 (") {
			t.Errorf("%s%v", out, err)
		}
		for name, doc := range c.documents {
			if own, err := os.ReadFile(filepath.Join(folder, name)); string(own) != "the accountant's own" {
				t.Errorf("%s was overwritten: %v", name, err)
			}
			second := strings.TrimSuffix(name, ".xml") + "-2.xml"
			if got, err := os.ReadFile(filepath.Join(folder, second)); err != nil || !bytes.Equal(got, doc) {
				t.Errorf("%s: %v", second, err)
			}
		}
	})
	t.Run("without a folder", func(t *testing.T) {
		if _, err := c.command(t, "export"); err == nil || !strings.Contains(err.Error(), "-para PASTA") {
			t.Errorf("%v", err)
		}
	})
	t.Run("into a file", func(t *testing.T) {
		if _, err := c.command(t, "export", "-para", c.config); err == nil {
			t.Error("no error")
		}
	})
}

func names(t *testing.T, folder string) (out []string) {
	t.Helper()
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		out = append(out, f.Name())
	}
	return out
}

func TestBufferCommandsOfADamagedFile(t *testing.T) {
	for name, lost := range map[string]bool{"nothing lost": false, "a document lost": true} {
		t.Run(name, func(t *testing.T) {
			c := cannedTill(t)
			c.damage(t, lost)
			before := hashOf(t, c.file)
			_, err := c.command(t, "ls")
			if err == nil || !strings.Contains(err.Error(), "buffer check") {
				t.Errorf("ls: %v", err)
			}
			out, err := c.command(t, "check")
			if err == nil || !strings.Contains(err.Error(), "buffer export") || !strings.Contains(err.Error(), "buffer repair") {
				t.Errorf("check: %v", err)
			}
			readable := 2
			if lost {
				readable = 1
				wantAll(t, "check", out, "NÃO PODE SER LIDO: ")
			}
			wantAll(t, "check", out, "DANO: ", fmt.Sprintf("podem ser lidos: %d\n", readable))

			folder := t.TempDir()
			out, err = c.command(t, "export", "-para", folder)
			if lost != (err != nil) {
				t.Errorf("export: %v", err)
			}
			wantAll(t, "export", out, fmt.Sprintf("%s: %d (", folder, readable))
			if got := names(t, folder); len(got) != readable {
				t.Errorf("exported %q", got)
			}
			if hashOf(t, c.file) != before {
				t.Fatal("the damaged file was changed before it was repaired")
			}
			out, err = c.command(t, "repair")
			if err != nil {
				t.Fatal(err)
			}
			wantAll(t, "repair", out, "DANO: ", fmt.Sprintf("Salvos em documents: %d\n", readable), "Consertado.")
			_, aside, _ := strings.Cut(strings.TrimSpace(out), "ficou em ")
			if hashOf(t, aside) != before {
				t.Error("the damaged file was not kept as it was")
			}
			if out, err = c.command(t, "check"); err != nil {
				t.Errorf("after the repair: %s%v", out, err)
			}
			b := c.open(t)
			events, err := b.Peek(wire.StreamEvents, 0, 9, 1<<20)
			if err != nil || len(events) != 1 || !bytes.Contains(events[0].Data, []byte(wire.EventBufferDamaged)) {
				t.Errorf("the collector is told %d times, %v", len(events), err)
			}
		})
	}
}

func TestBufferCommandsRefuse(t *testing.T) {
	c := cannedTill(t)
	t.Run("while the agent runs", func(t *testing.T) {
		b := c.open(t)
		defer b.Close()
		for _, args := range [][]string{{"check"}, {"repair"}, {"export", "-para", filepath.Join(t.TempDir(), "new")}, {"ls", "-arquivo", c.file}} {
			if _, err := c.command(t, args...); err == nil || !strings.Contains(err.Error(), "o agente está em execução e usa "+c.file) {
				t.Errorf("%q: %v", args, err)
			}
		}
	})
	t.Run("no file", func(t *testing.T) {
		for _, args := range [][]string{{"ls"}, {"check"}, {"repair"}, {"export", "-para", filepath.Join(t.TempDir(), "new")}} {
			_, err := c.command(t, append(args, "-arquivo", c.file+"2")...)
			if err == nil || !strings.Contains(err.Error(), "não foi encontrado") {
				t.Errorf("%q: %v", args, err)
			}
		}
		if _, err := os.Stat(c.file + "2"); err == nil {
			t.Error("the file was made")
		}
	})
	t.Run("unknown words", func(t *testing.T) {
		for _, args := range [][]string{{}, {"delete"}} {
			if _, err := c.command(t, args...); err == nil || !strings.Contains(err.Error(), "ls | check | export") {
				t.Errorf("%q: %v", args, err)
			}
		}
	})
}

// TestBufferCommandsOfAnotherFile look at a file that was set aside.
func TestBufferCommandsOfAnotherFile(t *testing.T) {
	c := cannedTill(t)
	c.damage(t, true)
	other := filepath.Join(t.TempDir(), "velho.db")
	if err := os.Rename(c.file, other); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if out, _ := c.command(t, "export", "-arquivo", other, "-para", folder); !strings.Contains(out, folder+": 1 (") {
		t.Error(out)
	}
	if out, err := c.command(t, "repair", "-arquivo", other); err != nil || !strings.Contains(out, "Consertado.") {
		t.Errorf("%s%v", out, err)
	}
	if out, err := c.command(t, "check", "-arquivo", other); err != nil {
		t.Errorf("%s%v", out, err)
	}
	if _, err := os.Stat(c.file); err == nil {
		t.Error("the agent's own file was made")
	}
}
