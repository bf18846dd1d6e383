package mls

import "slices"

// CommitOptions says what an own commit does beside renewing this member's keys,
// which every commit does.
type CommitOptions struct {
	Add         []*KeyPackage
	Remove      []LeafIndex
	PSKs        []PSK   // mixed into the next epoch
	ReInit      *ReInit // end the group: Reinit begins its successor; nothing may stand beside it
	ByReference bool    // also commit the proposals received in this epoch, where they are valid

	GroupContextExtensions []Extension // replaces the group's, when not nil
	LeafExtensions         []Extension // replaces those of the own leaf, when not nil
	GroupInfoExtensions    []Extension // for those who join by this commit

	SignatureKey *SignatureKey // signs for this member from the next epoch on, when not nil
	Credential   *Credential   // replaces that of the own leaf, when not nil

	AuthenticatedData []byte // public, signed
	Private           bool   // as PrivateMessage: a delivery service can't follow then
	WithoutTree       bool   // leave the ratchet tree out of the Welcome: when many are added, each costs a hash over all of it
}

// A PendingCommit is an own commit on its way. Store Delta, send Message, and when
// the delivery service has accepted it, Apply Staged and send Welcome.
type PendingCommit struct {
	Message []byte // MLSMessage
	Welcome []byte // MLSMessage for all who are added; nil when nobody is
	Staged  *StagedCommit
	Delta   []Record

	content *authenticatedContent
}

// Commit makes a commit and remembers it as pending; nothing else changes (RFC 9420
// 12.4.1). There is at most one: the last must be applied or dropped first.
func (g *Group) Commit(o CommitOptions) (*PendingCommit, error) {
	if err := g.writable(); err != nil {
		return nil, err
	}
	if g.pending != nil {
		return nil, refused("a commit is pending")
	}
	c, list, err := g.gather(o)
	if err != nil {
		return nil, err
	}
	t := g.now.apply(list)
	t.committer = g.now.own
	path, keys, err := g.ownPath(t, c, o)
	if err != nil {
		return nil, err
	}
	defer path.erase()
	a := g.frame(o.Private, framedContent{authenticatedData: o.AuthenticatedData, kind: contentCommit, commit: c})
	next, joiner, err := g.confirm(a, t, keys, path)
	if err != nil {
		return nil, err
	}
	defer clear(joiner)
	p := &PendingCommit{content: a}
	p.Staged = g.now.changes(t, a, &next.publicState)
	p.Staged.base, p.Staged.next = g.now, next
	if len(t.added) > 0 {
		if p.Welcome, err = g.welcome(o, t, next, joiner, path); err != nil {
			return nil, err
		}
	}
	if p.Message, p.Delta, err = g.protectHandshake(a); err != nil {
		return nil, err
	}
	g.pending = p
	p.Delta = append(p.Delta, p.record())
	return p, nil
}

// confirm signs an own commit, runs the key schedule and sets the confirmation tag
// (RFC 9420 12.4.1). It returns the next epoch and the joiner secret.
func (g *Group) confirm(a *authenticatedContent, t *transition, keys treeKeys, path *freshPath) (*epoch, []byte, error) {
	if err := a.sign(g.now.signer, g.now.contextBytes); err != nil {
		return nil, nil, err
	}
	next, joiner, err := g.nextEpoch(t, g.now.finish(t, a), keys, slices.Clone(path.commitSecret))
	if err != nil {
		return nil, nil, err
	}
	a.auth.confirmationTag = g.now.suite.mac(next.secrets.confirmation, next.context.ConfirmedTranscriptHash)
	next.publicState = g.now.finish(t, a)
	return next, joiner, nil
}

// frame fills in group, epoch and sender.
func (g *Group) frame(private bool, c framedContent) *authenticatedContent {
	c.groupID, c.epoch = g.now.context.GroupID, g.now.context.Epoch
	c.sender = sender{senderMember, uint32(g.now.own)}
	if private {
		return &authenticatedContent{format: wirePrivateMessage, content: c}
	}
	return &authenticatedContent{format: wirePublicMessage, content: c}
}

// ownPath renews this member's leaf and path in t, encrypts the path into c, and
// returns its secrets and the private keys of the next epoch (RFC 9420 12.4.1).
func (g *Group) ownPath(t *transition, c *commit, o CommitOptions) (*freshPath, treeKeys, error) {
	leafKey, err := g.now.suite.generateHPKEKey()
	if err != nil {
		return nil, nil, err
	}
	old := g.now.tree.leaf(g.now.own)
	leaf := old.renewed(sourceCommit, leafKey.public, o.LeafExtensions)
	t.signer = g.now.signer
	if o.Credential != nil || o.SignatureKey != nil {
		if err := t.newIdentity(g, leaf, o); err != nil {
			return nil, nil, err
		}
	}
	path, err := t.writePath(c, leaf)
	if err != nil {
		return nil, nil, err
	}
	keys := g.now.keys.keep(t.tree)
	path.addTo(keys)
	keys[g.now.own.node()] = leafKey
	return path, keys, nil
}

