package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"golang.org/x/term"
)

// cmdCode asks for the activation code without showing it and hands it to the
// running agent, which tries it once.
func cmdCode(ctx context.Context, args []string) error {
	fs, path := flags("code")
	device := fs.String("sat", "", "número de série ou endereço do SAT, quando há mais de um")
	if err := fs.Parse(args); err != nil {
		return err
	}
	c, err := loadConfig(*path)
	if err != nil {
		return err
	}
	code, err := readHidden("Código de ativação do SAT (não aparece na tela): ")
	if err != nil {
		return err
	}
	if code == "" {
		return errors.New("nenhum código foi digitado")
	}
	var out callReply
	if err := ask(ctx, c, http.MethodPost, "/code?sat="+url.QueryEscape(*device), []byte(code), &out); err != nil {
		return err
	}
	if out.Error != "" {
		return errors.New(out.Error)
	}
	fmt.Println("O SAT aceitou o código; ele foi guardado neste caixa.")
	return nil
}

// readHidden reads a line from the terminal without echo, or from a pipe.
func readHidden(prompt string) (string, error) {
	in := int(os.Stdin.Fd())
	if !term.IsTerminal(in) {
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if err != nil && line == "" {
			return "", err
		}
		return strings.TrimSpace(line), nil
	}
	fmt.Fprint(os.Stderr, prompt)
	b, err := term.ReadPassword(in)
	fmt.Fprintln(os.Stderr)
	return strings.TrimSpace(string(b)), err
}
