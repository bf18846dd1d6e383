package mls

import (
	"iter"
	"slices"
)

// A parentNode is ParentNode of RFC 9420 7.1. It never changes once in a tree.
type parentNode struct {
	encryptionKey HPKEPublicKey
	parentHash    []byte
	unmerged      []LeafIndex // ascending
}

func (p *parentNode) encode(w *writer) {
	w.opaque(p.encryptionKey)
	w.opaque(p.parentHash)
	w.vector(func(w *writer) {
		for _, i := range p.unmerged {
			w.uint32(uint32(i))
		}
	})
}

func decodeParentNode(r *reader) *parentNode {
	return &parentNode{r.opaque(), r.opaque(), decodeAll(r, func(r *reader) LeafIndex { return LeafIndex(r.uint32()) })}
}

// A treeNode is optional<Node> of RFC 9420 7.1 and 12.4.3.3; at most one is set.
type treeNode struct {
	leaf   *LeafNode
	parent *parentNode
}

func (n treeNode) blank() bool { return n == treeNode{} }

func (n treeNode) encryptionKey() HPKEPublicKey {
	if n.leaf != nil {
		return n.leaf.EncryptionKey
	}
	return n.parent.encryptionKey
}

func (n treeNode) encode(w *writer) {
	switch {
	case !w.present(!n.blank()):
	case n.leaf != nil:
		w.uint8(1)
		n.leaf.encode(w)
	default:
		w.uint8(2)
		n.parent.encode(w)
	}
}

func decodeTreeNode(r *reader) treeNode {
	if !r.present() {
		return treeNode{}
	}
	switch kind := r.uint8(); kind {
	case 1:
		return treeNode{leaf: decodeLeafNode(r)}
	case 2:
		return treeNode{parent: decodeParentNode(r)}
	default:
		r.fail(malformed("node type %d", kind))
		return treeNode{}
	}
}

// A ratchetTree is the public part of the ratchet tree (RFC 9420 4 and 7), always
// full: a power of two leaves. Nodes never change, so that a clone shares them; a
// tree that others can see is only replaced, never changed.
type ratchetTree struct {
	suite  *suite
	nodes  []treeNode
	hashes [][]byte // tree hash of each subtree, nil when not known
}

func newTree(s *suite, first *LeafNode) *ratchetTree {
	return &ratchetTree{s, []treeNode{{leaf: first}}, make([][]byte, 1)}
}

func (t *ratchetTree) clone() *ratchetTree {
	return &ratchetTree{t.suite, slices.Clone(t.nodes), slices.Clone(t.hashes)}
}

// width is the number of leaves, blank or not.
func (t *ratchetTree) width() uint32   { return uint32(len(t.nodes)+1) / 2 }
func (t *ratchetTree) root() nodeIndex { return root(t.width()) }

// leaf returns the member at i, or nil.
func (t *ratchetTree) leaf(i LeafIndex) *LeafNode {
	if uint32(i) >= t.width() {
		return nil
	}
	return t.nodes[i.node()].leaf
}

// members yields the leaves that aren't blank, in order.
func (t *ratchetTree) members() iter.Seq2[LeafIndex, *LeafNode] {
	return func(yield func(LeafIndex, *LeafNode) bool) {
		for x := 0; x < len(t.nodes); x += 2 {
			if l := t.nodes[x].leaf; l != nil && !yield(LeafIndex(x/2), l) {
				return
			}
		}
	}
}

// set replaces a node and forgets the hashes above it.
func (t *ratchetTree) set(x nodeIndex, n treeNode) {
	t.nodes[x] = n
	t.hashes[x] = nil
	for x != t.root() {
		x = x.parent()
		t.hashes[x] = nil
	}
}

// resize extends or truncates the tree to n leaves, a power of two (RFC 9420 7.7).
func (t *ratchetTree) resize(n uint32) {
	size := int(nodeWidth(n))
	if size > len(t.nodes) {
		t.nodes = append(t.nodes, make([]treeNode, size-len(t.nodes))...)
		t.hashes = append(t.hashes, make([][]byte, size-len(t.hashes))...)
		return
	}
	t.nodes, t.hashes = t.nodes[:size:size], t.hashes[:size:size]
}

