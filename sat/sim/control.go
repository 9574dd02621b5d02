package sim

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"zelo/sat"
)

// maxCommand bounds one line of the control protocol.
const maxCommand = 1 << 20

// command is one line of the control protocol; exactly one field is set. See the
// package comment.
type command struct {
	Set     *Settings     `json:"set"`
	Script  *scriptedJSON `json:"script"`
	List    bool          `json:"list"`
	Release bool          `json:"release"`
	Plug    *bool         `json:"plug"`
}

type scriptedJSON struct {
	Function string `json:"function"`
	Nth      int    `json:"nth"`
	Do       Act    `json:"do"`
	Before   bool   `json:"before"`
	For      string `json:"for"`
	Wait     bool   `json:"wait"`
}

// answer is the line that answers a command.
type answer struct {
	OK     bool     `json:"ok"`
	Error  string   `json:"error,omitempty"`
	Issued []Record `json:"issued,omitempty"`
	Struck int      `json:"struck,omitempty"`
}

// control carries out one line. The channel, if any, is closed when there is a
// second line to say.
func (s *Sim) control(text []byte) (answer, <-chan struct{}) {
	var c command
	var struck <-chan struct{}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(&c)
	switch {
	case err != nil:
	case c.Set != nil:
		err = s.Set(*c.Set)
	case c.Script != nil:
		struck, err = s.scriptJSON(*c.Script)
	case c.List:
		return answer{OK: true, Issued: s.Issued(), Struck: s.Struck()}, nil
	case c.Release:
		s.Release()
	case c.Plug != nil && *c.Plug:
		s.Plug()
	case c.Plug != nil:
		s.Unplug()
	default:
		err = errors.New("no command: write set, script, list, release or plug")
	}
	if err != nil {
		return answer{Error: err.Error()}, nil
	}
	return answer{OK: true}, struck
}

// scriptJSON adds a fault and returns the channel to wait for, nil without wait.
func (s *Sim) scriptJSON(j scriptedJSON) (<-chan struct{}, error) {
	f := Fault{Nth: j.Nth, Do: j.Do, Before: j.Before}
	if j.Function != "" {
		var ok bool
		if f.Function, ok = sat.FunctionByName(j.Function); !ok {
			return nil, fmt.Errorf("no function is called %q", j.Function)
		}
	}
	if j.For != "" {
		var err error
		if f.For, err = time.ParseDuration(j.For); err != nil {
			return nil, fmt.Errorf("%q is no duration like 5s", j.For)
		}
	}
	struck, err := s.Script(f)
	if err != nil || !j.Wait {
		return nil, err
	}
	return struck, nil
}

// serveControl answers control connections until the listener is closed.
func (s *Sim) serveControl(ctx context.Context, l net.Listener) {
	var clients sync.WaitGroup
	defer clients.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		clients.Go(func() { s.converse(ctx, conn) })
	}
}

func (s *Sim) converse(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	lines, out := bufio.NewScanner(conn), json.NewEncoder(conn)
	lines.Buffer(nil, maxCommand)
	for lines.Scan() {
		a, struck := s.control(lines.Bytes())
		if out.Encode(a) != nil {
			return
		}
		if struck == nil {
			continue
		}
		select {
		case <-struck:
		case <-ctx.Done():
			return
		}
		if out.Encode(answer{OK: true, Struck: s.Struck()}) != nil {
			return
		}
	}
}
