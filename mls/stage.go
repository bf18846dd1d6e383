package mls

import (
	"bytes"
	"slices"
)

// Stage verifies a commit of another member, or recognises the pending own one, and
// changes nothing (RFC 9420 12.4.2). Apply moves on.
func (g *Group) Stage(msg []byte) (*StagedCommit, error) {
	if err := g.active(); err != nil {
		return nil, err
	}
	if g.pending != nil && bytes.Equal(msg, g.pending.Message) {
		return g.pending.Staged, nil
	}
	a, use, err := g.openHandshake(msg)
	if err != nil {
		return nil, err
	}
	if use != nil {
		defer g.now.messages.discard(use) // the epoch ends with this commit, or it is lost
	}
	if a.content.kind != contentCommit {
		return nil, invalid("not a commit")
	}
	if from := a.content.sender; from.kind == senderMember && LeafIndex(from.index) == g.now.own {
		return nil, refused("own commit that is not pending")
	}
	t, err := g.now.process(&g.cfg, a, g.proposals)
	if err != nil {
		return nil, err
	}
	return g.stage(t, a)
}

// openHandshake parses, decrypts and verifies a proposal or commit of this epoch. A
// use is returned for private messages; the caller consumes or discards it.
func (g *Group) openHandshake(msg []byte) (*authenticatedContent, *keyUse, error) {
	m, err := parse(msg, decodeMessage)
	if err != nil {
		return nil, nil, err
	}
	switch m.format {
	case wirePublicMessage:
		c := &m.public.content
		if err := g.now.checkEpoch(c.groupID, c.epoch); err != nil {
			return nil, nil, err
		}
		u, err := g.now.suite.openPublic(g.now.secrets.membership, m.public, g.now.contextBytes)
		if err != nil {
			return nil, nil, err
		}
		a, err := g.now.verify(&g.cfg, u)
		return a, nil, err
	case wirePrivateMessage:
		if m.private.kind == contentApplication {
			return nil, nil, invalid("application message where a handshake message belongs")
		}
		e, err := g.reader(m.private)
		if err != nil {
			return nil, nil, err
		}
		if e.messages != g.now.messages {
			return nil, nil, invalid("handshake message of a past epoch")
		}
		_, a, use, err := e.open(m.private, g.cfg.MaxSkip)
		return a, use, err
	}
	return nil, nil, invalid("wire format %d is not a handshake message", m.format)
}

// stage runs the private half of a commit (RFC 9420 12.4.2).
func (g *Group) stage(t *transition, a *authenticatedContent) (*StagedCommit, error) {
	public := g.now.finish(t, a)
	out := g.now.changes(t, a, &public)
	out.base = g.now
	if slices.ContainsFunc(out.Removed, func(m Member) bool { return m.Index == g.now.own }) {
		out.SelfRemoved = true
		return out, nil
	}
	keys := g.ownKeys(t).keep(t.tree)
	commitSecret := make([]byte, g.now.suite.nh) // 8: zero without a path
	if path := a.content.commit.path; path != nil {
		fresh, secret, err := t.tree.openPath(g.now.own, keys, t.steps, t.added, path, t.context.Bytes())
		if err != nil {
			return nil, err
		}
		commitSecret = secret
		for x, k := range fresh {
			keys[x] = k
		}
	}
	next, joiner, err := g.nextEpoch(t, public, keys, commitSecret)
	if err != nil {
		return nil, err
	}
	clear(joiner)
	s := g.now.suite
	if !s.verifyMAC(next.secrets.confirmation, public.context.ConfirmedTranscriptHash, public.confirmationTag) {
		return nil, invalid("confirmation tag") // 12.4.2
	}
	out.next = next
	return out, nil
}

// ownKeys are the private keys with those of own Update proposals in the commit.
func (g *Group) ownKeys(t *transition) treeKeys {
	keys := g.now.keys.keep(g.now.tree)
	for _, q := range t.list.updates {
		if key := g.updates[string(q.ref)]; key != nil && LeafIndex(q.sender.index) == g.now.own {
			keys[g.now.own.node()] = key.clone()
		}
	}
	return keys
}

// nextEpoch runs the key schedule (RFC 9420 8) and erases commitSecret. It returns
// the joiner secret too, for a Welcome.
func (g *Group) nextEpoch(t *transition, public publicState, keys treeKeys, commitSecret []byte) (*epoch, []byte, error) {
	s := g.now.suite
	defer clear(commitSecret)
	psk, err := g.pskSecret(t.list.pskIDs())
	if err != nil {
		return nil, nil, err
	}
	defer clear(psk)
	init := slices.Clone(g.now.secrets.init)
	if t.initSecret != nil {
		init = slices.Clone(t.initSecret)
	} else if t.external {
		if init, err = s.openExternalInit(g.now.secrets.external, t.list.externalInit[0].proposal.kemOutput); err != nil { // 8.3
			return nil, nil, err
		}
	}
	defer clear(init)
	joiner := s.joinerSecret(init, commitSecret, public.contextBytes)
	secrets, encryption := s.deriveEpoch(s.epochSecret(joiner, psk, public.contextBytes))
	signer := g.now.signer
	if t.signer != nil {
		signer = t.signer
	}
	return &epoch{
		publicState: public,
		own:         g.now.own,
		signer:      signer,
		keys:        keys,
		secrets:     secrets,
		messages:    newSecretTree(s, public.context.Epoch, public.tree.width(), encryption),
	}, joiner, nil
}

// pskSecret looks up the keys of a commit's PSK proposals (RFC 9420 8.4).
func (g *Group) pskSecret(ids []pskID) ([]byte, error) {
	var keys [][]byte
	for _, id := range ids {
		key, err := g.pskKey(id)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return g.now.suite.pskSecret(ids, keys), nil
}

func (g *Group) pskKey(id pskID) ([]byte, error) {
	if id.kind == pskResumption && bytes.Equal(id.groupID, g.now.context.GroupID) {
		if id.epoch == g.now.context.Epoch && g.now.secrets.resumption != nil {
			return g.now.secrets.resumption, nil
		}
		if key := g.resumption[id.epoch]; key != nil {
			return key, nil
		}
	}
	return g.cfg.lookupPSK(id)
}

// lookupPSK asks the application.
func (c *Config) lookupPSK(id pskID) ([]byte, error) {
	if id.inherited() {
		return c.inherited(id)
	}
	if c.PSK == nil {
		return nil, refused("no pre-shared keys")
	}
	psk := PSK{ID: id.id}
	if id.kind == pskResumption {
		psk = PSK{GroupID: id.groupID, Epoch: id.epoch}
	}
	key, err := c.PSK(psk)
	if err != nil {
		return nil, invalid("pre-shared key: %w", err)
	}
	return key, nil
}
