//go:build linux

package maker_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"zelo/sat"
	"zelo/sat/maker"
)

func TestOddReplies(t *testing.T) {
	library := odd(t)
	if err := os.WriteFile(filepath.Join(filepath.Dir(library), "sat.conf"), []byte("COM3"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := opened(t, maker.Options{Library: library})
	for _, test := range []struct {
		name    string
		session int
		code    sat.Code
		message string
	}{
		{"companion, and a file by its name alone", 1, 8000, "companheira COM3"},
		{"busy with six fields", 7, 8098, "SAT em processamento..."},
		{"code of four digits", 8, 9999, "SAT Desconectado"},
		{"ten megabytes", 22, 8000, strings.Repeat("x", 10<<20)},
		{"Latin-1", 9, 8000, "SAT em operação"},
		{"prints, and closes its output", 15, 8000, "SAT em operacao"},
		{"still there", 16, 8000, "SAT em operacao"},
	} {
		r, err := call(c, ask(test.session))
		if err != nil || r.Code != test.code || r.Message != test.message {
			t.Errorf("%s: %s %.99q, %v", test.name, r.Code, r.Message, err)
		}
	}
}

// Whatever a library does instead of replying, the outcome is unknown, its process
// ends, and another finds it whole.
func TestNoReply(t *testing.T) {
	library := odd(t)
	for _, test := range []struct {
		name    string
		session int
		says    string
	}{
		{"NULL", 2, "NULL"},
		{"segmentation fault", 3, "exit status"},
		{"exit", 4, "exit status 0"},
		{"abort", 5, "exit status"},
		{"text without an end", 10, "16 MiB"},
		{"text up to the end of its memory", 18, "exit status"},
		{"no reply", 11, "malformed"},
		{"empty text", 12, "malformed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := opened(t, maker.Options{Library: library})
			_, err := call(c, ask(test.session))
			wantUnknown(t, err)
			if !errors.Is(err, sat.ErrGone) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v does not say gone and %q", err, test.says)
			}
			wantGone(t, c)
			_, err = call(c, ask(16))
			wantNotSent(t, err)
			if !errors.Is(err, sat.ErrGone) {
				t.Errorf("%v does not say gone", err)
			}
			if r, err := call(opened(t, maker.Options{Library: library}), ask(16)); err != nil || r.Code != 8000 {
				t.Errorf("opened again: %s, %v", r.Code, err)
			}
		})
	}
}

// A library that cannot even be loaded costs Open's time and no more: opening it
// again is its owner's, who waits.
func TestLoadingFails(t *testing.T) {
	library := odd(t)
	if err := host(); err != nil {
		t.Fatal(err)
	}
	for how, test := range map[string]struct {
		within time.Duration
		says   string
	}{"crash": {20 * time.Second, "exit status"}, "hang": {time.Second, "did not load in time"}} {
		t.Run(how, func(t *testing.T) {
			t.Setenv("ZELO_TEST_LOAD", how)
			ctx, cancel := context.WithTimeout(context.Background(), test.within)
			defer cancel()
			c, _, err := maker.Open(ctx, maker.Options{Library: library, Folder: folder})
			if err == nil {
				c.Close()
			}
			if !errors.Is(err, sat.ErrGone) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v does not say gone and %q", err, test.says)
			}
		})
	}
}

// fifo makes a pipe of a name in the library's folder.
func fifo(t *testing.T, library, name string) string {
	t.Helper()
	at := filepath.Join(filepath.Dir(library), name)
	if err := syscall.Mkfifo(at, 0o600); err != nil {
		t.Fatal(err)
	}
	return at
}

// hung waits until the library hangs and returns its process, and a function that
// waits for that to end.
func hung(t *testing.T, began string) (pid int, ended func()) {
	t.Helper()
	pipe, err := os.Open(began)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pipe.Close() })
	r := bufio.NewReader(pipe)
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err = strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return pid, func() {
		t.Helper()
		pipe.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := r.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the library's process has not ended: %v", err)
		}
	}
}

