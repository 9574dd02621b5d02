package router

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/sim"
)

const testCode = "segredo-1234"

// keptCodes returns the path of codes that one device accepted.
func keptCodes(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "codigos")
	c, err := openCodes(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.put("900000001", testCode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCodesOutliveTheProcess(t *testing.T) {
	path := keptCodes(t)
	c, err := openCodes(path)
	if err != nil || c.get("900000001") != testCode || c.get("900000002") != "" {
		t.Errorf("%v, %v", c.known, err)
	}
	if err := c.refused("900000001", testCode); err != nil {
		t.Fatal(err)
	}
	if c, err = openCodes(path); err != nil || c.get("900000001") != "" {
		t.Errorf("a refused code is still there: %v", err)
	}
}

// A disk that takes nothing for a while leaves no refused code behind, which would be
// tried again after the next start.
func TestCodesThatCannotBeSavedAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sell(1, "UM")
		c := w.Router.codes
		key := c.path + ".key"
		if err := os.Rename(key, key+".away"); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(key, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := c.refused("900000001", sim.DefaultCode); err == nil {
			t.Error("nothing was said of a code that is still on disk")
		}
		if err := os.Remove(key); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(key+".away", key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if kept, err := openCodes(c.path); err != nil || kept.get("900000001") != "" {
			t.Errorf("the refused code is still on disk, %v", err)
		}
	})
}

func TestCodesAreSealed(t *testing.T) {
	path := keptCodes(t)
	for _, file := range []string{path, path + ".key"} {
		raw, err := os.ReadFile(file)
		if err != nil || len(raw) == 0 || bytes.Contains(raw, []byte(testCode)) {
			t.Errorf("%s: %d bytes, %v", file, len(raw), err)
		}
	}
}

func TestCodesThatCannotBeRead(t *testing.T) {
	spoil := func(suffix string, change func([]byte) []byte) func(string) error {
		return func(path string) error {
			raw, err := os.ReadFile(path + suffix)
			if err != nil {
				return err
			}
			return os.WriteFile(path+suffix, change(raw), 0o600)
		}
	}
	flip := func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
	cut := func(b []byte) []byte { return b[:len(b)/2] }
	nothing := func([]byte) []byte { return nil }
	for name, damage := range map[string]func(path string) error{
		"a bit":         spoil("", flip),
		"half":          spoil("", cut),
		"empty":         spoil("", nothing),
		"another key":   spoil(".key", flip),
		"half a key":    spoil(".key", cut),
		"no key at all": func(path string) error { return os.Remove(path + ".key") },
	} {
		t.Run(name, func(t *testing.T) {
			path := keptCodes(t)
			if err := damage(path); err != nil {
				t.Fatal(err)
			}
			c, err := openCodes(path)
			if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), testCode) {
				t.Errorf("%v", err)
			}
			if c.get("900000001") != "" {
				t.Error("a code came out of it")
			}
			if name == "half a key" {
				return // a person removes the key first
			}
			if err := c.put("900000001", testCode); err != nil {
				t.Errorf("given anew: %v", err)
			}
			if c, err = openCodes(path); err != nil || c.get("900000001") != testCode {
				t.Errorf("given anew: %v", err)
			}
		})
	}
}

// A code that a call gives the device is the one to use from then on.
func TestCodesThatCallsChange(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sell(1, "UM")
		device := w.Device("900000001")
		reply, err := device.Call(w.t.Context(), sat.Request{Function: sat.TrocarCodigoDeAtivacao, Args: []string{sim.DefaultCode, "1", "codigo-novo", "codigo-novo"}})
		if err != nil || reply.Code != 18000 {
			t.Fatalf("%s, %v", reply.Code, err)
		}
		if _, known := w.Code("900000001"); known != "codigo-novo" {
			t.Errorf("known is %q", known)
		}
		// A wrong emergency code is not taken for the code in effect.
		reply, err = device.Call(w.t.Context(), sat.Request{Function: sat.TrocarCodigoDeAtivacao, Args: []string{"emergencia", "2", "outro-novo", "outro-novo"}})
		if _, known := w.Code("900000001"); err != nil || reply.Code != 18002 || known != "codigo-novo" {
			t.Errorf("%s, %v, known is %q", reply.Code, err, known)
		}
	})
}

func TestSinceSale(t *testing.T) {
	inWorld(t, func(w *world) {
		time.Sleep(time.Hour)
		if d := w.SinceSale(); d < time.Hour {
			t.Errorf("%v since the start", d)
		}
		w.sell(1, "UM")
		time.Sleep(time.Minute)
		if d := w.SinceSale(); d < time.Minute || d > 2*time.Minute {
			t.Errorf("%v since the sale", d)
		}
	})
}
