package monitor

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows/registry"
)

// Where Windows keeps certificates with a private key (dossier on certificates, 2.1).
// They are read as they lie there, without the functions that might touch a key or open
// other stores: these may ask for a PIN, or take half an hour.
const (
	storePath    = `Microsoft\SystemCertificates\My\Certificates`
	profilesPath = `SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList`

	machinePlace = `LocalMachine\My`
	userPlace    = `CurrentUser\My`
)

// inStores finds what lies in the stores of the machine and of its users, also of those
// who are not logged on.
func inStores() (all []found) {
	all = inRegistry(registry.LOCAL_MACHINE, `SOFTWARE\`+storePath, machinePlace)
	profiles, err := open(profilesPath)
	if err != nil {
		return all
	}
	defer profiles.Close()
	sids, _ := profiles.ReadSubKeyNames(filesMost)
	for _, sid := range sids {
		all = append(all, inRegistry(registry.USERS, sid+`\Software\`+storePath, userPlace)...)
		home, err := registry.ExpandString(text(profilesPath+`\`+sid, "ProfileImagePath"))
		if err == nil && home != "" && !strings.HasPrefix(home, `\\`) {
			all = append(all, inProfile(home)...)
		}
	}
	return all
}

// inRegistry finds the certificates of a store in the registry.
func inRegistry(root registry.Key, path, place string) (all []found) {
	k, err := registry.OpenKey(root, path, registry.READ|registry.WOW64_64KEY)
	if err != nil {
		return nil
	}
	defer k.Close()
	names, _ := k.ReadSubKeyNames(filesMost)
	for _, name := range names {
		one, err := registry.OpenKey(k, name, registry.READ|registry.WOW64_64KEY)
		if err != nil {
			continue
		}
		raw, _, err := one.GetBinaryValue("Blob")
		one.Close()
		if f, ok := inBlob(raw, place); ok && err == nil && len(raw) <= blobMost {
			all = append(all, f)
		}
	}
	return all
}

// inProfile finds the certificates of a user's store, which are files of the profile. A
// 32-bit program is shown another folder in the place of the system's own profile.
func inProfile(home string) (all []found) {
	windows := strings.ToLower(os.Getenv("SystemRoot"))
	if rest, ok := strings.CutPrefix(strings.ToLower(home), filepath.Join(windows, "system32")); ok {
		if real := filepath.Join(windows, "sysnative"+rest); isFolder(real) {
			home = real
		}
	}
	folder := filepath.Join(home, `AppData\Roaming`, storePath)
	files, _ := os.ReadDir(folder)
	for _, d := range files[:min(len(files), filesMost)] {
		if f, ok := inBlob(readSome(filepath.Join(folder, d.Name()), blobMost), userPlace); ok {
			all = append(all, f)
		}
	}
	return all
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// usualFolders are where programs for fiscal documents keep certificates.
func usualFolders() (all []string) {
	for _, name := range []string{"ACBrMonitor", "ACBrMonitorPLUS", "ACBr", "Certificado", "Certificados", "NFe", "NFCe", "Unimake"} {
		all = append(all, `C:\`+name)
	}
	return all
}