// hang makes a call that hangs, and gives its error.
func hang(ctx context.Context, c *maker.Conn) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := c.Call(ctx, ask(6))
		done <- err
	}()
	return done
}

func TestHang(t *testing.T) {
	library := odd(t)
	began := fifo(t, library, "began")
	for _, test := range []struct {
		name string
		do   func(t *testing.T, c *maker.Conn, pid int, cancel func())
		want error
		says error
	}{
		{"beyond deadline and slack", func(*testing.T, *maker.Conn, int, func()) {}, context.DeadlineExceeded, sat.ErrGone},
		{"left by its caller", func(_ *testing.T, _ *maker.Conn, _ int, cancel func()) { cancel() }, context.Canceled, sat.ErrGone},
		{"killed", func(_ *testing.T, _ *maker.Conn, pid int, _ func()) { syscall.Kill(pid, syscall.SIGKILL) }, sat.ErrGone, sat.ErrGone},
		{"closed", func(_ *testing.T, c *maker.Conn, _ int, _ func()) { c.Close() }, os.ErrClosed, os.ErrClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := opened(t, maker.Options{Library: library, Slack: 100 * time.Millisecond})
			ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
			defer cancel()
			done := hang(ctx, c)
			pid, ended := hung(t, began)
			test.do(t, c, pid, cancel)
			err := <-done
			wantUnknown(t, err)
			if !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
			ended()
			wantGone(t, c)
			_, err = call(c, ask(16))
			wantNotSent(t, err)
			if !errors.Is(err, test.says) {
				t.Errorf("%v, want %v", err, test.says)
			}
		})
	}
}

func TestProcessKilledBetweenCalls(t *testing.T) {
	c := opened(t, maker.Options{Library: odd(t)})
	r, err := call(c, ask(14))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(r.Message)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wantGone(t, c)
	_, err = call(c, sale(1))
	wantNotSent(t, err)
}

func TestProcessEndsWithItsParent(t *testing.T) {
	if err := host(); err != nil {
		t.Fatal(err)
	}
	library := odd(t)
	began := fifo(t, library, "began")
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentVariable+"="+library)
	parent.Stderr = os.Stderr
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	_, ended := hung(t, began)
	parent.Process.Kill()
	parent.Wait()
	ended()
}

// Loaded and called on one thread, whoever calls.
func TestOneThread(t *testing.T) {
	c := opened(t, maker.Options{Library: odd(t)})
	var callers sync.WaitGroup
	said := make(chan string, 40)
	for range 4 {
		callers.Go(func() {
			for range 10 {
				r, err := call(c, ask(23))
				if err != nil {
					t.Error(err)
				}
				said <- r.Message
			}
		})
	}
	callers.Wait()
	close(said)
	threads := map[string]bool{}
	for threadsOfCall := range said {
		for _, thread := range strings.Fields(threadsOfCall) {
			threads[thread] = true
		}
	}
	if len(threads) != 1 {
		t.Errorf("threads %v", threads)
	}
}

