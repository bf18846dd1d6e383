package directory

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"writ/internal/wire"
)

// Tree is the prefix tree: a map from labels to [Value], a binary trie over the
// label's bits, most significant first. A subtree without labels has the hash
// of 32 zero bytes, one with a single label is that label's leaf at whatever
// depth, and another one is the hash of its halves. So the root depends on the
// map alone and not on the order in which it grew, and a proof over n labels
// has about log2(n) hashes.
//
// A Tree is immutable: [Tree.With] shares what stays. The zero Tree is empty.
type Tree struct{ root *node }

// Value is what the tree says of a label.
type Value struct {
	Version uint64   // how many leaves the log has under the label
	History [32]byte // of all of them; see [Value.Next]
}

// Next returns the value after one more leaf: its history is
// Hash("directory history", old history, uint64 index, commitment).
func (v Value) Next(index uint64, l Leaf) Value {
	at := binary.BigEndian.AppendUint64(nil, index)
	return Value{v.Version + 1, wire.Hash("directory history", v.History[:], at, l.Commitment[:])}
}

// Update sets the value of a label.
type Update struct {
	Label Label
	Value Value
}

// node is a leaf if update is not nil, else it has at least one child and two
// labels below it.
type node struct {
	hash        [32]byte
	left, right *node
	update      *Update
}

// Root returns the hash of the tree; 32 zero bytes if it is empty.
func (t Tree) Root() [32]byte { return t.root.sum() }

func (n *node) sum() [32]byte {
	if n == nil {
		return [32]byte{}
	}
	return n.hash
}

func newLeafNode(u Update) *node { return &node{hash: u.hash(), update: &u} }

func (u Update) hash() [32]byte {
	version := binary.BigEndian.AppendUint64(nil, u.Value.Version)
	return wire.Hash("directory value", u.Label[:], version, u.Value.History[:])
}

// nodeHash is Hash("directory node", left, right), written out because an audit
// of a million leaves feels what wire.Hash allocates.
func nodeHash(left, right [32]byte) [32]byte {
	const start = "\x16writ/v1 directory node\x20"
	b := append(make([]byte, 0, 128), start...)
	b = append(append(append(b, left[:]...), 32), right[:]...)
	return sha256.Sum256(b)
}

// bit returns the bit of a label that decides at a depth.
func (l Label) bit(depth int) byte { return l[depth/8] >> (7 - depth%8) & 1 }

// With returns the tree after the updates, of which the last one of a label
// counts. Each touched node is hashed once.
func (t Tree) With(updates ...Update) Tree {
	if len(updates) == 0 {
		return t
	}
	sorted := slices.Clone(updates)
	slices.SortStableFunc(sorted, func(a, b Update) int { return bytes.Compare(a.Label[:], b.Label[:]) })
	last := sorted[:1]
	for _, u := range sorted[1:] {
		if u.Label == last[len(last)-1].Label {
			last[len(last)-1] = u
		} else {
			last = append(last, u)
		}
	}
	return Tree{t.root.with(last, 0)}
}

// with sets sorted updates of distinct labels below a node of that depth.
func (n *node) with(updates []Update, depth int) *node {
	if len(updates) == 0 {
		return n
	}
	if n != nil && n.update != nil { // a leaf goes down with the others, if it stays
		at, found := slices.BinarySearchFunc(updates, n.update.Label, func(u Update, l Label) int {
			return bytes.Compare(u.Label[:], l[:])
		})
		if !found {
			updates = slices.Insert(slices.Clone(updates), at, *n.update)
		}
		n = nil
	}
	if n == nil && len(updates) == 1 {
		return newLeafNode(updates[0])
	}
	var left, right *node
	if n != nil {
		left, right = n.left, n.right
	}
	split, _ := slices.BinarySearchFunc(updates, byte(1), func(u Update, b byte) int {
		return int(u.Label.bit(depth)) - int(b)
	})
	left, right = left.with(updates[:split], depth+1), right.with(updates[split:], depth+1)
	return &node{hash: nodeHash(left.sum(), right.sum()), left: left, right: right}
}

