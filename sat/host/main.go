// Command satlib-host loads one maker's library and carries out calls of its
// functions for the agent, which starts it (sat/maker). Makers' libraries crash,
// hang and print (dossier on the device link, 1.4); here they take nothing with
// them but this process.
//
//	satlib-host -library PATH [-free NAME] [-in N] [-out N]
//
// The parent sets the library's folder as the working folder, and on Linux as
// LD_LIBRARY_PATH; on Windows the loader searches it first. All calls are made on
// one thread, one at a time. Both conventions of 32-bit Windows are served by the
// same code, because Go restores the stack pointer after each call (dossier on
// the device link, 0.6). A text ends at its first NUL, as everywhere in C. The
// text a function returns is copied up to its NUL and stays the library's, unless
// -free names the function that takes such texts back (Control iD's
// DesalocarString: dossier on the SAT software interface, 1.7).
//
// It is built without a C compiler, also for 32 bits. On Linux it runs where the C
// library of its bits is, which the maker's library needs as well.
//
// # Protocol
//
// Requests come in on one inherited pipe, answers leave on another (descriptors
// 3 and 4 on Linux, handles given as numbers on Windows); standard output belongs
// to the library. Each message is a length (u32, big-endian, at most 32 MiB) and
// as many bytes of JSON, bytes in base64. First comes a greeting:
//
//	{"Error": text}                  cannot load the library, or it is none of a SAT
//	{"Missing": [name, ...]}         loaded; functions it does not export
//
// then one answer for each request:
//
//	{"Function": n, "Session": n, "Args": [bytes, ...]}
//
//	{"Raw": bytes}                   what the function returned
//	{"Null": true}                   it returned NULL
//	{"Error": text}                  it returned a text without an end
//	{"Refused": text}                the function was not called
//
// The process ends when its requests do, even amid a call.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"

	"zelo/sat"
)

// maxMessage bounds a message.
const maxMessage = 32 << 20

type greeting struct {
	Error   string   `json:",omitempty"`
	Missing []string `json:",omitempty"`
}

type request struct {
	Function sat.Function
	Session  int
	Args     [][]byte
}

type answer struct {
	Raw     []byte `json:",omitempty"`
	Null    bool   `json:",omitempty"`
	Error   string `json:",omitempty"`
	Refused string `json:",omitempty"`
}

func main() {
	library := flag.String("library", "", "path of the maker's library")
	free := flag.String("free", "", "function that takes returned texts back")
	in := flag.Uint64("in", 3, "inherited pipe with requests")
	out := flag.Uint64("out", 4, "inherited pipe for answers")
	flag.Parse()
	requests := os.NewFile(uintptr(*in), "requests")
	answers := os.NewFile(uintptr(*out), "answers")
	if requests == nil || answers == nil {
		fmt.Fprintln(os.Stderr, "satlib-host: cannot open its pipes: the agent starts this program, nobody else")
		os.Exit(2)
	}
	keep(*in, *out)
	if err := run(requests, answers, *library, *free); err != nil {
		fmt.Fprintln(os.Stderr, "satlib-host:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer, path, free string) error {
	runtime.LockOSThread() // of the library, for good
	lib, err := load(path, free)
	if err != nil {
		return write(out, greeting{Error: err.Error()})
	}
	if err := write(out, greeting{Missing: lib.missing}); err != nil {
		return err
	}
	requests := make(chan request)
	go read(in, requests)
	for r := range requests {
		if err := write(out, lib.call(r)); err != nil {
			return err
		}
	}
	return nil
}

// read passes requests on. It ends the process when they end, whatever the
// library may be doing: nobody wants its answer any more.
func read(in io.Reader, requests chan<- request) {
	buffered := bufio.NewReader(in)
	for {
		var r request
		err := readMessage(buffered, &r)
		if err == io.EOF {
			os.Exit(0)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "satlib-host:", err)
			os.Exit(1)
		}
		requests <- r
	}
}

// readMessage returns io.EOF when there are no more messages.
func readMessage(in io.Reader, to any) error {
	var size [4]byte
	if _, err := io.ReadFull(in, size[:]); err == io.EOF {
		return err
	} else if err != nil {
		return fmt.Errorf("cannot read a request: %w", err)
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxMessage {
		return fmt.Errorf("cannot read a request of %d bytes, at most %d are allowed", n, maxMessage)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(in, body); err != nil {
		return fmt.Errorf("cannot read a request: %w", err)
	}
	if err := json.Unmarshal(body, to); err != nil {
		return fmt.Errorf("cannot understand a request of %d bytes", n) // no excerpt: it holds secrets
	}
	return nil
}

func write(out io.Writer, message any) error {
	body, err := json.Marshal(message)
	if err == nil {
		_, err = out.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	}
	if err != nil {
		return fmt.Errorf("cannot write to the agent: %w", err)
	}
	return nil
}
