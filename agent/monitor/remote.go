package monitor

import (
	"bytes"
	"io"
	"os"
	"regexp"

	"zelo/agent/wire"
)

// Programs for remote access, by the names that Inventory.Key has.
const (
	anyDesk    = "anydesk"
	teamViewer = "teamviewer"
	rustDesk   = "rustdesk"
)

// remoteFile is a file in which a program notes by which number it is called. Files in
// a person's folder are none of ours.
type remoteFile struct{ name, path string }

// readRemoteFiles finds what the programs note of themselves.
func readRemoteFiles(files []remoteFile) map[string]wire.Remote {
	all := map[string]wire.Remote{}
	for _, f := range files {
		if id := remoteID(f.name, readSome(f.path, 64<<10)); id != "" {
			all[f.name] = wire.Remote{ID: id}
		}
	}
	return all
}

// remoteID reads the number in the file of a program; "" when it is not there, or only
// sealed.
func remoteID(name string, text []byte) string {
	pattern := map[string]string{
		anyDesk:    `(?m)^ad\.anynet\.id=(\d{6,12})\s*$`,
		teamViewer: `(?m)^\[int32\] ClientID = (\d{6,12})\s*$`,
		rustDesk:   `(?m)^id\s*=\s*'(\d{6,12})'\s*$`,
	}[name]
	if found := regexp.MustCompile(pattern).FindSubmatch(text); found != nil {
		return string(found[1])
	}
	return ""
}

// readSome reads a file up to a bound; nil when it cannot be read or is larger. Nothing
// but plain files is opened.
func readSome(path string, most int64) []byte {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > most {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil
	}
	return bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
}
