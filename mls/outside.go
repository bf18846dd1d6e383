package mls

import (
	"bytes"
	"crypto/hpke"
	"slices"
)

// ExternalJoinOptions say what somebody who lets himself in brings along.
type ExternalJoinOptions struct {
	Replace *LeafIndex // an own old leaf to remove, when this is a way back in
	PSKs    []PSK      // mixed in; looked up with Config.PSK

	LeafExtensions    []Extension
	ExtensionTypes    []ExtensionType // supported beyond LeafExtensions
	GREASE            bool
	AuthenticatedData []byte
}

// JoinExternal enters a group by an external commit (RFC 9420 12.4.3.2), given a
// member's GroupInfo with the external key (an MLSMessage) and, if it isn't in there,
// the tree. The GroupInfo is verified. The group is already in the next epoch; when
// the delivery service doesn't take the commit, it is to be thrown away. Members
// follow only if their Config allows ExternalCommits.
func JoinExternal(cfg Config, groupInfo, ratchetTree []byte, cred Credential, key *SignatureKey, o ExternalJoinOptions) (*Group, []byte, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, nil, err
	}
	info, err := ParseGroupInfo(groupInfo)
	if err != nil {
		return nil, nil, err
	}
	s := key.suite
	if info.Context.Suite != s.id {
		return nil, nil, invalid("group of suite %#04x", uint16(info.Context.Suite))
	}
	tree, err := info.verifiedTree(s, ratchetTree, cfg.Authenticate)
	if err != nil {
		return nil, nil, err
	}
	kemOutput, initSecret, err := s.externalInit(info.Extensions)
	if err != nil {
		return nil, nil, err
	}
	defer clear(initSecret)
	st := newPublicState(s, info.Context, tree, info.confirmationTag)
	return st.enter(cfg, kemOutput, initSecret, cred, key, o)
}

// enter makes the external commit and the epoch that it leads to.
func (st *publicState) enter(cfg Config, kemOutput, initSecret []byte, cred Credential, key *SignatureKey, o ExternalJoinOptions) (*Group, []byte, error) {
	s, from := st.suite, sender{kind: SenderNewMemberCommit}
	leafKey, err := s.generateHPKEKey()
	if err != nil {
		return nil, nil, err
	}
	seat := newLeaf(s, cred, key, leafKey.public, leafOptions{o.LeafExtensions, o.ExtensionTypes, Lifetime{}, o.GREASE})
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
	t.initSecret, t.signer = initSecret, key
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
	g := newGroup(cfg, &epoch{publicState: *st, own: t.committer, signer: key})
	a := g.frame(false, framedContent{authenticatedData: o.AuthenticatedData, kind: ContentCommit, commit: c})
	a.content.sender = from
	next, joiner, err := g.confirm(a, t, keys, path)
	if err != nil {
		return nil, nil, err
	}
	clear(joiner)
	return newGroup(cfg, next), marshal(s.protectPublic(nil, a, nil)), nil
}

func (st *publicState) externalProposals(kemOutput []byte, o ExternalJoinOptions) []*proposal {
	all := []*proposal{{kind: ProposalExternalInit, kemOutput: kemOutput}}
	if o.Replace != nil {
		all = append(all, &proposal{kind: ProposalRemove, remove: *o.Replace})
	}
	for _, k := range o.PSKs {
		all = append(all, &proposal{kind: ProposalPSK, psk: k.id(st.suite.randomSecret())})
	}
	return all
}

// externalInit is the joiner's half of RFC 9420 8.3.
func (s *suite) externalInit(extensions []Extension) (kemOutput, initSecret []byte, err error) {
	data, ok := FindExtension(extensions, ExtensionExternalPub)
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
// the group's context lists, for the epoch of context.
func ProposeExternal(context GroupContext, key *SignatureKey, p Proposal) ([]byte, error) {
	senders, err := externalSenders(context.Extensions)
	if err != nil {
		return nil, err
	}
	k := slices.IndexFunc(senders, func(s ExternalSender) bool { return bytes.Equal(s.Key, key.public) })
	if k < 0 || key.suite.id != context.Suite {
		return nil, refused("the group lists no such external sender") // 12.1.8.1
	}
	q, err := p.proposal(key.suite)
	if err != nil {
		return nil, err
	}
	return proposeOutside(context, key, sender{SenderExternal, uint32(k)}, q)
}

// ProposeJoin makes a client's proposal to be added (RFC 9420 12.1.8, sender
// new_member_proposal). Of context the suite, the group's id and the epoch matter.
func ProposeJoin(context GroupContext, kp *KeyPackage, key *SignatureKey) ([]byte, error) {
	if !bytes.Equal(key.public, kp.Leaf.SignatureKey) || kp.Suite != context.Suite {
		return nil, invalid("key package of another key or suite")
	}
	return proposeOutside(context, key, sender{kind: SenderNewMemberProposal}, &proposal{kind: ProposalAdd, add: kp})
}

func proposeOutside(context GroupContext, key *SignatureKey, from sender, p *proposal) ([]byte, error) {
	a := &authenticatedContent{format: WirePublicMessage, content: framedContent{
		groupID: context.GroupID, epoch: context.Epoch, sender: from, kind: ContentProposal, proposal: p,
	}}
	if err := a.sign(key, nil); err != nil {
		return nil, err
	}
	return marshal(key.suite.protectPublic(nil, a, nil)), nil
}
