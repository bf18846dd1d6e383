package mls

import (
	"bytes"
	"time"
)

// protocolVersion is mls10 of RFC 9420 6, the only version there is.
const protocolVersion uint16 = 1

// A KeyPackage is KeyPackage of RFC 9420 10: what a client publishes so that
// others can add it. A parsed one is unverified; Verify and every use verify it.
type KeyPackage struct {
	Suite      CipherSuite
	InitKey    HPKEPublicKey
	Leaf       *LeafNode
	Extensions []Extension
	signature  []byte
}

// KeyPackageSecrets are the private halves of a KeyPackage. Join needs them once.
type KeyPackageSecrets struct{ init, encryption *hpkeKey }

// KeyPackageOptions are what a key package says beside keys and identity.
type KeyPackageOptions struct {
	Extensions     []Extension     // of the key package
	LeafExtensions []Extension     // of its leaf, seen by every group it joins
	ExtensionTypes []ExtensionType // supported beyond the defaults and LeafExtensions
	Lifetime       Lifetime
	GREASE         bool // list code points that mean nothing (RFC 9420 13.5)
}

// NewKeyPackage makes and signs a key package with fresh init and leaf keys.
func NewKeyPackage(cs CipherSuite, cred Credential, key *SignatureKey, o KeyPackageOptions) (*KeyPackage, *KeyPackageSecrets, error) {
	s, err := cs.params()
	if err != nil {
		return nil, nil, err
	}
	if key.suite.id != cs {
		return nil, nil, invalid("signature key of suite %#04x", uint16(key.suite.id))
	}
	initKey, err := s.generateHPKEKey()
	if err != nil {
		return nil, nil, err
	}
	encryption, err := s.generateHPKEKey()
	if err != nil {
		return nil, nil, err
	}
	leaf := newLeaf(s, cred, key, encryption.public, leafOptions{o.LeafExtensions, o.ExtensionTypes, o.Lifetime, o.GREASE})
	if err := leaf.sign(key, nil, 0); err != nil {
		return nil, nil, err
	}
	k := &KeyPackage{Suite: cs, InitKey: initKey.public, Leaf: leaf, Extensions: o.Extensions}
	if k.signature, err = key.sign("KeyPackageTBS", k.tbs()); err != nil {
		return nil, nil, err
	}
	return k, &KeyPackageSecrets{initKey, encryption}, nil
}

func (k *KeyPackage) tbs() []byte {
	var w writer
	w.uint16(protocolVersion)
	w.uint16(uint16(k.Suite))
	w.opaque(k.InitKey)
	k.Leaf.encode(&w)
	encodeAll(&w, k.Extensions)
	return w.buf
}

func (k *KeyPackage) encode(w *writer) {
	w.raw(k.tbs())
	w.opaque(k.signature)
}

func decodeKeyPackage(r *reader) *KeyPackage {
	if v := r.uint16(); v != protocolVersion {
		r.fail(unsupported("key package version %d", v))
	}
	return &KeyPackage{
		Suite:      CipherSuite(r.uint16()),
		InitKey:    r.opaque(),
		Leaf:       decodeLeafNode(r),
		Extensions: decodeExtensions(r),
		signature:  r.opaque(),
	}
}

// ParseKeyPackage parses what Bytes returned. Nothing is verified.
func ParseKeyPackage(b []byte) (*KeyPackage, error) {
	m, err := parse(b, decodeMessage)
	if err != nil {
		return nil, err
	}
	if m.keyPackage == nil {
		return nil, invalid("wire format %d is not a key package", m.format)
	}
	return m.keyPackage, nil
}

// Bytes is the MLSMessage encoding, with wire format mls_key_package.
func (k *KeyPackage) Bytes() []byte {
	return marshal(&message{format: WireKeyPackage, keyPackage: k})
}

// Ref is KeyPackageRef of RFC 9420 5.2, which a Welcome names its reader by.
// It is nil for an unsupported suite.
func (k *KeyPackage) Ref() []byte {
	s, err := k.Suite.params()
	if err != nil {
		return nil
	}
	return s.refHash("MLS 1.0 KeyPackage Reference", marshal(k))
}

// Verify makes the checks of RFC 9420 10.1 and 7.3 that need no group, asking
// authenticate about the leaf.
func (k *KeyPackage) Verify(authenticate Authenticator, now time.Time) error {
	if err := k.verifyAlone(now); err != nil {
		return err
	}
	return ask(authenticate, k.Leaf)
}

func (k *KeyPackage) verifyAlone(now time.Time) error {
	s, err := k.Suite.params()
	if err != nil {
		return err
	}
	if err := k.Leaf.verifyAlone(s, sourceKeyPackage); err != nil { // 10.1
		return err
	}
	if err := k.Leaf.verifySignature(s, nil, 0); err != nil { // 7.3
		return err
	}
	if !k.Leaf.Lifetime.contains(now) {
		return invalid("key package outside its lifetime") // 7.3
	}
	if !s.verifySignature(k.Leaf.SignatureKey, "KeyPackageTBS", k.tbs(), k.signature) {
		return invalid("key package signature") // 10.1
	}
	if bytes.Equal(k.InitKey, k.Leaf.EncryptionKey) {
		return invalid("init key equals the leaf's encryption key") // 10.1
	}
	return s.checkHPKEPublic(k.InitKey)
}

// ask puts a leaf before the authentication service (RFC 9420 5.3.1).
func ask(authenticate Authenticator, leaf *LeafNode) error {
	if authenticate == nil {
		return refused("no Authenticator")
	}
	if err := authenticate(leaf); err != nil {
		return invalid("credential: %w", err) // 5.3.1
	}
	return nil
}

// Marshal encodes the secrets for storage; the caller erases the bytes.
func (s *KeyPackageSecrets) Marshal() []byte {
	var w writer
	w.opaque(s.init.raw)
	w.opaque(s.encryption.raw)
	return w.buf
}

// ParseKeyPackageSecrets parses what Marshal returned.
func ParseKeyPackageSecrets(cs CipherSuite, b []byte) (*KeyPackageSecrets, error) {
	s, err := cs.params()
	if err != nil {
		return nil, err
	}
	raw, err := parse(b, func(r *reader) [2][]byte { return [2][]byte{r.opaque(), r.opaque()} })
	if err != nil {
		return nil, err
	}
	initKey, err := s.parseHPKEKey(raw[0])
	if err != nil {
		return nil, err
	}
	encryption, err := s.parseHPKEKey(raw[1])
	if err != nil {
		return nil, err
	}
	return &KeyPackageSecrets{initKey, encryption}, nil
}

// Erase overwrites the secrets. A group joined with them keeps its own copy.
func (s *KeyPackageSecrets) Erase() {
	s.init.erase()
	s.encryption.erase()
}
