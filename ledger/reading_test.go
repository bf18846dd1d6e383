package ledger

import (
	"bytes"
	"errors"
	"testing"

	"writ/warrant"
)

// person is a reader whom a warrant can name.
func person(name string) PersonSigner { return PersonSigner(keyOf(name)) }

// nameReaders lets the warrant of a world name people.
func nameReaders(salt [32]byte, people ...PersonSigner) func(*Warrant) {
	return func(x *Warrant) {
		x.Readers = nil
		for _, p := range people {
			k := p.Public()
			x.Readers = append(x.Readers, warrant.ReaderCommitment(warrant.ReaderSalt(salt, k), k))
		}
	}
}

// reading returns a person's reading under a request that counts.
func (w *world) reading(request []byte, p PersonSigner, salt [32]byte, change func(*Reading)) []byte {
	h := HashEntry(request)
	r, ok := w.book.Request(h)
	if !ok {
		w.t.Fatal("no request")
	}
	x := &Reading{RequestIndex: r.Index, Request: h, Bundle: [32]byte{7}, Purpose: PurposeRead,
		Salt: warrant.ReaderSalt(salt, p.Public()), Answer: [32]byte{9}}
	if change != nil {
		change(x)
	}
	x.Sign(p)
	return x.Entry()
}

// A reading counts only of one whom the warrant names, signed by that key, under
// a request that is there.
func TestReadingR24(t *testing.T) {
	w, salt := newWorld(t), [32]byte{42}
	anna, other := person("anna"), person("other")
	at := w.mustApply(w.warrant(1, nameReaders(salt, anna)).Entry())
	second := w.mustApply(w.warrant(2, nameReaders([32]byte{43}, other)).Entry())
	request := w.request(at, 1, 2).Entry()
	w.mustApply(request)
	elsewhere := w.request(second, 3).Entry()
	w.mustApply(elsewhere)

	w.mustApply(w.reading(request, anna, salt, nil))
	w.mustApply(w.reading(request, anna, salt, func(x *Reading) { x.Answer, x.Purpose = [32]byte{10}, PurposeExport }))
	if got := w.book.Readings(HashEntry(request)); len(got) != 2 || got[1].Purpose != PurposeExport || got[1].Key != anna.Public() {
		t.Errorf("readings %+v", got)
	}
	if s := w.book.Statistics().Laws[w.Charter.Name].Real; s.Readings != 2 || s.Exports != 1 {
		t.Errorf("statistics %+v", s)
	}

	w.refused("the same reading again", "the same entry", w.reading(request, anna, salt, nil))
	w.refused("a stranger", "does not name", w.reading(request, other, salt, nil))
	w.refused("under another's warrant", "does not name", w.reading(elsewhere, anna, salt, nil))
	w.refused("another salt", "does not name", w.reading(request, anna, [32]byte{1}, nil))
	w.refused("no such request", "not entry", w.reading(request, anna, salt, func(x *Reading) { x.RequestIndex++ }))
	w.refused("an unknown request", "not entry", w.reading(request, anna, salt, func(x *Reading) { x.Request[0] ^= 1 }))
	forged, err := ParseEntry(w.reading(request, other, salt, nil))
	if err != nil {
		t.Fatal(err)
	}
	x := *forged.Reading
	x.Key, x.Salt = anna.Public(), warrant.ReaderSalt(salt, anna.Public())
	w.refused("another's signature", "not signed", x.Entry())
	w.mustApply(w.mistake(HashEntry(elsewhere), WrongPerson).Entry())
	w.refused("after an error", "not to be read any more", w.reading(elsewhere, other, [32]byte{43}, nil))
	if len(w.book.Readings(HashEntry(request))) != 2 {
		t.Error("a refused reading is in the list")
	}
}

// What the entry shows of the reader is a key and that the warrant names it:
// no warrant's salt and no name. Any changed bit breaks it.
func TestReadingHidesAndBinds(t *testing.T) {
	w, salt := newWorld(t), [32]byte{42}
	anna := person("anna")
	at := w.mustApply(w.warrant(1, nameReaders(salt, anna)).Entry())
	request := w.request(at, 1).Entry()
	w.mustApply(request)
	entry := w.reading(request, anna, salt, nil)
	if bytes.Contains(entry, salt[:]) || bytes.Contains(entry, []byte("anna")) {
		t.Error("the entry shows the warrant's salt or a name")
	}
	for i := range entry {
		for bit := range 8 {
			bad := bytes.Clone(entry)
			bad[i] ^= 1 << bit
			if e, err := ParseEntry(bad); err == nil && w.book.Check(e) == nil {
				t.Fatalf("byte %d bit %d changed: it counts", i, bit)
			}
		}
	}
	bad := w.reading(request, anna, salt, func(x *Reading) { x.Purpose = 3 })
	if _, err := ParseEntry(bad); !errors.Is(err, ErrUnsupported) {
		t.Errorf("purpose 3: %v", err)
	}
}
