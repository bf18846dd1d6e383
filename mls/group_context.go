package mls

import "bytes"

// A GroupContext is GroupContext of RFC 9420 8.1: what all members agree on in an
// epoch, and what every signature of that epoch covers.
type GroupContext struct {
	Version                 uint16
	Suite                   CipherSuite
	GroupID                 []byte
	Epoch                   uint64
	TreeHash                []byte
	ConfirmedTranscriptHash []byte
	Extensions              []Extension
}

// Bytes is the GroupContext encoding.
func (c GroupContext) Bytes() []byte { return marshal(c) }

// Extension returns the data of the extension of type t.
func (c GroupContext) Extension(t ExtensionType) ([]byte, bool) {
	return findExtension(c.Extensions, t)
}

// Equal compares all fields.
func (c GroupContext) Equal(o GroupContext) bool { return bytes.Equal(c.Bytes(), o.Bytes()) }

func (c GroupContext) encode(w *writer) {
	w.uint16(c.Version)
	w.uint16(uint16(c.Suite))
	w.opaque(c.GroupID)
	w.uint64(c.Epoch)
	w.opaque(c.TreeHash)
	w.opaque(c.ConfirmedTranscriptHash)
	encodeAll(w, c.Extensions)
}

func decodeGroupContext(r *reader) GroupContext {
	c := GroupContext{
		Version:                 r.uint16(),
		Suite:                   CipherSuite(r.uint16()),
		GroupID:                 r.opaque(),
		Epoch:                   r.uint64(),
		TreeHash:                r.opaque(),
		ConfirmedTranscriptHash: r.opaque(),
		Extensions:              decodeExtensions(r),
	}
	if c.Version != protocolVersion && r.err == nil {
		r.fail(unsupported("protocol version %d", c.Version))
	}
	return c
}

// ParseGroupContext parses the encoding that Bytes returns.
func ParseGroupContext(b []byte) (*GroupContext, error) {
	c, err := parse(b, decodeGroupContext)
	if err != nil {
		return nil, err
	}
	return &c, nil
}
