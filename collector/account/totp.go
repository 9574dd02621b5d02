package account

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"time"
)

// One-time codes of RFC 6238 as every app on a phone makes them: SHA-1, six digits,
// a step of 30 seconds.
const (
	totpStep   = 30 // seconds
	totpDigits = 6
	totpDrift  = 1 // steps that a phone's clock may be off, either way
)

// NewTOTP makes the secret of a person's one-time codes: 160 bits in base 32.
func NewTOTP() string {
	var b [20]byte
	rand.Read(b[:])
	return base32.StdEncoding.EncodeToString(b[:])
}

// TOTPAddress is a secret as an app on a phone takes it.
func TOTPAddress(secret, email string) string {
	return (&url.URL{Scheme: "otpauth", Host: "totp", Path: "/Zelo:" + email,
		RawQuery: url.Values{"secret": {secret}, "issuer": {"Zelo"}}.Encode()}).String()
}

// CodeAt is the one-time code of a secret at a time, as a phone shows it; "" when the
// secret is none.
func CodeAt(secret string, t time.Time) string {
	key, err := base32.StdEncoding.DecodeString(secret)
	if err != nil {
		return ""
	}
	return code(key, t.Unix()/totpStep, totpDigits)
}

// code is the one-time code of a step (RFC 4226, section 5.3).
func code(key []byte, step int64, digits int) string {
	m := hmac.New(sha1.New, key)
	binary.Write(m, binary.BigEndian, step)
	sum := m.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&15:]) & 0x7fffffff
	text := fmt.Sprintf("%010d", n)
	return text[len(text)-digits:]
}

// stepOf finds the step that a code belongs to around now; ok is false when it is
// of none, or the secret is none.
func stepOf(secret, given string, now time.Time) (step int64, ok bool) {
	key, err := base32.StdEncoding.DecodeString(secret)
	if err != nil || len(key) < 16 {
		return 0, false
	}
	for n := now.Unix()/totpStep - totpDrift; n <= now.Unix()/totpStep+totpDrift; n++ {
		if subtle.ConstantTimeCompare([]byte(code(key, n, totpDigits)), []byte(given)) == 1 {
			step, ok = n, true
		}
	}
	return step, ok
}