// Value returns what the tree says of a label.
func (t Tree) Value(label Label) (v Value, ok bool) {
	n := t.root
	for depth := 0; n != nil && n.update == nil; depth++ {
		n, _ = n.step(label.bit(depth))
	}
	if n == nil || n.update.Label != label {
		return v, false
	}
	return n.update.Value, true
}

// step returns the half on the side of a bit, and the other one.
func (n *node) step(bit byte) (next, other *node) {
	if bit == 0 {
		return n.left, n.right
	}
	return n.right, n.left
}

// TreeProof shows what a tree says of one label, or that it says nothing.
type TreeProof struct {
	there    *Update    // the leaf where the label is or would be; nil: none
	siblings [][32]byte // from the top down, at most 256
}

// Prove returns the proof of what the tree says of a label.
func (t Tree) Prove(label Label) *TreeProof {
	var p TreeProof
	n := t.root
	for depth := 0; n != nil && n.update == nil; depth++ {
		next, other := n.step(label.bit(depth))
		n, p.siblings = next, append(p.siblings, other.sum())
	}
	if n != nil {
		p.there = n.update
	}
	return &p
}

// Verify returns the value of a label in the tree of that root; ok is false if
// the proof shows that the label is absent. Its error wraps [ErrInvalid].
func (p *TreeProof) Verify(root [32]byte, label Label) (v Value, ok bool, err error) {
	var h [32]byte
	if p.there != nil {
		for i := range p.siblings {
			if p.there.Label.bit(i) != label.bit(i) {
				return v, false, invalid("the tree's leaf is not where the label would be")
			}
		}
		h = p.there.hash()
	}
	for i := len(p.siblings) - 1; i >= 0; i-- {
		if label.bit(i) == 0 {
			h = nodeHash(h, p.siblings[i])
		} else {
			h = nodeHash(p.siblings[i], h)
		}
	}
	if h != root {
		return v, false, invalid("the tree's proof leads to another root")
	}
	if p.there == nil || p.there.Label != label {
		return v, false, nil
	}
	return p.there.Value, true, nil
}

// Encode returns struct { opaque there<V>; Sibling siblings<V>; }: there is
// empty or Label, uint64 version, opaque history[32]; a Sibling is uint8 0 for
// an empty subtree, or uint8 1 and 32 bytes.
func (p *TreeProof) Encode() []byte {
	var w wire.Writer
	w.Vector(func(w *wire.Writer) {
		if p.there != nil {
			w.Fixed(p.there.Label[:])
			w.Uint64(p.there.Value.Version)
			w.Fixed(p.there.Value.History[:])
		}
	})
	w.Vector(func(w *wire.Writer) {
		for _, s := range p.siblings {
			if s == ([32]byte{}) {
				w.Uint8(0)
				continue
			}
			w.Uint8(1)
			w.Fixed(s[:])
		}
	})
	return w.Bytes()
}

const maxTreeProof = 16 << 10 // bytes: 256 siblings of 33 and a leaf of 72

// parseTreeProof parses what [TreeProof.Encode] gives.
func parseTreeProof(b []byte) (*TreeProof, error) {
	r, p := wire.NewReader(b), &TreeProof{}
	if there := r.Vector(72); there.More() {
		p.there = &Update{there.Array32(), Value{there.Uint64(), there.Array32()}}
		r.Check(there.Done())
	}
	v := r.Vector(256 * 33)
	for v.More() {
		p.siblings = append(p.siblings, parseSibling(v))
		if len(p.siblings) > 256 {
			v.Fail("tree proof deeper than a label")
		}
	}
	r.Check(v.Done())
	if err := r.Done(); err != nil {
		return nil, malformed("tree proof: %v", err)
	}
	return p, nil
}

func parseSibling(v *wire.Reader) (h [32]byte) {
	switch v.Uint8() {
	case 0:
	case 1:
		if h = v.Array32(); h == ([32]byte{}) {
			v.Fail("empty subtree in its long form")
		}
	default:
		v.Fail("neither a sibling nor none")
	}
	return h
}
