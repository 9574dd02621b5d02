package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"

	"zelo/agent/devices"
)

// defaultPaths are where things are when the configuration does not say. The
// library looks for them below %ProgramData% (sat/shim, os_windows.c), which is the
// same folder; a service may be started without the variable.
func defaultPaths() paths {
	data, err := windows.KnownFolderPath(windows.FOLDERID_ProgramData, windows.KF_FLAG_DEFAULT)
	if err != nil {
		data = `C:\ProgramData`
	}
	folder := filepath.Join(data, "Zelo")
	return paths{config: filepath.Join(folder, "agent.toml"), folder: folder, socket: "tcp:127.0.0.1:9019"}
}

// Who may do what, in Windows' own notation: the system, administrators and the
// owner everything; other users pass through the agent's folder and read the
// library's settings.
const (
	privateRights  = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;OW)"
	folderRights   = privateRights + "(A;;0x1200A0;;;BU)"
	settingsRights = "D:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FR;;;BU)"
)

// libraryFile is the library's settings, in the agent's folder.
const libraryFile = "sat.ini"

const librarySettings = "; Ajustes da biblioteca SAT deste computador, um por linha: CHAVE = VALOR\r\n"

// makeFolder makes the agent's folder, in which everything is its own but the
// library's settings: those are there from the start, so that whoever edits them
// does not have to think of who may read them.
func makeFolder(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	own(path)
	settings := filepath.Join(path, libraryFile)
	f, err := os.OpenFile(settings, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		_, err = f.WriteString(librarySettings)
		err = errors.Join(err, f.Close())
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return errors.Join(devices.Protect(path, folderRights), devices.Protect(settings, settingsRights))
}

// makePrivateFolder makes a folder that nobody else enters.
func makePrivateFolder(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	own(path)
	return devices.Protect(path, privateRights)
}

// own takes a folder from whoever made it before the agent: its owner could let
// himself in again. Who is no administrator keeps what he made.
func own(path string) {
	if administrators, err := windows.CreateWellKnownSid(windows.WinBuiltinAdministratorsSid); err == nil {
		windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION, administrators, nil, nil, nil)
	}
}
