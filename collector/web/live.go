package web

import (
	"io"
	"net/http"
	"time"

	"zelo/collector/api"
)

// liveEvery is how many seconds a page that keeps itself current waits at least from one
// time to the next; 0 for the others. With JavaScript it asks the stream below, without
// it loads itself anew every minute.
func liveEvery(page string) int {
	switch page {
	case "now", "owner", "tills", "alarms", "alarm":
		return 1
	case "till": // following its numbers may take a second
		return 10
	}
	return 0
}

// writeWithin is how long a browser may take to read what the stream says.
const writeWithin = 10 * time.Second

// live is a stream of events (WHATWG HTML, 9.2) that says that something changed in
// what the person sees, and nothing else: the page fetches itself anew. It ends with
// the person's session.
func (s *site) live(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	out := http.NewResponseController(w)
	if err := out.SetReadDeadline(time.Time{}); err != nil { // the request is read, its answer takes long
		return err
	}
	begun := false
	err := s.o.API.Watch(r.Context(), c, func() error {
		if !begun {
			begun = true
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("X-Accel-Buffering", "no") // of servers in front
		} else if _, err := s.caller(r); err != nil {
			return err
		}
		if err := out.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
			return err
		}
		if _, err := io.WriteString(w, "data: mudou\n\n"); err != nil {
			return err
		}
		return out.Flush()
	})
	if begun { // the browser asks again, and hears then what is wrong
		return nil
	}
	return err
}
