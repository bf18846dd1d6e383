package mls

import (
	"crypto/rand"
	"slices"
)

// An ApplicationMessage is one that was decrypted and whose signature was verified.
type ApplicationMessage struct {
	Epoch             uint64
	Sender            LeafIndex
	Generation        uint32
	AuthenticatedData []byte
	Data              []byte
}

// Protect encrypts plaintext to the members of the current epoch (RFC 9420 6.3).
// authenticatedData is visible to everybody, and signed.
func (g *Group) Protect(authenticatedData, plaintext []byte) ([]byte, []Record, error) {
	if err := g.writable(); err != nil {
		return nil, nil, err
	}
	a := g.frame(true, framedContent{authenticatedData: authenticatedData, kind: contentApplication, application: plaintext})
	if err := a.sign(g.now.signer, g.now.contextBytes); err != nil {
		return nil, nil, err
	}
	return g.protectPrivate(a)
}

// Generation is that of the next message of Protect: its place among what this
// member says in the epoch. It is no part of what is signed (RFC 9420 6.1).
func (g *Group) Generation() uint32 {
	if g.active() != nil {
		return 0
	}
	return g.now.messages.generation(ratchetID{g.now.own, ratchetApplication})
}

// protectPrivate encrypts signed content with the next key of the own ratchet.
func (g *Group) protectPrivate(a *authenticatedContent) ([]byte, delta, error) {
	id := ratchetID{g.now.own, kindOf(a.content.kind)}
	generation := g.now.messages.generation(id)
	use, err := g.now.messages.find(id, generation, 0)
	if err != nil {
		return nil, nil, err
	}
	d := senderData{leaf: g.now.own, generation: generation}
	if _, err := rand.Read(d.guard[:]); err != nil {
		return nil, nil, err
	}
	m := g.now.suite.sealPrivate(a, use.key, d, g.now.secrets.senderData, g.cfg.Padding)
	return marshal(m), g.now.messages.consume(use, g.cfg.MaxSkip), nil
}

// reader finds the epoch, current or past, of a private message.
func (g *Group) reader(m *privateMessage) (*messageEpoch, error) {
	e, err := g.epoch(m.epoch)
	if err != nil {
		return nil, err
	}
	return e, e.checkEpoch(m.groupID, m.epoch)
}

func (g *Group) epoch(n uint64) (*messageEpoch, error) {
	if err := g.active(); err != nil {
		return nil, err
	}
	if n == g.now.context.Epoch {
		return g.now.forMessages(), nil
	}
	k := slices.IndexFunc(g.past, func(e *messageEpoch) bool { return e.context.Epoch == n })
	if k < 0 {
		return nil, refused("message of epoch %d in epoch %d", n, g.now.context.Epoch)
	}
	return g.past[k], nil
}

// open decrypts and verifies a private message and changes nothing: the caller gives
// the use back to the secret tree, to consume or discard.
func (e *messageEpoch) open(m *privateMessage, maxSkip uint32) (senderData, *authenticatedContent, *keyUse, error) {
	d, err := e.suite.openSenderData(e.senderData, m)
	if err != nil {
		return d, nil, nil, err
	}
	leaf := e.tree.leaf(d.leaf)
	if leaf == nil {
		return d, nil, nil, invalid("sender %d is no member", d.leaf) // 6.3.2
	}
	use, err := e.messages.find(ratchetID{d.leaf, kindOf(m.kind)}, d.generation, maxSkip)
	if err != nil {
		return d, nil, nil, err
	}
	a, err := e.suite.openVerified(m, use.key, d, leaf.SignatureKey, e.contextBytes)
	if err != nil {
		e.messages.discard(use)
		return d, nil, nil, err
	}
	return d, a, use, nil
}

func (s *suite) openVerified(m *privateMessage, key messageKey, d senderData, signer SignaturePublicKey, groupContext []byte) (*authenticatedContent, error) {
	u, err := s.openPrivate(m, key, d)
	if err != nil {
		return nil, err
	}
	return u.verify(s, signer, groupContext)
}

// Unprotect decrypts and verifies an application message of the current epoch, or of
// a past one that Config keeps. Messages may come in any order within Config.MaxSkip;
// a key is used once. An error leaves the group as it was.
func (g *Group) Unprotect(msg []byte) (*ApplicationMessage, []Record, error) {
	m, err := parseApplication(msg)
	if err != nil {
		return nil, nil, err
	}
	e, err := g.reader(m)
	if err != nil {
		return nil, nil, err
	}
	d, a, use, err := e.open(m, g.cfg.MaxSkip)
	if err != nil {
		return nil, nil, err
	}
	return &ApplicationMessage{m.epoch, d.leaf, d.generation, m.authenticatedData, a.content.application},
		e.messages.consume(use, g.cfg.MaxSkip), nil
}

func parseApplication(msg []byte) (*privateMessage, error) {
	m, err := parse(msg, decodeMessage)
	if err != nil {
		return nil, err
	}
	if m.private == nil || m.private.kind != contentApplication {
		return nil, invalid("not an application message") // 6.2: never a PublicMessage
	}
	return m.private, nil
}

// Peek is Inspect of a private message by somebody who can open its sender data, and
// changes nothing. Only the sender's leaf and generation are authenticated, and only
// as said by some member.
func (g *Group) Peek(msg []byte) (*Envelope, error) {
	m, err := parse(msg, decodeMessage)
	if err != nil {
		return nil, err
	}
	if m.private == nil {
		return nil, invalid("not a PrivateMessage")
	}
	e, err := g.reader(m.private)
	if err != nil {
		return nil, err
	}
	d, err := e.suite.openSenderData(e.senderData, m.private)
	if err != nil {
		return nil, err
	}
	if e.tree.leaf(d.leaf) == nil {
		return nil, invalid("sender %d is no member", d.leaf) // 6.3.2
	}
	out := m.envelope()
	out.FromMember, out.Sender, out.Generation = true, d.leaf, d.generation
	return out, nil
}

// SenderSecrets returns the application ratchet secret of generation 0 of a leaf in
// an epoch, and that epoch's sender data secret: what NewSenderOpener needs. It gives
// ErrConsumed once a message of that leaf was protected or unprotected. Both are
// copies, which the caller erases.
func (g *Group) SenderSecrets(epoch uint64, leaf LeafIndex) (ratchet, senderData []byte, err error) {
	e, err := g.epoch(epoch)
	if err != nil {
		return nil, nil, err
	}
	if e.tree.leaf(leaf) == nil {
		return nil, nil, invalid("leaf %d is no member", leaf)
	}
	ratchet, err = e.messages.generationZero(ratchetID{leaf, ratchetApplication})
	if err != nil {
		return nil, nil, err
	}
	return ratchet, slices.Clone(e.senderData), nil
}
