package capsule

import (
	"crypto/ed25519"

	"writ/charter"
	"writ/internal/wire"
)

// Statement is what delivery says of a compartment when it discloses it, signed
// under "writ/v1 compartment statement":
//
//	struct {
//	    opaque conversation<V>; uint64 epoch; uint32 leaf;
//	    uint64 opened;           Unix seconds at which the epoch was opened
//	    opaque context[32];      SHA-256 of the epoch's group context
//	    uint32 count;            number of the sender's application messages
//	    opaque messages[32];     MessageList
//	} Statement;
//
// With it every byte that evidence takes from delivery is covered by delivery's
// signature, and what is left out afterwards is missed.
type Statement struct {
	Conversation []byte
	Epoch        uint64
	Leaf         uint32
	Opened       uint64
	Context      [32]byte
	Count        uint32
	Messages     [32]byte
}

// Encode returns what is signed.
func (s *Statement) Encode() []byte {
	var w wire.Writer
	w.Opaque(s.Conversation)
	w.Uint64(s.Epoch)
	w.Uint32(s.Leaf)
	w.Uint64(s.Opened)
	w.Fixed(s.Context[:])
	w.Uint32(s.Count)
	w.Fixed(s.Messages[:])
	return w.Bytes()
}

// Sign returns the signature, 64 bytes, by the private half of a
// [charter.DeliveryKey].
func (s *Statement) Sign(key ed25519.PrivateKey) []byte {
	return ed25519.Sign(key, wire.SignContent("compartment statement", s.Encode()))
}

// Verify reports whether sig is delivery's signature.
func (s *Statement) Verify(key charter.DeliveryKey, sig []byte) bool {
	return key.Verify("compartment statement", s.Encode(), sig)
}

// MessageList hashes the messages of a compartment in the order of their
// sequence numbers. The zero MessageList is empty.
type MessageList struct{ w wire.Writer }

// Add takes the next message: its number in the conversation, when delivery got
// it in Unix milliseconds, and the SHA-256 of its ciphertext.
func (l *MessageList) Add(seq, received uint64, ciphertext [32]byte) {
	l.w.Uint64(seq)
	l.w.Uint64(received)
	l.w.Fixed(ciphertext[:])
}

// Len returns how many messages were added.
func (l *MessageList) Len() int { return len(l.w.Bytes()) / (8 + 8 + 32) }

// Hash returns H("writ/v1 compartment messages", list), the list being of
// struct { uint64 seq; uint64 received; opaque ciphertext[32]; }.
func (l *MessageList) Hash() [32]byte { return wire.Hash("compartment messages", l.w.Bytes()) }
