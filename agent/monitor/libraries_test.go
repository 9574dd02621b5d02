package monitor

import (
	"testing"
	"time"

	"zelo/agent/devices"
)

// TestKnownLibrariesAreLookedAt: none of the makers' libraries hides behind its name.
func TestKnownLibrariesAreLookedAt(t *testing.T) {
	for _, m := range devices.Models() {
		for _, l := range m.Libraries {
			if !mayBeSAT(`C:\SAT\`+l.Name) || !mayBeSAT("/usr/lib/"+l.Name+".1") {
				t.Errorf("%s of %s", l.Name, m)
			}
		}
	}
	for _, path := range []string{`C:\Windows\System32\kernel32.dll`, "/usr/lib/sat/libc.so.6", "/opt/mfe/libm.so"} {
		if mayBeSAT(path) {
			t.Errorf("%s is looked at", path)
		}
	}
}

func TestNamesOfTheFunctionThatSells(t *testing.T) {
	for name, want := range map[string]bool{"EnviarDadosVenda": true, "EnviarDadosVenda@12": true, "_EnviarDadosVenda@12": true,
		"SAT_EnviarDadosVenda": false, "EnviarDadosVenda2": false, "": false} {
		if sells(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

// TestProgramsAreFollowed: since when a program uses a maker's library, through its
// rests and the agent's.
func TestProgramsAreFollowed(t *testing.T) {
	const path = `C:\SAT\SAT.dll`
	back, bridge, mended := program{"pdv.exe", false, path}, program{"pdv.exe", true, path}, program{"pdv.exe", true, ""}
	tool := program{"ativador.exe", false, path}
	x := newBench(t)
	began := time.Now()
	now := began
	for _, step := range []struct {
		name  string
		after time.Duration
		seen  []program
		since map[string]time.Duration // after the beginning
	}{
		{"nothing", 0, nil, nil},
		{"ours", time.Hour, []program{mended}, nil},
		{"the direct bridge", time.Hour, []program{bridge}, nil},
		{"back, and a tool beside", time.Hour, []program{back, tool}, map[string]time.Duration{"pdv.exe": 3 * time.Hour, "ativador.exe": 3 * time.Hour}},
		{"the tool was open for a moment", time.Hour, []program{back}, map[string]time.Duration{"pdv.exe": 3 * time.Hour}},
		{"it goes on", 9 * time.Hour, []program{back}, map[string]time.Duration{"pdv.exe": 3 * time.Hour}},
		{"closed overnight", 10 * time.Hour, nil, map[string]time.Duration{"pdv.exe": 3 * time.Hour}},
		{"two, one of them mended", time.Hour, []program{mended, back, mended}, map[string]time.Duration{"pdv.exe": 3 * time.Hour}},
		{"mended", time.Hour, []program{mended}, nil},
		{"back again", time.Hour, []program{back}, map[string]time.Duration{"pdv.exe": 26 * time.Hour}},
		{"for a month", 30 * 24 * time.Hour, []program{back}, map[string]time.Duration{"pdv.exe": 26 * time.Hour}},
		{"over a weekend", restMost, nil, map[string]time.Duration{"pdv.exe": 26 * time.Hour}},
		{"for good", time.Minute, nil, nil},
	} {
		now = now.Add(step.after)
		x.Monitor = New(x.o) // as after a restart
		known, err := x.followPrograms(step.seen, now.UnixMilli())
		if err != nil || len(known) != len(step.since) {
			t.Errorf("%s: %+v, %v", step.name, known, err)
		}
		for name, since := range step.since {
			if u := known[name]; u.Since != began.Add(since).UnixMilli() || u.Path != path {
				t.Errorf("%s: %s %+v", step.name, name, u)
			}
		}
	}
}
