package wire

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func commandID() CommandID { return CommandID{0xC0, 1, 2} }

func goldenKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) }

func goldenCommand() Command {
	return Command{Version: 3, ID: commandID(), Agent: "abcdef0123", Epoch: Epoch{1, 2}, Sequence: 7, Name: CommandChangeCode,
		Serial: "900000001", Args: map[string]string{"a": "b"}, Sealed: []byte("sealed"), By: "Ana Souza, Revenda X",
		At: 1700000000000, NotBefore: 1700000001000, Expires: 1700003600000, Window: &Window{Idle: 600000, From: 1380, To: 300, Zone: -180}}
}

// golden3 are the messages of version 3 that command.go has.
func golden3(t testing.TB) map[string]any {
	command := goldenCommand()
	signed, err := codec(t).Sign(goldenKey(), command)
	if err != nil {
		t.Fatal(err)
	}
	cancel, err := codec(t).SignCancel(goldenKey(), signed)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"command": &command,
		"signed":  &signed,
		"cancel":  &cancel,
		"report": &Report{Version: 3, Command: commandID(), Number: 2, State: CommandDone, At: 1700000002000, Text: "Pronto.",
			Lines: []Line{{At: 1700000002000, Text: "O equipamento respondeu 18000."}}, Reply: "18000",
			Result: &Result{Name: "x.txt", Type: "text/plain", Size: 3, Parts: 1, Body: [32]byte{9}, Cut: true}},
		"report-refused": &Report{Version: 3, Command: commandID(), State: CommandRefused, At: 1700000002000, Text: "Não.", Reason: RefusedAgent},
		"report-part":    &Report{Version: 3, Command: commandID(), Number: 1, At: 1700000002000, Part: &Part{Body: [32]byte{9}, Index: 1, Data: []byte("abc")}},
		"hello-command":  &Hello{Version: 3, Beat: 7, StoreEpoch: Epoch{2}, Time: 1700000000000, Took: 12, CommandKey: []byte("key")},
		"beat-command":   &Beat{Version: 3, Software: "1.2.0", Host: "caixa-1", System: "linux/amd64", Started: 1, Clock: 2, Epoch: Epoch{3}, Number: 8, SealKey: []byte("key")},
	}
}

func TestSignature(t *testing.T) {
	c := codec(t)
	command := goldenCommand()
	signed, err := c.Sign(goldenKey(), command)
	if err != nil {
		t.Fatal(err)
	}
	pinned := goldenKey().Public().(ed25519.PublicKey)
	if got, err := c.Verify(pinned, signed); err != nil || !reflect.DeepEqual(got, command) {
		t.Fatalf("%+v, %v", got, err)
	}
	cancel, err := c.SignCancel(goldenKey(), signed)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Verify(pinned, cancel); err != nil || !cancel.Cancels() || signed.Cancels() || !reflect.DeepEqual(got, command) {
		t.Errorf("the cancelling: %+v, %v", got, err)
	}
	if err := c.Decode(cancel.Command, &Command{}); err == nil {
		t.Error("an agent that knows no cancelling takes one for a command")
	}
	other, _, _ := ed25519.GenerateKey(rand.Reader)
	changed := signed
	changed.Command = slices.Clone(signed.Command)
	changed.Command[len(changed.Command)-1] ^= 1
	plain := signed
	plain.Signature = ed25519.Sign(goldenKey(), signed.Command) // of the same key, for another purpose
	for name, try := range map[string]struct {
		key    ed25519.PublicKey
		signed Signed
	}{
		"another key":                 {other, signed},
		"a command as its cancelling": {pinned, Signed{Cancel: signed.Command, Signature: signed.Signature}},
		"a cancelling as its command": {pinned, Signed{Command: cancel.Cancel, Signature: cancel.Signature}},
		"no key":                      {nil, signed},
		"changed":                     {pinned, changed},
		"no signature":                {pinned, Signed{Command: signed.Command}},
		"another purpose":             {pinned, plain},
	} {
		if _, err := c.Verify(try.key, try.signed); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.Verify(pinned, Signed{Command: []byte("junk")}); err == nil {
		t.Error("junk was read as a command")
	}
}

func TestSealedArguments(t *testing.T) {
	c := codec(t)
	key, err := ecdh.X25519().NewPrivateKey([]byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"new": "87654321"}
	sealed, err := c.SealArgs(key.PublicKey().Bytes(), "abcdef0123", commandID(), want)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(sealed), "87654321") {
		t.Error("the secret is in the clear")
	}
	for name, b := range map[string][]byte{"now": sealed, "then": stored(t, "v3", "sealed-args", sealed)} {
		if got, err := c.OpenArgs(key, "abcdef0123", commandID(), b); err != nil || !maps.Equal(got, want) {
			t.Errorf("sealed %s: %v, %v", name, got, err)
		}
	}
	if _, err := c.OpenArgs(key, "abcdef0124", commandID(), sealed); err == nil {
		t.Error("another agent opened it")
	}
	if _, err := c.OpenArgs(key, "abcdef0123", CommandID{1}, sealed); err == nil {
		t.Error("it was opened for another command")
	}
	if _, err := c.SealArgs([]byte("short"), "abcdef0123", commandID(), want); err == nil {
		t.Error("sealed for no key")
	}
}

