package router

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"zelo/buffer"
	"zelo/sat"
	"zelo/sat/sim"
)

// frame and text write what a library leaves behind (sat/ipc, "calls made without
// the agent").
func frame(kind byte, body []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(body)+1))
	return append(append(out, kind), body...)
}

func text(s string) []byte {
	if s == "" {
		return []byte{0xff, 0xff, 0xff, 0xff}
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...)
}

func spooledCall(till string, session int, f sat.Function, args ...string) []byte {
	body := []byte{0, 0, 0, 1, 0, 0, 0x10, 0, byte(f)}
	body = binary.BigEndian.AppendUint32(body, uint32(session))
	body = append(body, text(till)...)
	body = append(body, byte(len(args)))
	for _, a := range args {
		body = append(body, text(a)...)
	}
	return frame('C', body)
}

func spooledReply(raw []byte) []byte { return frame('R', append([]byte{0, 0, 0, 1}, raw...)) }

var spoolCount int

// leave puts a file where a library would.
func (w *world) leave(content []byte) (name string) {
	w.t.Helper()
	spoolCount++
	name = fmt.Sprintf("%013d-1-%d.ponte", time.Now().UnixMilli(), spoolCount)
	if err := os.WriteFile(filepath.Join(w.dir, name), content, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return name
}

func (w *world) left() []string {
	files, _ := filepath.Glob(filepath.Join(w.dir, "*.ponte*"))
	return files
}

// direct is a call to the device through the maker's library.
func (w *world) direct(session int, f sat.Function, args ...string) sat.Reply {
	w.t.Helper()
	r, err := w.sim.Call(context.Background(), sat.Request{Session: session, Function: f, Args: append([]string{sim.DefaultCode}, args...)})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) sellDirect(session int, item string, answered bool) {
	w.t.Helper()
	r := w.direct(session, sat.EnviarDadosVenda, saleXML(item))
	content := spooledCall("001", session, sat.EnviarDadosVenda, "", saleXML(item))
	if answered {
		content = append(content, spooledReply(r.Raw)...)
	}
	w.leave(content)
}

func TestSalesMadeWithoutTheAgent(t *testing.T) {
	inWorld(t, func(w *world) {
		code(t, "sale through the agent", w.sell(1, "PAO"), 6000)
		w.delivered(1, sat.EnviarDadosVenda)
		w.stop()
		w.sellDirect(222222, "CAFE", true)
		w.sellDirect(333333, "CHA", true)
		time.Sleep(time.Minute)
		w.start()
		if n := w.left(); len(n) > 0 {
			t.Errorf("not collected: %v", n)
		}
		w.check(3)
		code(t, "a sale of the bridge, asked", w.ask(222222), 6000)
		code(t, "the same sale again", w.sell(222222, "CAFE"), 6000)
		w.check(3)
		code(t, "an equal sale of the next customer", w.sell(4, "CAFE"), 6000)
		w.check(4)
		detail := w.items("documents")[1].Detail
		if detail["direct"] != "1" || detail["session"] != "222222" {
			t.Errorf("the collector is told %v", detail)
		}
	})
}

// The till's library died between the device and the disk: what became of the
// sale is asked before the device does anything else.
func TestSaleOfUnknownOutcomeWithoutTheAgent(t *testing.T) {
	for _, c := range []struct {
		name   string
		made   bool
		reply  string
		issued int
		want   sat.Code // of the session, asked later
	}{
		{"made", true, "", 3, 6000},
		{"not made", false, "", 2, 11003},
		{"busy reply, not made", false, "222222|06098|0000|SAT em processamento||", 2, 11003},
		{"garbage reply, made", true, "Error [2] openning serial", 3, 6000},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				code(t, "sale through the agent", w.sell(1, "PAO"), 6000)
				w.stop()
				content := spooledCall("001", 222222, sat.EnviarDadosVenda, "", saleXML("CAFE"))
				if c.made {
					w.direct(222222, sat.EnviarDadosVenda, saleXML("CAFE"))
				}
				if c.reply != "" {
					content = append(content, spooledReply([]byte(c.reply))...)
				}
				w.leave(content)
				w.start()
				code(t, "next sale through the agent", w.sell(2, "CHA"), 6000)
				w.check(c.issued)
				code(t, "asked", w.ask(222222), c.want)
				if n := len(w.left()); n > 0 {
					t.Errorf("%d files stay", n)
				}
			})
		})
	}
}

