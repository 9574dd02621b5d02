package guest

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"zelo/agent/devices"
)

// hotPlug has the agent's watcher tell that a device came back, and measures the
// time until it is open again.
func hotPlug(t *testing.T) {
	options := keyed(t, "900000001")
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			p := w.start(t, options)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			told := watching(t, ctx)
			p.sells(t, 1)

			p.unplug()
			<-p.conn.Gone()
			p.conn.Close()
			if _, ok := <-told; !ok {
				t.Fatal("nobody told that the device went away")
			}
			select { // told twice
			case <-told:
			default:
			}

			p.sim.Plug()
			start := time.Now()
			p.attach(t)
			var heard time.Duration // when it was first told
			for p.conn = nil; p.conn == nil; {
				if _, ok := <-told; !ok {
					t.Fatal("the device is not open again")
				}
				if heard == 0 {
					heard = time.Since(start)
				}
				if c, info, err := p.open(ctx, p.info.Where); err == nil {
					p.conn, p.info = c, info
				}
			}
			open := time.Since(start)
			fmt.Printf("%s%s from plug to event %v, to open %v\n", measured, w.name, heard.Round(time.Millisecond), open.Round(time.Millisecond))
			if open > 3*time.Second {
				t.Errorf("it took %v", open)
			}
			p.sells(t, 2)
		})
	}
}

// watching runs the agent's watcher until ctx or the test ends; then the channel is
// closed.
func watching(t *testing.T, ctx context.Context) <-chan bool {
	ctx, cancel := context.WithCancel(ctx)
	told := make(chan bool, 1)
	ended := make(chan bool)
	go func() {
		defer close(ended)
		defer close(told)
		devices.Watch(ctx, slog.Default(), func() {
			select {
			case told <- true:
			default:
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return told
}
