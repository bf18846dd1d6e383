package mls

type pskType uint8

const (
	pskExternal   pskType = 1
	pskResumption pskType = 2
)

type pskUsage uint8

// ResumptionPSKUsage of RFC 9420 8.4.
const (
	usageApplication pskUsage = 1
	usageReInit      pskUsage = 2
	usageBranch      pskUsage = 3
)

// pskID is PreSharedKeyID of RFC 9420 8.4.
type pskID struct {
	kind    pskType
	id      []byte // external
	usage   pskUsage
	groupID []byte
	epoch   uint64
	nonce   []byte
}

func (p pskID) encode(w *writer) {
	w.uint8(uint8(p.kind))
	if p.kind == pskExternal {
		w.opaque(p.id)
	} else {
		w.uint8(uint8(p.usage))
		w.opaque(p.groupID)
		w.uint64(p.epoch)
	}
	w.opaque(p.nonce)
}

func decodePSKID(r *reader) pskID {
	p := pskID{kind: pskType(r.uint8())}
	switch p.kind {
	case pskExternal:
		p.id = r.opaque()
	case pskResumption:
		p.usage = pskUsage(r.uint8())
		if p.usage < usageApplication || p.usage > usageBranch {
			r.fail(malformed("resumption PSK usage %d", p.usage))
		}
		p.groupID = r.opaque()
		p.epoch = r.uint64()
	default:
		r.fail(malformed("PSK type %d", p.kind))
	}
	p.nonce = r.opaque()
	return p
}

// same compares everything but the nonce: one PSK may not be used twice (RFC 9420 12.2).
func (p pskID) same(q pskID) bool { return p.name() == q.name() }

// name is all but the nonce.
func (p pskID) name() string {
	p.nonce = nil
	return string(marshal(p))
}

// pskSecret is psk_secret of RFC 9420 8.4, over the keys in the order of their ids.
func (s *suite) pskSecret(ids []pskID, keys [][]byte) []byte {
	secret := make([]byte, s.nh)
	for i, id := range ids {
		var label writer // PSKLabel
		id.encode(&label)
		label.uint16(uint16(i))
		label.uint16(uint16(len(ids)))
		extracted := s.extract(make([]byte, s.nh), keys[i])
		input := s.expandWithLabel(extracted, "derived psk", label.buf, s.nh)
		secret = s.extract(input, secret)
		clear(extracted)
		clear(input)
	}
	return secret
}
