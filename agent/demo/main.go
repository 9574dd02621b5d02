// Command demo shows Zelo's main job with its real parts, each a process of its
// own: two tills written in C that load the library, one agent, two simulated SAT,
// and the collector. Things go wrong on purpose, and at the end every document is
// compared, byte for byte, with the devices' own lists of what they issued.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

func main() {
	bin := flag.String("bin", "bin", "folder of the built programs")
	once := flag.Bool("once", false, "end when the result is known")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := show(ctx, *bin, *once); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// show runs the whole demonstration.
func show(ctx context.Context, bin string, once bool) error {
	ctx, cancel := context.WithTimeout(ctx, 12*time.Hour)
	defer cancel()
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "zelo-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &stage{ctx: ctx, bin: bin, dir: dir}
	defer s.stopAll()
	if err := s.setUp(); err != nil {
		return err
	}
	if err := s.play(); err != nil {
		return err
	}
	result, ok, err := s.judge()
	if err != nil {
		return err
	}
	fmt.Println(result)
	if !ok {
		return fmt.Errorf("the result is not what it must be; what remains is in the lines above")
	}
	if !once {
		s.say("As páginas ficam abertas. A dos caixas: http://%s\n\n    A do coletor, por este link que entra uma única vez:\n\n    %s\n", s.page, s.link)
		s.say("Ctrl+C encerra e apaga tudo.")
		<-ctx.Done()
	}
	return nil
}
