package buffer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
)

// Recovery says what Open found.
type Recovery struct {
	New      bool           // the file and its epoch are new: there was none, or it was damaged
	SetAside string         // where the damaged file was put; empty when there was none
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
	in := inspect(f, size, nil)
	if in.sound() {
		return in, Recovery{}, nil
	}
	r := Recovery{New: true, Damage: named(in.damage), Salvaged: map[string]int{}}
	in, r.Lost, err = salvage(fresh, f, size, o)
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
	if r.SetAside, err = setAside(path, o); err == nil {
		err = replace(fresh, path)
	}
	o.Log.Error("damaged buffer set aside", "path", r.SetAside, "damage", r.Damage, "salvaged", r.Salvaged, "lost", r.Lost)
	return in, r, err
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
	return syncFolder(path)
}

// setAside gives a damaged file a second name, so that path is never empty, or
// renames it where there is no such thing.
func setAside(path string, o *Options) (string, error) {
	base := path + ".danificado-" + o.Now().UTC().Format("20060102-150405")
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

// salvage makes a new file at fresh of what can be read of a damaged one. When
// not even that works, the new file is empty.
func salvage(fresh string, r io.ReaderAt, size int64, o *Options) (*inspection, []string, error) {
	var lost []string
	in, err := build(fresh, o, func(w *builder) error {
		old := inspect(r, size, w.put)
		if old.format > format {
			return errors.New("formato de uma versão mais nova")
		}
		lost = old.unread
		if old.holes {
			old.scan(func(k, v []byte, stale bool) { w.rescue(k, v, stale, o) })
		}
		lost = append(lost, w.settle()...)
		return nil
	})
	if err == nil {
		return in, named(lost), nil
	}
	in, failed := build(fresh, o, nothing)
	return in, append(named(lost), fmt.Sprintf("tudo: %v", err)), failed
}
