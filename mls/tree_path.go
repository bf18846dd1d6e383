package mls

// empty says whether the resolution of x is.
func (t *ratchetTree) empty(x nodeIndex) bool {
	if !t.node(x).blank() {
		return false
	}
	return x.isLeaf() || t.empty(x.left()) && t.empty(x.right())
}

// resolution is the resolution of x (RFC 9420 4.1.1).
func (t *ratchetTree) resolution(x nodeIndex) []nodeIndex { return t.appendResolution(nil, x) }

func (t *ratchetTree) appendResolution(list []nodeIndex, x nodeIndex) []nodeIndex {
	switch n := t.node(x); {
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
		if !t.empty(c) {
			path = append(path, pathStep{x, c})
		}
	}
	return path
}
