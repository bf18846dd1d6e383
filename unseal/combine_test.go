package unseal

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"writ/capsule"
	"writ/charter"
	"writ/internal/forger"
)

// TestSubsets is R1 and R11: of all sets of custodians exactly those with two
// judges, an overseer and a publisher open.
func TestSubsets(t *testing.T) {
	w, c, shares := opened(t)
	combiner := must(NewCombiner(w.access))
	opening := 0
	for set := range 1 << len(shares) {
		var some []Share
		count := map[string]int{}
		for i, l := range w.access.Leaves() {
			if set>>i&1 == 1 {
				some = append(some, shares[i])
				count[l.Office]++
			}
		}
		want := count["judicial"] >= 2 && count["oversight"] >= 1 && count["publication"] >= 1
		s, d, bad, err := combiner.Combine(c.capsule.Bytes(), some)
		switch {
		case bad != nil:
			t.Fatalf("%v: bad %v", count, bad)
		case want && (err != nil || !bytes.Equal(s, c.s) || !bytes.Equal(d, c.d)):
			t.Errorf("%v: does not open: %v", count, err)
		case !want && (!errors.Is(err, ErrTooFew) || s != nil || d != nil):
			t.Errorf("%v: %x, %v; want too few", count, s, err)
		}
		if opens := w.forced(c, some); opens != want {
			t.Errorf("%v: opens without regard for thresholds: %v", count, opens)
		}
		if want {
			opening++
		}
	}
	if opening != 4*3*3 {
		t.Errorf("%d sets open, want 36", opening)
	}
}

// forced reports whether a body opens for somebody who keeps to no threshold and
// combines at every gate all that there is.
func (w *world) forced(c *compartment, shares []Share) bool {
	root := w.root(shares)
	if root == nil {
		return false
	}
	aead, ctx := must(chacha20poly1305.New(must(capsule.BodyKey(root)))), capsule.Context(&c.label, w.access)
	_, err := aead.Open(nil, make([]byte, aead.NonceSize()), c.capsule.Body(), ctx[:])
	return err == nil
}

// root combines at every gate all that there is.
func (w *world) root(shares []Share) []byte {
	byPath := map[string][]byte{}
	for _, s := range shares {
		byPath[string(s.Path)] = s.Secret[:]
	}
	var at func(g *charter.Gate) []byte
	at = func(g *charter.Gate) []byte {
		if g.Leaf >= 0 {
			return byPath[string(g.Path)]
		}
		var xs []uint8
		var ys [][]byte
		for i, child := range g.Children {
			if y := at(child); y != nil {
				xs, ys = append(xs, uint8(i+1)), append(ys, y)
			}
		}
		if xs == nil {
			return nil
		}
		return must(capsule.CombineShares(xs, ys))
	}
	return at(w.access.Root())
}

// TestNeighboursStayClosed is R3: the shares of (alice, c, 2) open neither the
// epochs beside it, nor another sender, nor another conversation.
func TestNeighboursStayClosed(t *testing.T) {
	w := newWorld(t)
	c := w.seal("alice", "c", 2)
	all := w.shares(w.file(w.order(), parcel(c), edits{}))
	if len(all) != 1 {
		t.Fatalf("%d compartments released", len(all))
	}
	combiner := must(NewCombiner(w.access))
	for name, n := range map[string]*compartment{
		"epoch before": w.seal("alice", "c", 1), "epoch after": w.seal("alice", "c", 3),
		"other sender": w.seal("bob", "c", 2), "other conversation": w.seal("alice", "d", 2),
	} {
		shares := slices.Clone(all[c.capsule.Hash()])
		if _, _, _, err := combiner.Combine(n.capsule.Bytes(), shares); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: shares of another compartment: %v", name, err)
		}
		for i := range shares {
			shares[i].Capsule = n.capsule.Hash()
		}
		s, _, bad, err := combiner.Combine(n.capsule.Bytes(), shares)
		if s != nil || len(bad) != 7 || !errors.Is(err, ErrTooFew) {
			t.Errorf("%s: opened: %v, %v", name, bad, err)
		}
	}
}

