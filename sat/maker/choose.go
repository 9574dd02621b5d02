package maker

import (
	"debug/elf"
	"debug/pe"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// hostFor names the satlib-host for a library: the one of its processor, in a
// folder, which is the running program's when "".
func hostFor(library, folder string) (string, error) {
	system, arch, err := built(library)
	if err != nil {
		return "", err
	}
	if system != runtime.GOOS {
		return "", fmt.Errorf("library %q is made for %s, this computer runs %s: get its maker's other one", library, system, runtime.GOOS)
	}
	if folder == "" {
		program, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("cannot find satlib-host beside this program: %w", err)
		}
		folder = filepath.Dir(program)
	}
	name := "satlib-host-" + arch
	if system == "windows" {
		name += ".exe"
	}
	host, err := filepath.Abs(filepath.Join(folder, name))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(host); err != nil {
		return "", fmt.Errorf("cannot find the program for libraries of %s, install the agent again: %w", arch, err)
	}
	return host, nil
}

// built reads for which system and processor a library was made, as Go calls
// them, from the header of an ELF file (System V ABI, chapter 4) or a PE file
// (Microsoft's PE format). It reads no more than it needs: packed libraries have
// odd tables behind it.
func built(library string) (system, arch string, err error) {
	file, err := os.Open(library)
	if err != nil {
		return "", "", fmt.Errorf("cannot open the library: %w", err)
	}
	defer file.Close()
	isLibrary, machine := false, uint16(0)
	var head [64]byte
	n, _ := file.ReadAt(head[:], 0)
	switch {
	case n >= 20 && string(head[:4]) == elf.ELFMAG && head[elf.EI_DATA] == byte(elf.ELFDATA2LSB):
		system = "linux"
		isLibrary = elf.Type(binary.LittleEndian.Uint16(head[16:])) == elf.ET_DYN
		machine = binary.LittleEndian.Uint16(head[18:])
	case n == len(head) && string(head[:2]) == "MZ":
		var b [24]byte // signature and file header
		if _, err := file.ReadAt(b[:], int64(binary.LittleEndian.Uint32(head[0x3c:]))); err == nil && string(b[:4]) == "PE\x00\x00" {
			system = "windows"
			isLibrary = binary.LittleEndian.Uint16(b[22:])&pe.IMAGE_FILE_DLL != 0
			machine = binary.LittleEndian.Uint16(b[4:])
		}
	}
	if system == "" {
		return "", "", fmt.Errorf("file %q is neither a library of Linux nor one of Windows", library)
	}
	if !isLibrary {
		return "", "", fmt.Errorf("file %q is a program, not a library", library)
	}
	arch, ok := map[string]map[uint16]string{
		"linux":   {uint16(elf.EM_386): "386", uint16(elf.EM_X86_64): "amd64"},
		"windows": {pe.IMAGE_FILE_MACHINE_I386: "386", pe.IMAGE_FILE_MACHINE_AMD64: "amd64"},
	}[system][machine]
	if !ok {
		return "", "", fmt.Errorf("library %q is made for processor %#x of %s; there is satlib-host for x86 and x86-64", library, machine, system)
	}
	return system, arch, nil
}
