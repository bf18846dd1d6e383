package mls

import (
	"bytes"
	"slices"
)

// A Proposal asks for one thing, and says how it is sent: one of the first six fields is
// set.
type Proposal struct {
	Add                    *KeyPackage
	Update                 bool // a fresh key for this member; somebody else must commit it
	Remove                 *LeafIndex
	PSK                    *PSK
	ReInit                 *ReInit
	GroupContextExtensions []Extension // the whole new list

	LeafExtensions    []Extension // of an Update: replaces those of the own leaf, when not nil
	AuthenticatedData []byte      // public, signed
	Private           bool        // as PrivateMessage: a delivery service can't follow then
}

// proposal is the form of RFC 9420 12.1.
func (p Proposal) proposal(s *suite) (*proposal, error) {
	var all []*proposal
	if p.Add != nil {
		all = append(all, &proposal{kind: proposalAdd, add: p.Add})
	}
	if p.Update {
		all = append(all, &proposal{kind: proposalUpdate}) // update makes the leaf
	}
	if p.Remove != nil {
		all = append(all, &proposal{kind: proposalRemove, remove: *p.Remove})
	}
	if p.PSK != nil {
		all = append(all, &proposal{kind: proposalPSK, psk: p.PSK.id(s.randomSecret())})
	}
	if p.ReInit != nil {
		all = append(all, p.ReInit.proposal())
	}
	if p.GroupContextExtensions != nil {
		all = append(all, &proposal{kind: proposalGroupContextExtensions, extensions: p.GroupContextExtensions})
	}
	if len(all) != 1 {
		return nil, invalid("Proposal with %d fields set, not 1", len(all))
	}
	return all[0], checkExtensionsUnique(p.GroupContextExtensions)
}

// Propose makes a proposal (RFC 9420 12.1). It is queued here too, so that it can be
// committed by reference.
func (g *Group) Propose(p Proposal) ([]byte, []Record, error) {
	if err := g.writable(); err != nil {
		return nil, nil, err
	}
	q, err := p.proposal(g.now.suite)
	if err != nil {
		return nil, nil, err
	}
	var key *hpkeKey
	if p.Update {
		if key, err = g.update(q, p.LeafExtensions); err != nil {
			return nil, nil, err
		}
	}
	return g.propose(q, key, p)
}

// update puts a new leaf with a fresh key into an Update (RFC 9420 12.1.2).
func (g *Group) update(q *proposal, extensions []Extension) (*hpkeKey, error) {
	key, err := g.now.suite.generateHPKEKey()
	if err != nil {
		return nil, err
	}
	q.update = g.now.tree.leaf(g.now.own).renewed(sourceUpdate, key.public, extensions)
	return key, q.update.sign(g.now.signer, g.now.context.GroupID, g.now.own)
}

// propose signs, queues and frames a proposal; key is the private key of an Update.
func (g *Group) propose(p *proposal, key *hpkeKey, o Proposal) ([]byte, delta, error) {
	a := g.frame(o.Private, framedContent{authenticatedData: o.AuthenticatedData, kind: contentProposal, proposal: p})
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

func (g *Group) enqueue(q queuedProposal) delta {
	g.proposals = append(g.proposals, q)
	return delta{proposalRecord(len(g.proposals)-1, q)}
}

// HandleProposal verifies a proposal of this epoch and keeps it for the commit that
// may name it. An error leaves the group as it was. An own proposal that comes back
// changes nothing.
func (g *Group) HandleProposal(msg []byte) ([]Record, error) {
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
	var d delta
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
	if a.content.kind != contentProposal {
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
	return err == nil && h.Kind == KindProposal && h.Epoch == g.Epoch() && h.Sender == g.now.own &&
		h.Generation < g.now.messages.generation(ratchetID{g.now.own, ratchetHandshake})
}

func (g *Group) knows(ref []byte) bool {
	return slices.ContainsFunc(g.proposals, func(q queuedProposal) bool { return bytes.Equal(q.ref, ref) })
}
