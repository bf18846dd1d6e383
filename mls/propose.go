package mls

import (
	"bytes"
	"slices"
)

// ProposeOptions say how a proposal is sent.
type ProposeOptions struct {
	AuthenticatedData []byte
	Private           bool
}

// ProposeAdd proposes to add a client (RFC 9420 12.1.1). The own proposal is queued
// here too, so that it can be committed by reference.
func (g *Group) ProposeAdd(kp *KeyPackage, o ProposeOptions) ([]byte, Delta, error) {
	return g.propose(&proposal{kind: ProposalAdd, add: kp}, nil, o)
}

// ProposeRemove proposes to remove a member, this one perhaps (RFC 9420 12.1.3).
func (g *Group) ProposeRemove(i LeafIndex, o ProposeOptions) ([]byte, Delta, error) {
	return g.propose(&proposal{kind: ProposalRemove, remove: i}, nil, o)
}

// ProposeUpdate proposes a new leaf with a fresh key for this member (RFC 9420
// 12.1.2), and new leaf extensions when they are not nil. Somebody else must commit it.
func (g *Group) ProposeUpdate(leafExtensions []Extension, o ProposeOptions) ([]byte, Delta, error) {
	if err := g.active(); err != nil {
		return nil, nil, err
	}
	key, err := g.now.suite.generateHPKEKey()
	if err != nil {
		return nil, nil, err
	}
	leaf := g.now.tree.leaf(g.now.own).renewed(sourceUpdate, key.public, leafExtensions)
	if err := leaf.sign(g.now.signer, g.now.context.GroupID, g.now.own); err != nil {
		return nil, nil, err
	}
	return g.propose(&proposal{kind: ProposalUpdate, update: leaf}, key, o)
}

// propose signs, queues and frames a proposal; key is the private key of an Update.
func (g *Group) propose(p *proposal, key *hpkeKey, o ProposeOptions) ([]byte, Delta, error) {
	if err := g.active(); err != nil {
		return nil, nil, err
	}
	a := g.frame(o.Private, framedContent{authenticatedData: o.AuthenticatedData, kind: ContentProposal, proposal: p})
	if err := a.sign(g.now.signer, g.now.contextBytes); err != nil {
		return nil, nil, err
	}
	q, err := g.now.queue(&g.cfg, a)
	if err != nil {
		return nil, nil, err
	}
	msg, d, err := g.protectHandshake(a)
	if err != nil {
		return nil, nil, err
	}
	if key != nil {
		g.updates[string(q.ref)] = key
		d = append(d, updateRecord(string(q.ref), key))
	}
	return msg, append(d, g.enqueue(q)...), nil
}

func (g *Group) enqueue(q queuedProposal) Delta {
	g.proposals = append(g.proposals, q)
	return Delta{proposalRecord(len(g.proposals)-1, q)}
}

// HandleProposal verifies a proposal of this epoch and keeps it for the commit that
// may name it. An error leaves the group as it was.
func (g *Group) HandleProposal(msg []byte) (Delta, error) {
	if err := g.active(); err != nil {
		return nil, err
	}
	a, use, err := g.openHandshake(msg)
	if err != nil {
		return nil, err
	}
	q, err := g.acceptProposal(a)
	if err != nil {
		if use != nil {
			g.now.messages.discard(use)
		}
		return nil, err
	}
	var d Delta
	if use != nil {
		d = g.now.messages.consume(use, g.cfg.MaxSkip)
	}
	if g.knows(q.ref) {
		return d, nil
	}
	return append(d, g.enqueue(q)...), nil
}

// maxProposals bounds the proposals that wait in one epoch.
const maxProposals = 4096

// acceptProposal checks that a verified message is a proposal worth keeping.
func (g *Group) acceptProposal(a *authenticatedContent) (queuedProposal, error) {
	if a.content.kind != ContentProposal {
		return queuedProposal{}, invalid("not a proposal")
	}
	if len(g.proposals) >= maxProposals {
		return queuedProposal{}, refused("%d proposals are waiting", maxProposals)
	}
	return g.now.queue(&g.cfg, a)
}

func (g *Group) knows(ref []byte) bool {
	return slices.ContainsFunc(g.proposals, func(q queuedProposal) bool { return bytes.Equal(q.ref, ref) })
}
