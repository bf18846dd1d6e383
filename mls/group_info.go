package mls

// A GroupInfo is what the verified GroupInfo of a Welcome says beside the group's context.
type GroupInfo struct {
	Signer     LeafIndex // the member who wrote it and the commit that added this one
	Extensions []Extension
}

// Extension returns the data of the extension of type t.
func (g *GroupInfo) Extension(t ExtensionType) ([]byte, bool) { return findExtension(g.Extensions, t) }

// groupInfo is GroupInfo of RFC 9420 12.4.3: one epoch described to somebody who is not
// in it yet, signed by a member. A parsed one is unverified.
type groupInfo struct {
	context         GroupContext
	extensions      []Extension
	confirmationTag []byte
	signer          LeafIndex
	signature       []byte
}

func (g *groupInfo) verified() *GroupInfo { return &GroupInfo{g.signer, g.extensions} }

func (g *groupInfo) tbs() []byte {
	var w writer
	g.context.encode(&w)
	encodeAll(&w, g.extensions)
	w.opaque(g.confirmationTag)
	w.uint32(uint32(g.signer))
	return w.buf
}

func (g *groupInfo) encode(w *writer) {
	w.raw(g.tbs())
	w.opaque(g.signature)
}

func decodeGroupInfo(r *reader) *groupInfo {
	return &groupInfo{
		context:         decodeGroupContext(r),
		extensions:      decodeExtensions(r),
		confirmationTag: r.opaque(),
		signer:          LeafIndex(r.uint32()),
		signature:       r.opaque(),
	}
}

// parseGroupInfo parses an MLSMessage of wire format mls_group_info.
func parseGroupInfo(b []byte) (*groupInfo, error) {
	m, err := parse(b, decodeMessage)
	if err != nil {
		return nil, err
	}
	if m.groupInfo == nil {
		return nil, invalid("wire format %d is not a group info", m.format)
	}
	return m.groupInfo, nil
}

func (g *groupInfo) verifySignature(s *suite, key SignaturePublicKey) error {
	if !s.verifySignature(key, "GroupInfoTBS", g.tbs(), g.signature) {
		return invalid("group info signature") // 12.4.3.1
	}
	return nil
}

// verifiedTree returns the tree that g describes, from its own extension or from
// tree, after checking it and the signature on g (RFC 9420 12.4.3.1).
func (g *groupInfo) verifiedTree(s *suite, tree []byte, authenticate func(*LeafNode) error) (*ratchetTree, error) {
	if data, ok := findExtension(g.extensions, ExtensionRatchetTree); ok {
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
	if err := t.verify(&g.context, authenticate); err != nil {
		return nil, err
	}
	return t, nil
}
