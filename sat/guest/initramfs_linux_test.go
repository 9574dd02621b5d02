package guest

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// modulesAt is where the guest finds the kernel's modules, named so that each
// comes after those it needs.
const modulesAt = "/modules"

// kernel is one that can be booted, with the modules that go with it.
type kernel struct {
	image   string
	modules map[string]string // path of each, by its name
}

// findKernel looks for a kernel with USB/IP below the roots: as a Debian package
// installs or unpacks it, boot/vmlinuz-VERSION and lib/modules/VERSION.
func findKernel(roots ...string) (kernel, bool) {
	for _, root := range roots {
		images, _ := filepath.Glob(filepath.Join(root, "boot/vmlinuz-*"))
		for _, image := range slices.Backward(images) {
			version := strings.TrimPrefix(filepath.Base(image), "vmlinuz-")
			k := kernel{image, map[string]string{}}
			filepath.WalkDir(filepath.Join(root, "lib/modules", version, "kernel"), func(path string, _ fs.DirEntry, err error) error {
				if name, ok := strings.CutSuffix(filepath.Base(path), ".ko"); err == nil && ok {
					k.modules[moduleName(name)] = path
				}
				return nil
			})
			f, err := os.Open(image)
			if f.Close(); err == nil && k.modules["vhci_hcd"] != "" {
				return k, true
			}
		}
	}
	return kernel{}, false
}

// moduleName is the name by which others say that they need a module.
func moduleName(file string) string { return strings.ReplaceAll(file, "-", "_") }

// needed lists modules after all those they need.
func (k kernel) needed(names ...string) ([]string, error) {
	var order []string
	for _, name := range names {
		path, ok := k.modules[name]
		if !ok {
			return nil, fmt.Errorf("the kernel has no module %s", name)
		}
		needs, err := dependencies(path)
		if err != nil {
			return nil, fmt.Errorf("cannot read module %s: %w", path, err)
		}
		before, err := k.needed(needs...)
		if err != nil {
			return nil, err
		}
		for _, n := range append(before, name) {
			if !slices.Contains(order, n) {
				order = append(order, n)
			}
		}
	}
	return order, nil
}

// dependencies reads the names of the modules that a module says it needs.
func dependencies(path string) ([]string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := f.Section(".modinfo")
	if s == nil {
		return nil, fmt.Errorf("it has no section .modinfo")
	}
	info, err := s.Data()
	if err != nil {
		return nil, err
	}
	for field := range strings.SplitSeq(string(info), "\x00") {
		if names, ok := strings.CutPrefix(field, "depends="); ok && names != "" {
			return strings.Split(moduleName(names), ","), nil
		}
	}
	return nil, nil
}

// initramfs makes the guest's file system: init, the keys and the modules.
func initramfs(init string, keys map[string][]byte, k kernel, modules ...string) ([]byte, error) {
	order, err := k.needed(modules...)
	if err != nil {
		return nil, err
	}
	var a archive
	if err := a.file("init", 0o100755, init); err != nil {
		return nil, err
	}
	a.add(keysAt[1:], 0o040755, nil)
	for name, content := range keys {
		a.add(keysAt[1:]+"/"+name, 0o100600, content)
	}
	a.add(modulesAt[1:], 0o040755, nil)
	for i, name := range order {
		if err := a.file(fmt.Sprintf("%s/%02d-%s", modulesAt[1:], i, name), 0o100644, k.modules[name]); err != nil {
			return nil, err
		}
	}
	a.add("TRAILER!!!", 0, nil)
	return a.Bytes(), nil
}

// archive is a cpio archive of the kind that the kernel unpacks ("newc", kernel
// documentation, driver-api/early-userspace/buffer-format).
type archive struct{ bytes.Buffer }

func (a *archive) file(name string, mode int, from string) error {
	content, err := os.ReadFile(from)
	a.add(name, mode, content)
	return err
}

func (a *archive) add(name string, mode int, content []byte) {
	a.WriteString("070701")
	// Inode, mode, user, group, links, time, size, device (2), its own device (2),
	// length of the name, checksum.
	for _, n := range []int{a.Len(), mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0} {
		fmt.Fprintf(a, "%08X", n)
	}
	a.WriteString(name + "\x00")
	a.align()
	a.Write(content)
	a.align()
}

func (a *archive) align() { a.Write(make([]byte, -a.Len()&3)) }
