package mls

import (
	"iter"
	"slices"
)

// An epoch is what one member knows of one epoch. Only its secret tree changes.
type epoch struct {
	publicState
	own      LeafIndex
	signer   *SignatureKey
	keys     treeKeys
	secrets  epochSecrets
	messages *secretTree
}

// A messageEpoch is the part of an epoch that private messages need. It is all that
// is left of past epochs.
type messageEpoch struct {
	*publicState
	senderData []byte
	messages   *secretTree
}

func (e *epoch) forMessages() *messageEpoch {
	return &messageEpoch{&e.publicState, e.secrets.senderData, e.messages}
}

// A Group is one member's view of an MLS group. It must not be used by two
// goroutines at once.
type Group struct {
	cfg        Config
	now        *epoch
	removed    bool                // now has no secrets then
	past       []*messageEpoch     // oldest first
	proposals  []queuedProposal    // received or sent in this epoch
	updates    map[string]*hpkeKey // leaf keys of own Update proposals, by reference
	pending    *PendingCommit      // own commit that isn't applied
	resumption map[uint64][]byte   // resumption PSKs of past epochs
}

// NewGroup creates a group of one member at epoch 0 (RFC 9420 11), with the extensions
// of its context. groupID must be unique; what it means is the application's.
func (c Client) NewGroup(cfg Config, groupID []byte, extensions []Extension) (*Group, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, err
	}
	if err := checkExtensionsUnique(extensions); err != nil {
		return nil, err
	}
	s, err := c.suite()
	if err != nil {
		return nil, err
	}
	leaf, encryption, err := c.founder(extensions)
	if err != nil {
		return nil, err
	}
	tree := newTree(s, leaf)
	if err := tree.verifyMembers(extensions, true); err != nil {
		return nil, err
	}
	if err := ask(cfg.Authenticate, leaf); err != nil {
		return nil, err
	}
	context := GroupContext{protocolVersion, s.id, slices.Clone(groupID), 0, tree.rootHash(), nil, extensions}
	secrets, secretRoot := s.deriveEpoch(s.randomSecret())
	return newGroup(cfg, &epoch{
		publicState: newPublicState(s, context, tree, s.mac(secrets.confirmation, nil)),
		signer:      c.Key,
		keys:        treeKeys{0: encryption},
		secrets:     secrets,
		messages:    newSecretTree(s, 0, 1, secretRoot),
	}), nil
}

// founder makes the leaf of a group's creator, who supports what the group needs.
func (c Client) founder(extensions []Extension) (*LeafNode, *hpkeKey, error) {
	encryption, err := c.Key.suite.generateHPKEKey()
	if err != nil {
		return nil, nil, err
	}
	leaf := c.supporting(extensions).leaf(encryption.public)
	return leaf, encryption, leaf.sign(c.Key, nil, 0)
}

func newGroup(cfg Config, e *epoch) *Group {
	return &Group{cfg: cfg, now: e, updates: make(map[string]*hpkeKey), resumption: make(map[uint64][]byte)}
}

// active turns away every operation of a member that is out.
func (g *Group) active() error {
	if g.removed {
		return refused("removed from the group")
	}
	return nil
}

// writable turns away what a member can't send any more.
func (g *Group) writable() error {
	if err := g.active(); err != nil {
		return err
	}
	if g.now.reInit != nil {
		return refused("the group was reinitialised") // 11.2
	}
	return nil
}

// Removed says that this member was removed by a commit that was applied. All its
// secrets are gone; what is public of its last epoch can still be looked at.
func (g *Group) Removed() bool { return g.removed }

// ID is the group id; the caller must not change it.
func (g *Group) ID() []byte { return g.now.context.GroupID }

// Epoch is the current epoch.
func (g *Group) Epoch() uint64 { return g.now.context.Epoch }

// Suite is the group's cipher suite.
func (g *Group) Suite() CipherSuite { return g.now.context.Suite }

// OwnLeaf is this member's place.
func (g *Group) OwnLeaf() LeafIndex { return g.now.own }

// Context is the current group context; the caller must not change its slices.
func (g *Group) Context() GroupContext { return g.now.context }

// Members yields the members in the order of their leaves.
func (g *Group) Members() iter.Seq2[LeafIndex, *LeafNode] { return g.now.tree.members() }

// Leaf returns the member at i, or nil.
func (g *Group) Leaf(i LeafIndex) *LeafNode { return g.now.tree.leaf(i) }

// PendingCommit returns the own commit that is neither applied nor dropped, or nil.
func (g *Group) PendingCommit() *PendingCommit { return g.pending }

// Export derives n bytes that only members of this epoch know (RFC 9420 8.5).
func (g *Group) Export(label string, context []byte, n int) ([]byte, error) {
	if err := g.active(); err != nil {
		return nil, err
	}
	return g.now.suite.export(g.now.secrets.exporter, label, context, n)
}

// EpochAuthenticator is a value that all members of the epoch share and may compare
// by other means (RFC 9420 8.7).
func (g *Group) EpochAuthenticator() []byte { return slices.Clone(g.now.secrets.authentication) }

// GroupInfo describes the current epoch, signed by this member (RFC 9420 12.4.3), as
// an MLSMessage. It carries the ratchet tree when withTree, and the key that external
// commits need when Config allows those.
func (g *Group) GroupInfo(extensions []Extension, withTree bool) ([]byte, error) {
	if err := g.active(); err != nil {
		return nil, err
	}
	list := slices.Clone(extensions)
	if g.cfg.ExternalCommits {
		key, err := g.now.suite.externalKey(g.now.secrets.external)
		if err != nil {
			return nil, err
		}
		var w writer
		w.opaque(key.public)
		list = append(list, Extension{ExtensionExternalPub, w.buf})
	}
	info, err := g.now.groupInfo(list, withTree)
	if err != nil {
		return nil, err
	}
	return marshal(&message{format: wireGroupInfo, groupInfo: info}), nil
}

func (e *epoch) groupInfo(extensions []Extension, withTree bool) (*groupInfo, error) {
	if withTree {
		extensions = append(slices.Clone(extensions), Extension{ExtensionRatchetTree, marshal(e.tree)})
	}
	if err := checkExtensionsUnique(extensions); err != nil {
		return nil, err
	}
	info := &groupInfo{context: e.context, extensions: extensions, confirmationTag: e.confirmationTag, signer: e.own}
	var err error
	info.signature, err = e.signer.sign("GroupInfoTBS", info.tbs())
	return info, err
}

// RatchetTree is the public tree in the encoding of RFC 9420 12.4.3.3, for Join and
// NewPublicGroup when it is not in the GroupInfo.
func (g *Group) RatchetTree() []byte { return marshal(g.now.tree) }
