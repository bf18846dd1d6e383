package warrant

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hpke"
	"fmt"

	"writ/charter"
)

// ApproverKey is the signing key of one approver. Only [ApproverKey.Approve] uses
// it.
type ApproverKey struct{ private ed25519.PrivateKey }

// NewApproverKey returns a fresh key.
func NewApproverKey() (*ApproverKey, error) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, wrap(err)
	}
	return &ApproverKey{private}, nil
}

// ParseApproverKey reads the 32 bytes of [ApproverKey.Bytes].
func ParseApproverKey(seed []byte) (*ApproverKey, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, fieldError("approver key", "%d bytes", len(seed))
	}
	return &ApproverKey{ed25519.NewKeyFromSeed(seed)}, nil
}

// Bytes returns the 32-byte seed, for storage.
func (k *ApproverKey) Bytes() []byte { return k.private.Seed() }

// Public returns the public key, as a charter names it.
func (k *ApproverKey) Public() charter.ApproverKey {
	return charter.ApproverKey(k.private.Public().(ed25519.PublicKey))
}

// MailKey is the X-Wing private key with which an approver or custodian opens
// envelopes. It opens no capsule.
type MailKey struct{ private hpke.PrivateKey }

// NewMailKey returns a fresh key.
func NewMailKey() (*MailKey, error) {
	private, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return nil, wrap(err)
	}
	return &MailKey{private}, nil
}

// ParseMailKey reads the 32 bytes of [MailKey.Bytes].
func ParseMailKey(b []byte) (*MailKey, error) {
	private, err := hpke.MLKEM768X25519().NewPrivateKey(b)
	if err != nil {
		return nil, fieldError("mail key", "%v", err)
	}
	return &MailKey{private}, nil
}

// Bytes returns a copy of the 32-byte private key, for storage: erasing it leaves
// the key whole.
func (k *MailKey) Bytes() []byte {
	b, err := k.private.Bytes()
	if err != nil {
		panic(fmt.Sprintf("warrant: %v", err)) // keys of this package are in memory
	}
	return bytes.Clone(b)
}

// Public returns the 1216-byte X-Wing public key, as a charter names it.
func (k *MailKey) Public() charter.MailKey { return k.private.PublicKey().Bytes() }
