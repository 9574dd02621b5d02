package sim

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
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
}

// answer is the line that answers a command.
type answer struct {
	OK     bool     `json:"ok"`
	Error  string   `json:"error,omitempty"`
	Issued []Record `json:"issued,omitempty"`
	Struck int      `json:"struck,omitempty"`
}

// control carries out one line.
func (s *Sim) control(text []byte) answer {
	var c command
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	err := d.Decode(&c)
	switch {
	case err != nil:
	case c.Set != nil:
		err = s.Set(*c.Set)
	case c.Script != nil:
		err = s.scriptJSON(*c.Script)
	case c.List:
		return answer{OK: true, Issued: s.Issued(), Struck: s.Struck()}
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
		return answer{Error: err.Error()}
	}
	return answer{OK: true}
}

func (s *Sim) scriptJSON(j scriptedJSON) error {
	f := Fault{Nth: j.Nth, Do: j.Do, Before: j.Before}
	if j.Function != "" {
		var ok bool
		if f.Function, ok = sat.FunctionByName(j.Function); !ok {
			return fmt.Errorf("no function is called %q", j.Function)
		}
	}
	if j.For != "" {
		var err error
		if f.For, err = time.ParseDuration(j.For); err != nil {
			return fmt.Errorf("%q is no duration like 5s", j.For)
		}
	}
	_, err := s.Script(f)
	return err
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
		clients.Go(func() {
			defer conn.Close()
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			defer stop()
			lines := bufio.NewScanner(conn)
			lines.Buffer(nil, maxCommand)
			for lines.Scan() {
				if json.NewEncoder(conn).Encode(s.control(lines.Bytes())) != nil {
					return
				}
			}
		})
	}
}
