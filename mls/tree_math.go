package mls

import "math/bits"

// A nodeIndex numbers the nodes of the full binary tree from left to right, leaves
// at the even numbers (RFC 9420 4.2 and appendix C). All functions take trees whose
// width in leaves is a power of two.
type nodeIndex uint32

func (i LeafIndex) node() nodeIndex { return nodeIndex(2 * i) }

func (x nodeIndex) isLeaf() bool    { return x&1 == 0 }
func (x nodeIndex) leaf() LeafIndex { return LeafIndex(x / 2) }

// level is the height of x above the leaves.
func (x nodeIndex) level() uint { return uint(bits.TrailingZeros32(^uint32(x))) }

// left and right are the children of a node above level 0.
func (x nodeIndex) left() nodeIndex  { return x ^ (1 << (x.level() - 1)) }
func (x nodeIndex) right() nodeIndex { return x ^ (3 << (x.level() - 1)) }

// parent is the node above x, whatever the size of the tree.
func (x nodeIndex) parent() nodeIndex {
	k := x.level()
	return (x | 1<<k) &^ (1 << (k + 1))
}

// sibling is the other child of x's parent.
func (x nodeIndex) sibling() nodeIndex { return x ^ (2 << x.level()) }

// covers says whether y is x or below it.
func (x nodeIndex) covers(y nodeIndex) bool {
	span := nodeIndex(1)<<x.level() - 1
	return x-span <= y && y <= x+span
}

// root is the root of a tree of n leaves.
func root(n uint32) nodeIndex { return nodeIndex(n - 1) }

// nodeWidth is the number of nodes of a tree of n leaves.
func nodeWidth(n uint32) uint32 { return 2*n - 1 }

// treeWidth is the power of two that holds n leaves.
func treeWidth(n uint32) uint32 {
	if n <= 1 {
		return 1
	}
	return 1 << bits.Len32(n-1)
}

// directPath lists the nodes above leaf i, from its parent to the root.
func directPath(i LeafIndex, n uint32) []nodeIndex {
	var path []nodeIndex
	for x := i.node(); x != root(n); {
		x = x.parent()
		path = append(path, x)
	}
	return path
}

// child is the child of x that covers y, which is below x.
func (x nodeIndex) child(y nodeIndex) nodeIndex {
	if y < x {
		return x.left()
	}
	return x.right()
}
