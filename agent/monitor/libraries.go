package monitor

import (
	"slices"
	"strings"
	"time"

	"zelo/agent/wire"
	"zelo/buffer"
)

// tableLibraries of the buffer: name of a program that uses a maker's library -> usage.
const tableLibraries = "libraries"

// usage is since when a program uses a maker's library, and when it was last seen to:
// Unix milliseconds.
type usage struct {
	Path  string `cbor:"1,keyasint"`
	Since int64  `cbor:"2,keyasint"`
	Seen  int64  `cbor:"3,keyasint"`
}

// restMost is for how long a program that ended is believed to come back as it was:
// for as long as it ran, but no longer than a weekend. So a till that is closed
// overnight stays one case, and a maker's tool that was open for a moment is none.
const restMost = 72 * time.Hour

// stands tells whether what was last seen still counts.
func (u usage) stands(now int64) bool {
	return now-u.Seen <= min(u.Seen-u.Since, restMost.Milliseconds())
}

// program is a running program that has libraries of a SAT loaded.
type program struct {
	name   string // of its file
	ours   bool   // one of them is ours
	makers string // path of one that is a maker's, "" when none is
}

// bypasses tells whether a program reaches the device past the agent. One that loaded
// ours too does not: ours loads the maker's for the direct bridge.
func (p program) bypasses() bool { return p.makers != "" && !p.ours }

// add takes notice of a library that the program has loaded, by what it exports.
func (p *program) add(path string, exports []string) {
	switch {
	case slices.Contains(exports, "ZeloBiblioteca"): // only ours does
		p.ours = true
	case slices.ContainsFunc(exports, sells) && p.makers == "":
		p.makers = path
	}
}

// sells tells whether a function is the one that every maker's library has: by its plain
// name, or as 32-bit compilers decorate it (dossier on the SAT interface, 1.2). Programs
// that only call it, and wrappers of libraries, do not export it.
func sells(function string) bool {
	name, _, _ := strings.Cut(strings.TrimPrefix(function, "_"), "@")
	return name == "EnviarDadosVenda"
}

// mayBeSAT tells by its name whether a library is worth a look: all known ones, and
// those that programs rename, are called something with SAT or MFE.
func mayBeSAT(path string) bool {
	name := strings.ToLower(path[strings.LastIndexAny(path, `/\`)+1:])
	return strings.Contains(name, "sat") || strings.Contains(name, "mfe")
}

// libraryHost is how the programs are called in which the agent itself loads makers'
// libraries. They are its children.
const libraryHost = "satlib-host"

// libraryThings are the programs that went back to a maker's library, and whether all
// could be looked at. Where no till ever sold through the agent, nobody went back.
func (m *Monitor) libraryThings(now time.Time) (all []wire.Inventory) {
	if !m.sales.any() {
		return nil
	}
	seen, unseen := readPrograms()
	known, err := m.followPrograms(seen, now.UnixMilli())
	if err != nil {
		m.o.Log.Warn("libraries of programs not followed", "err", err)
		unseen = wire.UnseenFailed
	}
	for name, u := range known {
		all = append(all, wire.Inventory{What: wire.InventoryLibrary, Key: name,
			Library: &wire.Library{Makers: true, Path: placeOf(u.Path), Since: u.Since}})
	}
	return append(all, wire.Inventory{What: wire.InventoryLibrary, Library: &wire.Library{Unseen: unseen}})
}

// followPrograms brings what is known of programs up to what was seen now, by name.
func (m *Monitor) followPrograms(seen []program, now int64) (map[string]usage, error) {
	known := map[string]usage{}
	err := m.o.Buffer.Scan(tableLibraries, nil, func(k, v []byte) error {
		var u usage
		err := m.o.Codec.Decode(v, &u)
		known[string(k)] = u
		return err
	})
	if err != nil {
		return nil, err
	}
	makers, ours := map[string]string{}, map[string]bool{}
	for _, p := range seen {
		if p.bypasses() {
			makers[p.name] = p.makers
		}
		ours[p.name] = ours[p.name] || p.ours
	}
	b := &buffer.Batch{}
	for name, u := range known {
		if makers[name] == "" && (ours[name] || !u.stands(now)) {
			delete(known, name)
			b.Delete(tableLibraries, []byte(name))
		}
	}
	for name, path := range makers {
		u, again := known[name]
		if !again {
			u.Since = now
		}
		u.Path, u.Seen = path, now
		v, err := m.o.Codec.Encode(u)
		if err != nil {
			return nil, err
		}
		b.Put(tableLibraries, []byte(name), v)
		known[name] = u
	}
	_, err = m.o.Buffer.Commit(b)
	return known, err
}
