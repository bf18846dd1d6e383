package mls

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
)

// A SignaturePublicKey verifies a member's messages, in the encoding of RFC 9420
// 5.1.1: 32 bytes for Ed25519, an uncompressed point for ECDSA.
type SignaturePublicKey []byte

// A SignatureKey signs for one member. It is bound to a cipher suite's algorithm.
type SignatureKey struct {
	suite  *suite
	ed     ed25519.PrivateKey // one of ed and ec is set
	ec     *ecdsa.PrivateKey
	public SignaturePublicKey
}

// GenerateSignatureKey makes a fresh key for the suite.
func GenerateSignatureKey(cs CipherSuite) (*SignatureKey, error) {
	s, err := cs.params()
	if err != nil {
		return nil, err
	}
	if s.curve == nil {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("mls: generate Ed25519 key: %w", err)
		}
		return newEd25519(s, k), nil
	}
	k, err := ecdsa.GenerateKey(s.curve, rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("mls: generate ECDSA key: %w", err)
	}
	return newECDSA(s, k)
}

// NewSignatureKey parses what Bytes returned: the 32-byte seed for Ed25519, the
// big-endian scalar of the field's size for ECDSA.
func NewSignatureKey(cs CipherSuite, raw []byte) (*SignatureKey, error) {
	s, err := cs.params()
	if err != nil {
		return nil, err
	}
	if s.curve == nil {
		if len(raw) != ed25519.SeedSize {
			return nil, malformed("Ed25519 seed of %d bytes", len(raw))
		}
		return newEd25519(s, ed25519.NewKeyFromSeed(raw)), nil
	}
	k, err := ecdsa.ParseRawPrivateKey(s.curve, raw)
	if err != nil {
		return nil, malformed("ECDSA private key: %w", err)
	}
	return newECDSA(s, k)
}

func newEd25519(s *suite, k ed25519.PrivateKey) *SignatureKey {
	return &SignatureKey{suite: s, ed: k, public: SignaturePublicKey(k.Public().(ed25519.PublicKey))}
}

func newECDSA(s *suite, k *ecdsa.PrivateKey) (*SignatureKey, error) {
	public, err := k.PublicKey.Bytes()
	if err != nil {
		return nil, malformed("ECDSA public key: %w", err)
	}
	return &SignatureKey{suite: s, ec: k, public: public}, nil
}

// Suite is the cipher suite the key was made for.
func (k *SignatureKey) Suite() CipherSuite { return k.suite.id }

// Public is the key that goes into leaf nodes. The caller must not change it.
func (k *SignatureKey) Public() SignaturePublicKey { return k.public }

// Bytes is the private key for storage; the caller erases it.
func (k *SignatureKey) Bytes() []byte {
	if k.ed != nil {
		return k.ed.Seed()
	}
	raw, err := k.ec.Bytes()
	if err != nil {
		panic(fmt.Sprintf("mls: ECDSA private key: %v", err)) // it was parsed or generated on its curve
	}
	return raw
}

// signContent is SignContent of RFC 9420 5.1.2.
func signContent(label string, content []byte) []byte {
	w := writer{buf: make([]byte, 0, len(label)+len(content)+16)}
	w.opaque([]byte("MLS 1.0 " + label))
	w.opaque(content)
	return w.buf
}

// sign is SignWithLabel of RFC 9420 5.1.2.
func (k *SignatureKey) sign(label string, content []byte) ([]byte, error) {
	tbs := signContent(label, content)
	if k.ed != nil {
		return ed25519.Sign(k.ed, tbs), nil
	}
	sig, err := ecdsa.SignASN1(rand.Reader, k.ec, k.suite.digest(tbs))
	if err != nil {
		return nil, fmt.Errorf("mls: ECDSA: %w", err)
	}
	return sig, nil
}

// verifySignature is VerifyWithLabel of RFC 9420 5.1.2.
func (s *suite) verifySignature(key SignaturePublicKey, label string, content, signature []byte) bool {
	tbs := signContent(label, content)
	if s.curve == nil {
		return len(key) == ed25519.PublicKeySize && ed25519.Verify(ed25519.PublicKey(key), tbs, signature)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(s.curve, key)
	return err == nil && ecdsa.VerifyASN1(public, s.digest(tbs), signature)
}

// digest is the hash that ECDSA signs.
func (s *suite) digest(data []byte) []byte {
	h := s.sigHash()
	h.Write(data)
	return h.Sum(nil)
}