// newIdentity puts another key or credential into the own leaf.
func (t *transition) newIdentity(g *Group, leaf *LeafNode, o CommitOptions) error {
	if o.Credential != nil {
		leaf.Credential = *o.Credential
		if !leaf.Capabilities.hasCredential(leaf.Credential.kind()) {
			leaf.Capabilities.Credentials = append(slices.Clone(leaf.Capabilities.Credentials), leaf.Credential.kind())
		}
	}
	if o.SignatureKey != nil {
		if o.SignatureKey.suite.id != g.now.suite.id {
			return invalid("signature key of suite %#04x", uint16(o.SignatureKey.suite.id))
		}
		t.signer, leaf.SignatureKey = o.SignatureKey, o.SignatureKey.public
	}
	if err := ask(g.cfg.Authenticate, leaf); err != nil {
		return err
	}
	return g.cfg.replaces(g.now.tree.leaf(g.now.own), leaf)
}

// writePath puts the committer's new leaf, which it signs, and a fresh path into the
// tree and encrypts the path into c.
func (t *transition) writePath(c *commit, leaf *LeafNode) (*freshPath, error) {
	path, err := t.tree.newPath(t.committer)
	if err != nil {
		return nil, err
	}
	leaf.parentHash = t.tree.setPath(t.committer, path.steps, path.publicKeys())
	if err := leaf.sign(t.signer, t.context.GroupID, t.committer); err != nil {
		return nil, err
	}
	t.tree.set(t.committer.node(), treeNode{leaf: leaf})
	if err := t.tree.verifyMembers(t.context.Extensions, len(t.list.extensions) > 0); err != nil { // 12.2
		return nil, err
	}
	t.context.TreeHash = t.tree.rootHash()
	nodes, err := path.encrypt(t.tree, t.added, t.context.Bytes())
	c.path = &updatePath{leaf, nodes}
	return path, err
}

// renewed is a copy of l, unsigned, with a new key and perhaps other extensions.
func (l *LeafNode) renewed(source leafSource, key hpkePublicKey, extensions []Extension) *LeafNode {
	n := *l
	n.source, n.EncryptionKey, n.Lifetime, n.signature, n.parentHash = source, key, Lifetime{}, nil, nil
	if extensions != nil {
		n.Extensions = extensions
		n.Capabilities.Extensions = slices.Clone(l.Capabilities.Extensions)
		for _, e := range extensions {
			if !n.Capabilities.hasExtension(e.Type) {
				n.Capabilities.Extensions = append(n.Capabilities.Extensions, e.Type)
			}
		}
	}
	return &n
}

// welcome makes the Welcome for all who are added (RFC 9420 12.4.3.1).
func (g *Group) welcome(o CommitOptions, t *transition, next *epoch, joiner []byte, path *freshPath) ([]byte, error) {
	info, err := next.groupInfo(o.GroupInfoExtensions, !o.WithoutTree)
	if err != nil {
		return nil, err
	}
	psk, err := g.pskSecret(t.list.pskIDs())
	if err != nil {
		return nil, err
	}
	defer clear(psk)
	s := next.suite
	k := s.welcomeKey(joiner, psk)
	m := &welcome{suite: s.id, encryptedGroupInfo: s.sealAEAD(k.key, k.nonce, nil, marshal(info))}
	m.secrets = make([]encryptedGroupSecrets, len(t.list.adds))
	context := encryptContext("Welcome", m.encryptedGroupInfo)
	err = parallel(len(m.secrets), func(n int) error {
		kp := t.list.adds[n].proposal.add
		secrets := marshal(&groupSecrets{joiner, path.secretFor(t.added[n]), t.list.pskIDs()})
		defer clear(secrets)
		c, err := s.encrypt(kp.InitKey, context, secrets)
		m.secrets[n] = encryptedGroupSecrets{kp.Ref(), c}
		return err
	})
	if err != nil {
		return nil, err
	}
	return marshal(&message{format: wireWelcome, welcome: m}), nil
}

// protectHandshake frames a signed proposal or commit.
func (g *Group) protectHandshake(a *authenticatedContent) ([]byte, delta, error) {
	if a.format == wirePublicMessage {
		return marshal(g.now.suite.protectPublic(g.now.secrets.membership, a, g.now.contextBytes)), nil, nil
	}
	return g.protectPrivate(a)
}

// erase forgets the secrets of a commit that will not be applied.
func (p *PendingCommit) erase() {
	next := p.Staged.next
	next.secrets.erase()
	next.messages.erase()
	next.keys.eraseBut(p.Staged.base.keys)
}
