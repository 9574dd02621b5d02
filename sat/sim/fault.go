package sim

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"zelo/sat"
)

// Act is a way for a simulated device to misbehave.
type Act string

// The acts. Unless said otherwise the command is carried out, and Fault.Before
// makes the act come before it instead, so that it is not.
const (
	Late    Act = "late"          // the reply waits; with Before the command waits too, and is carried out then
	Never   Act = "never"         // no reply; the device is free for the next command
	Half    Act = "half"          // the reply is cut in the middle
	Garbage Act = "garbage"       // bytes that are no reply
	Other   Act = "other-session" // the reply to the last command, if it was the same function, or this one's under another number
	Busy    Act = "busy"          // "em processamento", never carried out
	Crash   Act = "crash"         // the device's process ends; in process the connection is lost
	Unplug  Act = "unplug"        // the connection is lost until Plug
)

// Fault is one misbehaviour. It strikes one call and is spent.
type Fault struct {
	Function sat.Function  // which calls it counts; 0 counts all
	Nth      int           // strikes the n-th of them from now; 0 is the first
	Do       Act           // what happens
	Before   bool          // before the command is carried out
	For      time.Duration // of Late; 0 waits for Release
}

type scripted struct {
	Fault
	left   int
	struck chan struct{}
}

// Script adds a fault. The channel is closed when it has struck: for Late and
// Never when the wait begins, otherwise when its effect is complete.
func (s *Sim) Script(f Fault) (struck <-chan struct{}, err error) {
	switch f.Do {
	case Late, Never, Half, Garbage, Other, Busy, Crash, Unplug:
	default:
		return nil, fmt.Errorf("cannot script %q: no act is called so", f.Do)
	}
	if f.Function != 0 && !f.Function.Valid() {
		return nil, fmt.Errorf("cannot script %s: unknown SAT function number %d", f.Do, uint8(f.Function))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one := &scripted{Fault: f, left: max(f.Nth, 1), struck: make(chan struct{})}
	s.script = append(s.script, one)
	return one.struck, nil
}

// Release ends the wait of a Late fault.
func (s *Sim) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.job != nil {
		select {
		case <-s.job.over:
		default:
			close(s.job.over)
		}
		s.settle()
	}
}

// strike returns the fault that hits this call, if any.
func (s *Sim) strike(f sat.Function) *scripted {
	var hit *scripted
	var rest []*scripted
	for _, one := range s.script {
		if one.Function == 0 || one.Function == f {
			one.left--
		}
		if one.left == 0 && hit == nil {
			hit = one
			continue
		}
		one.left = max(one.left, 1)
		rest = append(rest, one)
	}
	s.script = rest
	return hit
}

// job is a command that keeps the device occupied.
type job struct {
	req  sat.Request
	raw  []byte        // the reply once carried out
	due  time.Time     // when the wait ends; zero when only Release ends it
	over chan struct{} // closed by Release
}

func (j *job) waiting() bool {
	select {
	case <-j.over:
		return false
	default:
		return j.due.IsZero() || time.Now().Before(j.due)
	}
}

// settle ends the job whose wait is over, carrying it out if that is still to be
// done: the device goes on although its caller may have left.
func (s *Sim) settle() {
	j := s.job
	if j == nil || j.waiting() {
		return
	}
	if j.raw == nil {
		j.raw = s.execute(j.req)
	}
	s.job = nil
}

// command carries out one request as the script says and returns the bytes the
// device writes.
func (s *Sim) command(ctx context.Context, req sat.Request) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.pluggedIn() {
		return nil, fmt.Errorf("%w: %w", sat.ErrNotSent, sat.ErrGone)
	}
	s.settle()
	if s.job != nil {
		return s.busy(req), nil
	}
	hit := s.strike(req.Function)
	switch takes := s.o.Latency[req.Function]; {
	case hit == nil && takes == 0:
		return s.execute(req), nil
	case hit == nil:
		return s.occupy(ctx, req, Fault{For: takes}, make(chan struct{}))
	}
	s.struck++
	if hit.Do == Late {
		return s.occupy(ctx, req, hit.Fault, hit.struck)
	}
	return s.misbehave(ctx, req, hit)
}

// occupy carries out a command that takes a while.
func (s *Sim) occupy(ctx context.Context, req sat.Request, f Fault, struck chan<- struct{}) ([]byte, error) {
	j := &job{req: req, over: make(chan struct{})}
	var timer <-chan time.Time
	if f.For > 0 {
		j.due, timer = time.Now().Add(f.For), time.After(f.For)
	}
	if !f.Before {
		j.raw = s.execute(req)
	}
	s.job = j
	close(struck)
	if err := s.pause(ctx, j.over, timer); err != nil {
		return nil, err
	}
	s.settle()
	return j.raw, nil
}

// misbehave carries out, or not, a command that a fault other than Late hits.
func (s *Sim) misbehave(ctx context.Context, req sat.Request, hit *scripted) ([]byte, error) {
	before, raw := s.lastReply(req.Function), s.busy(req)
	if !hit.Before && hit.Do != Busy {
		raw = s.execute(req)
	}
	close(hit.struck)
	switch hit.Do {
	case Half:
		return raw[:len(raw)/2], nil
	case Garbage:
		return []byte("\x00\xffError [2] openning serial COM3"), nil
	case Other:
		return otherSession(before, raw), nil
	case Crash:
		s.crash()
		return nil, sat.ErrGone
	case Unplug:
		s.unplug()
		return nil, sat.ErrGone
	case Never:
		return nil, s.pause(ctx, nil, nil)
	}
	return raw, nil
}

// pause lets go of the device until over, the timer, the end of the connection
// or of ctx, of which the last two are errors.
func (s *Sim) pause(ctx context.Context, over <-chan struct{}, timer <-chan time.Time) error {
	gone := s.gone
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-over:
	case <-timer:
	case <-gone:
		return sat.ErrGone
	case <-ctx.Done():
		return fmt.Errorf("no answer from the device: %w", ctx.Err())
	}
	return nil
}

// otherSession is the reply to the command before, or else this one under
// another session number.
func otherSession(before, raw []byte) []byte {
	if before != nil {
		return before
	}
	session, rest, _ := bytes.Cut(raw, []byte{sat.Separator})
	other := bytes.Clone(session)
	last := len(other) - 1
	other[last] = '0' + (other[last]-'0'+1)%10
	return append(append(other, sat.Separator), rest...)
}
