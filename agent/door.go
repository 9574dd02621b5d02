package main

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"

	"zelo/sat/ipc"
)

// door is how the command line reaches the running agent: a Unix socket that only
// its own user opens or, where Windows has none, a port of this computer with a
// secret that only who reads the agent's folder knows.
type door struct {
	Network string `json:"rede"`
	Address string `json:"endereco"`
	Secret  string `json:"segredo"` // "" on a socket
}

const (
	doorSocket = "controle.sock"
	doorFile   = "controle.json"
	doorHost   = "zelo"          // the only Host a request may name: no page in a browser can
	doorHeader = "Zelo-Controle" // carries the secret
)

// openDoor makes the door of the agent whose folder it is.
func openDoor(folder string) (net.Listener, door, error) {
	if runtime.GOOS == "windows" {
		return openPort(folder)
	}
	d := door{Network: "unix", Address: filepath.Join(folder, doorSocket)}
	ln, err := ipc.Listen(d.Address, 0o600)
	return ln, d, err
}

// openPort makes a door of a port and notes it in the folder.
func openPort(folder string) (net.Listener, door, error) {
	ln, err := ipc.Listen("tcp:127.0.0.1:0", 0)
	if err != nil {
		return nil, door{}, err
	}
	d := door{Network: "tcp", Address: ln.Addr().String(), Secret: rand.Text()}
	note, err := json.Marshal(d)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, doorFile), note, 0o600)
	}
	if err != nil {
		ln.Close()
		return nil, door{}, err
	}
	return ln, d, nil
}

// findDoor finds what openDoor made.
func findDoor(folder string) (door, error) {
	if runtime.GOOS == "windows" {
		return findPort(folder)
	}
	return door{Network: "unix", Address: filepath.Join(folder, doorSocket)}, nil
}

func findPort(folder string) (d door, err error) {
	note, err := os.ReadFile(filepath.Join(folder, doorFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return d, errors.New("o agente não está em execução")
	case errors.Is(err, fs.ErrPermission):
		return d, fmt.Errorf("falta permissão para falar com o agente; abra o terminal como administrador: %w", err)
	case err != nil:
		return d, err
	}
	return d, json.Unmarshal(note, &d)
}

// guard lets only those in who know the secret, and who called us by our name.
func (d door) guard(inside http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secret := r.Header.Get(doorHeader)
		if r.Host != doorHost || subtle.ConstantTimeCompare([]byte(secret), []byte(d.Secret)) != 1 {
			http.Error(w, "not for you", http.StatusForbidden)
			return
		}
		inside.ServeHTTP(w, r)
	})
}
