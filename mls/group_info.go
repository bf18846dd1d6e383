package mls

// A GroupInfo is GroupInfo of RFC 9420 12.4.3: one epoch described to somebody who
// is not in it yet, signed by a member. A parsed one is unverified.
type GroupInfo struct {
	Context         GroupContext
	Extensions      []Extension
	confirmationTag []byte
	signer          LeafIndex
	signature       []byte
}

// Signer is the leaf of the member that signed.
func (g *GroupInfo) Signer() LeafIndex { return g.signer }

func (g *GroupInfo) tbs() []byte {
	var w writer
	g.Context.encode(&w)
	encodeAll(&w, g.Extensions)
	w.opaque(g.confirmationTag)
	w.uint32(uint32(g.signer))
	return w.buf
}

func (g *GroupInfo) encode(w *writer) {
	w.raw(g.tbs())
	w.opaque(g.signature)
}

func decodeGroupInfo(r *reader) *GroupInfo {
	return &GroupInfo{
		Context:         decodeGroupContext(r),
		Extensions:      decodeExtensions(r),
		confirmationTag: r.opaque(),
		signer:          LeafIndex(r.uint32()),
		signature:       r.opaque(),
	}
}

// ParseGroupInfo parses an MLSMessage of wire format mls_group_info.
func ParseGroupInfo(b []byte) (*GroupInfo, error) {
	m, err := parse(b, decodeMessage)
	if err != nil {
		return nil, err
	}
	if m.groupInfo == nil {
		return nil, invalid("wire format %d is not a group info", m.format)
	}
	return m.groupInfo, nil
}

func (g *GroupInfo) verifySignature(s *suite, key SignaturePublicKey) error {
	if !s.verifySignature(key, "GroupInfoTBS", g.tbs(), g.signature) {
		return invalid("group info signature") // 12.4.3.1
	}
	return nil
}

// verifiedTree returns the tree that g describes, from its own extension or from
// tree, after checking it and the signature on g (RFC 9420 12.4.3.1).
func (g *GroupInfo) verifiedTree(s *suite, tree []byte, authenticate Authenticator) (*ratchetTree, error) {
	if data, ok := FindExtension(g.Extensions, ExtensionRatchetTree); ok {
		tree = data
	}
	if tree == nil {
		return nil, invalid("no ratchet tree") // 12.4.3.3
	}
	t, err := parseTree(s, tree)
	if err != nil {
		return nil, err
	}
	signer := t.leaf(g.signer)
	if signer == nil {
		return nil, invalid("group info signed by blank leaf %d", g.signer) // 12.4.3.1
	}
	if err := g.verifySignature(s, signer.SignatureKey); err != nil {
		return nil, err
	}
	if err := t.verify(&g.Context, authenticate); err != nil {
		return nil, err
	}
	return t, nil
}
