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
	if err := g.writable(); err != nil {
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

// A Proposal asks for one thing: one field is set.
type Proposal struct {
	Add                    *KeyPackage
	Remove                 *LeafIndex
	PSK                    *PSK
	ReInit                 *ReInit
	GroupContextExtensions []Extension // the whole new list
}

// proposal is the form of RFC 9420 12.1.
func (p Proposal) proposal(s *suite) (*proposal, error) {
	var all []*proposal
	if p.Add != nil {
		all = append(all, &proposal{kind: ProposalAdd, add: p.Add})
	}
	if p.Remove != nil {
		all = append(all, &proposal{kind: ProposalRemove, remove: *p.Remove})
	}
	if p.PSK != nil {
		all = append(all, &proposal{kind: ProposalPSK, psk: p.PSK.id(s.randomSecret())})
	}
	if p.ReInit != nil {
		all = append(all, p.ReInit.proposal())
	}
	if p.GroupContextExtensions != nil {
		all = append(all, &proposal{kind: ProposalGroupContextExtensions, extensions: p.GroupContextExtensions})
	}
	if len(all) != 1 {
		return nil, invalid("Proposal with %d fields set, not 1", len(all))
	}
	return all[0], checkExtensionsUnique(p.GroupContextExtensions)
}

// Propose proposes anything but an Update, for which there is ProposeUpdate.
func (g *Group) Propose(p Proposal, o ProposeOptions) ([]byte, Delta, error) {
	q, err := p.proposal(g.now.suite)
	if err != nil {
		return nil, nil, err
	}
	return g.propose(q, nil, o)
}

// propose signs, queues and frames a proposal; key is the private key of an Update.
func (g *Group) propose(p *proposal, key *hpkeKey, o ProposeOptions) ([]byte, Delta, error) {
	if err := g.writable(); err != nil {
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
// may name it. An error leaves the group as it was. An own proposal that comes back
// changes nothing.
func (g *Group) HandleProposal(msg []byte) (Delta, error) {
	if err := g.active(); err != nil {
		return nil, err
	}
	a, use, err := g.openHandshake(msg)
	if err != nil {
		if g.isEcho(msg) {
			return nil, nil
		}
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

// isEcho says whether msg is a private proposal of this member that was sent already,
// as the members of the epoch can see: its key is gone, but it is in the queue.
func (g *Group) isEcho(msg []byte) bool {
	h, err := g.Peek(msg)
	return err == nil && h.ContentType == ContentProposal && h.Epoch == g.Epoch() && h.Sender == g.now.own &&
		h.Generation < g.now.messages.generation(ratchetID{g.now.own, ratchetHandshake})
}

func (g *Group) knows(ref []byte) bool {
	return slices.ContainsFunc(g.proposals, func(q queuedProposal) bool { return bytes.Equal(q.ref, ref) })
}
