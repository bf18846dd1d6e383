package mls

type ratchetKind uint8

const (
	ratchetHandshake   ratchetKind = 1
	ratchetApplication ratchetKind = 2
)

// kindOf is the ratchet that encrypts content of type t (RFC 9420 9.1).
func kindOf(t contentType) ratchetKind {
	if t == contentApplication {
		return ratchetApplication
	}
	return ratchetHandshake
}

func (k ratchetKind) label() string {
	if k == ratchetApplication {
		return "application"
	}
	return "handshake"
}

type ratchetID struct {
	leaf LeafIndex
	kind ratchetKind
}

// messageKey encrypts one message (RFC 9420 9.1).
type messageKey struct{ key, nonce []byte }

func (k messageKey) erase() {
	clear(k.key)
	clear(k.nonce)
}

// A ratchet is one symmetric ratchet (RFC 9420 9.1). secret is that of generation;
// skipped are the keys of earlier generations that haven't arrived.
type ratchet struct {
	generation uint32
	secret     []byte
	skipped    map[uint32]messageKey
}

// key derives the message key of the ratchet's generation.
func (s *suite) ratchetKey(secret []byte, generation uint32) messageKey {
	return messageKey{
		s.deriveTreeSecret(secret, "key", generation, s.nk),
		s.deriveTreeSecret(secret, "nonce", generation, nonceSize),
	}
}

// deriveTreeSecret is DeriveTreeSecret of RFC 9420 9.
func (s *suite) deriveTreeSecret(secret []byte, label string, generation uint32, n int) []byte {
	var w writer
	w.uint32(generation)
	return s.expandWithLabel(secret, label, w.buf, n)
}

func (s *suite) nextRatchetSecret(secret []byte, generation uint32) []byte {
	return s.deriveTreeSecret(secret, "secret", generation, s.nh)
}
