package mls

import (
	"iter"
	"slices"
)

// A ratchetTree is the public part of the ratchet tree (RFC 9420 4 and 7), always
// full: a power of two leaves. Nodes never change, so that trees share them, and a
// clone shares all that is not written after: it costs little, whatever the size.
type ratchetTree struct {
	suite *suite
	slots table[treeSlot]

	encryption, signature keySet // the nodes by their keys

	free        LeafIndex         // no leaf below it is blank
	credentials []credentialCount // of the members
	fresh       []LeafIndex       // leaves set since the clone; the others were verified together
	verified    bool              // false: all leaves count as fresh
}

// treeSlot is a node with the tree hash of its subtree, nil when not known. When the
// hash of a node is known, so are those below it.
type treeSlot struct {
	treeNode
	hash []byte
}

type credentialCount struct {
	kind  credentialType
	count int
	fresh bool // none was there when the tree was cloned
}

func emptyTree(s *suite, width uint32) *ratchetTree {
	t := &ratchetTree{suite: s, slots: table[treeSlot]{owner: new(owner)}, encryption: newKeySet(), signature: newKeySet()}
	t.slots.resize(int(nodeWidth(width)))
	return t
}

func newTree(s *suite, first *LeafNode) *ratchetTree {
	t := emptyTree(s, 1)
	t.set(0, treeNode{leaf: first})
	return t
}

// clone returns a tree to change; t, whose members were verified, is only read after.
func (t *ratchetTree) clone() *ratchetTree {
	c := &ratchetTree{suite: t.suite, slots: t.slots.clone(), encryption: t.encryption.clone(), signature: t.signature.clone(), free: t.free, verified: true}
	for _, k := range t.credentials {
		if k.count > 0 {
			c.credentials = append(c.credentials, credentialCount{k.kind, k.count, false})
		}
	}
	return c
}

// freeze ends the changes to t. After it t is only read, also by clone, so that
// several goroutines may.
func (t *ratchetTree) freeze() {
	t.rootHash()
	t.slots.share()
	t.encryption.slots.share()
	t.signature.slots.share()
}

// size is the number of nodes, width that of leaves, blank or not.
func (t *ratchetTree) size() int       { return t.slots.size }
func (t *ratchetTree) width() uint32   { return uint32(t.size()+1) / 2 }
func (t *ratchetTree) root() nodeIndex { return root(t.width()) }

func (t *ratchetTree) node(x nodeIndex) treeNode { return t.slots.get(int(x)).treeNode }

func (t *ratchetTree) nodeOrBlank(x int) treeNode {
	if x >= t.size() {
		return treeNode{}
	}
	return t.node(nodeIndex(x))
}

// leaf returns the member at i, or nil.
func (t *ratchetTree) leaf(i LeafIndex) *LeafNode {
	if uint32(i) >= t.width() {
		return nil
	}
	return t.node(i.node()).leaf
}

// members yields the leaves that aren't blank, in order.
func (t *ratchetTree) members() iter.Seq2[LeafIndex, *LeafNode] {
	return func(yield func(LeafIndex, *LeafNode) bool) {
		for x := 0; x < t.size(); x += 2 {
			if l := t.node(nodeIndex(x)).leaf; l != nil && !yield(LeafIndex(x/2), l) {
				return
			}
		}
	}
}

// set replaces a node and forgets the hashes above it.
func (t *ratchetTree) set(x nodeIndex, n treeNode) {
	old := t.node(x)
	if old == n {
		return
	}
	t.unlist(x, old)
	*t.slots.at(int(x)) = treeSlot{treeNode: n}
	t.list(x, n)
	for x != t.root() {
		if x = x.parent(); t.slots.get(int(x)).hash == nil {
			return
		}
		t.slots.at(int(x)).hash = nil
	}
}

// list and unlist keep what is known of all keys and credentials.
func (t *ratchetTree) list(x nodeIndex, n treeNode) {
	if n.blank() {
		if x.isLeaf() {
			t.free = min(t.free, x.leaf())
		}
		return
	}
	t.encryption.insert(x, t.encryptionKey)
	if n.leaf == nil {
		return
	}
	t.signature.insert(x, t.signatureKey)
	t.fresh = append(t.fresh, x.leaf())
	k := slices.IndexFunc(t.credentials, func(c credentialCount) bool { return c.kind == n.leaf.Credential.kind() })
	if k < 0 {
		k = len(t.credentials)
		t.credentials = append(t.credentials, credentialCount{kind: n.leaf.Credential.kind(), fresh: true})
	}
	t.credentials[k].count++
}

func (t *ratchetTree) unlist(x nodeIndex, n treeNode) {
	if n.blank() {
		return
	}
	t.encryption.remove(x, n.encryptionKey())
	if n.leaf == nil {
		return
	}
	t.signature.remove(x, n.leaf.SignatureKey)
	for k := range t.credentials {
		if t.credentials[k].kind == n.leaf.Credential.kind() {
			t.credentials[k].count--
		}
	}
}

// encryptionKey and signatureKey are nil where there is none.
func (t *ratchetTree) encryptionKey(x nodeIndex) []byte {
	if n := t.nodeOrBlank(int(x)); !n.blank() {
		return n.encryptionKey()
	}
	return nil
}

func (t *ratchetTree) signatureKey(x nodeIndex) []byte {
	if n := t.nodeOrBlank(int(x)); n.leaf != nil {
		return n.leaf.SignatureKey
	}
	return nil
}

// resize extends or truncates the tree to n leaves, a power of two (RFC 9420 7.7).
// What is cut off is blank.
func (t *ratchetTree) resize(n uint32) { t.slots.resize(int(nodeWidth(n))) }

// addLeaf applies an Add (RFC 9420 7.7): the leftmost blank leaf, or a wider tree.
func (t *ratchetTree) addLeaf(l *LeafNode) LeafIndex {
	i := t.free
	for t.leaf(i) != nil {
		i++
	}
	if uint32(i) == t.width() {
		t.resize(2 * t.width())
	}
	t.set(i.node(), treeNode{leaf: l})
	t.free = i + 1
	for _, x := range directPath(i, t.width()) {
		if p := t.node(x).parent; p != nil {
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
	last := t.width() - 1
	for last > 0 && t.leaf(LeafIndex(last)) == nil {
		last--
	}
	t.resize(treeWidth(last + 1))
}

func (t *ratchetTree) blankPath(i LeafIndex) {
	for _, x := range directPath(i, t.width()) {
		t.set(x, treeNode{})
	}
}

// encode writes the ratchet_tree extension (RFC 9420 12.4.3.3), blanks at the right
// end left off.
func (t *ratchetTree) encode(w *writer) {
	end := t.size()
	for end > 0 && t.node(nodeIndex(end-1)).blank() {
		end--
	}
	w.vector(func(w *writer) {
		for x := range end {
			t.node(nodeIndex(x)).encode(w)
		}
	})
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
	t := emptyTree(s, treeWidth(uint32(len(nodes)/2+1)))
	for x, n := range nodes {
		t.set(nodeIndex(x), n)
	}
	return t, nil
}
