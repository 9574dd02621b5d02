package account

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Cost of a password's hash: the least that OWASP's Password Storage Cheat Sheet
// takes for argon2id, so that people who sign in together fit into little memory.
const (
	argonTime    = 2
	argonMemory  = 19 << 10 // KiB
	argonThreads = 1
	argonSize    = 32
)

// hashPassword is argon2id in PHC form.
func hashPassword(password string) string {
	var salt [16]byte
	rand.Read(salt[:])
	return phc(password, salt[:], argonTime, argonMemory, argonThreads, argonSize)
}

func phc(password string, salt []byte, time, memory uint32, threads uint8, size uint32) string {
	sum := argon2.IDKey([]byte(password), salt, time, memory, threads, size)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memory, time, threads, b64.EncodeToString(salt), b64.EncodeToString(sum))
}

// samePassword compares a password with a hash of any cost. Where there is none it
// takes as long as where there is one.
func samePassword(password, stored string) bool {
	if stored == "" {
		phc(password, make([]byte, 16), argonTime, argonMemory, argonThreads, argonSize)
		return false
	}
	var version int
	var memory, time uint32
	var threads uint8
	parts := strings.Split(stored, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false
	}
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &time, &threads); err != nil || version != argon2.Version || threads < 1 || time < 1 {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false
	}
	sum, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || len(sum) < 16 {
		return false
	}
	made := phc(password, salt, time, memory, threads, uint32(len(sum)))
	return subtle.ConstantTimeCompare([]byte(made), []byte(stored)) == 1
}
