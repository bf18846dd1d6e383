package charter

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hpke"
	"errors"
	"fmt"

	"filippo.io/edwards25519"

	"writ/internal/wire"
)

// One type per role, so that a key in the wrong place doesn't compile. All are
// raw Ed25519 public keys (RFC 8032) and verify only labelled content.
type (
	// ApproverKey verifies approvals and amendments.
	ApproverKey [ed25519.PublicKeySize]byte
	// CustodianKey verifies what a custodian states, releases or refuses.
	CustodianKey [ed25519.PublicKeySize]byte
	// DocketKey verifies warrant and request entries.
	DocketKey [ed25519.PublicKeySize]byte
	// DeliveryKey verifies counts of compartments.
	DeliveryKey [ed25519.PublicKeySize]byte
)

// Verify reports whether sig signs content under the label "writ/v1 "+name.
func (k ApproverKey) Verify(name string, content, sig []byte) bool {
	return verify(k, name, content, sig)
}

// Verify reports whether sig signs content under the label "writ/v1 "+name.
func (k CustodianKey) Verify(name string, content, sig []byte) bool {
	return verify(k, name, content, sig)
}

// Verify reports whether sig signs content under the label "writ/v1 "+name.
func (k DocketKey) Verify(name string, content, sig []byte) bool {
	return verify(k, name, content, sig)
}

// Verify reports whether sig signs content under the label "writ/v1 "+name.
func (k DeliveryKey) Verify(name string, content, sig []byte) bool {
	return verify(k, name, content, sig)
}

func verify(key [32]byte, name string, content, sig []byte) bool {
	return len(sig) == ed25519.SignatureSize && ed25519.Verify(key[:], wire.SignContent(name, content), sig)
}

// MailKey is an X-Wing public key, 1216 bytes, to which warrants and requests
// are sealed on their way.
type MailKey []byte

// Check refuses a key to which nothing can be sealed in full.
func (k MailKey) Check() error { return checkKEMKey(XWing, k) }

// Algorithm is a COSE algorithm number (RFC 9053 section 2).
type Algorithm int16

// The algorithms of WebAuthn keys.
const (
	ES256 Algorithm = -7
	EdDSA Algorithm = -8
)

// WebAuthnKey is a registered WebAuthn credential.
type WebAuthnKey struct {
	CredentialID []byte // 1 to 1023 bytes
	Algorithm    Algorithm
	PublicKey    []byte // ES256: uncompressed point, 65 bytes; EdDSA: 32 bytes
}

// KEM is an HPKE KEM identifier.
type KEM uint16

// The KEMs a custodian may use.
const (
	XWing        KEM = 0x647a // MLKEM768-X25519
	MLKEM768P256 KEM = 0x0050 // for keys half in a hardware token
)

// mlkemSize is the size of an ML-KEM-768 public key, the first part of both.
const mlkemSize = 1184

// PublicKeySize returns the size of a public key in bytes, 0 if the KEM is not
// supported.
func (k KEM) PublicKeySize() int {
	switch k {
	case XWing:
		return mlkemSize + 32
	case MLKEM768P256:
		return mlkemSize + 65
	}
	return 0
}

// checkKEMKey refuses a public key that can't be encapsulated to in full: the
// wrong size, ML-KEM coefficients not reduced (FIPS 203 section 7.2), a point
// off the curve, and for X25519 (RFC 7748 section 6.1) a point of low order or
// an encoding that is not canonical.
func checkKEMKey(kem KEM, key []byte) error {
	if len(key) != kem.PublicKeySize() || len(key) == 0 {
		return fmt.Errorf("KEM %#04x with a public key of %d bytes", uint16(kem), len(key))
	}
	std, err := hpke.NewKEM(uint16(kem))
	if err != nil {
		return err
	}
	if _, err := std.NewPublicKey(key); err != nil {
		return err
	}
	if kem == XWing {
		return checkX25519(key[mlkemSize:])
	}
	return nil
}

func checkX25519(key []byte) error {
	if !canonical25519(key) {
		return errors.New("X25519 key is not canonical")
	}
	pub, err := ecdh.X25519().NewPublicKey(key)
	if err != nil {
		return err
	}
	any, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{8}, 32))
	if err != nil {
		return err
	}
	_, err = any.ECDH(pub) // refuses the all-zero result
	return err
}

// canonical25519 reports whether a little-endian number is below 2^255-19.
func canonical25519(b []byte) bool {
	if b[31] != 0x7f {
		return b[31] < 0x7f
	}
	for _, c := range b[1:31] {
		if c != 0xff {
			return true
		}
	}
	return b[0] < 0xed
}

// smallOrder lists the y coordinates of the points of small order, canonical
// or not. With such a key anybody can make a signature that verifies.
var smallOrder = [...]string{
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
	"\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
	"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
	"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
	"\xec\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
}

// CheckEd25519 refuses a public key that is not of 32 bytes, not canonical, not on the
// curve or of small order: one under which nobody can sign, or everybody.
func CheckEd25519(key []byte) error {
	if len(key) != ed25519.PublicKeySize {
		return fmt.Errorf("Ed25519 key of %d bytes", len(key))
	}
	y := bytes.Clone(key)
	y[31] &= 0x7f
	if !canonical25519(y) {
		return errors.New("Ed25519 key is not canonical")
	}
	for _, s := range smallOrder {
		if string(y) == s {
			return errors.New("Ed25519 key of small order")
		}
	}
	if _, err := new(edwards25519.Point).SetBytes(key); err != nil {
		return errors.New("Ed25519 key is no point of the curve")
	}
	return nil
}

func (k *WebAuthnKey) check() error {
	if len(k.CredentialID) < 1 || len(k.CredentialID) > maxCredentialID {
		return fmt.Errorf("credential id of %d bytes", len(k.CredentialID))
	}
	switch k.Algorithm {
	case ES256:
		if len(k.PublicKey) != 65 {
			return fmt.Errorf("ES256 key of %d bytes", len(k.PublicKey))
		}
		_, err := ecdh.P256().NewPublicKey(k.PublicKey)
		return err
	case EdDSA:
		return CheckEd25519(k.PublicKey)
	}
	return fmt.Errorf("algorithm %d", k.Algorithm)
}
