package mls

// A Member is a leaf with its place.
type Member struct {
	Index LeafIndex
	Leaf  *LeafNode
}

// A StagedCommit is a commit verified in full, confirmation tag included, and what it
// does to the membership. The epoch that it leads to comes with it: it is good for the
// Group or PublicGroup and the epoch it was staged in only. A PublicGroup can't verify
// the confirmation tag.
type StagedCommit struct {
	Sender            LeafIndex // the committer's leaf, in the new epoch
	External          bool      // the committer joined by this very commit
	Epoch             uint64    // the new one
	AuthenticatedData []byte
	Added             []Member
	Updated           []Member // new leaves of members that stay, the committer's among them
	Removed           []Member // as they were
	SelfRemoved       bool     // this member is out; the confirmation tag could not be checked
	Context           GroupContext

	base, next             *epoch // of a Group; next is nil when SelfRemoved
	publicBase, publicNext *publicState
}

// changes says what a commit does.
func (st *publicState) changes(t *transition, a *authenticatedContent, next *publicState) *StagedCommit {
	c := &StagedCommit{
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
