package capsule_test

import (
	"bytes"
	"slices"
	"sync"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"writ/capsule"
	"writ/charter/chartertest"
)

// opened returns all shares of the capsule of one secret under a world's law,
// and whether shares lead to its body.
func opened(t *testing.T, w *chartertest.World) (shares [][]byte, opens func([][]byte) bool) {
	l := label(w)
	c, ctx := seal(t, sealer(t, w), l), capsule.Context(l, w.Access())
	for i := range w.Access().Leaves() {
		share, err := open(w, c, i, ctx)
		if err != nil {
			t.Fatal(err)
		}
		shares = append(shares, share)
	}
	return shares, func(shares [][]byte) bool {
		key, err := capsule.BodyKey(combine(t, w.Access().Root(), shares))
		if err != nil {
			t.Fatal(err)
		}
		aead, err := chacha20poly1305.New(key)
		if err != nil {
			t.Fatal(err)
		}
		_, err = aead.Open(nil, make([]byte, chacha20poly1305.NonceSize), c.Body(), ctx[:])
		return err == nil
	}
}

// Custodians of two sets can't reach a threshold together, though both hold
// shares of the same secret and stand at the same places: one share of the
// other set in any place that is used spoils it.
func TestCustodianSetsDoNotMix(t *testing.T) {
	ours, opens := opened(t, chartertest.New("old custodians"))
	theirs, _ := opened(t, chartertest.New("new custodians"))
	if !opens(ours) {
		t.Fatal("own shares don't open")
	}
	for _, place := range []int{0, 1, 3, 5, 6} { // 2 of 3, 1 of 2, 2 of 3: the first of each
		mixed := slices.Clone(ours)
		mixed[place] = theirs[place]
		if opens(mixed) {
			t.Errorf("opens with the other set's share %d", place)
		}
	}
}

// One sealer serves many goroutines.
func TestSealerIsSafeForConcurrentUse(t *testing.T) {
	w := chartertest.New("concurrent")
	s := sealer(t, w)
	want := seal(t, s, label(w)).Bytes()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				if c, err := s.Seal(label(w), ratchet, senderData); err != nil || !bytes.Equal(c.Bytes(), want) {
					t.Errorf("%v, or other bytes", err)
				}
			}
		})
	}
	wg.Wait()
}
