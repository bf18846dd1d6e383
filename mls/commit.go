package mls

// commit is Commit of RFC 9420 12.4.
type commit struct {
	proposals []proposalOrRef
	path      *updatePath
}

func (c *commit) encode(w *writer) {
	encodeAll(w, c.proposals)
	if w.present(c.path != nil) {
		c.path.encode(w)
	}
}

func decodeCommit(r *reader) *commit {
	c := &commit{proposals: decodeAll(r, decodeProposalOrRef)}
	if r.present() {
		c.path = decodeUpdatePath(r)
	}
	return c
}

// updatePath is UpdatePath of RFC 9420 7.6.
type updatePath struct {
	leaf  *LeafNode
	nodes []updatePathNode
}

// updatePathNode is UpdatePathNode of RFC 9420 7.6.
type updatePathNode struct {
	encryptionKey hpkePublicKey
	secrets       []hpkeCiphertext
}

func (n updatePathNode) encode(w *writer) {
	w.opaque(n.encryptionKey)
	encodeAll(w, n.secrets)
}

func (p *updatePath) encode(w *writer) {
	p.leaf.encode(w)
	encodeAll(w, p.nodes)
}

func decodeUpdatePath(r *reader) *updatePath {
	return &updatePath{
		leaf: decodeLeafNode(r),
		nodes: decodeAll(r, func(r *reader) updatePathNode {
			return updatePathNode{r.opaque(), decodeAll(r, decodeHPKECiphertext)}
		}),
	}
}
