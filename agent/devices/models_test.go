package devices

import (
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestModels(t *testing.T) {
	source := regexp.MustCompile(`^(device-link|sat-interface) \d`)
	seen, exact := map[string]bool{}, map[string]string{}
	for _, m := range Models() {
		t.Run(m.String(), func(t *testing.T) {
			if m.Maker == "" || m.Name == "" || seen[m.String()] {
				t.Error("the name is empty or stands twice")
			}
			seen[m.String()] = true
			if !strings.Contains("ABC", string(m.Grade)) || m.Grade == "" {
				t.Errorf("grade %q", m.Grade)
			}
			for _, s := range strings.Split(m.Source, "; ") {
				if !source.MatchString(s) {
					t.Errorf("source %q names no section of a dossier", s)
				}
			}
			for _, l := range m.Libraries {
				if free := taker(l.Name); l.System == runtime.GOOS && free != m.Free {
					t.Errorf("texts of %s are given back by %q, or by %q", l.Name, free, m.Free)
				}
			}
			if m.Convention != Stdcall && m.Convention != Cdecl {
				t.Errorf("convention %q", m.Convention)
			}
			if m.KeepAlive < 0 || m.KeepAlive > 0 && m.KeepAlive < time.Minute {
				t.Errorf("keep-alive every %v", m.KeepAlive)
			}
			checkUSB(t, m, exact)
			checkFiles(t, m)
		})
	}
}

// checkUSB also sees that an identity which stands for two models is generic.
func checkUSB(t *testing.T, m Model, exact map[string]string) {
	ids := map[string]bool{}
	for _, id := range m.USB {
		name := id.String()
		if id.Vendor == 0 || ids[name] {
			t.Errorf("identity %s is empty or stands twice", name)
		}
		ids[name] = true
		if !strings.Contains("ABC", string(id.Grade)) || id.Grade == "" {
			t.Errorf("identity %s has grade %q", name, id.Grade)
		}
		if id.Product == 0 && !id.Generic {
			t.Errorf("a whole vendor, %s, cannot mean one model", name)
		}
		if other := exact[name]; other != "" && !id.Generic {
			t.Errorf("identity %s is also that of %s and not called generic", name, other)
		}
		exact[name] = m.String()
		if id.Generic != (id.Vendor == 0x0525 || id.Vendor == 0x1d6b || id.Vendor == 0x0403) {
			t.Errorf("identity %s: generic is %v", name, id.Generic)
		}
	}
}

func checkFiles(t *testing.T, m Model) {
	windows := 0
	seen := map[Library]bool{}
	for _, l := range m.Libraries {
		ending := map[string]string{"windows": ".dll", "linux": ".so"}[l.System]
		if ending == "" || !strings.HasSuffix(strings.ToLower(l.Name), ending) || strings.ContainsAny(l.Name, `/\ `) {
			t.Errorf("library %+v: system and name do not fit", l)
		}
		if l.Bits != 0 && l.Bits != 32 && l.Bits != 64 || seen[l] {
			t.Errorf("library %+v: bits are wrong or it stands twice", l)
		}
		seen[l] = true
		if l.System == "windows" {
			windows++
		}
	}
	if windows == 0 {
		t.Error("no library for Windows is named")
	}
	for _, f := range slices.Concat(m.Companions, m.Sometimes) {
		if f == "" || strings.ContainsAny(f, `/\ `) || !strings.Contains(f, ".") {
			t.Errorf("companion %q is not a file name", f)
		}
	}
	for _, q := range m.Quirks {
		if !strings.HasSuffix(q, ".") {
			t.Errorf("quirk is not a sentence: %q", q)
		}
	}
}
