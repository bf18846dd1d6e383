package mls

// A Kind says what an MLSMessage is.
type Kind uint8

const (
	KindApplication Kind = iota + 1
	KindProposal
	KindCommit
	KindWelcome
	KindGroupInfo
	KindKeyPackage
)

// An Envelope is what is visible on the outside of an MLSMessage. Nothing in it is
// authenticated.
type Envelope struct {
	Kind    Kind
	Private bool // a PrivateMessage, as every application message is

	GroupID           []byte // all but welcomes and key packages
	Epoch             uint64 // the same
	AuthenticatedData []byte // application messages, proposals, commits

	FromMember bool      // public messages: the sender is a member, not an outsider
	Sender     LeafIndex // when FromMember
	Generation uint32    // Peek

	Suite          CipherSuite   // welcomes, group infos, key packages
	KeyPackageRefs [][]byte      // welcomes: whom they are for
	Context        *GroupContext // group infos
	Extensions     []Extension   // group infos
}

// Inspect reads the outside of an MLSMessage, for a delivery service that has to route
// it or somebody who wants to join. The message parses as a whole, or there is an error.
func Inspect(msg []byte) (*Envelope, error) {
	m, err := parse(msg, decodeMessage)
	if err != nil {
		return nil, err
	}
	return m.envelope(), nil
}

// Extension returns the data of a group info's extension of type t.
func (e *Envelope) Extension(t ExtensionType) ([]byte, bool) { return findExtension(e.Extensions, t) }

func (m *message) envelope() *Envelope {
	switch m.format {
	case wirePublicMessage:
		c := &m.public.content
		e := &Envelope{Kind: c.kind.kind(), GroupID: c.groupID, Epoch: c.epoch, AuthenticatedData: c.authenticatedData}
		if c.sender.kind == senderMember {
			e.FromMember, e.Sender = true, LeafIndex(c.sender.index)
		}
		return e
	case wirePrivateMessage:
		p := m.private
		return &Envelope{Kind: p.kind.kind(), Private: true, GroupID: p.groupID, Epoch: p.epoch, AuthenticatedData: p.authenticatedData}
	case wireWelcome:
		e := &Envelope{Kind: KindWelcome, Suite: m.welcome.suite}
		for _, s := range m.welcome.secrets {
			e.KeyPackageRefs = append(e.KeyPackageRefs, s.newMember)
		}
		return e
	case wireGroupInfo:
		c := &m.groupInfo.context
		return &Envelope{Kind: KindGroupInfo, GroupID: c.GroupID, Epoch: c.Epoch, Suite: c.Suite, Context: c, Extensions: m.groupInfo.extensions}
	default: // wireKeyPackage
		return &Envelope{Kind: KindKeyPackage, Suite: m.keyPackage.Suite}
	}
}

// kind has the code points of RFC 9420 6.
func (t contentType) kind() Kind { return Kind(t) }
