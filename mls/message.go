package mls

// message is MLSMessage of RFC 9420 6: the field of its format is set.
type message struct {
	format     wireFormat
	public     *publicMessage
	private    *privateMessage
	welcome    *welcome
	groupInfo  *groupInfo
	keyPackage *KeyPackage
}

func (m *message) encode(w *writer) {
	w.uint16(protocolVersion)
	w.uint16(uint16(m.format))
	switch m.format {
	case wirePublicMessage:
		m.public.encode(w)
	case wirePrivateMessage:
		m.private.encode(w)
	case wireWelcome:
		m.welcome.encode(w)
	case wireGroupInfo:
		m.groupInfo.encode(w)
	case wireKeyPackage:
		m.keyPackage.encode(w)
	}
}

func decodeMessage(r *reader) *message {
	if v := r.uint16(); v != protocolVersion {
		r.fail(unsupported("protocol version %d", v))
	}
	m := &message{format: wireFormat(r.uint16())}
	switch m.format {
	case wirePublicMessage:
		m.public = decodePublicMessage(r)
	case wirePrivateMessage:
		m.private = decodePrivateMessage(r)
	case wireWelcome:
		m.welcome = decodeWelcome(r)
	case wireGroupInfo:
		m.groupInfo = decodeGroupInfo(r)
	case wireKeyPackage:
		m.keyPackage = decodeKeyPackage(r)
	default:
		r.fail(unsupported("wire format %d", m.format))
	}
	return m
}
