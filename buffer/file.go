package buffer

import (
	"errors"
	"os"
	"path/filepath"
)

// WriteFile replaces a small file beside the buffer as a whole: a power cut leaves the
// old one or the new one, and the new one once it has returned. Who could read the old
// one can read the new one; one that was not there, its owner alone.
func WriteFile(path string, data []byte) error {
	mode := os.FileMode(0o600)
	if old, err := os.Stat(path); err == nil {
		mode = old.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close(), os.Chmod(f.Name(), mode)); err != nil {
		return err
	}
	return replace(f.Name(), path)
}
