package mls

import (
	"slices"
	"time"
)

// A LeafIndex is a member's place in the tree, from 0 (RFC 9420 4.2).
type LeafIndex uint32

type leafSource uint8

// LeafNodeSource of RFC 9420 7.2.
const (
	sourceKeyPackage leafSource = 1
	sourceUpdate     leafSource = 2
	sourceCommit     leafSource = 3
)

// A Lifetime bounds the use of a key package, in seconds since 1970 (RFC 9420 7.2).
type Lifetime struct{ NotBefore, NotAfter uint64 }

func (l Lifetime) contains(t time.Time) bool {
	s := t.Unix()
	return s >= 0 && l.NotBefore <= uint64(s) && uint64(s) <= l.NotAfter
}

// A LeafNode is LeafNode of RFC 9420 7.2: a member's keys, identity and
// abilities, signed by the member. Leaf nodes in a Group are shared: read only.
type LeafNode struct {
	EncryptionKey []byte // of the suite's KEM
	SignatureKey  SignaturePublicKey
	Credential    Credential
	Capabilities  Capabilities
	Lifetime      Lifetime // of the key package the leaf came from, while it is that leaf
	Extensions    []Extension

	source     leafSource
	parentHash []byte // source commit only
	signature  []byte
}

// Extension returns the data of the leaf extension of type t.
func (l *LeafNode) Extension(t ExtensionType) ([]byte, bool) { return findExtension(l.Extensions, t) }

// Bytes is the LeafNode encoding.
func (l *LeafNode) Bytes() []byte { return marshal(l) }

func (l *LeafNode) encodeContent(w *writer) {
	w.opaque(l.EncryptionKey)
	w.opaque(l.SignatureKey)
	l.Credential.encode(w)
	l.Capabilities.encode(w)
	w.uint8(uint8(l.source))
	switch l.source {
	case sourceKeyPackage:
		w.uint64(l.Lifetime.NotBefore)
		w.uint64(l.Lifetime.NotAfter)
	case sourceCommit:
		w.opaque(l.parentHash)
	}
	encodeAll(w, l.Extensions)
}

func (l *LeafNode) encode(w *writer) {
	l.encodeContent(w)
	w.opaque(l.signature)
}

func decodeLeafNode(r *reader) *LeafNode {
	l := &LeafNode{
		EncryptionKey: r.opaque(),
		SignatureKey:  r.opaque(),
		Credential:    decodeCredential(r),
		Capabilities:  decodeCapabilities(r),
		source:        leafSource(r.uint8()),
	}
	switch l.source {
	case sourceKeyPackage:
		l.Lifetime = Lifetime{r.uint64(), r.uint64()}
	case sourceUpdate:
	case sourceCommit:
		l.parentHash = r.opaque()
	default:
		r.fail(malformed("leaf node source %d", l.source))
	}
	l.Extensions = decodeExtensions(r)
	l.signature = r.opaque()
	return l
}

// tbs is LeafNodeTBS of RFC 9420 7.2. A key package's leaf has no place yet.
func (l *LeafNode) tbs(groupID []byte, i LeafIndex) []byte {
	var w writer
	l.encodeContent(&w)
	if l.source != sourceKeyPackage {
		w.opaque(groupID)
		w.uint32(uint32(i))
	}
	return w.buf
}

func (l *LeafNode) sign(key *SignatureKey, groupID []byte, i LeafIndex) (err error) {
	l.signature, err = key.sign("LeafNodeTBS", l.tbs(groupID, i))
	return err
}

func (l *LeafNode) verifySignature(s *suite, groupID []byte, i LeafIndex) error {
	if !s.verifySignature(l.SignatureKey, "LeafNodeTBS", l.tbs(groupID, i), l.signature) {
		return invalid("leaf node signature") // 7.3
	}
	return nil
}

// verifyAlone makes the checks of RFC 9420 7.3 that need nothing but the leaf.
func (l *LeafNode) verifyAlone(s *suite, source leafSource) error {
	if l.source != source {
		return invalid("leaf node source %d where %d belongs", l.source, source) // 7.3
	}
	if !slices.Contains(l.Capabilities.Versions, protocolVersion) || !slices.Contains(l.Capabilities.Suites, s.id) {
		return invalid("leaf capabilities lack the group's version or cipher suite") // 7.2
	}
	if !l.Capabilities.hasCredential(l.Credential.kind()) {
		return invalid("leaf capabilities lack its own credential type") // 7.2
	}
	for _, e := range l.Extensions {
		if !l.Capabilities.hasExtension(e.Type) {
			return invalid("leaf extension %#04x is not in its capabilities", uint16(e.Type)) // 7.3
		}
	}
	return s.checkHPKEPublic(l.EncryptionKey)
}
