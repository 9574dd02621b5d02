package link

import (
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"zelo/sat"
)

// page is the package comment as a maker reads it.
func page(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "//\t", "\t")
}

// The page's example is what this package writes and reads.
func TestPageExample(t *testing.T) {
	const client = 0x01020304
	ask := sat.Request{Function: sat.ConsultarNumeroSessao, Session: 123456, Args: []string{"12345678", "123455"}}
	kinds := map[kind]string{hello: "HELLO", welcome: "WELCOME", request: "REQUEST", response: "RESPONSE", ping: "PING", working: "WORKING", nak: "NAK"}
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^\t([A-Z]+) +(a55a[0-9a-f ]*(?:\n\t {10}[0-9a-f ]+)*)$`).FindAllStringSubmatch(page(t), -1) {
		b, err := hex.DecodeString(strings.Join(strings.Fields(m[2]), ""))
		if err != nil {
			t.Fatalf("%s: %v", m[1], err)
		}
		frames := decodeAll(b, len(b))
		if len(frames) != 1 || kinds[frames[0].kind] != m[1] {
			t.Fatalf("the page's %s reads as %+v", m[1], frames)
		}
		got = append(got, fmt.Sprint(frames[0]))
	}
	var want []string
	for _, f := range []frame{
		{kind: hello, client: client},
		{kind: welcome, client: client, payload: Hello{Model: "SAT", Serial: "900000001", Software: "01.00.00"}.encode()},
		{kind: request, client: client, seq: 1, payload: encodeRequest(ask)},
		{kind: ping, client: client, seq: 1},
		{kind: nak, client: client, seq: 1, payload: []byte{byte(missing)}},
		{kind: request, client: client, seq: 1, payload: encodeRequest(ask)},
		{kind: ping, client: client, seq: 1},
		{kind: working, client: client, seq: 1},
		{kind: response, client: client, seq: 1, payload: []byte("123456|11003|Sessao nao existe||")},
	} {
		want = append(want, fmt.Sprint(f))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the page shows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// The page's tables and numbers are those of the program.
func TestPageTables(t *testing.T) {
	text := page(t)
	lines := []string{
		fmt.Sprintf("\tpause in a frame after which it is given up       %v s", interByte.Seconds()),
		fmt.Sprintf("\ttill: HELLO without WELCOME, until it gives up    %v s", openTime.Seconds()),
		fmt.Sprintf("\ttill: line takes no byte, until it is broken      %v s", stall.Seconds()),
		fmt.Sprintf("\ttill: silence after which it asks again           %v s", silence.Seconds()),
		fmt.Sprintf("at most %d (8 MiB)", MaxPayload),
		fmt.Sprintf("serial port  %d baud", defaultBaud),
	}
	for _, f := range sat.Functions() {
		var names []string
		for _, p := range f.Params() {
			names = append(names, p.Name)
		}
		row := fmt.Sprintf("\t%-3d %4d s  %s %s", f, int(f.Deadline().Seconds()), f, strings.Join(names, ", "))
		lines = append(lines, strings.TrimRight(row, " "))
	}
	for _, l := range lines {
		if !strings.Contains(text, l) {
			t.Errorf("the page lacks\n%s", l)
		}
	}
}
