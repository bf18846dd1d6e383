package bundle

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"writ/internal/wire"
	"writ/ledger"
	"writ/warrant"
)

// Sealed is a bundle at rest (BUN-50): nobody reads it with one key. Its content
// is encrypted under a key of two parts. One is sealed to each person whom the
// warrant names as a reader; the docket keeps the other and gives it out against
// a logged reading only. Encoded, after the line "writ sealed bundle v1":
//
//	struct {
//	    uint64 request_index; opaque request[32];    the request entry it came from
//	    opaque id[32];                               random
//	    opaque readers<V>;                           warrant's envelope of Part || warrant salt
//	    opaque body<V>;                              ChaCha20-Poly1305 of the bundle
//	} Sealed;
type Sealed struct {
	RequestIndex uint64
	Request      ledger.EntryHash
	ID           [32]byte

	envelope, head, body []byte
}

// Part is one of the two parts of a sealed bundle's key.
type Part [32]byte

const (
	sealedMagic = "writ sealed bundle v1\n"
	maxReaders  = 64 << 10 // of the envelope, bytes
)

// Seal seals a bundle that came of a request entry to the readers of a warrant.
// It returns the part of the key that the docket keeps; the readers' is in the
// file, together with the warrant's salt, which proves that the warrant names
// them. Without readers nobody may read: refused.
func Seal(b []byte, requestIndex uint64, request ledger.EntryHash, readers []warrant.Reader, salt [32]byte) (sealed []byte, kept Part, err error) {
	if len(readers) == 0 {
		return nil, kept, fmt.Errorf("bundle: %w: the warrant names no reader", ErrRefused)
	}
	s := &Sealed{RequestIndex: requestIndex, Request: request}
	var own Part
	rand.Read(own[:])
	rand.Read(kept[:])
	rand.Read(s.ID[:])
	var to []warrant.Recipient
	for _, x := range readers {
		to = append(to, warrant.Recipient{ID: x.ID, MailKey: x.Mail})
	}
	if s.envelope, err = warrant.Seal(append(own[:], salt[:]...), to); err != nil {
		return nil, kept, err
	}
	s.head = s.encodeHead()
	aead, err := s.cipher(own, kept)
	if err != nil {
		return nil, kept, err
	}
	s.body = aead.Seal(nil, make([]byte, aead.NonceSize()), b, s.head)
	var w wire.Writer
	w.Fixed(s.head)
	w.Opaque(s.body)
	return w.Bytes(), kept, nil
}

func (s *Sealed) encodeHead() []byte {
	var w wire.Writer
	w.Fixed([]byte(sealedMagic))
	w.Uint64(s.RequestIndex)
	w.Fixed(s.Request[:])
	w.Fixed(s.ID[:])
	w.Opaque(s.envelope)
	return w.Bytes()
}

// cipher is keyed for this one bundle. Both parts are random, so a hash of them
// is as good a key as either alone.
func (s *Sealed) cipher(own, kept Part) (cipher.AEAD, error) {
	key := wire.Hash("sealed bundle", s.ID[:], own[:], kept[:])
	defer clear(key[:])
	return chacha20poly1305.New(key[:])
}

// IsSealed reports whether a file is a sealed bundle by its first line.
func IsSealed(b []byte) bool { return bytes.HasPrefix(b, []byte(sealedMagic)) }

// ParseSealed takes a sealed bundle apart. It wraps [wire.ErrMalformed].
func ParseSealed(b []byte) (*Sealed, error) {
	if !IsSealed(b) || len(b) > MaxSize+maxReaders {
		return nil, malformed("not a sealed bundle")
	}
	r := wire.NewReader(b[len(sealedMagic):])
	s := &Sealed{RequestIndex: r.Uint64(), Request: r.Array32(), ID: r.Array32(),
		envelope: r.Opaque(maxReaders), body: r.Opaque(MaxSize + chacha20poly1305.Overhead)}
	if err := r.Done(); err != nil {
		return nil, malformed("%v", err)
	}
	s.head = s.encodeHead()
	return s, nil
}

// Unlock takes a reader's part of the key out, with the warrant's salt. It opens
// nothing yet.
func (s *Sealed) Unlock(reader string, k *warrant.MailKey) (own Part, salt [32]byte, err error) {
	content, err := warrant.Open(s.envelope, reader, k)
	if err != nil {
		return own, salt, err
	}
	defer clear(content)
	r := wire.NewReader(content)
	own, salt = r.Array32(), r.Array32()
	if err := r.Done(); err != nil {
		return Part{}, salt, malformed("the readers' envelope: %v", err)
	}
	return own, salt, nil
}

// Open opens the bundle with both parts of its key. It verifies nothing: that
// is for [Verify].
func (s *Sealed) Open(own, kept Part) ([]byte, error) {
	aead, err := s.cipher(own, kept)
	if err != nil {
		return nil, err
	}
	b, err := aead.Open(nil, make([]byte, aead.NonceSize()), s.body, s.head)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w: it does not open with these parts of its key", ErrInvalid)
	}
	return b, nil
}
