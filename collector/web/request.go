package web

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// track is what the log tells of one request. It is never its query, nor anything
// else that may name a consumer or hold a secret.
type track struct {
	person int64 // 0 while nobody is known
	status int
}

type trackKey struct{}

// tracked is the track of a request that observe let through.
func tracked(r *http.Request) *track {
	return r.Context().Value(trackKey{}).(*track)
}

// tracker notes the status of an answer.
type tracker struct {
	http.ResponseWriter
	*track
}

func (t tracker) WriteHeader(status int) {
	t.status = status
	t.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (t tracker) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// observe gives every request a number, which its answer tells, and writes a line of
// the log when it is done.
func (s *site) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var number [8]byte
		rand.Read(number[:])
		id := hex.EncodeToString(number[:])
		w.Header().Set("X-Request-Id", id)
		t := &track{status: http.StatusOK}
		r = r.WithContext(context.WithValue(r.Context(), trackKey{}, t))
		began := time.Now()
		next.ServeHTTP(tracker{w, t}, r)
		if !strings.HasPrefix(r.Pattern, "GET /static/") {
			s.o.Log.Info("request", "request", id, "person", t.person, "operation", r.Pattern, "status", t.status, "took", time.Since(began).Round(time.Microsecond))
		}
	})
}

// address is where a request comes from. With an HTTPS server in front that is what
// it says, as the last entry of X-Forwarded-For; nobody but a neighbour is believed.
func (s *site) address(r *http.Request) netip.Addr {
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	near := from.Addr().Unmap()
	if !s.o.Secure || !near.IsLoopback() && !near.IsPrivate() {
		return near
	}
	all := r.Header.Values("X-Forwarded-For")
	if len(all) == 0 {
		return near
	}
	told := all[len(all)-1]
	if far, err := netip.ParseAddr(strings.TrimSpace(told[strings.LastIndex(told, ",")+1:])); err == nil {
		return far.Unmap()
	}
	return near
}
