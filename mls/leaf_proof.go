package mls

import "bytes"

// A leafProof shows that a leaf is in the tree of a tree hash: the leaf, and for each
// node above it the node itself and the tree hash of the child on the other side.
//
//	struct { optional<ParentNode> node; opaque sibling<V>; } Step;
//	struct { LeafNode leaf; Step steps<V>; } LeafProof;
type leafProof struct {
	leaf  *LeafNode
	steps []proofStep // from the leaf's parent to the root
}

type proofStep struct {
	node    *parentNode // nil when blank
	sibling []byte
}

func (s proofStep) encode(w *writer) {
	if w.present(s.node != nil) {
		s.node.encode(w)
	}
	w.opaque(s.sibling)
}

func decodeProofStep(r *reader) proofStep {
	var s proofStep
	if r.present() {
		s.node = decodeParentNode(r)
	}
	s.sibling = r.opaque()
	return s
}

func (p leafProof) encode(w *writer) {
	p.leaf.encode(w)
	encodeAll(w, p.steps)
}

func decodeLeafProof(r *reader) leafProof {
	return leafProof{decodeLeafNode(r), decodeAll(r, decodeProofStep)}
}

// ProveLeaf proves that the member at i is in the tree of Context().TreeHash. The
// proof grows with the logarithm of the group, and with the keys above the leaf.
func (p *PublicGroup) ProveLeaf(i LeafIndex) ([]byte, error) {
	t := p.now.tree
	if t.leaf(i) == nil {
		return nil, invalid("leaf %d is no member", i)
	}
	proof := leafProof{leaf: t.leaf(i)}
	for _, x := range directPath(i, t.width()) {
		sibling := t.treeHash(x.child(i.node()).sibling())
		proof.steps = append(proof.steps, proofStep{t.node(x).parent, sibling})
	}
	return marshal(proof), nil
}

// VerifyLeafProof returns the leaf at place i of the tree with the given hash. The
// hash vouches for it: no signature is checked again.
func VerifyLeafProof(cs CipherSuite, treeHash []byte, i LeafIndex, proof []byte) (*LeafNode, error) {
	s, err := cs.params()
	if err != nil {
		return nil, err
	}
	p, err := parse(proof, decodeLeafProof)
	if err != nil {
		return nil, err
	}
	if len(p.steps) > 31 || uint64(i) >= 1<<len(p.steps) {
		return nil, invalid("proof of depth %d for leaf %d", len(p.steps), i)
	}
	hash := leafHash(s, i, p.leaf) // 7.8
	for k, step := range p.steps {
		if len(step.sibling) != s.nh {
			return nil, invalid("tree hash of %d bytes", len(step.sibling))
		}
		left, right := hash, step.sibling
		if i>>k&1 == 1 {
			left, right = right, left
		}
		hash = parentTreeHash(s, step.node, left, right)
	}
	if !bytes.Equal(hash, treeHash) {
		return nil, invalid("leaf proof")
	}
	return p.leaf, nil
}
