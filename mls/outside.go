package mls

import (
	"bytes"
	"crypto/hpke"
	"slices"
)

// JoinExternal enters a group by an external commit (RFC 9420 12.4.3.2), given a
// member's GroupInfo with the external key (an MLSMessage) and, if it isn't in there,
// the tree. The GroupInfo is verified. Of o, PSKs, AuthenticatedData and one Remove
// count, the own old leaf when this is a way back in; the rest only members can do. The
// group is already in the next epoch; when the delivery service doesn't take the commit,
// it is to be thrown away. Members follow only if their Config allows ExternalCommits.
func (c Client) JoinExternal(cfg Config, groupInfo, ratchetTree []byte, o CommitOptions) (*Group, []byte, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, nil, err
	}
	if err := o.checkExternal(); err != nil {
		return nil, nil, err
	}
	info, err := parseGroupInfo(groupInfo)
	if err != nil {
		return nil, nil, err
	}
	s, err := c.suite()
	if err != nil {
		return nil, nil, err
	}
	if info.context.Suite != s.id {
		return nil, nil, invalid("group of suite %#04x", uint16(info.context.Suite))
	}
	tree, err := info.verifiedTree(s, ratchetTree, cfg.Authenticate)
	if err != nil {
		return nil, nil, err
	}
	kemOutput, initSecret, err := s.externalInit(info.extensions)
	if err != nil {
		return nil, nil, err
	}
	defer clear(initSecret)
	st := newPublicState(s, info.context, tree, info.confirmationTag)
	return st.enter(cfg, kemOutput, initSecret, c, o)
}

// enter makes the external commit and the epoch that it leads to.
func (st *publicState) enter(cfg Config, kemOutput, initSecret []byte, client Client, o CommitOptions) (*Group, []byte, error) {
	s, from := st.suite, sender{kind: senderNewMemberCommit}
	leafKey, err := s.generateHPKEKey()
	if err != nil {
		return nil, nil, err
	}
	seat := client.leaf(leafKey.public)
	c := &commit{path: &updatePath{leaf: seat}}
	for _, p := range st.externalProposals(kemOutput, o) {
		c.proposals = append(c.proposals, proposalOrRef{proposal: p})
	}
	all, err := resolve(c, from, nil)
	if err != nil {
		return nil, nil, err
	}
	list := newProposalList(all)
	if err := st.verifyList(&cfg, from, list); err != nil {
		return nil, nil, err
	}
	t := st.transition(list, c, from)
	t.initSecret, t.signer = initSecret, client.Key
	path, err := t.writePath(c, seat.renewed(sourceCommit, leafKey.public, nil))
	if err != nil {
		return nil, nil, err
	}
	defer path.erase()
	if err := ask(cfg.Authenticate, c.path.leaf); err != nil {
		return nil, nil, err
	}
	keys := treeKeys{t.committer.node(): leafKey}
	path.addTo(keys)
	g := newGroup(cfg, &epoch{publicState: *st, own: t.committer, signer: client.Key})
	a := g.frame(false, framedContent{authenticatedData: o.AuthenticatedData, kind: contentCommit, commit: c})
	a.content.sender = from
	next, joiner, err := g.confirm(a, t, keys, path)
	if err != nil {
		return nil, nil, err
	}
	clear(joiner)
	return newGroup(cfg, next), marshal(s.protectPublic(nil, a, nil)), nil
}

// checkExternal refuses what an external commit can't do.
func (o CommitOptions) checkExternal() error {
	if len(o.Add) > 0 || o.ReInit != nil || o.ByReference || o.GroupContextExtensions != nil || o.LeafExtensions != nil ||
		o.GroupInfoExtensions != nil || o.SignatureKey != nil || o.Credential != nil || o.Private || o.WithoutTree {
		return invalid("external commit with an option for members")
	}
	return nil
}

func (st *publicState) externalProposals(kemOutput []byte, o CommitOptions) []*proposal {
	all := []*proposal{{kind: proposalExternalInit, kemOutput: kemOutput}}
	for _, i := range o.Remove {
		all = append(all, &proposal{kind: proposalRemove, remove: i})
	}
	for _, k := range o.PSKs {
		all = append(all, &proposal{kind: proposalPSK, psk: k.id(st.suite.randomSecret())})
	}
	return all
}

// externalInit is the joiner's half of RFC 9420 8.3.
func (s *suite) externalInit(extensions []Extension) (kemOutput, initSecret []byte, err error) {
	data, ok := findExtension(extensions, ExtensionExternalPub)
	if !ok {
		return nil, nil, invalid("group info without an external key") // 12.4.3.2
	}
	raw, err := parse(data, (*reader).opaque)
	if err != nil {
		return nil, nil, err
	}
	public, err := s.kem.NewPublicKey(raw)
	if err != nil {
		return nil, nil, invalid("external key: %w", err)
	}
	kemOutput, hpkeSender, err := hpke.NewSender(public, s.kdf, s.aead, nil)
	if err != nil {
		return nil, nil, err
	}
	initSecret, err = hpkeSender.Export(externalInitLabel, s.nh)
	return kemOutput, initSecret, err
}

// ProposeExternal makes a proposal of an external sender (RFC 9420 12.1.8), whose key
// the group's context lists, for the epoch of context. It can't be an Update, nor private.
func (c Client) ProposeExternal(context GroupContext, p Proposal) ([]byte, error) {
	s, err := c.suite()
	if err != nil {
		return nil, err
	}
	senders, err := externalSenders(context.Extensions)
	if err != nil {
		return nil, err
	}
	k := slices.IndexFunc(senders, func(s ExternalSender) bool { return bytes.Equal(s.Key, c.Key.public) })
	if k < 0 || s.id != context.Suite {
		return nil, refused("the group lists no such external sender") // 12.1.8.1
	}
	if p.Update || p.Private {
		return nil, invalid("external sender proposes an Update, or privately")
	}
	q, err := p.proposal(s)
	if err != nil {
		return nil, err
	}
	return c.Key.proposeOutside(context, sender{senderExternal, uint32(k)}, q, p.AuthenticatedData)
}

// ProposeJoin makes a client's proposal to be added (RFC 9420 12.1.8, sender
// new_member_proposal). Of context the suite, the group's id and the epoch matter.
func (c Client) ProposeJoin(context GroupContext, kp *KeyPackage) ([]byte, error) {
	if _, err := c.suite(); err != nil {
		return nil, err
	}
	if !bytes.Equal(c.Key.public, kp.Leaf.SignatureKey) || kp.Suite != context.Suite {
		return nil, invalid("key package of another key or suite")
	}
	return c.Key.proposeOutside(context, sender{kind: senderNewMemberProposal}, &proposal{kind: proposalAdd, add: kp}, nil)
}

func (k *SignatureKey) proposeOutside(context GroupContext, from sender, p *proposal, authenticatedData []byte) ([]byte, error) {
	a := &authenticatedContent{format: wirePublicMessage, content: framedContent{
		groupID: context.GroupID, epoch: context.Epoch, sender: from, authenticatedData: authenticatedData, kind: contentProposal, proposal: p,
	}}
	if err := a.sign(k, nil); err != nil {
		return nil, err
	}
	return marshal(k.suite.protectPublic(nil, a, nil)), nil
}
