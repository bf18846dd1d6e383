package charter

import (
	"crypto/ed25519"
	"fmt"

	"writ/internal/wire"
)

// MaxStatementSize bounds the encoding of a key statement in bytes.
const MaxStatementSize = 2048

// KeyStatement says which HPKE public key a custodian uses in one key period.
//
//	struct { opaque charter_name<V>; opaque office<V>; opaque custodian<V>;
//	  uint32 period; uint16 kem; opaque public_key<V>; opaque signature[64];
//	} KeyStatement;
//
// The custodian signs all but the signature under "writ/v1 custodian key". It
// stands in the charter for the first periods and on the ledger for later ones,
// and holds for every version of the charter of that name in which the
// custodian keeps its signing key.
type KeyStatement struct {
	CharterName string
	Office      string
	Custodian   string
	Period      uint32
	KEM         KEM
	PublicKey   []byte
	Signature   [ed25519.SignatureSize]byte
}

// Encode returns the canonical encoding.
func (k *KeyStatement) Encode() []byte { return append(k.content(), k.Signature[:]...) }

func (k *KeyStatement) content() []byte {
	var w wire.Writer
	w.String(k.CharterName)
	w.String(k.Office)
	w.String(k.Custodian)
	w.Uint32(k.Period)
	w.Uint16(uint16(k.KEM))
	w.Opaque(k.PublicKey)
	return w.Bytes()
}

func readKeyStatement(r *wire.Reader) *KeyStatement {
	k := &KeyStatement{CharterName: r.String(maxText), Office: r.Name(), Custodian: r.Name(),
		Period: r.Uint32(), KEM: KEM(r.Uint16()), PublicKey: clone(r.Opaque(maxKey))}
	copy(k.Signature[:], r.Fixed(ed25519.SignatureSize))
	return k
}

// ParseKeyStatement parses the form only; see [KeyStatement.Verify].
func ParseKeyStatement(b []byte) (*KeyStatement, error) {
	if len(b) > MaxStatementSize {
		return nil, fmt.Errorf("charter: key statement: %w: %d bytes", wire.ErrMalformed, len(b))
	}
	r := wire.NewReader(b)
	k := readKeyStatement(r)
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("charter: key statement: %w", err)
	}
	return k, nil
}

// Sign sets the signature by the custodian's signing key.
func (k *KeyStatement) Sign(key ed25519.PrivateKey) {
	copy(k.Signature[:], ed25519.Sign(key, wire.SignContent("custodian key", k.content())))
}

// Halves returns the two raw keys that a statement's hybrid key is made of:
// ML-KEM and curve. The statement must have been verified.
func (k *KeyStatement) Halves() [2][]byte {
	return [2][]byte{k.PublicKey[:mlkemSize], k.PublicKey[mlkemSize:]}
}

// Verify checks that the statement is for this charter's name, by one of its
// custodians, of a sound key for a supported KEM. Whether the key is used
// elsewhere is for [Charter.Access], which sees the others.
func (k *KeyStatement) Verify(c *Charter) error {
	invalid := func(format string, args ...any) error {
		return fmt.Errorf("charter: key statement of %s for period %d: %w: %w",
			k.Custodian, k.Period, ErrInvalid, fmt.Errorf(format, args...))
	}
	custodian := c.Custodian(k.Office, k.Custodian)
	switch {
	case k.CharterName != c.Name:
		return invalid("for the charter %q", k.CharterName)
	case custodian == nil:
		return invalid("not a custodian of the office %s", k.Office)
	case !custodian.Key.Verify("custodian key", k.content(), k.Signature[:]):
		return invalid("signature does not verify")
	}
	if err := checkKEMKey(k.KEM, k.PublicKey); err != nil {
		return invalid("%w", err)
	}
	return nil
}
