package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
)

// logFile is the agent's log, and the only one of a service that has no standard
// error: a file that holds at most so many bytes and, beside it, the one before it (path.1). What Go says
// when the agent crashes goes there too.
type logFile struct {
	path string
	most int64

	mu   sync.Mutex
	file *os.File
	size int64
}

const (
	logName  = "agente.log" // in the agent's folder
	logBytes = 5 << 20
)

// withLog has what goes to out written to the agent's own log too, where support
// finds it on every system. An agent without a log is better than none.
func withLog(folder string, out io.Writer) (io.Writer, func()) {
	if l, ok := out.(*logFile); ok { // the Windows service's, open already
		return l, func() {}
	}
	if err := makeFolder(folder); err != nil {
		return out, func() {}
	}
	l, err := openLog(filepath.Join(folder, logName), logBytes)
	if err != nil {
		return out, func() {}
	}
	return io.MultiWriter(out, l), func() { l.Close() }
}

// readLog is the agent's log in a folder, oldest first.
func readLog(folder string) ([]byte, error) {
	path := filepath.Join(folder, logName)
	older, err := os.ReadFile(path + ".1")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	newer, err := os.ReadFile(path)
	return append(older, newer...), err
}

// openLog goes on with the log at path.
func openLog(path string, most int64) (*logFile, error) {
	l := &logFile{path: path, most: most}
	return l, l.open(os.O_APPEND)
}

func (l *logFile) open(how int) (err error) {
	if l.file, err = os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|how, 0o600); err != nil {
		return err
	}
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	l.size = info.Size()
	return debug.SetCrashOutput(l.file, debug.CrashOptions{})
}

// Write adds p whole to one of the files.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size > 0 && l.size+int64(len(p)) > l.most {
		if err := l.turn(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(p)
	l.size += int64(n)
	return n, err
}

// turn begins a new file. When the old one cannot be put aside, because somebody
// has it open on Windows, its contents go.
func (l *logFile) turn() error {
	l.close()
	how := os.O_APPEND
	if err := os.Rename(l.path, l.path+".1"); err != nil {
		how = os.O_TRUNC
	}
	return l.open(how)
}

// Close ends the log.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.close()
}

func (l *logFile) close() error {
	return errors.Join(debug.SetCrashOutput(nil, debug.CrashOptions{}), l.file.Close())
}
