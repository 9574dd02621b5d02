package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"zelo/agent/wire"
	"zelo/buffer"
	"zelo/sat/cfe"
)

// exportBuffer writes the fiscal documents of a buffer file, sent or not, to a
// folder, each byte for byte in a file of its own. It overwrites nothing and may be
// repeated.
func exportBuffer(file, folder string, out io.Writer) error {
	if folder == "" {
		return errors.New("diga onde gravar os documentos: zelo-agent buffer export -para PASTA")
	}
	if _, err := os.Stat(file); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("não foi possível criar a pasta %s: %w", folder, err)
	}
	codec, err := wire.NewCodec()
	if err != nil {
		return err
	}
	defer codec.Close()
	var written, there, odd int
	lost, err := buffer.Read(file, wire.StreamDocuments, folder, func(r buffer.Record) error {
		name, data := documentFile(codec, r)
		fresh, err := writeOnce(folder, name, data)
		switch {
		case err != nil:
			return fmt.Errorf("não foi possível gravar %s em %s: %w", name, folder, err)
		case !fresh:
			there++
		case strings.HasPrefix(name, oddPrefix):
			odd++
		default:
			written++
		}
		return nil
	})
	fmt.Fprintf(out, "Documentos gravados em %s: %d (já estavam lá: %d)\n", folder, written, there)
	if odd > 0 {
		fmt.Fprintf(out, "Registros que não são documentos legíveis: %d, gravados como estão em arquivos %s*\n", odd, oddPrefix)
	}
	if err != nil {
		return err
	}
	if printLines(out, "NÃO PODE SER LIDO", lost); len(lost) > 0 {
		return errors.New("o arquivo tem danos e nem tudo pôde ser lido: não o apague, e peça ajuda ao suporte")
	}
	return nil
}

const oddPrefix = "registro-" // of a file that holds no document anybody can read

// documentFile names the file of a document as accountants know it, and says what
// goes into it: the document's bytes, or the whole record when it holds none.
func documentFile(codec *wire.Codec, r buffer.Record) (name string, data []byte) {
	piece := fmt.Sprintf("%x", r.SHA256[:4])
	var item wire.Item
	if err := codec.Decode(r.Data, &item); err != nil || len(item.Body) == 0 {
		return fmt.Sprintf("%s%d-%s.bin", oddPrefix, r.Seq, piece), r.Data
	}
	d, err := cfe.Parse(item.Body)
	if err == nil {
		_, err = cfe.ParseKey(string(d.Key))
	}
	if err != nil {
		return fmt.Sprintf("%s%d-%s.xml", oddPrefix, r.Seq, piece), item.Body
	}
	switch d.Kind {
	case cfe.Sale:
		return fmt.Sprintf("AD%s.xml", d.Key), item.Body
	case cfe.Cancellation:
		return fmt.Sprintf("ADC%s.xml", d.Key), item.Body
	case cfe.Event:
		return fmt.Sprintf("%s-%s-procEventoNFe.xml", d.Key, piece), item.Body
	}
	return fmt.Sprintf("%s-nfe.xml", d.Key), item.Body
}

// writeOnce writes a file that is whole or not there at all; fresh is false when
// the folder has it already. Another content under the same name stays, and this
// one gets a number.
func writeOnce(folder, name string, data []byte) (fresh bool, err error) {
	ext := filepath.Ext(name)
	for n, file := 2, filepath.Join(folder, name); ; n++ {
		there, err := os.ReadFile(file)
		if err == nil && bytes.Equal(there, data) {
			return false, nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = writeNew(file, data)
			if !errors.Is(err, fs.ErrExist) {
				return err == nil, err
			}
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return false, err
		}
		file = filepath.Join(folder, fmt.Sprintf("%s-%d%s", strings.TrimSuffix(name, ext), n, ext))
	}
}

// writeNew makes a file that does not exist, durably; fs.ErrExist when it does.
func writeNew(file string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".zelo-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	f.Chmod(0o644) // the accountant reads them; memory sticks have no modes
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Link(f.Name(), file); err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Rename(f.Name(), file) // no second names here, as on a memory stick
}
