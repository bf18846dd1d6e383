package directory

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"

	vrf "filippo.io/mostly-harmless/vrf-r255"

	"writ/internal/wire"
)

// Label stands for an account on the log: the first 32 bytes of the output of
// the VRF over its name. Who has the private key computes it; nobody else can
// tell whose it is, or whether two names were tried.
type Label [32]byte

// labelProofSize is the size of an ECVRF-RISTRETTO255-SHA512 proof.
const labelProofSize = 80

// LabelKey is the public key under which labels are proven (c2sp.org/vrf-r255).
// A deployment has one for ever: another key gives every account another label.
type LabelKey struct{ key *vrf.PublicKey }

// LabelSigner computes labels. Who holds it can test names against the log.
type LabelSigner struct{ key *vrf.PrivateKey }

// GenerateLabelSigner makes a fresh key.
func GenerateLabelSigner() *LabelSigner {
	for {
		var seed [32]byte
		rand.Read(seed[:])
		seed[31] &= 0x0f // below 2^252, so a canonical scalar
		if s, err := NewLabelSigner(seed[:]); err == nil {
			return s
		}
	}
}

// NewLabelSigner parses a private key: a canonical scalar of 32 bytes, not 0.
func NewLabelSigner(b []byte) (*LabelSigner, error) {
	k, err := vrf.NewPrivateKey(b)
	if err != nil || subtle.ConstantTimeCompare(b, make([]byte, 32)) == 1 {
		return nil, malformed("label key") // and nothing of its bytes
	}
	return &LabelSigner{k}, nil
}

// Bytes returns the private key for storage; the caller erases it.
func (s *LabelSigner) Bytes() []byte { return s.key.Bytes() }

// Public returns the public key.
func (s *LabelSigner) Public() LabelKey { return LabelKey{s.key.PublicKey()} }

// Prove returns the label of an account and its 80-byte proof.
func (s *LabelSigner) Prove(account string) (Label, []byte) {
	p := s.key.Prove(labelInput(account))
	return Label(p.Hash()[:32]), p.Bytes()
}

// ParseLabelKey parses a public key of 32 bytes. The identity is refused, as
// RFC 9381 section 5.4.5 wants: under it all accounts would have one label.
func ParseLabelKey(b []byte) (LabelKey, error) {
	k, err := vrf.NewPublicKey(b)
	if err != nil {
		return LabelKey{}, malformed("label key %s", hex.EncodeToString(b))
	}
	if [32]byte(b) == ([32]byte{}) {
		return LabelKey{}, invalid("label key is the identity")
	}
	return LabelKey{k}, nil
}

// Bytes returns the public key, 32 bytes.
func (k LabelKey) Bytes() []byte { return k.key.Bytes() }

// Verify returns the label of an account, if proof shows it.
func (k LabelKey) Verify(account string, proof []byte) (Label, error) {
	p, err := vrf.NewProof(proof)
	if err != nil {
		return Label{}, malformed("label proof of %d bytes", len(proof))
	}
	out, err := k.key.Verify(p, labelInput(account))
	if err != nil {
		return Label{}, invalid("the label is not that of %q", account)
	}
	return Label(out[:32]), nil
}

// labelInput is alpha of RFC 9381.
func labelInput(account string) []byte { return wire.SignContent("directory label", []byte(account)) }
