package mls

import (
	"bytes"
	"slices"
)

// treeHash is the hash of the subtree of x (RFC 9420 7.8), computed once.
func (t *ratchetTree) treeHash(x nodeIndex) []byte {
	slot := t.slots.get(int(x))
	if slot.hash != nil {
		return slot.hash
	}
	var hash []byte
	if x.isLeaf() {
		hash = leafHash(t.suite, x.leaf(), slot.leaf)
	} else {
		hash = parentTreeHash(t.suite, slot.parent, t.treeHash(x.left()), t.treeHash(x.right()))
	}
	t.slots.at(int(x)).hash = hash
	return hash
}

func (t *ratchetTree) rootHash() []byte { return t.treeHash(t.root()) }

// leafHash hashes TreeHashInput with LeafNodeHashInput (RFC 9420 7.8); l may be nil.
func leafHash(s *suite, i LeafIndex, l *LeafNode) []byte {
	var w writer
	w.uint8(1)
	w.uint32(uint32(i))
	if w.present(l != nil) {
		l.encode(&w)
	}
	return s.hash(w.buf)
}

// parentTreeHash hashes TreeHashInput with ParentNodeHashInput (RFC 9420 7.8); p may be nil.
func parentTreeHash(s *suite, p *parentNode, left, right []byte) []byte {
	var w writer
	w.uint8(2)
	if w.present(p != nil) {
		p.encode(&w)
	}
	w.opaque(left)
	w.opaque(right)
	return s.hash(w.buf)
}

// treeHashWithout is the tree hash of x as it was before the leaves in without, which
// ascend, were added: the original sibling tree hash of RFC 9420 7.9.
func (t *ratchetTree) treeHashWithout(x nodeIndex, without []LeafIndex) []byte {
	without = x.below(without)
	if len(without) == 0 {
		return t.treeHash(x)
	}
	if x.isLeaf() {
		return leafHash(t.suite, x.leaf(), nil)
	}
	p := t.node(x).parent
	if p != nil {
		gone := func(i LeafIndex) bool { _, ok := slices.BinarySearch(without, i); return ok }
		p = &parentNode{p.encryptionKey, p.parentHash, slices.DeleteFunc(slices.Clone(p.unmerged), gone)}
	}
	return parentTreeHash(t.suite, p, t.treeHashWithout(x.left(), without), t.treeHashWithout(x.right(), without))
}

// below is the part of an ascending list of leaves that x covers.
func (x nodeIndex) below(list []LeafIndex) []LeafIndex {
	span := nodeIndex(1)<<x.level() - 1
	from, _ := slices.BinarySearch(list, (x - span).leaf())
	to, _ := slices.BinarySearch(list, (x+span).leaf()+1)
	return list[from:to]
}

// parentHash is the hash of ParentHashInput for node p (RFC 9420 7.9).
func parentHash(s *suite, key hpkePublicKey, parentHash, siblingHash []byte) []byte {
	var w writer
	w.opaque(key)
	w.opaque(parentHash)
	w.opaque(siblingHash)
	return s.hash(w.buf)
}

// verifyParentHashes checks that every parent node chains down to a leaf whose
// member signed for it (RFC 9420 7.9.2).
func (t *ratchetTree) verifyParentHashes() error {
	for x := nodeIndex(1); int(x) < t.size(); x += 2 {
		if t.node(x).parent != nil && !t.parentHashValid(x, x.left()) && !t.parentHashValid(x, x.right()) {
			return invalid("node %d is not parent-hash valid", x) // 7.9.2
		}
	}
	return nil
}

// parentHashValid looks in the resolution of c, a child of x, for the node that was
// set together with x (RFC 9420 7.9.2).
func (t *ratchetTree) parentHashValid(x, c nodeIndex) bool {
	p := t.node(x).parent
	want := parentHash(t.suite, p.encryptionKey, p.parentHash, t.treeHashWithout(c.sibling(), p.unmerged))
	var added []nodeIndex // unmerged leaves of x below c
	for _, i := range c.below(p.unmerged) {
		added = append(added, i.node())
	}
	resolution := t.resolution(c)
	if len(resolution) != len(added)+1 {
		return false
	}
	for _, d := range resolution {
		if bytes.Equal(t.parentHashOf(d), want) {
			rest := slices.DeleteFunc(slices.Clone(resolution), func(y nodeIndex) bool { return y == d })
			slices.Sort(rest)
			return slices.Equal(rest, added)
		}
	}
	return false
}

// parentHashOf is the parent_hash field of a node, nil for a leaf that has none.
func (t *ratchetTree) parentHashOf(x nodeIndex) []byte {
	if n := t.node(x); n.parent != nil {
		return n.parent.parentHash
	} else {
		return n.leaf.parentHash
	}
}
