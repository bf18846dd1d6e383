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
	tree.freeze()
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
	case senderMember:
		leaf := st.tree.leaf(LeafIndex(c.sender.index))
		if leaf == nil {
			return nil, invalid("sender %d is no member", c.sender.index) // 6.1
		}
		return leaf.SignatureKey, nil
	case senderExternal:
		return st.externalSigner(cfg, c)
	case senderNewMemberProposal:
		if !cfg.ExternalProposals {
			return nil, refused("proposal from outside the group")
		}
		if c.kind != contentProposal || c.proposal.kind != proposalAdd {
			return nil, invalid("new member sends something else than Add") // 12.1.8
		}
		return c.proposal.add.Leaf.SignatureKey, nil
	default: // senderNewMemberCommit
		if !cfg.ExternalCommits {
			return nil, refused("external commit")
		}
		if c.kind != contentCommit || c.commit.path == nil {
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
	if c.kind != contentProposal {
		return nil, invalid("external sender sends something else than a proposal") // 12.1.8
	}
	if !c.proposal.kind.fromOutside() {
		return nil, invalid("external sender proposes type %d", c.proposal.kind) // 12.1.8
	}
	return senders[c.sender.index].Key, nil
}

// verify checks the signature of a handshake message of this epoch.
func (st *publicState) verify(cfg *Config, u unverifiedContent) (*authenticatedContent, error) {
	c := &u.content.content
	if err := st.checkEpoch(c.groupID, c.epoch); err != nil {
		return nil, err
	}
	if c.kind == contentApplication {
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
	if q.proposal.kind == proposalExternalInit {
		return queuedProposal{}, invalid("ExternalInit by reference") // 12.2
	}
	if err := st.verifyProposal(cfg, q); err != nil {
		return queuedProposal{}, err
	}
	return q, nil
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
