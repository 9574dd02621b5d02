//go:build !windows

package main

import (
	"errors"
	"os"
)

// defaultPaths are where things are when the configuration does not say.
func defaultPaths() paths {
	return paths{config: "/etc/zelo/agent.toml", folder: "/var/lib/zelo", socket: "/run/zelo/sat.sock"}
}

// makeFolder makes the agent's folder: others pass through it to what is theirs,
// and see nothing of what is in it.
func makeFolder(path string) error {
	return errors.Join(os.MkdirAll(path, 0o711), os.Chmod(path, 0o711))
}

// makePrivateFolder makes a folder that nobody else enters.
func makePrivateFolder(path string) error {
	return errors.Join(os.MkdirAll(path, 0o700), os.Chmod(path, 0o700))
}
