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
	InitKey    []byte // of the suite's KEM
	Leaf       *LeafNode
	Extensions []Extension
	signature  []byte
}

// NewKeyPackage makes and signs a key package with fresh init and leaf keys, with the
// extensions of the package itself. The secrets are their private halves, encoded for
// storage: Join needs them once, and the caller erases them after it.
func (c Client) NewKeyPackage(extensions []Extension) (k *KeyPackage, secrets []byte, err error) {
	s, err := c.suite()
	if err != nil {
		return nil, nil, err
	}
	private := &keyPackageSecrets{}
	if private.init, err = s.generateHPKEKey(); err != nil {
		return nil, nil, err
	}
	if private.encryption, err = s.generateHPKEKey(); err != nil {
		return nil, nil, err
	}
	defer private.erase()
	leaf := c.supporting(extensions).leaf(private.encryption.public) // 10
	if err := leaf.sign(c.Key, nil, 0); err != nil {
		return nil, nil, err
	}
	k = &KeyPackage{Suite: s.id, InitKey: private.init.public, Leaf: leaf, Extensions: extensions}
	if k.signature, err = c.Key.sign("KeyPackageTBS", k.tbs()); err != nil {
		return nil, nil, err
	}
	return k, marshal(private), nil
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
	return marshal(&message{format: wireKeyPackage, keyPackage: k})
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
func (k *KeyPackage) Verify(authenticate func(*LeafNode) error, now time.Time) error {
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
func ask(authenticate func(*LeafNode) error, leaf *LeafNode) error {
	if authenticate == nil {
		return refused("no authentication service")
	}
	if err := authenticate(leaf); err != nil {
		return invalid("credential: %w", err) // 5.3.1
	}
	return nil
}

// keyPackageSecrets are the private halves of a KeyPackage.
type keyPackageSecrets struct{ init, encryption *hpkeKey }

func (p *keyPackageSecrets) encode(w *writer) {
	w.opaque(p.init.raw)
	w.opaque(p.encryption.raw)
}

// parseSecrets reads what NewKeyPackage returned, which must belong to k.
func (k *KeyPackage) parseSecrets(s *suite, b []byte) (*keyPackageSecrets, error) {
	raw, err := parse(b, func(r *reader) [2][]byte { return [2][]byte{r.opaque(), r.opaque()} })
	if err != nil {
		return nil, err
	}
	p := &keyPackageSecrets{}
	if p.init, err = s.parseHPKEKey(raw[0]); err != nil {
		return nil, err
	}
	if p.encryption, err = s.parseHPKEKey(raw[1]); err != nil {
		return nil, err
	}
	if !p.init.matches(k.InitKey) || !p.encryption.matches(k.Leaf.EncryptionKey) {
		return nil, invalid("private keys of another key package")
	}
	return p, nil
}

func (p *keyPackageSecrets) erase() {
	p.init.erase()
	p.encryption.erase()
}
