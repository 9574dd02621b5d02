package devices

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// LibraryFile is an installed library that is named like a maker's.
type LibraryFile struct {
	Path   string
	Bits   int      // 32 or 64, as its header says; 0 when it is no library
	Beside []string // companions of any model, in lower case, that it finds: beside it, or among Windows' own
}

// libraryFolders are where makers' installers and technicians put libraries.
func libraryFolders(system string) []string {
	if system == "windows" {
		return []string{"SAT", "SAT/*", "Windows/System32", "Windows/SysWOW64",
			"Program Files/*", "Program Files/*/*", "Program Files (x86)/*", "Program Files (x86)/*/*"}
	}
	return []string{"usr/lib", "usr/lib/*-linux-gnu*", "usr/lib32", "usr/lib64", "usr/local/lib", "opt/*", "opt/*/*"}
}

// lookLibraries finds makers' libraries; a file with several names is told once.
func lookLibraries(root, system string) []LibraryFile {
	var found []LibraryFile
	files, models := map[string]bool{}, Models()
	for _, pattern := range libraryFolders(system) {
		folders, _ := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern))) // the patterns are well formed
		for _, folder := range folders {
			entries, _ := os.ReadDir(folder) // one that cannot be read shows nothing
			for _, e := range entries {
				path := filepath.Join(folder, e.Name())
				if !slices.ContainsFunc(models, func(m Model) bool { return m.loads(system, path) }) {
					continue
				}
				real, err := filepath.EvalSymlinks(path)
				if err != nil || files[real] || !isMakers(real) {
					continue
				}
				files[real] = true
				bits := bitsOf(real)
				found = append(found, LibraryFile{Path: path, Bits: bits, Beside: beside(root, system, real, bits)})
			}
		}
	}
	return found
}

// beside lists the companions that a library finds, by their names in lower case.
func beside(root, system, library string, bits int) []string {
	folders := []string{filepath.Dir(library)}
	if system == "windows" {
		own := filepath.Join(root, "Windows", "System32")
		if wow := filepath.Join(root, "Windows", "SysWOW64"); bits == 32 && exists(wow) {
			own = wow
		}
		folders = append(folders, own)
	}
	companions := map[string]bool{}
	for _, m := range Models() {
		for _, name := range m.Companions {
			companions[strings.ToLower(name)] = true
		}
	}
	var all []string
	for _, folder := range folders {
		entries, _ := os.ReadDir(folder) // one that cannot be read shows nothing
		for _, e := range entries {
			if name := strings.ToLower(e.Name()); companions[name] {
				all = append(all, name)
			}
		}
	}
	return all
}

// exists reports whether there is something at path, to which links may lead.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func containsFold(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

// lacks names the companions that a library does not find. Where models share its
// name it may be any one's: only what they all need counts. Setup files of drivers
// are not looked for, nor other systems' files.
func (l LibraryFile) lacks(system string, bearers []Model) []string {
	return slices.DeleteFunc(slices.Clone(bearers[0].Companions), func(name string) bool {
		others := isDLL(name) && system != "windows" ||
			strings.HasSuffix(name, ".conf") && strings.HasPrefix(name, "lib") != (system == "linux")
		return others || strings.HasSuffix(name, ".INF") || containsFold(l.Beside, name) ||
			slices.ContainsFunc(bearers, func(m Model) bool { return !slices.Contains(m.Companions, name) })
	})
}

func isDLL(name string) bool { return strings.EqualFold(filepath.Ext(name), ".dll") }

// loads reports whether path is named like a library of the model.
func (m Model) loads(system, path string) bool {
	base := path[strings.LastIndexAny(path, `/\`)+1:]
	return slices.ContainsFunc(m.Libraries, func(l Library) bool {
		switch {
		case l.System != system:
			return false
		case system == "windows":
			return strings.EqualFold(base, l.Name)
		}
		return base == l.Name || strings.HasPrefix(base, l.Name+".")
	})
}

// isMakers tells a maker's library from ours, which bears the same name, by the
// function that only ours exports.
func isMakers(path string) bool {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return false
	}
	content, err := os.ReadFile(path)
	return err != nil || !bytes.Contains(content, []byte("ZeloBiblioteca"))
}

// bitsOf reads from the header of a library for how wide a processor it is: 32 or
// 64, or 0 when it is no library (System V ABI, chapter 4; Microsoft's PE format).
func bitsOf(path string) int {
	file, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer file.Close()
	var head [64]byte
	file.ReadAt(head[:], 0) // what is not there stays zero
	switch {
	case string(head[:4]) == "\x7fELF" && (head[4] == 1 || head[4] == 2):
		return 32 * int(head[4])
	case string(head[:2]) == "MZ":
		var b [6]byte
		file.ReadAt(b[:], int64(binary.LittleEndian.Uint32(head[0x3c:])))
		const x86, x64 = "PE\x00\x00\x4c\x01", "PE\x00\x00\x64\x86"
		return map[string]int{x86: 32, x64: 64}[string(b[:])]
	}
	return 0
}
