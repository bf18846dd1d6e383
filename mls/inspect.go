package mls

// An Envelope is what is visible on the outside of an MLSMessage. Nothing in it is
// authenticated.
type Envelope struct {
	WireFormat        WireFormat
	GroupID           []byte      // public and private messages, group infos
	Epoch             uint64      // the same
	ContentType       ContentType // public and private messages
	AuthenticatedData []byte      // public and private messages
	SenderType        SenderType  // public messages
	Sender            LeafIndex   // public messages of members
	Suite             CipherSuite // welcomes, group infos, key packages
	KeyPackageRefs    [][]byte    // welcomes: whom they are for
}

// Inspect reads the outside of an MLSMessage, for a delivery service that has to
// route it. The message parses as a whole, or there is an error.
func Inspect(msg []byte) (*Envelope, error) {
	m, err := parse(msg, decodeMessage)
	if err != nil {
		return nil, err
	}
	e := &Envelope{WireFormat: m.format}
	switch m.format {
	case WirePublicMessage:
		c := &m.public.content
		e.GroupID, e.Epoch, e.ContentType, e.AuthenticatedData = c.groupID, c.epoch, c.kind, c.authenticatedData
		e.SenderType = c.sender.kind
		if c.sender.kind == SenderMember {
			e.Sender = LeafIndex(c.sender.index)
		}
	case WirePrivateMessage:
		p := m.private
		e.GroupID, e.Epoch, e.ContentType, e.AuthenticatedData = p.groupID, p.epoch, p.kind, p.authenticatedData
	case WireWelcome:
		e.Suite = m.welcome.suite
		for _, s := range m.welcome.secrets {
			e.KeyPackageRefs = append(e.KeyPackageRefs, s.newMember)
		}
	case WireGroupInfo:
		e.GroupID, e.Epoch, e.Suite = m.groupInfo.Context.GroupID, m.groupInfo.Context.Epoch, m.groupInfo.Context.Suite
	case WireKeyPackage:
		e.Suite = m.keyPackage.Suite
	}
	return e, nil
}
