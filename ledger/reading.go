package ledger

import (
	"crypto/ed25519"
	"slices"
	"time"

	"writ/internal/wire"
	"writ/warrant"
)

// PersonSigner signs reading entries: the private half of a
// [warrant.PersonKey].
type PersonSigner ed25519.PrivateKey

// Public returns the public half.
func (k PersonSigner) Public() warrant.PersonKey {
	return warrant.PersonKey(ed25519.PrivateKey(k).Public().(ed25519.PublicKey))
}

// Purpose says what a person read a bundle for.
type Purpose uint8

// The purposes.
const (
	PurposeRead   Purpose = 1 // to see it
	PurposeExport Purpose = 2 // to hand it on in the clear, such as to a court
)

// String returns "read" or "export".
func (p Purpose) String() string {
	if p == PurposeExport {
		return "export"
	}
	return "read"
}

// Reading is one person's reading of one sealed bundle, logged before it is
// shown. It shows the person's key and no name, and that the warrant names the
// key. Encoded: uint64 request_index || request[32] || bundle[32] || uint8 purpose ||
// key[32] || salt[32] || answer[32] || signature[64].
type Reading struct {
	RequestIndex uint64
	Request      EntryHash
	Bundle       [32]byte // the sealed bundle's id
	Purpose      Purpose
	Key          warrant.PersonKey
	Salt         [32]byte // warrant.ReaderSalt: opens the commitment in the warrant entry
	Answer       [32]byte // AnswerHash of the key, fresh for this reading, to which the docket answers
	Signature    [64]byte // by Key
}

// AnswerHash returns what a reading entry says of the X-Wing public key for its
// answer.
func AnswerHash(key []byte) [32]byte { return wire.Hash("reading answer", key) }

func (x *Reading) content() []byte {
	var w wire.Writer
	w.Uint64(x.RequestIndex)
	w.Fixed(x.Request[:])
	w.Fixed(x.Bundle[:])
	w.Uint8(uint8(x.Purpose))
	w.Fixed(x.Key[:])
	w.Fixed(x.Salt[:])
	w.Fixed(x.Answer[:])
	return w.Bytes()
}

func parseReading(b []byte) (*Reading, error) {
	r := wire.NewReader(b)
	x := &Reading{RequestIndex: r.Uint64(), Request: r.Array32(), Bundle: r.Array32(), Purpose: Purpose(r.Uint8()),
		Key: r.Array32(), Salt: r.Array32(), Answer: r.Array32(), Signature: signature(r)}
	if err := r.Done(); err != nil {
		return nil, malformed("reading: %v", err)
	}
	if x.Purpose != PurposeRead && x.Purpose != PurposeExport {
		return nil, unsupported("reading for purpose %d", x.Purpose)
	}
	return x, nil
}

// Sign sets key and signature.
func (x *Reading) Sign(key PersonSigner) {
	x.Key = key.Public()
	x.Signature = sign(TypeReading, key, x.content())
}

// Verify reports whether the signature is by the key it shows.
func (x *Reading) Verify() bool {
	return x.Key.Verify(TypeReading.label(), x.content(), x.Signature[:])
}

// Entry returns the encoded entry.
func (x *Reading) Entry() []byte { return signedEntry(TypeReading, x.content(), x.Signature) }

// Names reports whether a warrant entry names the key that a reading shows.
func (w *Warrant) Names(x *Reading) bool {
	return slices.Contains(w.Readers, warrant.ReaderCommitment(x.Salt, x.Key))
}

// LoggedReading is a reading entry that counts.
type LoggedReading struct {
	*Reading
	Index uint64
	Entry []byte
}

// Readings returns the readings under a request, in the log's order.
func (b *Book) Readings(request EntryHash) []LoggedReading { return b.readings.from(request, 0) }

// reading is LED-62.
func (b *Book) reading(e *Entry, index uint64) (func(), error) {
	x := e.Reading
	r, ok := b.requests.get(x.Request)
	if !ok || r.Index != x.RequestIndex {
		return nil, invalid("reading under a request that is not entry %d", x.RequestIndex)
	}
	w := b.warrantOf(r)
	// Of what seals a bundle the book knows all but the clock.
	why, sealed := b.Sealed(x.Request, time.Time{})
	switch {
	case sealed:
		return nil, invalid("reading of what is not to be read any more: %s", why)
	case !w.Names(x):
		return nil, invalid("reading by a key that the warrant does not name")
	case !x.Verify():
		return nil, invalid("reading not signed by the key it shows")
	}
	return func() {
		b.readings.add(x.Request, LoggedReading{x, index, e.Bytes()})
		b.statistics.reading(b.laws[w.Charter].charter.Name, w.Warrant, x)
	}, nil
}
