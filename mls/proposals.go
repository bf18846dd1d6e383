package mls

// proposalType is a code point of RFC 9420 17.4.
type proposalType uint16

const (
	proposalAdd                    proposalType = 1
	proposalUpdate                 proposalType = 2
	proposalRemove                 proposalType = 3
	proposalPSK                    proposalType = 4
	proposalReInit                 proposalType = 5
	proposalExternalInit           proposalType = 6
	proposalGroupContextExtensions proposalType = 7
)

// isDefault says whether every client supports t without listing it (RFC 9420 7.2).
func (t proposalType) isDefault() bool { return t >= 1 && t <= 7 }

// needsPath is the column "Path Required" of RFC 9420 17.4.
func (t proposalType) needsPath() bool {
	return t == proposalUpdate || t == proposalRemove || t == proposalExternalInit || t == proposalGroupContextExtensions
}

// fromOutside is the column "External Sender" of RFC 9420 17.4.
func (t proposalType) fromOutside() bool {
	return t.isDefault() && t != proposalUpdate && t != proposalExternalInit
}

// proposal is Proposal of RFC 9420 12.1: the field of its type is set.
type proposal struct {
	kind       proposalType
	add        *KeyPackage // 12.1.1
	update     *LeafNode   // 12.1.2
	remove     LeafIndex   // 12.1.3
	psk        pskID       // 12.1.4
	reInit     reInit      // 12.1.5
	kemOutput  []byte      // 12.1.6
	extensions []Extension // 12.1.7
}

// reInit is ReInit of RFC 9420 12.1.5.
type reInit struct {
	groupID    []byte
	version    uint16
	suite      CipherSuite
	extensions []Extension
}

func (r *reInit) encode(w *writer) {
	w.opaque(r.groupID)
	w.uint16(r.version)
	w.uint16(uint16(r.suite))
	encodeAll(w, r.extensions)
}

func decodeReInit(r *reader) reInit {
	return reInit{r.opaque(), r.uint16(), CipherSuite(r.uint16()), decodeExtensions(r)}
}

// encodeIfAny ends a stored record: what is absent takes no byte.
func (r *reInit) encodeIfAny(w *writer) {
	if r != nil {
		r.encode(w)
	}
}

func decodeReInitIfAny(r *reader) *reInit {
	if len(r.buf) == 0 {
		return nil
	}
	v := decodeReInit(r)
	return &v
}

func (p *proposal) encode(w *writer) {
	w.uint16(uint16(p.kind))
	switch p.kind {
	case proposalAdd:
		p.add.encode(w)
	case proposalUpdate:
		p.update.encode(w)
	case proposalRemove:
		w.uint32(uint32(p.remove))
	case proposalPSK:
		p.psk.encode(w)
	case proposalReInit:
		p.reInit.encode(w)
	case proposalExternalInit:
		w.opaque(p.kemOutput)
	case proposalGroupContextExtensions:
		encodeAll(w, p.extensions)
	}
}

func decodeProposal(r *reader) *proposal {
	p := &proposal{kind: proposalType(r.uint16())}
	p.decodeBody(r)
	return p
}

func (p *proposal) decodeBody(r *reader) {
	switch p.kind {
	case proposalAdd:
		p.add = decodeKeyPackage(r)
	case proposalUpdate:
		p.update = decodeLeafNode(r)
	case proposalRemove:
		p.remove = LeafIndex(r.uint32())
	case proposalPSK:
		p.psk = decodePSKID(r)
	case proposalReInit:
		p.reInit = decodeReInit(r)
	case proposalExternalInit:
		p.kemOutput = r.opaque()
	case proposalGroupContextExtensions:
		p.extensions = decodeExtensions(r)
	default:
		r.fail(unsupported("proposal type %#04x", uint16(p.kind)))
	}
}

// proposalOrRef is ProposalOrRef of RFC 9420 12.4: one of the two is set.
type proposalOrRef struct {
	proposal *proposal
	ref      []byte
}

func (p proposalOrRef) encode(w *writer) {
	if p.proposal != nil {
		w.uint8(1)
		p.proposal.encode(w)
		return
	}
	w.uint8(2)
	w.opaque(p.ref)
}

func decodeProposalOrRef(r *reader) proposalOrRef {
	switch kind := r.uint8(); kind {
	case 1:
		return proposalOrRef{proposal: decodeProposal(r)}
	case 2:
		return proposalOrRef{ref: r.opaque()}
	default:
		r.fail(malformed("ProposalOrRef type %d", kind))
		return proposalOrRef{}
	}
}