func TestWindow(t *testing.T) {
	at := func(clock string) time.Time {
		when, err := time.Parse("15:04", clock)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	night := Window{From: 23 * 60, To: 5 * 60, Zone: -180} // 02:00 to 08:00 UTC
	for clock, open := range map[string]bool{"01:59": false, "02:00": true, "07:59": true, "08:00": false, "14:00": false} {
		if night.Open(at(clock)) != open {
			t.Errorf("%s UTC: the night is open %v", clock, !open)
		}
	}
	lunch := Window{From: 12 * 60, To: 13 * 60}
	if lunch.Open(at("11:59")) || !lunch.Open(at("12:00")) || lunch.Open(at("13:00")) || !(Window{}).Open(at("00:00")) {
		t.Error("lunch or the whole day")
	}
}

// Every row can be shown, asked for and checked.
func TestTableOfCommands(t *testing.T) {
	name := regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)
	seen := map[string]bool{}
	for _, s := range Commands() {
		if !name.MatchString(s.Name) || seen[s.Name] || s.Title == "" || s.About == "" || s.Deadline <= 0 ||
			(s.Right != RightTechnician && s.Right != RightReseller) || (s.Code && !s.Device) || (s.SaleSafe && s.Window != Window{}) ||
			(s.Query && (s.Once || s.Destructive)) || (s.SaleSafe && !s.Query) {
			t.Errorf("%+v", s)
		}
		seen[s.Name] = true
		args := map[string]bool{}
		for _, a := range s.Args {
			_, err := regexp.Compile(a.Pattern)
			if err != nil || !name.MatchString(a.Name) || args[a.Name] || a.Label == "" || (a.When != "" && !args[a.When]) ||
				(a.Kind == ArgChoice) != (len(a.Choices) > 0) || (a.Kind == ArgNumber && a.Most == 0) {
				t.Errorf("%s: %+v, %v", s.Name, a, err)
			}
			args[a.Name] = true
		}
		if found, ok := CommandByName(s.Name); !ok || found.Title != s.Title {
			t.Errorf("%s is not found by its name", s.Name)
		}
	}
	if _, ok := CommandByName("format-disk"); ok {
		t.Error("a command that is not in the table was found")
	}
}

func TestArguments(t *testing.T) {
	fixed := map[string]string{"interface": "ETHE", "mode": "IPFIX", "ip": "192.168.0.10", "mask": "255.255.255.0", "gateway": "192.168.0.1", "dns1": "8.8.8.8", "dns2": "8.8.4.4", "proxy": "0"}
	with := func(base map[string]string, name, value string) map[string]string {
		out := maps.Clone(base)
		out[name] = value
		return out
	}
	activation := map[string]string{"kind": "1", "code": "12345678", "cnpj": "08723218000186", "uf": "35"}
	for name, try := range map[string]struct {
		command string
		args    map[string]string
		bad     string // part of the complaint; "" for none
	}{
		"none asked":      {CommandPing, nil, ""},
		"fixed address":   {CommandNetwork, fixed, ""},
		"DHCP":            {CommandNetwork, map[string]string{"interface": "ETHE", "mode": "DHCP", "proxy": "0"}, ""},
		"bad address":     {CommandNetwork, with(fixed, "ip", "192.168.0.256"), "IP"},
		"missing":         {CommandNetwork, with(fixed, "gateway", ""), "Gateway"},
		"not asked for":   {CommandNetwork, with(fixed, "ssid", "loja"), "Wi-Fi"},
		"unknown":         {CommandNetwork, with(fixed, "x", "1"), `"x"`},
		"no such choice":  {CommandNetwork, with(fixed, "proxy", "3"), "Proxy"},
		"session":         {CommandSession, map[string]string{"session": "000123"}, ""},
		"large session":   {CommandSession, map[string]string{"session": "1000000"}, "0 a 999999"},
		"activation":      {CommandActivate, activation, ""},
		"short code":      {CommandActivate, with(activation, "code", "1234567"), "8"},
		"code with space": {CommandActivate, with(activation, "code", "1234 5678"), "forma"},
		"code of lines":   {CommandChangeCode, map[string]string{"new": "12345678\n"}, "linha"},
		"certificate":     {CommandCertificate, map[string]string{"certificate": "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n"}, ""},
		"instant":         {CommandAgentLogs, map[string]string{"lines": "10", "from": "2026-11-22T05:00"}, ""},
		"bad instant":     {CommandAgentLogs, map[string]string{"lines": "10", "from": "ontem"}, "De"},
	} {
		t.Run(name, func(t *testing.T) {
			spec, _ := CommandByName(try.command)
			err := spec.Check(try.args)
			if (err == nil) != (try.bad == "") || (err != nil && !strings.Contains(err.Error(), try.bad)) {
				t.Fatalf("%v", err)
			}
			for _, a := range spec.Args {
				if value := try.args[a.Name]; a.Secret && err != nil && value != "" && strings.Contains(err.Error(), value) {
					t.Errorf("the complaint tells %s", a.Name)
				}
			}
		})
	}
	spec, _ := CommandByName(CommandActivate)
	open, secret := spec.Secrets(activation)
	if len(open) != 3 || !maps.Equal(secret, map[string]string{"code": "12345678"}) {
		t.Errorf("open %v, %d secret", open, len(secret))
	}
}
