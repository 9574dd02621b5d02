package buffer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Recovery says what Open found.
type Recovery struct {
	New bool // the file and its epoch are new: there was none, or it was damaged
	// SetAside is where the damaged file was put; empty when there was none. It is
	// removed after 30 days if nothing of it was lost, otherwise never.
	SetAside string
	Damage   []string       // what was wrong with it, in Portuguese
	Salvaged map[string]int // entries brought over, by table or stream
	Lost     []string       // what could not be read, named, in Portuguese
}

const mostNamed = 200 // lines of Damage or Lost

// prepare sees to it that a sound file is at path.
func prepare(path string, o *Options) (*inspection, Recovery, error) {
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, Recovery{}, err
	}
	f, size, err := openRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		in, err := build(fresh, o, nothing)
		if err == nil {
			err = replace(fresh, path)
		}
		return in, Recovery{New: true}, err
	}
	if err != nil {
		return nil, Recovery{}, err
	}
	defer f.Close()
	if err := mappable(size, strconv.IntSize); err != nil {
		return nil, Recovery{}, err
	}
	dropAside(path, o)
	in := inspect(f, size, nil)
	if in.sound() {
		return in, Recovery{}, nil
	}
	r := Recovery{New: true, Damage: named(in.damage), Salvaged: map[string]int{}}
	wide := *o
	wide.MaxBytes = max(o.MaxBytes, size) // a bound made smaller since may not cost records
	in, lost, whole, err := salvage(fresh, f, size, &wide)
	r.Lost = lost
	if err != nil {
		return nil, r, fmt.Errorf("cannot make a new file in place of a damaged one: %w", err)
	}
	for name, c := range in.streams {
		r.Salvaged[name] = c.waiting + c.copies + c.quarantined
	}
	delete(in.tables, quarantine)
	for name, n := range in.tables {
		r.Salvaged[name] += n
	}
	f.Close() // some systems rename no open file
	if r.SetAside, err = setAside(path, whole, o); err == nil {
		err = replace(fresh, path)
	}
	o.Log.Error("damaged buffer set aside", "path", r.SetAside, "damage", r.Damage, "salvaged", r.Salvaged, "lost", r.Lost)
	return in, r, err
}

// mappable says why a file of some size cannot be used on a system of so many bits,
// and what to do.
func mappable(size int64, bits int) error {
	if bits > 32 || size <= most32 {
		return nil
	}
	return fmt.Errorf("%w: it has %d MiB, as a 64-bit agent makes it, and a 32-bit agent can use %d MiB: run a 64-bit agent on it, "+
		"or save its documents with `zelo-agent buffer export` and move it elsewhere", ErrTooLarge, size>>20, most32>>20)
}

// named sorts and shortens a list for people.
func named(list []string) []string {
	slices.Sort(list)
	list = slices.Compact(list)
	if n := len(list) - mostNamed; n > 0 {
		list = append(list[:mostNamed], fmt.Sprintf("e mais %d", n))
	}
	return list
}

// replace puts a finished file at path, durably.
func replace(fresh, path string) error {
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

const (
	asideMark  = ".danificado-"
	asideTime  = "20060102-150405"
	wholeMark  = "-salvo"            // behind the time when nothing of the file was lost
	wholeStays = 30 * 24 * time.Hour // so long; any other set-aside file stays for ever
)

// setAside gives a damaged file a second name, so that path is never empty, or
// renames it where there is no such thing.
func setAside(path string, whole bool, o *Options) (string, error) {
	base := path + asideMark + o.Now().UTC().Format(asideTime)
	if whole {
		base += wholeMark
	}
	for aside, n := base, 2; ; n++ {
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			if os.Link(path, aside) == nil {
				return aside, nil
			}
			return aside, os.Rename(path, aside)
		} else if err != nil {
			return "", err
		}
		aside = fmt.Sprintf("%s-%d", base, n)
	}
}

// dropAside removes files set aside long ago of which nothing was lost.
func dropAside(path string, o *Options) {
	found, err := os.ReadDir(filepath.Dir(path))
	for _, file := range found {
		rest, ok := strings.CutPrefix(file.Name(), filepath.Base(path)+asideMark)
		if !ok || len(rest) < len(asideTime) || !strings.HasPrefix(rest[len(asideTime):], wholeMark) {
			continue
		}
		at, wrong := time.Parse(asideTime, rest[:len(asideTime)])
		if wrong == nil && o.Now().Sub(at) > wholeStays {
			err = errors.Join(err, os.Remove(filepath.Join(filepath.Dir(path), file.Name())))
		}
	}
	if err != nil {
		o.Log.Warn("old damaged buffer not removed", "err", err)
	}
}

// salvage makes a new file at fresh of what can be read of a damaged one; whole
// says that this is everything. When not even that works, the new file is empty.
func salvage(fresh string, r io.ReaderAt, size int64, o *Options) (in *inspection, lost []string, whole bool, err error) {
	in, err = build(fresh, o, func(w *builder) error {
		old := inspect(r, size, w.put)
		if old.format > format {
			return errors.New("formato de uma versão mais nova")
		}
		lost = old.unread
		if old.holes {
			old.scan(func(k, v []byte, stale bool) { w.rescue(k, v, stale, o) })
		}
		lost = append(lost, w.settle()...)
		whole = !old.holes && old.format == format && len(lost) == 0
		return nil
	})
	if err == nil {
		return in, named(lost), whole, nil
	}
	in, failed := build(fresh, o, nothing)
	return in, append(named(lost), fmt.Sprintf("tudo: %v", err)), false, failed
}
