package monitor

import (
	"cmp"
	"debug/elf"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"zelo/agent/wire"
)

// readPrograms are the running programs with libraries of a SAT, and why some could not
// be looked at.
func readPrograms() (all []program, unseen string) {
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return nil, wire.UnseenFailed
	}
	for _, d := range processes {
		if pid, err := strconv.Atoi(d.Name()); err != nil || pid == 1 {
			continue // the first is the system's own, and may hide
		}
		p, err := readProgram(filepath.Join("/proc", d.Name()))
		switch {
		case errors.Is(err, fs.ErrPermission):
			unseen = cmp.Or(unseen, wire.UnseenDenied)
		case err == nil && (p.ours || p.makers != ""): // others ended meanwhile
			all = append(all, p)
		}
	}
	return all, unseen
}

// readProgram looks at one process, by its folder in /proc.
func readProgram(proc string) (p program, err error) {
	maps, err := os.ReadFile(filepath.Join(proc, "maps"))
	if err != nil {
		return p, err
	}
	looked := map[string]bool{}
	for line := range strings.Lines(string(maps)) {
		path := line[max(strings.IndexByte(line, '/'), 0) : len(line)-1] // the last of its columns
		if !mayBeSAT(path) || !strings.Contains(path, ".so") || looked[path] {
			continue
		}
		looked[path] = true
		addresses, _, _ := strings.Cut(line, " ")
		exports, err := exportsOf(proc, addresses, path)
		if err != nil {
			return p, err
		}
		p.add(strings.TrimSuffix(path, deleted), exports)
	}
	if !p.ours && p.makers == "" {
		return p, nil
	}
	exe, err := os.Readlink(filepath.Join(proc, "exe"))
	p.name = filepath.Base(strings.TrimSuffix(exe, deleted))
	if isOwnHost(proc, p.name) {
		return program{}, err
	}
	return p, err
}

// deleted ends the name of a file that is loaded but no longer there.
const deleted = " (deleted)"

// exportsOf are the functions that a mapped library offers. The very file that is mapped
// is read, which an update may have replaced meanwhile; the kernel shows that to root
// alone. What is no library has no functions.
func exportsOf(proc, addresses, path string) (names []string, err error) {
	from, to, _ := strings.Cut(addresses, "-")
	f, err := os.Open(filepath.Join(proc, "map_files", strings.TrimLeft(from, "0")+"-"+strings.TrimLeft(to, "0")))
	if err != nil {
		if there, err2 := os.Open(filepath.Join(proc, "root", path)); err2 == nil {
			f, err = there, nil
		}
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	library, err := elf.NewFile(f)
	if err != nil {
		return nil, nil
	}
	symbols, _ := library.DynamicSymbols() // one without any has none
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF {
			names = append(names, s.Name)
		}
	}
	return names, nil
}

// isOwnHost tells whether a process is one in which this agent loads a maker's library.
func isOwnHost(proc, name string) bool {
	status, _ := os.ReadFile(filepath.Join(proc, "status"))
	return strings.HasPrefix(name, libraryHost) && strings.Contains(string(status), "\nPPid:\t"+strconv.Itoa(os.Getpid())+"\n")
}
