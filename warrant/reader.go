package warrant

import (
	"bytes"
	"crypto/ed25519"
	"slices"

	"writ/charter"
	"writ/internal/wire"
)

// PersonKey verifies what one reader signs, under a label of its own.
type PersonKey [ed25519.PublicKeySize]byte

// Verify reports whether sig signs content under the label "writ/v1 "+name.
func (k PersonKey) Verify(name string, content, sig []byte) bool {
	return len(sig) == ed25519.SignatureSize && ed25519.Verify(k[:], wire.SignContent(name, content), sig)
}

// Reader is a person who may read what a warrant opens, by keys of their own, so
// that each reading can be told from another's. Encoded: id<V> || key[32] ||
// mail_key<V>.
type Reader struct {
	ID   string          // a name
	Key  PersonKey       // signs what was read
	Mail charter.MailKey // what is opened is sealed to it
}

// ReaderSalt is the salt of one reader's commitment. Whoever sees it learns
// nothing of the warrant's own salt, and nothing of other readers.
func ReaderSalt(salt [32]byte, k PersonKey) [32]byte {
	return wire.Hash("reader salt", salt[:], k[:])
}

// ReaderCommitment is what the ledger states of a reader instead of the key.
func ReaderCommitment(readerSalt [32]byte, k PersonKey) [32]byte {
	return wire.Hash("reader commitment", readerSalt[:], k[:])
}

// commitReaders returns the commitments to all readers' keys, sorted.
func (w *Warrant) commitReaders(salt [32]byte) (list [][32]byte) {
	for _, x := range w.Readers {
		list = append(list, ReaderCommitment(ReaderSalt(salt, x.Key), x.Key))
	}
	slices.SortFunc(list, compare32)
	return list
}

func sorted32(list [][32]byte) bool {
	for i := 1; i < len(list); i++ {
		if compare32(list[i-1], list[i]) >= 0 {
			return false
		}
	}
	return true
}

func compare32(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) }

func writeReaders(w *wire.Writer, list []Reader) {
	w.Vector(func(w *wire.Writer) {
		for _, x := range list {
			w.String(x.ID)
			w.Fixed(x.Key[:])
			w.Opaque(x.Mail)
		}
	})
}

func parseReaders(r *wire.Reader) (list []Reader) {
	v := r.Vector(maxReaders * (wire.MaxName + 32 + maxReaderKey))
	for v.More() {
		list = append(list, Reader{v.Name(), v.Array32(), v.Opaque(maxReaderKey)})
	}
	r.Check(v.Done())
	return list
}

// checkReaders: what is opened is for somebody, every key can be used, and no name
// or key stands twice. That one person has two names no form can find out.
func (w *Warrant) checkReaders() error {
	if err := charter.MailKey(w.ReaderKey).Check(); err != nil {
		return fieldError("reader_key", "not a usable X-Wing public key: %v", err)
	}
	if w.Action == Disclose && len(w.Readers) == 0 {
		return fieldError("readers", "nobody may read what it opens")
	}
	if len(w.Readers) > maxReaders {
		return fieldError("readers", "more than %d", maxReaders)
	}
	seen := map[string]bool{string(w.ReaderKey): true}
	for _, x := range w.Readers {
		if !wire.ValidName(x.ID) {
			return fieldError("readers", "%q is not a name", x.ID)
		}
		if err := charter.CheckEd25519(x.Key[:]); err != nil {
			return fieldError("readers", "%s: %v", x.ID, err)
		}
		if err := x.Mail.Check(); err != nil {
			return fieldError("readers", "%s: not a usable X-Wing public key: %v", x.ID, err)
		}
		for _, own := range []string{x.ID, string(x.Key[:]), string(x.Mail)} {
			if seen[own] {
				return fieldError("readers", "%s, or a key of theirs, stands twice", x.ID)
			}
			seen[own] = true
		}
	}
	return nil
}
