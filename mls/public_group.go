package mls

import (
	"bytes"
	"iter"
	"slices"
)

// A PublicGroup follows a group's handshake without being in it, as a delivery service
// does. It verifies signatures, proposals, trees and hashes as members do; the two
// tags keyed with the group's secrets, membership and confirmation, it can't check.
// So a removed or malicious member may make it follow a commit that members refuse.
// HandleProposal and Apply change it and must have it for themselves; everything else
// may be called by several goroutines at once.
type PublicGroup struct {
	cfg       Config
	now       *publicState
	proposals []queuedProposal
}

// NewPublicGroup begins at the epoch of a member's signed GroupInfo (an MLSMessage).
// The tree comes with it or as ratchetTree.
func NewPublicGroup(cfg Config, groupInfo, ratchetTree []byte) (*PublicGroup, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, err
	}
	info, err := parseGroupInfo(groupInfo)
	if err != nil {
		return nil, err
	}
	s, err := info.context.Suite.params()
	if err != nil {
		return nil, err
	}
	tree, err := info.verifiedTree(s, ratchetTree, cfg.Authenticate)
	if err != nil {
		return nil, err
	}
	st := newPublicState(s, info.context, tree, info.confirmationTag)
	return &PublicGroup{cfg: cfg, now: &st}, nil
}

// open parses and verifies a PublicMessage of this epoch.
func (p *PublicGroup) open(msg []byte) (*authenticatedContent, error) {
	m, err := parse(msg, decodeMessage)
	if err != nil {
		return nil, err
	}
	if m.public == nil {
		return nil, invalid("not a PublicMessage")
	}
	return p.now.verify(&p.cfg, m.public.unverified())
}

// HandleProposal verifies a proposal and keeps it for the commit that may name it.
func (p *PublicGroup) HandleProposal(msg []byte) error {
	a, err := p.open(msg)
	if err != nil {
		return err
	}
	if a.content.kind != contentProposal {
		return invalid("not a proposal")
	}
	if len(p.proposals) >= maxProposals {
		return refused("%d proposals are waiting", maxProposals)
	}
	q, err := p.now.queue(&p.cfg, a)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(p.proposals, func(o queuedProposal) bool { return bytes.Equal(o.ref, q.ref) }) {
		p.proposals = append(p.proposals, q)
	}
	return nil
}

// Stage verifies a commit and changes nothing.
func (p *PublicGroup) Stage(msg []byte) (*StagedCommit, error) {
	a, err := p.open(msg)
	if err != nil {
		return nil, err
	}
	if a.content.kind != contentCommit {
		return nil, invalid("not a commit")
	}
	if len(a.auth.confirmationTag) != p.now.suite.nh {
		return nil, invalid("confirmation tag of %d bytes", len(a.auth.confirmationTag))
	}
	t, err := p.now.process(&p.cfg, a, p.proposals)
	if err != nil {
		return nil, err
	}
	next := p.now.finish(t, a)
	out := p.now.changes(t, a, &next)
	out.publicBase, out.publicNext = p.now, &next
	return out, nil
}

// Apply moves to the epoch of a staged commit.
func (p *PublicGroup) Apply(c *StagedCommit) error {
	if c.publicBase != p.now {
		return invalid("commit was staged in another epoch")
	}
	p.now, p.proposals = c.publicNext, nil
	return nil
}

// Context is the current group context; the caller must not change its slices.
func (p *PublicGroup) Context() GroupContext { return p.now.context }

// Members yields the members in the order of their leaves.
func (p *PublicGroup) Members() iter.Seq2[LeafIndex, *LeafNode] { return p.now.tree.members() }

// Leaf returns the member at i, or nil.
func (p *PublicGroup) Leaf(i LeafIndex) *LeafNode { return p.now.tree.leaf(i) }

// RatchetTree is the tree in the encoding of RFC 9420 12.4.3.3.
func (p *PublicGroup) RatchetTree() []byte { return marshal(p.now.tree) }

// Marshal encodes the group for storage: context, tree, confirmation tag and the
// proposals that wait. Nothing in it is secret.
func (p *PublicGroup) Marshal() []byte {
	var w writer
	w.opaque(p.now.contextBytes)
	w.opaque(marshal(p.now.tree))
	w.opaque(p.now.confirmationTag)
	w.vector(func(w *writer) {
		for _, q := range p.proposals {
			w.opaque(q.ref)
			q.sender.encode(w)
			q.proposal.encode(w)
		}
	})
	p.now.reInit.encodeIfAny(&w)
	return w.buf
}

// ParsePublicGroup restores what Marshal wrote, and checks that the tree is the one
// that the context commits to.
func ParsePublicGroup(cfg Config, b []byte) (*PublicGroup, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, err
	}
	type form struct {
		context, tree, tag []byte
		proposals          []queuedProposal
		reInit             *reInit
	}
	f, err := parse(b, func(r *reader) form {
		return form{r.opaque(), r.opaque(), r.opaque(), decodeAll(r, decodeQueued), decodeReInitIfAny(r)}
	})
	if err != nil {
		return nil, err
	}
	context, err := ParseGroupContext(f.context)
	if err != nil {
		return nil, err
	}
	s, err := context.Suite.params()
	if err != nil {
		return nil, err
	}
	tree, err := parseTree(s, f.tree)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(tree.rootHash(), context.TreeHash) {
		return nil, invalid("tree hash differs from the group context")
	}
	st := newPublicState(s, *context, tree, f.tag)
	st.reInit = f.reInit
	return &PublicGroup{cfg: cfg, now: &st, proposals: f.proposals}, nil
}
