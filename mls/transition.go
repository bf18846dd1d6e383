package mls

import "bytes"

// A transition is the public half of a commit: what the tree and the context become.
// The context has the new tree hash but still the old transcript hash, until finish.
type transition struct {
	context   GroupContext
	tree      *ratchetTree
	list      *proposalList
	committer LeafIndex
	external  bool        // the committer joins by this commit
	added     []LeafIndex // by Add proposals, in their order
	steps     []pathStep  // of the committer's path, when there is one

	initSecret []byte        // of an own external commit (8.3)
	signer     *SignatureKey // of this member after an own commit, when new
}

// apply applies a list of proposals to a copy of the tree (RFC 9420 12.3).
func (st *publicState) apply(l *proposalList) *transition {
	t := &transition{context: st.context, tree: st.tree.clone(), list: l}
	t.context.Epoch++
	for _, q := range l.extensions {
		t.context.Extensions = q.proposal.extensions
	}
	for _, q := range l.updates {
		t.tree.updateLeaf(LeafIndex(q.sender.index), q.proposal.update)
	}
	for _, q := range l.removes {
		t.tree.removeLeaf(q.proposal.remove)
	}
	for _, q := range l.adds {
		t.added = append(t.added, t.tree.addLeaf(q.proposal.add.Leaf))
	}
	return t
}

// transition applies the proposals and seats the committer.
func (st *publicState) transition(l *proposalList, c *commit, from sender) *transition {
	t := st.apply(l)
	t.committer = LeafIndex(from.index)
	if from.kind == senderNewMemberCommit {
		t.external = true
		t.committer = t.tree.addLeaf(c.path.leaf) // 12.4.3.2
	}
	return t
}

// replay is process for an own commit that was verified when it was made.
func (st *publicState) replay(a *authenticatedContent, queue []queuedProposal) (*transition, error) {
	c, from := a.content.commit, a.content.sender
	if c == nil {
		return nil, malformed("not a commit")
	}
	all, err := resolve(c, from, queue)
	if err != nil {
		return nil, err
	}
	t := st.transition(newProposalList(all), c, from)
	if c.path != nil {
		t.merge(c.path)
	}
	t.context.TreeHash = t.tree.rootHash()
	return t, nil
}

// mergePath verifies an UpdatePath and puts its keys into the tree (RFC 9420 7.5).
func (st *publicState) mergePath(cfg *Config, t *transition, path *updatePath) error {
	if err := path.leaf.verifyAlone(st.suite, sourceCommit); err != nil { // 12.4.2
		return err
	}
	if err := path.leaf.verifySignature(st.suite, st.context.GroupID, t.committer); err != nil { // 7.3
		return err
	}
	if err := ask(cfg.Authenticate, path.leaf); err != nil {
		return err
	}
	old := st.replaced(t)
	if err := cfg.replaces(old, path.leaf); err != nil {
		return err
	}
	if t.external && old != nil && bytes.Equal(old.EncryptionKey, path.leaf.EncryptionKey) {
		return invalid("external commit keeps the encryption key of the leaf it replaces") // 12.2
	}
	if err := t.tree.verifyPath(t.committer.node(), t.tree.filteredPath(t.committer), t.added, path); err != nil {
		return err
	}
	if hash := t.merge(path); !bytes.Equal(hash, path.leaf.parentHash) {
		return invalid("parent hash of the path") // 7.9.2
	}
	return nil
}

// merge puts a path's keys into the tree and returns the parent hash that its leaf
// must have.
func (t *transition) merge(path *updatePath) []byte {
	t.steps = t.tree.filteredPath(t.committer)
	var keys []hpkePublicKey
	for _, n := range path.nodes {
		keys = append(keys, n.encryptionKey)
	}
	hash := t.tree.setPath(t.committer, t.steps, keys)
	t.tree.set(t.committer.node(), treeNode{leaf: path.leaf})
	return hash
}

// finish completes the public state of the next epoch with the commit's transcript.
func (st *publicState) finish(t *transition, a *authenticatedContent) publicState {
	c := t.context
	c.ConfirmedTranscriptHash = st.suite.confirmedHash(st.interim, a)
	next := newPublicState(st.suite, c, t.tree, a.auth.confirmationTag)
	for _, q := range t.list.reInit {
		next.reInit = &q.proposal.reInit
	}
	return next
}

// replaced is the leaf that the committer's takes the place of, or nil.
func (st *publicState) replaced(t *transition) *LeafNode {
	if !t.external {
		return st.tree.leaf(t.committer)
	}
	for _, q := range t.list.removes {
		return st.tree.leaf(q.proposal.remove)
	}
	return nil
}

func (c *Config) replaces(before, after *LeafNode) error {
	if c.Replaces == nil || before == nil {
		return nil
	}
	if err := c.Replaces(before, after); err != nil {
		return invalid("successor of a leaf: %w", err) // 5.3.1
	}
	return nil
}
