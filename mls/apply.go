package mls

import "slices"

// Apply moves the group to the epoch of a staged commit. The secrets of the epoch
// that ends are erased, but for what Config keeps of past epochs.
func (g *Group) Apply(c *StagedCommit) ([]Record, error) {
	if err := g.active(); err != nil {
		return nil, err
	}
	if c.base != g.now {
		return nil, invalid("commit was staged in another epoch")
	}
	before := g.headRecords()
	if c.SelfRemoved {
		return g.leave(before), nil
	}
	if g.pending != nil && g.pending.Staged != c {
		g.pending.erase()
	}
	d := append(g.retire(c.next), nodeDelta(g.now.tree, c.next.tree)...)
	g.now.keys.eraseBut(c.next.keys)
	g.now.secrets.erase()
	g.now = c.next
	g.proposals, g.pending = nil, nil
	for _, k := range g.updates {
		k.erase()
	}
	clear(g.updates)
	d = append(d, difference(before, g.headRecords())...)
	return append(d, g.now.messages.records()...).last(), nil
}

// retire moves the current epoch to the past ones, and forgets those too old.
func (g *Group) retire(next *epoch) delta {
	var d delta
	g.resumption[g.now.context.Epoch] = slices.Clone(g.now.secrets.resumption)
	for e, key := range g.resumption {
		if e+uint64(g.cfg.MaxResumptionPSKs) < next.context.Epoch {
			clear(key)
			delete(g.resumption, e)
		}
	}
	last := g.now.forMessages()
	last.senderData = slices.Clone(last.senderData)
	g.past = append(g.past, last)
	for len(g.past) > max(g.cfg.MaxPastEpochs, 0) {
		d = append(d, g.past[0].messages.erase()...)
		clear(g.past[0].senderData)
		g.past = g.past[1:]
	}
	return d
}

// leave erases everything.
func (g *Group) leave(head delta) delta {
	d := append(head.deletion(), g.now.messages.erase()...)
	d = append(d, nodeDelta(g.now.tree, &ratchetTree{})...)
	for _, p := range g.past {
		d = append(d, p.messages.erase()...)
		clear(p.senderData)
	}
	g.now.keys.eraseBut(nil)
	for _, k := range g.resumption {
		clear(k)
	}
	g.now.secrets.erase()
	*g = Group{cfg: g.cfg, now: &epoch{publicState: g.now.publicState, own: g.now.own}, removed: true}
	return d
}

// DropPending forgets the own pending commit, which lost the race for the epoch.
// Applying another commit does so too.
func (g *Group) DropPending() []Record {
	if g.pending == nil {
		return nil
	}
	g.pending.erase()
	g.pending = nil
	return delta{{pendingName, nil}}
}
