// Package e2e tests the whole: the structure of the tree, and real processes
// from the till's library to the archive.
package e2e

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the module's folder.
const root = "../.."

// arrows say which of our packages a package may import (DESIGN.md, section 3).
// A name ending in /* stands for every package below it. Packages that are not
// listed may import nothing of ours.
var arrows = map[string][]string{
	"sat/ipc":           {"sat"},
	"sat/link":          {"sat"},
	"sat/maker":         {"sat", "sat/ipc"},
	"sat/host":          {"sat", "sat/ipc"},
	"sat/sim":           {"sat", "sat/cfe", "sat/link"},
	"sat/sattest":       {"sat", "sat/cfe", "sat/link", "sat/sim"},
	"agent":             {"agent/*", "sat", "sat/*", "buffer"},
	"agent/demo":        {"sat", "sat/cfe"},
	"agent/devices":     {"sat", "sat/cfe", "sat/ipc", "sat/link", "sat/maker", "buffer", "agent/wire"},
	"agent/load":        {"agent/uplink", "agent/wire", "buffer", "sat/cfe"},
	"agent/e2e":         {"agent/*", "sat", "sat/*", "buffer"},
	"agent/*":           {"sat", "sat/cfe", "sat/ipc", "buffer", "agent/wire"},
	"collector":         {"collector/*", "agent/wire", "sat", "sat/cfe"},
	"collector/store":   {"collector/alarm", "collector/sequence"},
	"collector/broker":  {"agent/wire", "collector/enrol"},
	"collector/ingest":  {"collector/store", "collector/alarm", "collector/sequence", "agent/wire", "sat", "sat/cfe"},
	"collector/fleet":   {"collector/store", "collector/alarm", "collector/sequence", "agent/wire", "sat", "sat/cfe"},
	"collector/notify":  {"collector/store", "collector/alarm", "collector/sequence", "agent/wire", "sat", "sat/cfe"},
	"collector/account": {"collector/store", "collector/alarm", "collector/sequence", "agent/wire", "sat", "sat/cfe"},
	"collector/enrol":   {"collector/store", "collector/alarm", "collector/sequence", "agent/wire", "sat", "sat/cfe"},
	"collector/export":  {"collector/store", "collector/alarm", "collector/sequence", "agent/wire", "sat", "sat/cfe"},
	"collector/api": {"collector/store", "collector/alarm", "collector/sequence", "collector/ingest", "collector/fleet",
		"collector/notify", "collector/account", "collector/enrol", "collector/export"},
	"collector/web": {"collector/api"},
	// Ground floor: nothing of ours.
	"sat": nil, "sat/cfe": nil, "buffer": nil, "agent/wire": nil, "collector/alarm": nil, "collector/sequence": nil,
}

// sources walks all Go files of the module that are not tests or test data.
func sources(t *testing.T, visit func(path string, fset *token.FileSet, file *ast.File)) {
	t.Helper()
	fset := token.NewFileSet()
	walk(t, ".go", func(path string, src []byte) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		file, err := parser.ParseFile(fset, path, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		visit(path, fset, file)
	})
}

// walk visits the files with an ending, by their path below the module.
func walk(t *testing.T, ending string, visit func(path string, src []byte)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (name == "testdata" || name == "node_modules" || name == "bin" || name == "build" || name != ".." && strings.HasPrefix(name, ".") && path != root) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ending) {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		n++
		visit(filepath.ToSlash(rel), src)
		return err
	})
	if err != nil || n == 0 {
		t.Fatalf("%d files ending in %s found, %v", n, ending, err)
	}
}

func TestImportsFollowTheArrows(t *testing.T) {
	sources(t, func(path string, _ *token.FileSet, file *ast.File) {
		from := filepath.ToSlash(filepath.Dir(path))
		allowed, ok := arrows[from]
		if !ok {
			if allowed, ok = arrows[filepath.ToSlash(filepath.Dir(from))+"/*"]; !ok {
				t.Errorf("%s: package %s has no line in the table of arrows: decide what it may import", path, from)
			}
		}
		for _, spec := range file.Imports {
			to, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), "zelo/")
			if !ours {
				continue
			}
			if !slices.ContainsFunc(allowed, func(a string) bool { return matches(a, to) }) {
				t.Errorf("%s imports %s: %s", path, to, why(from, to, allowed))
			}
		}
	})
}

func matches(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}

func why(from, to string, allowed []string) string {
	switch {
	case strings.HasPrefix(from, "agent") && strings.HasPrefix(to, "collector"):
		return "the agent never knows the collector; they share agent/wire only"
	case strings.HasPrefix(from, "collector") && strings.HasPrefix(to, "agent"):
		return "the collector knows of the agent only agent/wire"
	case len(allowed) == 0:
		return "this package is ground floor and imports nothing of ours"
	}
	return fmt.Sprintf("allowed are %s", strings.Join(allowed, ", "))
}

func TestPackagesSayWhatTheyAre(t *testing.T) {
	packages := map[string]bool{}
	sources(t, func(path string, _ *token.FileSet, file *ast.File) {
		dir := filepath.Dir(path)
		packages[dir] = packages[dir] || file.Doc != nil
	})
	for dir, documented := range packages {
		if !documented {
			t.Errorf("package %s has no package comment", dir)
		}
	}
}

func TestNothingGrowsTooLong(t *testing.T) {
	const functionLines, fileLines = 80, 700
	for _, ending := range []string{".go", ".c", ".h", ".css", ".html", ".sql"} {
		if ending != ".go" && !present(t, ending) {
			continue
		}
		walk(t, ending, func(path string, src []byte) {
			if n := bytes.Count(src, []byte("\n")); n > fileLines {
				t.Errorf("%s has %d lines, more than %d: split it by noun", path, n, fileLines)
			}
		})
	}
	fset := token.NewFileSet()
	walk(t, ".go", func(path string, src []byte) {
		file, err := parser.ParseFile(fset, path, src, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := fset.Position(f.End()).Line - fset.Position(f.Pos()).Line + 1; n > functionLines {
				t.Errorf("%s: function %s has %d lines, more than %d", path, f.Name.Name, n, functionLines)
			}
			if f.Name.Name == "init" && f.Recv == nil {
				t.Errorf("%s has an init function: nothing registers itself here", path)
			}
		}
	})
}

func present(t *testing.T, ending string) bool {
	found := false
	filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		found = found || err == nil && strings.HasSuffix(path, ending)
		return nil
	})
	return found
}

func TestSourcesAreFormatted(t *testing.T) {
	walk(t, ".go", func(path string, src []byte) {
		if out, err := format.Source(src); err != nil || !bytes.Equal(out, src) {
			t.Errorf("%s is not formatted: run gofmt", path)
		}
	})
}

func TestNoFolderIsADrawer(t *testing.T) {
	sources(t, func(path string, _ *token.FileSet, file *ast.File) {
		for _, part := range strings.Split(filepath.ToSlash(filepath.Dir(path)), "/") {
			switch part {
			case "util", "utils", "common", "helpers", "misc", "internal", "pkg":
				t.Errorf("%s lives in a folder called %s, which says nothing of what is in it", path, part)
			}
		}
		if n := strings.Count(filepath.ToSlash(filepath.Dir(path)), "/"); n > 1 {
			t.Errorf("%s lies %d folders deep; two is the most", path, n+1)
		}
	})
}
