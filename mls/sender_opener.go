package mls

import "slices"

// maxOpenerGenerations bounds what one SenderOpener derives and remembers.
const maxOpenerGenerations = 1 << 16

// A SenderOpener opens the application messages of one sender in one epoch, from two
// secrets that a member gave away with SenderSecrets. It needs no group and opens the
// same message as often as asked; it can open nothing else.
type SenderOpener struct {
	epoch  messageEpoch
	leaf   LeafIndex
	signer SignaturePublicKey
	keys   []messageKey // of generations 0, 1, ...
	next   []byte       // ratchet secret of generation len(keys)
}

// NewSenderOpener takes the ratchet secret of generation 0 and the sender data secret,
// the sender's leaf index and signature key, and the epoch's serialized group context,
// which every signature covers. It copies the secrets; Erase forgets the copies.
func NewSenderOpener(cs CipherSuite, ratchet, senderData []byte, leaf LeafIndex, groupContext []byte, signer SignaturePublicKey) (*SenderOpener, error) {
	s, err := cs.params()
	if err != nil {
		return nil, err
	}
	c, err := ParseGroupContext(groupContext)
	if err != nil {
		return nil, err
	}
	if c.Suite != cs {
		return nil, invalid("group context of suite %#04x", uint16(c.Suite))
	}
	if len(ratchet) != s.nh || len(senderData) != s.nh {
		return nil, invalid("secrets of %d and %d bytes", len(ratchet), len(senderData))
	}
	st := &publicState{suite: s, context: *c, contextBytes: slices.Clone(groupContext)}
	return &SenderOpener{
		epoch:  messageEpoch{publicState: st, senderData: slices.Clone(senderData)},
		leaf:   leaf,
		signer: signer,
		next:   slices.Clone(ratchet),
	}, nil
}

// Open decrypts one message and verifies the sender's signature on it.
func (o *SenderOpener) Open(msg []byte) (*ApplicationMessage, error) {
	m, err := parseApplication(msg)
	if err != nil {
		return nil, err
	}
	if err := o.epoch.checkEpoch(m.groupID, m.epoch); err != nil {
		return nil, err
	}
	s := o.epoch.suite
	d, err := s.openSenderData(o.epoch.senderData, m)
	if err != nil {
		return nil, err
	}
	if d.leaf != o.leaf {
		return nil, invalid("message of leaf %d, not %d", d.leaf, o.leaf)
	}
	if d.generation >= maxOpenerGenerations {
		return nil, refused("generation %d", d.generation)
	}
	a, err := s.openVerified(m, o.key(d.generation), d, o.signer, o.epoch.contextBytes)
	if err != nil {
		return nil, err
	}
	return &ApplicationMessage{m.epoch, d.leaf, d.generation, m.authenticatedData, a.content.application}, nil
}

// key derives the ratchet as far as needed (RFC 9420 9.1).
func (o *SenderOpener) key(generation uint32) messageKey {
	for g := uint32(len(o.keys)); g <= generation; g++ {
		o.keys = append(o.keys, o.epoch.suite.ratchetKey(o.next, g))
		next := o.epoch.suite.nextRatchetSecret(o.next, g)
		clear(o.next)
		o.next = next
	}
	return o.keys[generation]
}

// Erase overwrites the secrets; the opener is of no use after it.
func (o *SenderOpener) Erase() {
	clear(o.epoch.senderData)
	clear(o.next)
	for _, k := range o.keys {
		k.erase()
	}
}
