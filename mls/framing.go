package mls

// wireFormat is a code point of RFC 9420 17.2.
type wireFormat uint16

const (
	wirePublicMessage  wireFormat = 1
	wirePrivateMessage wireFormat = 2
	wireWelcome        wireFormat = 3
	wireGroupInfo      wireFormat = 4
	wireKeyPackage     wireFormat = 5
)

// contentType is ContentType of RFC 9420 6.
type contentType uint8

const (
	contentApplication contentType = 1
	contentProposal    contentType = 2
	contentCommit      contentType = 3
)

// senderType is SenderType of RFC 9420 6.
type senderType uint8

const (
	senderMember            senderType = 1
	senderExternal          senderType = 2
	senderNewMemberProposal senderType = 3
	senderNewMemberCommit   senderType = 4
)

// sender is Sender of RFC 9420 6: index is a leaf, or a place in external_senders.
type sender struct {
	kind  senderType
	index uint32
}

func (s sender) encode(w *writer) {
	w.uint8(uint8(s.kind))
	if s.kind == senderMember || s.kind == senderExternal {
		w.uint32(s.index)
	}
}

func decodeSender(r *reader) sender {
	s := sender{kind: senderType(r.uint8())}
	switch s.kind {
	case senderMember, senderExternal:
		s.index = r.uint32()
	case senderNewMemberProposal, senderNewMemberCommit:
	default:
		r.fail(malformed("sender type %d", s.kind))
	}
	return s
}

// framedContent is FramedContent of RFC 9420 6.
type framedContent struct {
	groupID           []byte
	epoch             uint64
	sender            sender
	authenticatedData []byte
	kind              contentType
	application       []byte
	proposal          *proposal
	commit            *commit
}

func (c *framedContent) encode(w *writer) {
	w.opaque(c.groupID)
	w.uint64(c.epoch)
	c.sender.encode(w)
	w.opaque(c.authenticatedData)
	w.uint8(uint8(c.kind))
	c.encodeBody(w)
}

func (c *framedContent) encodeBody(w *writer) {
	switch c.kind {
	case contentApplication:
		w.opaque(c.application)
	case contentProposal:
		c.proposal.encode(w)
	case contentCommit:
		c.commit.encode(w)
	}
}

func decodeFramedContent(r *reader) framedContent {
	c := framedContent{
		groupID:           r.opaque(),
		epoch:             r.uint64(),
		sender:            decodeSender(r),
		authenticatedData: r.opaque(),
		kind:              decodeContentType(r),
	}
	c.decodeBody(r)
	return c
}

func decodeContentType(r *reader) contentType {
	t := contentType(r.uint8())
	if t < contentApplication || t > contentCommit {
		r.fail(malformed("content type %d", t))
	}
	return t
}

func (c *framedContent) decodeBody(r *reader) {
	switch c.kind {
	case contentApplication:
		c.application = r.opaque()
	case contentProposal:
		c.proposal = decodeProposal(r)
	case contentCommit:
		c.commit = decodeCommit(r)
	}
}

// contentAuth is FramedContentAuthData of RFC 9420 6.1.
type contentAuth struct {
	signature       []byte
	confirmationTag []byte // commits only
}

func (a contentAuth) encode(w *writer, kind contentType) {
	w.opaque(a.signature)
	if kind == contentCommit {
		w.opaque(a.confirmationTag)
	}
}

func decodeContentAuth(r *reader, kind contentType) contentAuth {
	a := contentAuth{signature: r.opaque()}
	if kind == contentCommit {
		a.confirmationTag = r.opaque()
	}
	return a
}

// authenticatedContent is AuthenticatedContent of RFC 9420 6: what a signature covers
// and what proposal references and transcript hashes are computed from.
type authenticatedContent struct {
	format  wireFormat
	content framedContent
	auth    contentAuth
}

func (a *authenticatedContent) encode(w *writer) {
	w.uint16(uint16(a.format))
	a.content.encode(w)
	a.auth.encode(w, a.content.kind)
}

func decodeAuthenticatedContent(r *reader) *authenticatedContent {
	a := &authenticatedContent{format: wireFormat(r.uint16()), content: decodeFramedContent(r)}
	a.auth = decodeContentAuth(r, a.content.kind)
	return a
}

// publicMessage is PublicMessage of RFC 9420 6.2.
type publicMessage struct {
	content       framedContent
	auth          contentAuth
	membershipTag []byte // members only
}

func (m *publicMessage) encode(w *writer) {
	m.content.encode(w)
	m.auth.encode(w, m.content.kind)
	if m.content.sender.kind == senderMember {
		w.opaque(m.membershipTag)
	}
}

func decodePublicMessage(r *reader) *publicMessage {
	m := &publicMessage{content: decodeFramedContent(r)}
	m.auth = decodeContentAuth(r, m.content.kind)
	if m.content.sender.kind == senderMember {
		m.membershipTag = r.opaque()
	}
	return m
}

// privateMessage is PrivateMessage of RFC 9420 6.3.
type privateMessage struct {
	groupID           []byte
	epoch             uint64
	kind              contentType
	authenticatedData []byte
	senderData        []byte // encrypted
	ciphertext        []byte
}

func (m *privateMessage) encode(w *writer) {
	w.raw(m.contentAAD())
	w.opaque(m.senderData)
	w.opaque(m.ciphertext)
}

func decodePrivateMessage(r *reader) *privateMessage {
	return &privateMessage{r.opaque(), r.uint64(), decodeContentType(r), r.opaque(), r.opaque(), r.opaque()}
}

// senderAAD is SenderDataAAD of RFC 9420 6.3.2.
func (m *privateMessage) senderAAD() []byte {
	var w writer
	w.opaque(m.groupID)
	w.uint64(m.epoch)
	w.uint8(uint8(m.kind))
	return w.buf
}

// contentAAD is PrivateContentAAD of RFC 9420 6.3.1.
func (m *privateMessage) contentAAD() []byte {
	w := writer{m.senderAAD()}
	w.opaque(m.authenticatedData)
	return w.buf
}
