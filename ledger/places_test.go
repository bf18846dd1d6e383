package ledger

import (
	"slices"
	"testing"

	"writ/charter"
)

// What a bundle proves of a law stands where the book says: each version, and the key
// statements of the periods asked for that are no part of a charter.
func TestPlaces(t *testing.T) {
	w := newWorld(t)
	p, first := w.Charter.Period(lawTime), w.Charter
	w.mustApply(w.warrant(1, nil).Entry())
	later := w.mustApply(CustodianKeyEntry(w.Statement("oversight", "oversight-1", p+2)))
	other := w.mustApply(CustodianKeyEntry(w.Statement("judicial", "judicial-1", p+3)))
	next := w.mustApply(CustodianKeyEntry(w.Statement("judicial", "judicial-1", p+2)))
	amended := w.book.Size()
	second := w.amend(func(*charter.Charter) {})
	for h, want := range map[charter.Hash][]uint64{first.Hash(): {0}, second.Hash(): {0, amended}, {}: nil} {
		if got := w.book.CharterPlaces(h); !slices.Equal(got, want) {
			t.Errorf("versions of %s stand at %v, want %v", h, got, want)
		}
	}
	for _, x := range []struct {
		periods []uint32
		want    []uint64
	}{{[]uint32{p}, nil}, {[]uint32{p + 2}, []uint64{later, next}}, {[]uint32{p + 3, p + 2, p}, []uint64{later, other, next}}} {
		if got := w.book.KeyPlaces(first.Name, x.periods); !slices.Equal(got, x.want) {
			t.Errorf("keys of %v stand at %v, want %v", x.periods, got, x.want)
		}
	}
}
