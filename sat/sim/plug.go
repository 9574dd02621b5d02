package sim

import "context"

// Unplug cuts the connection: calls under way and to come fail with sat.ErrGone.
// The device itself goes on.
func (s *Sim) Unplug() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unplug()
}

// Plug connects the device again, and starts one that crashed.
func (s *Sim) Plug() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.pluggedIn() {
		s.gone = make(chan struct{})
		close(s.back)
	}
}

func (s *Sim) pluggedIn() bool {
	select {
	case <-s.gone:
		return false
	default:
		return true
	}
}

func (s *Sim) unplug() {
	if s.pluggedIn() {
		s.back = make(chan struct{})
		close(s.gone)
	}
}

// crash loses the connection. In a process of its own the simulator ends.
func (s *Sim) crash() {
	s.unplug()
	select {
	case <-s.crashed:
	default:
		close(s.crashed)
	}
}

// goneNow is closed when the present connection is cut; it is closed already when
// there is none.
func (s *Sim) goneNow() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

// waitPlugged waits until the device is connected or ctx ends. The channel is
// closed when it is unplugged again.
func (s *Sim) waitPlugged(ctx context.Context) (gone <-chan struct{}) {
	for ctx.Err() == nil {
		s.mu.Lock()
		gone, back, plugged := s.gone, s.back, s.pluggedIn()
		s.mu.Unlock()
		if plugged {
			return gone
		}
		select {
		case <-back:
		case <-ctx.Done():
		}
	}
	return nil
}
