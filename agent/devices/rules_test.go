package devices

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRulesAreWellFormed reads every line, also the commented ones, as udev would.
func TestRulesAreWellFormed(t *testing.T) {
	pair := regexp.MustCompile(`^[A-Z_]+(\{[A-Za-z_/]+\})?(==|=)"[^"]*"$`)
	lines := 0
	for _, line := range strings.Split(Rules(), "\n") {
		if !strings.Contains(line, `SUBSYSTEM=="`) {
			if line != "" && !strings.HasPrefix(line, "# ") && !strings.HasPrefix(line, "#   ") {
				t.Errorf("line is neither rule nor comment: %q", line)
			}
			continue
		}
		lines++
		for _, p := range strings.Split(strings.TrimPrefix(line, "#"), ", ") {
			if !pair.MatchString(p) {
				t.Errorf("%q is no pair of key and value, in %q", p, line)
			}
		}
	}
	if lines < 2*len(identities()) {
		t.Errorf("%d rules for %d identities", lines, len(identities()))
	}
}

func TestRulesReachOnlySureIdentities(t *testing.T) {
	for _, id := range identities() {
		t.Run(id.String(), func(t *testing.T) {
			active, commented := 0, 0
			for _, line := range strings.Split(Rules(), "\n") {
				switch {
				case !strings.Contains(line, id.rule("ATTR")) && !strings.Contains(line, id.rule("ATTRS")):
				case strings.HasPrefix(line, "#SUBSYSTEM"):
					commented++
				case strings.HasPrefix(line, "SUBSYSTEM"):
					active++
				}
			}
			if id.Generic && (active != 0 || commented != 2) || !id.Generic && (active != 2 || commented != 0) {
				t.Errorf("%d rules in force and %d commented", active, commented)
			}
		})
	}
}

// TestUdevAcceptsTheRules asks udev itself, with the generic ones in force too.
func TestUdevAcceptsTheRules(t *testing.T) {
	path := filepath.Join(t.TempDir(), "60-sat-fiscal.rules")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(Rules(), "#SUBSYSTEM", "SUBSYSTEM")), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("udevadm", "verify", "--help").Run(); err != nil {
		t.Skip("SKIP: no udevadm that can verify (systemd 254 or later)")
	}
	if out, err := exec.Command("udevadm", "verify", path).CombinedOutput(); err != nil {
		t.Errorf("udev refuses the rules: %v\n%s", err, out)
	}
}
