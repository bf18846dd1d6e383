package mls

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Record is one entry of a group's stored state. A nil Value deletes it. Values
// hold secrets: what stores them must be able to forget.
//
// Operations that change a group return the records that changed, each key once. They
// are to be applied as one and durably, before the ciphertext they came with leaves or
// the plaintext is shown.
type Record struct {
	Key   string
	Value []byte
}

func (r Record) clone() Record { return Record{r.Key, bytes.Clone(r.Value)} }

// delta is a change of the stored state.
type delta []Record

// deletion returns the delta that removes the records of d.
func (d delta) deletion() delta {
	var out delta
	for _, r := range d {
		out = append(out, Record{Key: r.Key})
	}
	return out
}

// last returns d with only the last record of each key, so that a secret which is
// written and overwritten in one step never reaches the disk.
func (d delta) last() delta {
	at := make(map[string]int, len(d))
	for i, r := range d {
		at[r.Key] = i
	}
	var out delta
	for i, r := range d {
		if at[r.Key] == i {
			out = append(out, r)
		} else {
			clear(r.Value)
		}
	}
	return out
}

// difference is what turns the records of before into those of after.
func difference(before, after delta) delta {
	old := make(map[string][]byte, len(before))
	for _, r := range before {
		old[r.Key] = r.Value
	}
	var d delta
	for _, r := range after {
		if v, ok := old[r.Key]; !ok || !bytes.Equal(v, r.Value) {
			d = append(d, r)
		}
		delete(old, r.Key)
	}
	for _, key := range slices.Sorted(maps.Keys(old)) {
		d = append(d, Record{Key: key})
	}
	return d
}

// The names of the records; those of the secret tree are in secret_tree.go.
//
//	epoch                  context, own leaf, signature key, epoch secrets
//	node/X                 node X of the ratchet tree, when not blank
//	key/X                  private key of node X
//	past/E                 what late messages of epoch E need
//	resumption/E           resumption PSK of epoch E
//	proposal/N             a proposal waiting to be committed
//	update/REF             leaf key of an own Update
//	pending                the own commit that isn't applied
//	secret/E/X, ratchet/E/X/K, skipped/E/X/K/G
const (
	epochName   = "epoch"
	pendingName = "pending"
)

func nodeName(x nodeIndex) string { return fmt.Sprintf("node/%08x", uint32(x)) }

func updateRecord(ref string, key *hpkeKey) Record {
	return Record{fmt.Sprintf("update/%x", ref), bytes.Clone(key.raw)}
}

func proposalRecord(n int, q queuedProposal) Record {
	var w writer
	w.opaque(q.ref)
	q.sender.encode(&w)
	q.proposal.encode(&w)
	return Record{fmt.Sprintf("proposal/%08x", n), w.buf}
}

// State lists all records of the group: what all deltas so far add up to.
func (g *Group) State() ([]Record, error) {
	if g.removed {
		return nil, nil
	}
	d := append(g.headRecords(), treeRecords(g.now.tree)...)
	d = append(d, g.now.messages.records()...)
	for _, p := range g.past {
		d = append(d, p.messages.records()...)
	}
	slices.SortFunc(d, func(a, b Record) int { return strings.Compare(a.Key, b.Key) })
	return d, nil
}

// headRecords are the records but for the ratchet tree and the secret trees.
func (g *Group) headRecords() delta {
	d := delta{g.now.record()}
	for x, key := range g.now.keys {
		d = append(d, Record{fmt.Sprintf("key/%08x", uint32(x)), bytes.Clone(key.raw)})
	}
	for i, p := range g.past {
		after := g.now.tree
		if i+1 < len(g.past) {
			after = g.past[i+1].tree
		}
		d = append(d, p.record(after))
	}
	for e, psk := range g.resumption {
		d = append(d, Record{fmt.Sprintf("resumption/%016x", e), bytes.Clone(psk)})
	}
	for n, q := range g.proposals {
		d = append(d, proposalRecord(n, q))
	}
	for ref, key := range g.updates {
		d = append(d, updateRecord(ref, key))
	}
	if g.pending != nil {
		d = append(d, g.pending.record())
	}
	return d
}

func (e *epoch) record() Record {
	var w writer
	w.opaque(e.contextBytes)
	w.opaque(e.confirmationTag)
	w.uint32(uint32(e.own))
	w.opaque(e.signer.Bytes())
	for _, s := range e.secrets.all() {
		w.opaque(*s)
	}
	e.reInit.encodeIfAny(&w)
	return Record{epochName, w.buf}
}

// record holds the past epoch with the leaves that were other than in after.
func (e *messageEpoch) record(after *ratchetTree) Record {
	var w writer
	w.opaque(e.contextBytes)
	w.opaque(e.senderData)
	w.uint32(e.tree.width())
	w.vector(func(w *writer) {
		e.tree.slots.differences(&after.slots, func(x int) {
			i := LeafIndex(x / 2)
			if l := e.tree.leaf(i); x%2 == 0 && l != after.leaf(i) {
				w.uint32(uint32(i))
				treeNode{leaf: l}.encode(w)
			}
		})
	})
	return Record{fmt.Sprintf("past/%016x", e.context.Epoch), w.buf}
}

func treeRecords(t *ratchetTree) delta { return nodeDelta(&ratchetTree{}, t) }

// nodeDelta is what turns the records of one tree into another's. Nodes never
// change, so those that both trees share are the same pointers.
func nodeDelta(before, after *ratchetTree) delta {
	var d delta
	before.slots.differences(&after.slots, func(x int) {
		a, b := before.nodeOrBlank(x), after.nodeOrBlank(x)
		switch {
		case a == b:
		case b.blank():
			d = append(d, Record{Key: nodeName(nodeIndex(x))})
		default:
			d = append(d, Record{nodeName(nodeIndex(x)), marshal(b)})
		}
	})
	return d
}

// record holds an own commit with the secrets of the epoch it leads to.
func (p *PendingCommit) record() Record {
	var w writer
	next := p.Staged.next
	w.opaque(p.Message)
	w.opaque(p.Welcome)
	w.opaque(marshal(p.content))
	w.vector(func(w *writer) {
		for _, x := range slices.Sorted(maps.Keys(next.keys)) {
			w.uint32(uint32(x))
			w.opaque(next.keys[x].raw)
		}
	})
	for _, s := range next.secrets.all() {
		w.opaque(*s)
	}
	w.opaque(next.messages.nodes[root(next.messages.width)])
	if next.signer != p.Staged.base.signer {
		w.opaque(next.signer.Bytes())
	}
	return Record{pendingName, w.buf}
}
