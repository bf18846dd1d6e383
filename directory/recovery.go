package directory

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"strings"

	"writ/internal/wire"
)

// A recovery code is a recovery key as a person writes it down: 32 letters and digits
// in groups of four, without 0 and 1, so that O and I can't be mistaken. It holds 16
// random bytes and the first 4 of Hash("recovery check", them); the key's seed is
// Hash("recovery seed", them).
const recoveryBytes, recoveryCheck = 16, 4

// NewRecoveryCode makes a recovery key and returns its code.
func NewRecoveryCode() string {
	secret := make([]byte, recoveryBytes)
	rand.Read(secret)
	defer clear(secret)
	check := wire.Hash("recovery check", secret)
	text := base32.StdEncoding.EncodeToString(append(secret, check[:recoveryCheck]...))
	var groups []string
	for i := 0; i < len(text); i += 4 {
		groups = append(groups, text[i:i+4])
	}
	return strings.Join(groups, "-")
}

// ParseRecoveryCode returns the key that a code stands for. Case, blanks and hyphens
// don't matter; a letter that was misread does.
func ParseRecoveryCode(code string) (RecoverySigner, error) {
	code = strings.NewReplacer("-", "", " ", "", "\n", "", "0", "O", "1", "I").Replace(strings.ToUpper(code))
	b, err := base32.StdEncoding.DecodeString(code)
	if err != nil || len(b) != recoveryBytes+recoveryCheck {
		return nil, malformed("recovery code: 32 letters and digits are expected")
	}
	defer clear(b)
	secret := b[:recoveryBytes]
	check := wire.Hash("recovery check", secret)
	if subtle.ConstantTimeCompare(check[:recoveryCheck], b[recoveryBytes:]) != 1 {
		return nil, malformed("recovery code: a letter is wrong")
	}
	seed := wire.Hash("recovery seed", secret)
	defer clear(seed[:])
	return RecoverySigner(ed25519.NewKeyFromSeed(seed[:])), nil
}

// Public returns the key that statements name.
func (k RecoverySigner) Public() RecoveryKey {
	return RecoveryKey(ed25519.PrivateKey(k).Public().(ed25519.PublicKey))
}
