package mls

// A parentNode is ParentNode of RFC 9420 7.1. It never changes once in a tree.
type parentNode struct {
	encryptionKey hpkePublicKey
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

func (n treeNode) encryptionKey() hpkePublicKey {
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