// A caller that gives up leaves the library at work; the next waits for its turn,
// and gets its own reply.
func TestCallerLeaves(t *testing.T) {
	library := odd(t)
	began, proceed := fifo(t, library, "began"), fifo(t, library, "go")
	c := opened(t, maker.Options{Library: library})
	ctx, cancel := context.WithCancel(context.Background())
	first := make(chan error, 1)
	go func() {
		_, err := c.Call(ctx, sale(24))
		first <- err
	}()
	hung(t, began)
	cancel()
	wantUnknown(t, <-first)
	ended, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Call(ended, sale(2))
	wantNotSent(t, err) // its turn did not come
	second := make(chan error, 1)
	go func() {
		r, err := call(c, ask(20))
		if err == nil && r.Session != 20 {
			err = errors.New("another call's reply")
		}
		second <- err
	}()
	pipe, err := os.OpenFile(proceed, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	pipe.Close()
	if err := <-second; err != nil {
		t.Error(err)
	}
}

func TestTextsTakenBack(t *testing.T) {
	library := odd(t)
	for free, want := range map[string]string{"": "0", "DesalocarString": "2"} {
		c := opened(t, maker.Options{Library: library, Free: free})
		for _, session := range []int{16, 17} {
			if _, err := call(c, ask(session)); err != nil {
				t.Fatal(err)
			}
		}
		if r, err := call(c, ask(13)); err != nil || r.Message != want {
			t.Errorf("with %q %s texts were taken back, want %s, %v", free, r.Message, want, err)
		}
	}
}

func TestWhatTheLibraryPrints(t *testing.T) {
	log := make(lines, 10)
	c := opened(t, maker.Options{Library: odd(t), Log: log.logger()})
	if _, err := call(c, sat.Request{Session: 1, Function: sat.ConsultarStatusOperacional, Args: []string{"segredo"}}); err != nil {
		t.Fatal(err)
	}
	line := <-log
	if !strings.Contains(line, "codigo=*** CPF ***, chave ***") {
		t.Errorf("logged %s", line)
	}
}

func TestFunctionsTheLibraryLacks(t *testing.T) {
	t.Setenv("FAKE_SAT", t.TempDir())
	c := opened(t, maker.Options{Library: compile(t, "libold.so", "-DMAKER_OLD", makerSource)})
	_, err := call(c, sat.Request{Session: 1, Function: sat.ConsultarUltimaSessaoFiscal, Args: []string{"12345678"}})
	wantNotSent(t, err)
	if r, err := call(c, sale(2)); err != nil || r.Code != 6000 {
		t.Errorf("the others work: %s, %v", r.Code, err)
	}
}

func TestArguments(t *testing.T) {
	device := t.TempDir()
	t.Setenv("FAKE_SAT", device)
	c := opened(t, maker.Options{Library: compile(t, "libfabricante.so", makerSource)})
	for _, req := range []sat.Request{
		{Session: 1, Function: sat.AtivarSAT, Args: []string{"1", "12345678", "08723218000186", "35"}},
		{Session: 2, Function: sat.TrocarCodigoDeAtivacao, Args: []string{"old", "-2", "new", ""}},
		{Session: 999999, Function: sat.ConsultarNumeroSessao, Args: []string{"12345678", "999999"}},
		{Session: 4, Function: sat.EnviarDadosVenda, Args: []string{"ends\x00here", strings.Repeat("é", 500<<10)}},
	} {
		if _, err := call(c, req); err != nil {
			t.Fatal(err)
		}
	}
	_, err := call(c, sat.Request{Session: 5, Function: sat.ConsultarNumeroSessao, Args: []string{"12345678", "x"}})
	wantNotSent(t, err)
	got, err := os.ReadFile(filepath.Join(device, "calls"))
	want := "AtivarSAT 1 1|12345678|08723218000186|35\nTrocarCodigoDeAtivacao 2 old|-2|new|\n" +
		"ConsultarNumeroSessao 999999 12345678|999999\nEnviarDadosVenda 4 ends|" + strings.Repeat("é", 500<<10) + "\n"
	if err != nil || string(got) != want {
		t.Errorf("the library had %.300s, %v", got, err)
	}
}

func TestTwoLibrariesAtOnce(t *testing.T) {
	library := compile(t, "libfabricante.so", makerSource)
	var conns []*maker.Conn
	var devices []string
	for range 2 {
		devices = append(devices, t.TempDir())
		t.Setenv("FAKE_SAT", devices[len(devices)-1])
		conns = append(conns, opened(t, maker.Options{Library: library}))
	}
	for session := range 6 {
		if r, err := call(conns[session%2], sale(session)); err != nil || r.Code != 6000 {
			t.Errorf("%s, %v", r.Code, err)
		}
	}
	for i, want := range []string{"0\n2\n4\n", "1\n3\n5\n"} {
		sales, err := os.ReadFile(filepath.Join(devices[i], "sales"))
		var sessions string
		for line := range strings.Lines(string(sales)) {
			_, session, _ := strings.Cut(line, " ")
			sessions += session
		}
		if err != nil || sessions != want {
			t.Errorf("device %d issued %q, want %q, %v", i, sessions, want, err)
		}
	}
}