// An agent that died between its commit and the removal of the file must not
// enter the call twice.
func TestSpooledCallIsJournaledOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.stop()
		r := w.direct(222222, sat.EnviarDadosVenda, saleXML("CAFE"))
		content := append(spooledCall("001", 222222, sat.EnviarDadosVenda, "", saleXML("CAFE")), spooledReply(r.Raw)...)
		name := w.leave(content)
		w.start()
		w.check(1)
		b := &buffer.Batch{}
		b.Put(tableBridge, []byte(name), []byte{1})
		if _, err := w.buffer.Commit(b); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(w.dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		w.restart()
		w.check(1)
		if n := w.left(); len(n) > 0 {
			t.Errorf("still there: %v", n)
		}
		if v, err := w.buffer.Get(tableBridge, []byte(name)); v != nil || err != nil {
			t.Errorf("the mark stays: %q, %v", v, err)
		}
	})
}

func TestFilesThatAreNoCalls(t *testing.T) {
	inWorld(t, func(w *world) {
		whole := spooledCall("001", 222222, sat.EnviarDadosVenda, "", saleXML("CAFE"))
		w.leave(whole[:len(whole)/2])
		w.leave(nil)
		garbage := w.leave([]byte("GIF89a and more that is no frame at all"))
		link := fmt.Sprintf("%013d-9-1.ponte", time.Now().UnixMilli())
		if err := os.Symlink("/etc/passwd", filepath.Join(w.dir, link)); err != nil {
			t.Fatal(err)
		}
		code(t, "sale", w.sell(1, "PAO"), 6000)
		w.check(1)
		for _, name := range []string{garbage, link} {
			if _, err := os.Lstat(filepath.Join(w.dir, name+".ilegivel")); err != nil {
				t.Errorf("not set aside: %v", err)
			}
		}
		if n := w.left(); len(n) != 2 {
			t.Errorf("left: %v", n)
		}
	})
}

// The agent died in a sale; the till went on over the bridge and asked the device
// for its last session, which the device says only once.
func TestQuestionOverTheBridgeSettlesTheAgentsCase(t *testing.T) {
	inWorld(t, func(w *world) {
		code(t, "sale before", w.sell(1, "PAO"), 6000)
		w.script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Never})
		w.dieSelling(2, "CAFE")
		if m, err := os.ReadFile(filepath.Join(w.dir, MarksFile)); err != nil || bytes.Count(m, []byte{0}) > len(m)-25 {
			t.Errorf("the open sale is not marked: %x, %v", m, err)
		}
		w.sim.Release()
		r := w.direct(444444, sat.ConsultarUltimaSessaoFiscal)
		w.leave(append(spooledCall("001", 444444, sat.ConsultarUltimaSessaoFiscal, ""), spooledReply(r.Raw)...))
		w.sellDirect(555555, "CHA", true)
		w.start()
		time.Sleep(10 * time.Second)
		if n := w.Devices()[0].OpenCases; n != 0 {
			t.Errorf("%d cases still open", n)
		}
		w.check(3)
		code(t, "asked", w.ask(2), 6000)
		if m, err := os.ReadFile(filepath.Join(w.dir, MarksFile)); err != nil || len(m) != marksSize || bytes.Count(m, []byte{0}) != marksSize {
			t.Errorf("marks stay: %x, %v", m, err)
		}
	})
}

// Two cases at once, and the device's answer to the question about one settles the
// other: each is closed once, and its document goes out once.
func TestTwoOpenCasesAreClosedOnceEach(t *testing.T) {
	inWorld(t, func(w *world) {
		code(t, "sale before", w.sell(1, "PAO"), 6000)
		w.script(sim.Fault{Function: sat.EnviarDadosVenda, Do: sim.Never})
		w.dieSelling(2, "CAFE")
		w.sim.Release()
		time.Sleep(time.Second)
		w.leave(spooledCall("001", 222222, sat.EnviarDadosVenda, "", saleXML("CHA"))) // never made
		w.start()
		time.Sleep(10 * time.Second)
		if n := w.Devices()[0].OpenCases; n != 0 {
			t.Errorf("%d cases still open", n)
		}
		w.check(2)
		code(t, "the one that was made, asked", w.ask(2), 6000)
		code(t, "the one that was not, asked", w.ask(222222), 11003)
	})
}

// Documents made over the bridge do not wait for a device that is gone.
func TestCollectedThoughTheDeviceIsGone(t *testing.T) {
	inWorld(t, func(w *world) {
		code(t, "sale", w.sell(1, "PAO"), 6000)
		w.stop()
		w.sellDirect(222222, "CAFE", true)
		w.sim.Unplug()
		w.away.Store(true)
		w.start()
		time.Sleep(time.Minute)
		w.check(2)
	})
}

func TestDeviceInUseByAnother(t *testing.T) {
	inWorld(t, func(w *world) {
		code(t, "sale", w.sell(1, "PAO"), 6000)
		w.inUse.Store(true)
		code(t, "sale meanwhile", w.sell(2, "CAFE"), 6098)
		w.check(1)
		w.inUse.Store(false)
		code(t, "the same sale after", w.sell(2, "CAFE"), 6000)
		w.check(2)
	})
}
