package maker

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"zelo/sat"
)

// maxMessage bounds a message from satlib-host.
const maxMessage = 32 << 20

// outputTime is how long the output of a process is awaited after its end:
// programs it started may hold it open.
const outputTime = time.Second

// The messages of satlib-host's protocol.
type (
	greeting struct {
		Error   string
		Missing []string
	}
	request struct {
		Function sat.Function
		Session  int
		Args     [][]byte // not strings: JSON would mend what is not UTF-8
	}
	answer struct {
		Raw     []byte
		Null    bool
		Error   string
		Refused string
	}
)

func newRequest(req sat.Request) request {
	r := request{Function: req.Function, Session: req.Session}
	for _, a := range req.Args {
		r.Args = append(r.Args, []byte(a))
	}
	return r
}

// process is a running satlib-host.
type process struct {
	cmd    *exec.Cmd
	to     *os.File // requests
	from   *os.File // answers
	ended  sync.Once
	gone   chan struct{} // closed when the process must no longer be used
	cause  error         // why; read after gone
	exited chan struct{} // closed when it has really ended
}

// startProcess starts the program for a library, in the library's folder.
func startProcess(host, library, free string, output io.Writer) (*process, error) {
	theirIn, to, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cannot make a pipe to %s: %w", host, err)
	}
	defer theirIn.Close()
	from, theirOut, err := os.Pipe()
	if err != nil {
		to.Close()
		return nil, fmt.Errorf("cannot make a pipe from %s: %w", host, err)
	}
	defer theirOut.Close()
	p := &process{to: to, from: from, gone: make(chan struct{}), exited: make(chan struct{})}
	p.cmd = exec.Command(host, "-library", library, "-free", free)
	p.cmd.Dir = filepath.Dir(library)
	p.cmd.Stdout, p.cmd.Stderr = output, output
	p.cmd.WaitDelay = outputTime
	// A library's crash is told in a line, not by the state of every thread.
	p.cmd.Env = append(os.Environ(), "GOTRACEBACK=none")
	started := make(chan error)
	go p.run(theirIn, theirOut, started)
	if err := <-started; err != nil {
		to.Close()
		from.Close()
		return nil, fmt.Errorf("cannot start %s: %w", host, err)
	}
	return p, nil
}

// run starts the process and waits for its end. It stays on its thread, because
// Linux ends the process with the thread that started it.
func (p *process) run(in, out *os.File, started chan<- error) {
	defer close(p.exited)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	release, err := bind(p.cmd, in, out)
	started <- err
	if err != nil {
		return
	}
	defer release()
	err = p.cmd.Wait()
	if err == nil {
		err = fmt.Errorf("exit status 0")
	}
	p.end(fmt.Errorf("%w: the library's process ended: %w", sat.ErrGone, err))
	p.to.Close()
	p.from.Close()
}

// end has the process killed; the first cause stays.
func (p *process) end(cause error) {
	p.ended.Do(func() {
		p.cause = cause
		close(p.gone)
		p.cmd.Process.Kill() // fails only when it has ended
	})
}

// why explains a broken pipe: by what became of the process.
func (p *process) why(err error) error {
	select {
	case <-p.exited:
	case <-time.After(outputTime): // it lives, and closed its pipe
		p.end(fmt.Errorf("%w: %w", sat.ErrGone, err))
	}
	<-p.gone
	return p.cause
}

// send writes a request. touched is false only when no byte of it left.
func (p *process) send(r request) (touched bool, err error) {
	body, err := json.Marshal(r)
	if err != nil {
		return false, fmt.Errorf("cannot write the request: %w", err)
	}
	n, err := p.to.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	return n > 0, err
}

// receive reads a message. Its errors never quote it.
func (p *process) receive(to any) error { return readMessage(p.from, to) }

func readMessage(from io.Reader, to any) error {
	var size [4]byte
	if _, err := io.ReadFull(from, size[:]); err != nil {
		return fmt.Errorf("cannot read from satlib-host: %w", err)
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxMessage {
		return fmt.Errorf("cannot read from satlib-host: a message of %d bytes", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(from, body); err != nil {
		return fmt.Errorf("cannot read from satlib-host: %w", err)
	}
	if err := json.Unmarshal(body, to); err != nil {
		return fmt.Errorf("cannot understand satlib-host: message of %d bytes is not its JSON", n)
	}
	return nil
}
