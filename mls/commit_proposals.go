package mls

import (
	"bytes"
	"slices"
)

// gather collects and verifies the proposals of an own commit.
func (g *Group) gather(o CommitOptions) (*commit, *proposalList, error) {
	self := sender{senderMember, uint32(g.now.own)}
	c := new(commit)
	var all []queuedProposal
	for _, p := range g.byValue(o) {
		c.proposals = append(c.proposals, proposalOrRef{proposal: p})
		all = append(all, queuedProposal{proposal: p, sender: self})
	}
	if o.ByReference {
		for _, q := range g.proposals {
			if !g.committable(all, q) {
				continue
			}
			c.proposals = append(c.proposals, proposalOrRef{ref: q.ref})
			all = append(all, q)
		}
	}
	if k := g.reInitProposal(); o.ByReference && len(all) == 0 && k >= 0 { // 12.2: others come first
		c.proposals = append(c.proposals, proposalOrRef{ref: g.proposals[k].ref})
		all = append(all, g.proposals[k])
	}
	list := newProposalList(all)
	if err := g.now.verifyList(&g.cfg, self, list); err != nil {
		return nil, nil, err
	}
	return c, list, nil
}

func (g *Group) reInitProposal() int {
	return slices.IndexFunc(g.proposals, func(q queuedProposal) bool { return q.proposal.kind == proposalReInit })
}

func (g *Group) byValue(o CommitOptions) []*proposal {
	var all []*proposal
	if o.ReInit != nil {
		all = append(all, o.ReInit.proposal())
	}
	if g.cfg.parent != nil {
		all = append(all, &proposal{kind: proposalPSK, psk: g.cfg.parent.bequest(g.now.suite.randomSecret())})
	}
	if o.GroupContextExtensions != nil {
		all = append(all, &proposal{kind: proposalGroupContextExtensions, extensions: o.GroupContextExtensions})
	}
	for _, i := range o.Remove {
		all = append(all, &proposal{kind: proposalRemove, remove: i})
	}
	for _, k := range o.Add {
		all = append(all, &proposal{kind: proposalAdd, add: k})
	}
	for _, k := range o.PSKs {
		all = append(all, &proposal{kind: proposalPSK, psk: k.id(g.now.suite.randomSecret())})
	}
	return all
}

// id is the PreSharedKeyID with usage application (RFC 9420 8.4).
func (k PSK) id(nonce []byte) pskID {
	if k.GroupID != nil {
		return pskID{kind: pskResumption, usage: usageApplication, groupID: k.GroupID, epoch: k.Epoch, nonce: nonce}
	}
	return pskID{kind: pskExternal, id: k.ID, nonce: nonce}
}

// committable says whether q can stand in an own commit beside the proposals chosen
// so far (RFC 9420 12.2); earlier ones win.
func (g *Group) committable(chosen []queuedProposal, q queuedProposal) bool {
	if g.now.verifyProposal(&g.cfg, q) != nil || q.proposal.kind == proposalReInit {
		return false
	}
	if i, ok := q.target(); ok && i == g.now.own {
		return false
	}
	return !slices.ContainsFunc(chosen, q.conflicts)
}

// target is the leaf that an Update or Remove is about.
func (q queuedProposal) target() (LeafIndex, bool) {
	switch q.proposal.kind {
	case proposalUpdate:
		return LeafIndex(q.sender.index), true
	case proposalRemove:
		return q.proposal.remove, true
	}
	return 0, false
}

func (q queuedProposal) conflicts(o queuedProposal) bool {
	i, a := q.target()
	j, b := o.target()
	if a && b {
		return i == j
	}
	if q.proposal.kind != o.proposal.kind {
		return false
	}
	switch q.proposal.kind {
	case proposalAdd:
		return bytes.Equal(q.proposal.add.Leaf.SignatureKey, o.proposal.add.Leaf.SignatureKey)
	case proposalPSK:
		return q.proposal.psk.same(o.proposal.psk)
	case proposalGroupContextExtensions:
		return true
	}
	return false
}
