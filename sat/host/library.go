package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"unsafe"

	"zelo/sat"
)

// maxReply bounds what a function may return, as a frame of sat/ipc does. Real
// ones are a few megabytes (dossier on the SAT software interface, 1.7).
const maxReply = 16 << 20

// library is a maker's library in this process.
type library struct {
	functions map[sat.Function]uintptr
	missing   []string
	free      uintptr // takes back the texts that functions return; 0: nobody does
}

// load loads the library at path. free names the function that takes back the
// texts it returns, "" for none.
func load(path, free string) (*library, error) {
	module, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot load library %q: %w", path, err)
	}
	l := &library{functions: map[sat.Function]uintptr{}}
	for _, f := range sat.Functions() {
		if at := module.find(f.String(), 1+len(f.Params())); at != 0 {
			l.functions[f] = at
		} else {
			l.missing = append(l.missing, f.String())
		}
	}
	if len(l.functions) == 0 {
		return nil, fmt.Errorf("cannot use library %q: it exports no function of a SAT", path)
	}
	if free == "" {
		return l, nil
	}
	// Older builds of a maker's library may lack it: a few kilobytes lost with each
	// call are less than a shop that cannot sell.
	if l.free = module.find(free, 1); l.free == 0 {
		fmt.Fprintf(os.Stderr, "%s is not exported: the texts of this library are not given back\n", free)
	}
	return l, nil
}

// names are the spellings of a function of so many arguments that 32-bit
// compilers give it.
func names(name string, arguments int) []string {
	size := strconv.Itoa(4 * arguments)
	return []string{name, name + "@" + size, "_" + name + "@" + size}
}

// call calls a function of the library. On any other answer than Refused the
// library had the call.
func (l *library) call(r request) answer {
	at, ok := l.functions[r.Function]
	if !ok {
		return answer{Refused: fmt.Sprintf("the library does not export %s", r.Function)}
	}
	var pinned runtime.Pinner
	defer pinned.Unpin()
	args, err := arguments(r, &pinned)
	if err != nil {
		return answer{Refused: err.Error()}
	}
	returned := invoke(at, args...)
	if returned == 0 {
		return answer{Null: true}
	}
	raw, err := text(returned)
	if l.free != 0 {
		invoke(l.free, returned)
	}
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Raw: raw}
}

// arguments makes C's of a request's. Integers are 32 bits wide everywhere.
func arguments(r request, pinned *runtime.Pinner) ([]uintptr, error) {
	params := r.Function.Params()
	if len(r.Args) != len(params) {
		return nil, fmt.Errorf("%s takes %d arguments after the session, got %d", r.Function, len(params), len(r.Args))
	}
	args := []uintptr{uintptr(uint32(int32(r.Session)))}
	for i, p := range params {
		if p.Int {
			n, err := strconv.ParseInt(string(r.Args[i]), 10, 32)
			if err != nil {
				return nil, fmt.Errorf("argument %s of %s is not an integer", p.Name, r.Function)
			}
			args = append(args, uintptr(uint32(n)))
			continue
		}
		ended := append(bytes.Clone(r.Args[i]), 0)
		pinned.Pin(&ended[0])
		args = append(args, uintptr(unsafe.Pointer(&ended[0])))
	}
	return args, nil
}

// text copies the text at an address of the library's memory.
func text(address uintptr) ([]byte, error) {
	start := *(*unsafe.Pointer)(unsafe.Pointer(&address)) // no memory of Go's, which vet cannot know
	for n := range maxReply {
		if *(*byte)(unsafe.Add(start, n)) == 0 {
			return bytes.Clone(unsafe.Slice((*byte)(start), n)), nil
		}
	}
	return nil, errors.New("the library returned a text of more than 16 MiB")
}
