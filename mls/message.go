package mls

// message is MLSMessage of RFC 9420 6: the field of its format is set.
type message struct {
	format     WireFormat
	public     *publicMessage
	private    *privateMessage
	welcome    *welcome
	groupInfo  *GroupInfo
	keyPackage *KeyPackage
}

func (m *message) encode(w *writer) {
	w.uint16(protocolVersion)
	w.uint16(uint16(m.format))
	switch m.format {
	case WirePublicMessage:
		m.public.encode(w)
	case WirePrivateMessage:
		m.private.encode(w)
	case WireWelcome:
		m.welcome.encode(w)
	case WireGroupInfo:
		m.groupInfo.encode(w)
	case WireKeyPackage:
		m.keyPackage.encode(w)
	}
}

func decodeMessage(r *reader) *message {
	if v := r.uint16(); v != protocolVersion {
		r.fail(unsupported("protocol version %d", v))
	}
	m := &message{format: WireFormat(r.uint16())}
	switch m.format {
	case WirePublicMessage:
		m.public = decodePublicMessage(r)
	case WirePrivateMessage:
		m.private = decodePrivateMessage(r)
	case WireWelcome:
		m.welcome = decodeWelcome(r)
	case WireGroupInfo:
		m.groupInfo = decodeGroupInfo(r)
	case WireKeyPackage:
		m.keyPackage = decodeKeyPackage(r)
	default:
		r.fail(unsupported("wire format %d", m.format))
	}
	return m
}
