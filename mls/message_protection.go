package mls

import (
	"bytes"
	"crypto/subtle"
)

// tbs is FramedContentTBS of RFC 9420 6.1.
func (a *authenticatedContent) tbs(groupContext []byte) []byte {
	w := writer{make([]byte, 0, 256+len(groupContext)+len(a.content.application))}
	w.uint16(protocolVersion)
	w.uint16(uint16(a.format))
	a.content.encode(&w)
	if k := a.content.sender.kind; k == senderMember || k == senderNewMemberCommit {
		w.raw(groupContext)
	}
	return w.buf
}

// sign sets the signature of RFC 9420 6.1.
func (a *authenticatedContent) sign(key *SignatureKey, groupContext []byte) (err error) {
	a.auth.signature, err = key.sign("FramedContentTBS", a.tbs(groupContext))
	return err
}

// unverifiedContent is content whose signature nobody has looked at. The only thing
// to do with it is verify.
type unverifiedContent struct{ content *authenticatedContent }

func (u unverifiedContent) verify(s *suite, key SignaturePublicKey, groupContext []byte) (*authenticatedContent, error) {
	if !s.verifySignature(key, "FramedContentTBS", u.content.tbs(groupContext), u.content.auth.signature) {
		return nil, invalid("message signature") // 6.1
	}
	return u.content, nil
}

// membershipTag is the tag of RFC 9420 6.2 over AuthenticatedContentTBM.
func (s *suite) membershipTag(key []byte, a *authenticatedContent, groupContext []byte) []byte {
	w := writer{a.tbs(groupContext)}
	a.auth.encode(&w, a.content.kind)
	return s.mac(key, w.buf)
}

// protectPublic frames content as a PublicMessage (RFC 9420 6.2).
func (s *suite) protectPublic(membership []byte, a *authenticatedContent, groupContext []byte) *message {
	m := &publicMessage{content: a.content, auth: a.auth}
	if a.content.sender.kind == senderMember {
		m.membershipTag = s.membershipTag(membership, a, groupContext)
	}
	return &message{format: wirePublicMessage, public: m}
}

// openPublic checks the membership tag of a PublicMessage (RFC 9420 6.2).
func (s *suite) openPublic(membership []byte, m *publicMessage, groupContext []byte) (unverifiedContent, error) {
	a := m.unverified().content
	if a.content.sender.kind == senderMember {
		tag := s.membershipTag(membership, a, groupContext)
		if subtle.ConstantTimeCompare(tag, m.membershipTag) != 1 {
			return unverifiedContent{}, invalid("membership tag") // 6.2
		}
	}
	return unverifiedContent{a}, nil
}

func (m *publicMessage) unverified() unverifiedContent {
	return unverifiedContent{&authenticatedContent{wirePublicMessage, m.content, m.auth}}
}

// senderData is SenderData of RFC 9420 6.3.2.
type senderData struct {
	leaf       LeafIndex
	generation uint32
	guard      [4]byte
}

func (d senderData) encode(w *writer) {
	w.uint32(uint32(d.leaf))
	w.uint32(d.generation)
	w.raw(d.guard[:])
}

func decodeSenderData(r *reader) senderData {
	d := senderData{leaf: LeafIndex(r.uint32()), generation: r.uint32()}
	copy(d.guard[:], r.raw(4))
	return d
}

// senderDataKey derives the key of RFC 9420 6.3.2 from a sample of the ciphertext.
func (s *suite) senderDataKey(secret, ciphertext []byte) messageKey {
	sample := ciphertext[:min(len(ciphertext), s.nh)]
	return messageKey{
		s.expandWithLabel(secret, "key", sample, s.nk),
		s.expandWithLabel(secret, "nonce", sample, nonceSize),
	}
}

func (s *suite) openSenderData(secret []byte, m *privateMessage) (senderData, error) {
	k := s.senderDataKey(secret, m.ciphertext)
	plain, err := s.openAEAD(k.key, k.nonce, m.senderAAD(), m.senderData)
	if err != nil {
		return senderData{}, invalid("sender data: %w", err) // 6.3.2
	}
	return parse(plain, decodeSenderData)
}

// guarded is the nonce with the reuse guard in its first four bytes (RFC 9420 6.3.1).
func (k messageKey) guarded(guard [4]byte) []byte {
	nonce := bytes.Clone(k.nonce)
	for i, b := range guard {
		nonce[i] ^= b
	}
	return nonce
}

// sealPrivate frames content as a PrivateMessage (RFC 9420 6.3) with the given key.
// The inner plaintext is padded with zeros to a multiple of padding bytes, if not 0.
func (s *suite) sealPrivate(a *authenticatedContent, key messageKey, d senderData, secret []byte, padding int) *message {
	c := &a.content
	m := &privateMessage{groupID: c.groupID, epoch: c.epoch, kind: c.kind, authenticatedData: c.authenticatedData}
	w := writer{make([]byte, 0, 128+len(c.application)+padding)}
	c.encodeBody(&w) // PrivateMessageContent
	a.auth.encode(&w, c.kind)
	if padding > 0 && len(w.buf)%padding != 0 {
		w.raw(make([]byte, padding-len(w.buf)%padding))
	}
	m.ciphertext = s.sealAEAD(key.key, key.guarded(d.guard), m.contentAAD(), w.buf)
	clear(w.buf)
	k := s.senderDataKey(secret, m.ciphertext)
	m.senderData = s.sealAEAD(k.key, k.nonce, m.senderAAD(), marshal(d))
	return &message{format: wirePrivateMessage, private: m}
}

// openPrivate decrypts the content of a PrivateMessage (RFC 9420 6.3.1).
func (s *suite) openPrivate(m *privateMessage, key messageKey, d senderData) (unverifiedContent, error) {
	plain, err := s.openAEAD(key.key, key.guarded(d.guard), m.contentAAD(), m.ciphertext)
	if err != nil {
		return unverifiedContent{}, invalid("ciphertext: %w", err) // 6.3.1
	}
	defer clear(plain)
	a := &authenticatedContent{format: wirePrivateMessage, content: framedContent{
		groupID:           m.groupID,
		epoch:             m.epoch,
		sender:            sender{senderMember, uint32(d.leaf)},
		authenticatedData: m.authenticatedData,
		kind:              m.kind,
	}}
	r := reader{buf: plain}
	a.content.decodeBody(&r)
	a.auth = decodeContentAuth(&r, m.kind)
	if r.err != nil {
		return unverifiedContent{}, r.err
	}
	for _, b := range r.buf {
		if b != 0 {
			return unverifiedContent{}, malformed("padding is not zero") // 6.3.1
		}
	}
	return unverifiedContent{a}, nil
}