// TestBadShareNamesCustodian is R13.
func TestBadShareNamesCustodian(t *testing.T) {
	w, c, good := opened(t)
	combiner := must(NewCombiner(w.access))
	for i, l := range w.access.Leaves() {
		for name, spoil := range map[string]func(*Share){
			"secret": func(s *Share) { s.Secret[31] ^= 1 },
			"path":   func(s *Share) { s.Path = []byte{9} },
			"zero":   func(s *Share) { s.Secret = [32]byte{} },
			"another's": func(s *Share) {
				other := good[(i+1)%len(good)]
				s.Path, s.Secret = other.Path, other.Secret
			},
		} {
			shares := slices.Clone(good)
			spoil(&shares[i])
			s, _, bad, err := combiner.Combine(c.capsule.Bytes(), shares)
			if err != nil || !slices.Equal(bad, []string{l.Custodian}) || !bytes.Equal(s, c.s) {
				t.Errorf("%s of %s: bad %v, %v", name, l.Custodian, bad, err)
			}
		}
	}
	stranger := append(slices.Clone(good), Share{Capsule: good[0].Capsule, Custodian: "stranger"})
	if _, _, bad, err := combiner.Combine(c.capsule.Bytes(), stranger); err != nil || !slices.Equal(bad, []string{"stranger"}) {
		t.Errorf("stranger: %v, %v", bad, err)
	}
	two := slices.Clone(good)
	two[0].Secret[0] ^= 1 // judicial-1
	two[1].Secret[0] ^= 1 // judicial-2
	s, _, bad, err := combiner.Combine(c.capsule.Bytes(), two)
	if s != nil || !errors.Is(err, ErrTooFew) || !slices.Equal(bad, []string{"judicial-1", "judicial-2"}) {
		t.Errorf("two bad judges: %v, %v", bad, err)
	}
}

// TestForgedCapsule: custodians can't see that a sender sealed garbage; the
// examiner proves it.
func TestForgedCapsule(t *testing.T) {
	w, c, shares := opened(t)
	combiner := must(NewCombiner(w.access))
	ctx := capsule.Context(&c.label, w.access)
	aead := must(chacha20poly1305.New(must(capsule.BodyKey(w.root(shares)))))
	body := func(plain string) []byte {
		return aead.Seal(nil, make([]byte, aead.NonceSize()), []byte(plain), ctx[:])
	}
	secret := string(bytes.Repeat([]byte{7}, 32))
	replace := func(b []byte) []byte {
		return forger.Capsule(c.capsule, func(_ *capsule.Label, body *[]byte, _ *[]capsule.Share) { *body = b })
	}
	for name, forged := range map[string][]byte{
		"body of another secret":   replace(body("\x20" + secret + "\x20" + secret)),
		"body of junk":             replace(body("junk")),
		"body that does not open":  replace(bytes.Repeat([]byte{1}, 82)),
		"secrets of another size":  replace(body("\x01a\x01b")),
		"secrets with bytes after": replace(body("\x20" + string(c.s) + "\x20" + string(c.d) + "x")),
		"share sealed once more": forger.Capsule(c.capsule, func(l *capsule.Label, _ *[]byte, s *[]capsule.Share) {
			(*s)[6] = w.sealShare(l, 6, (*s)[6].Commitment, shares[6].Secret[:])
		}),
	} {
		q := w.file(w.order(), []Compartment{{Capsule: forged}}, edits{})
		released := w.shares(q)[capsule.HashOf(forged)]
		s, d, bad, err := combiner.Combine(forged, released)
		if !errors.Is(err, ErrForged) || s != nil || d != nil || bad != nil {
			t.Errorf("%s: %x, %v, %v", name, s, bad, err)
		}
		released[0].Secret[0] ^= 1
		if good := combiner.Good(must(capsule.Parse(forged)), released); len(good) == 0 || len(good) >= len(released) || slices.Contains(good, released[0].Secret) {
			t.Errorf("%s: %d of %d shares show it", name, len(good), len(released))
		}
	}
}

func TestCombineRefuses(t *testing.T) {
	w, c, shares := opened(t)
	next := must(w.Charter.Access(w.access.Period()+1, nil))
	if s, _, _, err := must(NewCombiner(next)).Combine(c.capsule.Bytes(), shares); s != nil || !errors.Is(err, ErrInvalid) {
		t.Errorf("structure of another period: %v", err)
	}
	if s, _, _, err := must(NewCombiner(w.access)).Combine([]byte("junk"), shares); s != nil || err == nil {
		t.Errorf("junk: %v", err)
	}
	cut := forger.Capsule(c.capsule, func(_ *capsule.Label, _ *[]byte, s *[]capsule.Share) { *s = (*s)[:6] })
	if s, _, _, err := must(NewCombiner(w.access)).Combine(cut, nil); s != nil || !errors.Is(err, ErrInvalid) {
		t.Errorf("fewer shares: %v", err)
	}
	mixed := slices.Clone(shares)
	mixed[2].Capsule[0] ^= 1 // R12: of another compartment; nobody is named for it
	if s, _, bad, err := must(NewCombiner(w.access)).Combine(c.capsule.Bytes(), mixed); s != nil || bad != nil || !errors.Is(err, ErrInvalid) {
		t.Errorf("shares of two compartments: bad %v, %v", bad, err)
	}
}