// addLeaf applies an Add (RFC 9420 7.7): the leftmost blank leaf, or a wider tree.
func (t *ratchetTree) addLeaf(l *LeafNode) LeafIndex {
	i := LeafIndex(0)
	for t.leaf(i) != nil {
		i++
	}
	if uint32(i) == t.width() {
		t.resize(2 * t.width())
	}
	t.set(i.node(), treeNode{leaf: l})
	for _, x := range directPath(i, t.width()) {
		if p := t.nodes[x].parent; p != nil {
			at, _ := slices.BinarySearch(p.unmerged, i)
			unmerged := slices.Insert(slices.Clone(p.unmerged), at, i)
			t.set(x, treeNode{parent: &parentNode{p.encryptionKey, p.parentHash, unmerged}})
		}
	}
	return i
}

// updateLeaf applies an Update (RFC 9420 12.1.2).
func (t *ratchetTree) updateLeaf(i LeafIndex, l *LeafNode) {
	t.set(i.node(), treeNode{leaf: l})
	t.blankPath(i)
}

// removeLeaf applies a Remove (RFC 9420 12.1.3), and truncates the tree.
func (t *ratchetTree) removeLeaf(i LeafIndex) {
	t.set(i.node(), treeNode{})
	t.blankPath(i)
	last := uint32(0)
	for i := range t.members() {
		last = uint32(i)
	}
	t.resize(treeWidth(last + 1))
}

func (t *ratchetTree) blankPath(i LeafIndex) {
	for _, x := range directPath(i, t.width()) {
		t.set(x, treeNode{})
	}
}

// resolution is the resolution of x (RFC 9420 4.1.1).
func (t *ratchetTree) resolution(x nodeIndex) []nodeIndex { return t.appendResolution(nil, x) }

func (t *ratchetTree) appendResolution(list []nodeIndex, x nodeIndex) []nodeIndex {
	switch n := t.nodes[x]; {
	case n.parent != nil:
		list = append(list, x)
		for _, i := range n.parent.unmerged {
			list = append(list, i.node())
		}
		return list
	case n.leaf != nil:
		return append(list, x)
	case x.isLeaf():
		return list
	}
	return t.appendResolution(t.appendResolution(list, x.left()), x.right())
}

// A pathStep is a node of a filtered direct path and its child on the copath.
type pathStep struct{ node, copath nodeIndex }

// filteredPath is the filtered direct path of leaf i (RFC 9420 4.1.2): without the
// nodes whose child on the copath resolves to nothing.
func (t *ratchetTree) filteredPath(i LeafIndex) []pathStep {
	var path []pathStep
	for _, x := range directPath(i, t.width()) {
		c := x.child(i.node()).sibling()
		if len(t.resolution(c)) > 0 {
			path = append(path, pathStep{x, c})
		}
	}
	return path
}

// encode writes the ratchet_tree extension (RFC 9420 12.4.3.3), blanks at the right
// end left off.
func (t *ratchetTree) encode(w *writer) {
	end := len(t.nodes)
	for end > 0 && t.nodes[end-1].blank() {
		end--
	}
	encodeAll(w, t.nodes[:end])
}

func parseTree(s *suite, b []byte) (*ratchetTree, error) {
	nodes, err := parse(b, func(r *reader) []treeNode { return decodeAll(r, decodeTreeNode) })
	if err != nil {
		return nil, err
	}
	if len(nodes) == 0 || nodes[len(nodes)-1].blank() {
		return nil, malformed("ratchet tree ends in a blank node") // 12.4.3.3
	}
	for x, n := range nodes {
		if nodeIndex(x).isLeaf() && n.parent != nil || !nodeIndex(x).isLeaf() && n.leaf != nil {
			return nil, malformed("node %d of the ratchet tree has the wrong type", x) // 12.4.3.3
		}
	}
	t := &ratchetTree{suite: s, nodes: nodes, hashes: make([][]byte, len(nodes))}
	t.resize(treeWidth(uint32(len(nodes)/2 + 1)))
	return t, nil
}
