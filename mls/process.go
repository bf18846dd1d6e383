package mls

import "bytes"

// A publicState is what anyone who follows the handshake knows of one epoch. It
// never changes: the next epoch has another.
type publicState struct {
	suite           *suite
	context         GroupContext
	contextBytes    []byte
	tree            *ratchetTree
	confirmationTag []byte
	interim         []byte  // interim transcript hash
	reInit          *reInit // committed: the group ends with this epoch (RFC 9420 11.2)
}

func newPublicState(s *suite, c GroupContext, tree *ratchetTree, confirmationTag []byte) publicState {
	return publicState{
		suite: s, context: c, contextBytes: c.Bytes(), tree: tree,
		confirmationTag: confirmationTag, interim: s.interimHash(c.ConfirmedTranscriptHash, confirmationTag),
	}
}

// checkEpoch turns away messages of other groups and epochs (RFC 9420 12.4.2).
func (st *publicState) checkEpoch(groupID []byte, epoch uint64) error {
	if !bytes.Equal(groupID, st.context.GroupID) {
		return invalid("message of another group") // 6.1
	}
	if epoch != st.context.Epoch {
		return invalid("message of epoch %d in epoch %d", epoch, st.context.Epoch) // 12.4.2
	}
	return nil
}

// signer finds the key that must have signed a handshake message (RFC 9420 6.1).
func (st *publicState) signer(cfg *Config, c *framedContent) (SignaturePublicKey, error) {
	switch c.sender.kind {
	case SenderMember:
		if leaf := st.tree.leaf(LeafIndex(c.sender.index)); leaf != nil {
			return leaf.SignatureKey, nil
		}
		return nil, invalid("sender %d is no member", c.sender.index) // 6.1
	case SenderExternal:
		return st.externalSigner(cfg, c)
	case SenderNewMemberProposal:
		if !cfg.ExternalProposals {
			return nil, refused("proposal from outside the group")
		}
		if c.kind != ContentProposal || c.proposal.kind != ProposalAdd {
			return nil, invalid("new member sends something else than Add") // 12.1.8
		}
		return c.proposal.add.Leaf.SignatureKey, nil
	default: // SenderNewMemberCommit
		if !cfg.ExternalCommits {
			return nil, refused("external commit")
		}
		if c.kind != ContentCommit || c.commit.path == nil {
			return nil, invalid("new member sends something else than a commit with a path") // 12.4.3.2
		}
		return c.commit.path.leaf.SignatureKey, nil
	}
}

// externalSigner finds the key of a sender outside the group (RFC 9420 12.1.8.1).
func (st *publicState) externalSigner(cfg *Config, c *framedContent) (SignaturePublicKey, error) {
	if !cfg.ExternalProposals {
		return nil, refused("proposal from outside the group")
	}
	senders, err := externalSenders(st.context.Extensions)
	if err != nil {
		return nil, err
	}
	if uint64(c.sender.index) >= uint64(len(senders)) {
		return nil, invalid("external sender %d is not listed", c.sender.index) // 12.1.8.1
	}
	if c.kind != ContentProposal {
		return nil, invalid("external sender sends something else than a proposal") // 12.1.8
	}
	switch c.proposal.kind {
	case ProposalAdd, ProposalRemove, ProposalPSK, ProposalReInit, ProposalGroupContextExtensions:
		return senders[c.sender.index].Key, nil
	}
	return nil, invalid("external sender proposes type %d", c.proposal.kind) // 12.1.8
}

// verify checks the signature of a handshake message of this epoch.
func (st *publicState) verify(cfg *Config, u unverifiedContent) (*authenticatedContent, error) {
	c := &u.content.content
	if err := st.checkEpoch(c.groupID, c.epoch); err != nil {
		return nil, err
	}
	if c.kind == ContentApplication {
		return nil, invalid("application data in a PublicMessage") // 6.2
	}
	if st.reInit != nil {
		return nil, invalid("handshake after a ReInit") // 11.2
	}
	key, err := st.signer(cfg, c)
	if err != nil {
		return nil, err
	}
	return u.verify(st.suite, key, st.contextBytes)
}

// queue turns a verified proposal message into one that commits can name.
func (st *publicState) queue(cfg *Config, a *authenticatedContent) (queuedProposal, error) {
	q := queuedProposal{st.suite.refHash("MLS 1.0 Proposal Reference", marshal(a)), a.content.proposal, a.content.sender}
	if q.proposal.kind == ProposalExternalInit {
		return queuedProposal{}, invalid("ExternalInit by reference") // 12.2
	}
	if err := st.verifyProposal(cfg, q); err != nil {
		return queuedProposal{}, err
	}
	return q, nil
}

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

// process verifies the public half of a commit (RFC 9420 12.4.2) whose signature is
// verified, and computes where it leads.
func (st *publicState) process(cfg *Config, a *authenticatedContent, queue []queuedProposal) (*transition, error) {
	c, from := a.content.commit, a.content.sender
	all, err := resolve(c, from, queue)
	if err != nil {
		return nil, err
	}
	list := newProposalList(all)
	if err := st.verifyList(cfg, from, list); err != nil {
		return nil, err
	}
	if c.path == nil && list.needsPath {
		return nil, invalid("commit needs a path") // 12.4
	}
	t := st.transition(list, c, from)
	if c.path != nil {
		if err := st.mergePath(cfg, t, c.path); err != nil {
			return nil, err
		}
	}
	if err := t.tree.verifyMembers(t.context.Extensions, len(list.extensions) > 0); err != nil { // 12.2
		return nil, err
	}
	t.context.TreeHash = t.tree.rootHash()
	return t, nil
}

// transition applies the proposals and seats the committer.
func (st *publicState) transition(l *proposalList, c *commit, from sender) *transition {
	t := st.apply(l)
	t.committer = LeafIndex(from.index)
	if from.kind == SenderNewMemberCommit {
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
	if err := cfg.replaces(st.replaced(t), path.leaf); err != nil {
		return err
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
	var keys []HPKEPublicKey
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

// A Member is a leaf with its place.
type Member struct {
	Index LeafIndex
	Leaf  *LeafNode
}

// Changes says what a commit does to the membership.
type Changes struct {
	Sender            LeafIndex // the committer's leaf, in the new epoch
	External          bool      // the committer joined by this very commit
	Epoch             uint64    // the new one
	AuthenticatedData []byte
	Added             []Member
	Updated           []Member // new leaves of members that stay, the committer's among them
	Removed           []Member // as they were
	Context           GroupContext
}

func (st *publicState) changes(t *transition, a *authenticatedContent, next *publicState) Changes {
	c := Changes{
		Sender:            t.committer,
		External:          t.external,
		Epoch:             next.context.Epoch,
		AuthenticatedData: a.content.authenticatedData,
		Context:           next.context,
	}
	for _, q := range t.list.removes {
		c.Removed = append(c.Removed, Member{q.proposal.remove, st.tree.leaf(q.proposal.remove)})
	}
	for _, q := range t.list.updates {
		i := LeafIndex(q.sender.index)
		c.Updated = append(c.Updated, Member{i, t.tree.leaf(i)})
	}
	for _, i := range t.added {
		c.Added = append(c.Added, Member{i, t.tree.leaf(i)})
	}
	committer := Member{t.committer, t.tree.leaf(t.committer)}
	switch {
	case t.external:
		c.Added = append(c.Added, committer)
	case a.content.commit.path != nil:
		c.Updated = append(c.Updated, committer)
	}
	return c
}
