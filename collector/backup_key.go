package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"filippo.io/age"
	"golang.org/x/term"
)

// leastPassword keeps what guards the authority's key from being guessed.
const leastPassword = 12

// newKey makes a key file for backups and says which recipient it is.
func newKey(con console, path string) error {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	text := fmt.Sprintf("# Chave das cópias de segurança do Zelo, feita em %s. Quem a tem abre as cópias.\n# %s\n%s\n",
		time.Now().Format("02/01/2006"), id.Recipient(), id)
	if err := writeNew(path, []byte(text)); err != nil {
		return fmt.Errorf("não foi possível gravar a chave: %w", err)
	}
	_, err = fmt.Fprintf(con.out, "Chave gravada em %s. Guarde-a fora deste computador: sem ela as cópias não se abrem.\nFaça as cópias com:\n  zelo-collector backup -o ARQUIVO -para %s\n", path, id.Recipient())
	return err
}

// sealing are who can open a backup, with an identity of our own that can, too.
func sealing(con console, to []string, passwordFile string) ([]age.Recipient, age.Identity, error) {
	if len(to) > 0 && passwordFile != "" {
		return nil, nil, errors.New("escolha -para ou -senha-arquivo: uma cópia se abre com chaves ou com uma senha")
	}
	if len(to) == 0 {
		password, err := readPassword(con, passwordFile, true)
		if err != nil {
			return nil, nil, err
		}
		recipient, err := age.NewScryptRecipient(password)
		if err != nil {
			return nil, nil, err
		}
		identity, err := age.NewScryptIdentity(password)
		return []age.Recipient{recipient}, identity, err
	}
	// Their keys are not here. One that is forgotten with this process lets it read
	// what it wrote.
	own, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, nil, err
	}
	out := []age.Recipient{own.Recipient()}
	for _, text := range to {
		r, err := age.ParseX25519Recipient(text)
		if err != nil {
			return nil, nil, fmt.Errorf("-para %s: não é uma chave pública age1…, como a que `zelo-collector backup -nova-chave ARQUIVO` mostra", text)
		}
		out = append(out, r)
	}
	return out, own, nil
}

// opening are the identities that a person opens a backup with.
func opening(con console, keyFile, passwordFile string) ([]age.Identity, error) {
	if keyFile == "" {
		password, err := readPassword(con, passwordFile, false)
		if err != nil {
			return nil, err
		}
		id, err := age.NewScryptIdentity(password)
		return []age.Identity{id}, err
	}
	if passwordFile != "" {
		return nil, errors.New("escolha -chave ou -senha-arquivo: uma cópia se abre com uma chave ou com uma senha")
	}
	raw, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("não foi possível ler a chave: %w", err)
	}
	ids, err := age.ParseIdentities(bytes.NewReader(raw))
	if err != nil { // what it says may show the key
		return nil, fmt.Errorf("o arquivo %s não tem uma chave AGE-SECRET-KEY-1…, como `zelo-collector backup -nova-chave` a grava", keyFile)
	}
	return ids, nil
}

// readPassword reads a password from the first line of a file, or asks for it at the
// terminal; a new one twice.
func readPassword(con console, file string, isNew bool) (string, error) {
	if file != "" {
		raw, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("não foi possível ler a senha: %w", err)
		}
		line, _, _ := strings.Cut(string(raw), "\n")
		return goodPassword(strings.TrimSpace(line), isNew)
	}
	password, err := askHidden(con.err, "Senha da cópia de segurança (não aparece na tela): ")
	if err != nil || !isNew {
		return password, err
	}
	again, err := askHidden(con.err, "A senha outra vez: ")
	if err == nil && again != password {
		err = errors.New("as duas senhas não são iguais")
	}
	if err != nil {
		return "", err
	}
	return goodPassword(password, isNew)
}

func goodPassword(password string, isNew bool) (string, error) {
	switch {
	case password == "":
		return "", errors.New("falta a senha da cópia de segurança")
	case isNew && len([]rune(password)) < leastPassword:
		return "", fmt.Errorf("a senha da cópia precisa de pelo menos %d caracteres: quem a descobre tem a chave do coletor", leastPassword)
	}
	return password, nil
}

func askHidden(w io.Writer, prompt string) (string, error) {
	in := int(os.Stdin.Fd())
	if !term.IsTerminal(in) {
		return "", errors.New("não há um terminal para pedir a senha: escreva-a em um arquivo e use -senha-arquivo ARQUIVO, ou use uma chave (-para, -chave)")
	}
	fmt.Fprint(w, prompt)
	b, err := term.ReadPassword(in)
	fmt.Fprintln(w)
	return strings.TrimSpace(string(b)), err
}
