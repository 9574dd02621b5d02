package soak

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patch replaces one passage of a file of the product.
type patch struct{ file, old, new string }

// mutant is a fault put into the product, which the simulation must find.
type mutant struct {
	name    string
	patches []patch
}

func mutants() []mutant {
	return []mutant{
		{"acknowledge before commit", []patch{{"collector/ingest/ingest.go",
			"		results, err := g.store(finish, group)\n",
			`		for _, m := range group {
			g.acknowledge(sender, m.Agent, Result{Acks: m.acks(wire.Epoch(g.o.Store.Epoch()), g.o.Now())})
		}
		results, err := g.store(finish, group)
`}}},
		{"cumulative acknowledgement", []patch{{"agent/uplink/message.go",
			"	freed, err := d.u.o.Buffer.Acknowledge(",
			`	if n := len(a.Records); n > 0 {
		all, _ := d.u.o.Buffer.Peek(a.Stream, 0, 10000, 1<<30)
		for _, r := range all {
			if r.Seq < a.Records[n-1].Seq {
				acks = append(acks, buffer.Ack{Seq: r.Seq, SHA256: r.SHA256})
			}
		}
	}
	freed, err := d.u.o.Buffer.Acknowledge(`}}},
		{"poll before recovery", []patch{{"agent/router/owner.go",
			"\n	if err := o.settleAll(ctx, j.code); err != nil {",
			`
	if j.entry == nil && j.req.Function != 0 {
		reply, err := o.call(ctx, j.req)
		o.learn(j.code, reply)
		return result{reply: reply, err: err}
	}
	if err := o.settleAll(ctx, j.code); err != nil {`}}},
		{"11003 taken as not issued", []patch{{"agent/router/session.go",
			"	if r.Function != e.Function {\n		return step{}, false\n	}\n	mine :=",
			"	if r.Code == 11003 {\n		return step{close: answered}, true\n	}\n	if r.Function != e.Function {\n		return step{}, false\n	}\n	mine :="}}},
		{"resend on unknown", []patch{{"agent/router/settle.go",
			"	reply, err := o.send(ctx, req)\n	o.learn(j.code, reply)\n",
			`	reply, err := o.send(ctx, req)
	if sat.OutcomeOf(req, reply, err) == sat.Unknown && o.ensure(ctx) == nil {
		req.Session, _ = o.router.journal.deviceSession()
		reply, err = o.send(ctx, req)
	}
	o.learn(j.code, reply)
`}}},
		{"evict a document", []patch{
			{"buffer/buffer.go", "	return err == nil && s.Evictable\n", "	return err == nil && (s.Evictable || s.Name == \"documents\")\n"},
			{"buffer/evict.go", "		if !s.Evictable {\n", "		if !s.Evictable && s.Name != \"documents\" {\n"}}},
		{"epoch dropped", []patch{{"agent/uplink/message.go",
			"	if err != nil || string(known) == string(e[:]) {", "	if err != nil || known != nil {"}}},
		{"fence missing", []patch{{"agent/router/lend.go",
			"	j.fenced[id] = true\n	j.mu.Unlock()\n	b := &buffer.Batch{}", "	j.mu.Unlock()\n	b := &buffer.Batch{}"}}},
		{"session not allotted", []patch{{"agent/router/settle.go",
			"e.DeviceSession, err = o.router.journal.deviceSession(); err != nil", "e.DeviceSession = e.Session; err != nil"}}},
		{"answer before commit", []patch{{"agent/router/settle.go",
			"		err = o.router.journal.update(&e, b)\n", "		o.router.keep(&e, b)\n"}}},
	}
}

// TestMutants builds the simulation with one mutant after the other and wants
// each found within the seeds of a plain run.
func TestMutants(t *testing.T) {
	if os.Getenv(envMutants) == "" {
		t.Skip("SKIP: mutants are looked for by make soak MUTANTS=1")
	}
	all, found := mutants(), 0
	for _, m := range all {
		t.Run(m.name, func(t *testing.T) {
			start := time.Now()
			finding := seek(t, m)
			if finding == "" {
				t.Fatalf("not found within %d seeds", plainSeeds)
			}
			found++
			t.Logf("found after %s: %s", time.Since(start).Round(time.Second), finding)
		})
	}
	last.line = fmt.Sprintf("soak: %d of %d mutants found", found, len(all))
}

// TestMutantsApply fails when the product has changed under a mutant.
func TestMutantsApply(t *testing.T) {
	for _, m := range mutants() {
		mutated(t, m)
	}
}

// mutated are the files of the product with the mutant in them, by path.
func mutated(t *testing.T, m mutant) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, p := range m.patches {
		src, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(p.file)))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(src), p.old); n != 1 {
			t.Fatalf("mutant %q no longer applies: %s holds the passage %d times:\n%s", m.name, p.file, n, p.old)
		}
		out[p.file] = strings.Replace(string(src), p.old, p.new, 1)
	}
	return out
}

// seek runs the simulation with a mutant until a seed fails, and returns what it
// said; "" when none did.
func seek(t *testing.T, m mutant) string {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for name, src := range mutated(t, m) {
		path := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[filepath.Join(root, filepath.FromSlash(name))] = path
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	list, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "mutant.test")
	if err := os.WriteFile(list, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "test", "-c", "-o", binary, "-overlay", list, ".").CombinedOutput(); err != nil {
		t.Fatalf("cannot build the mutant: %v\n%s", err, out)
	}
	cmd := exec.Command(binary, "-test.run", "^TestSoak$", "-test.timeout", "20m")
	cmd.Env = append(os.Environ(), envMutants+"=", envSeed+"=", fmt.Sprintf("%s=%d", envSeeds, plainSeeds), envFirst+"=1")
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if _, what, ok := strings.Cut(line, ": seed "); ok && err != nil {
			return "seed " + strings.TrimSpace(what)
		}
	}
	if err != nil {
		t.Fatalf("the simulation itself broke: %v\n%s", err, out[max(0, len(out)-4000):])
	}
	return ""
}
