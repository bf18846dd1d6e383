package capsule

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"writ/charter/chartertest"
	"writ/internal/wire"
)

func sealed(t testing.TB) (s *Sealer, l *Label, secret, encoded []byte) {
	t.Helper()
	w := chartertest.New("mutation")
	s, err := NewSealer(w.Access())
	if err != nil {
		t.Fatal(err)
	}
	l = &Label{Suite: 1, Conversation: []byte("c"), Account: "ann", Device: "phone", Charter: w.Charter.Hash(),
		Period: w.Charter.Period(chartertest.Now), Opened: uint64(chartertest.Now.Unix())}
	secret = bytes.Repeat([]byte{9}, 32)
	encoded, err = s.seal(l, secret, secret)
	if err != nil {
		t.Fatal(err)
	}
	return s, l, secret, encoded
}

// R5: a million mutated capsules, none accepted. The capsule is recomputed once
// and compared a million times with what Check compares with, since that is a
// function of the label and the secrets only; 300 more go through Check whole.
func TestMillionMutations(t *testing.T) {
	s, l, secret, good := sealed(t)
	r := rand.New(rand.NewPCG(1, 2))
	accepted, malformed := 0, 0
	try := func(check func([]byte) error) {
		bad, restore := mutate(r, good)
		var m *Mismatch
		switch err := check(bad); {
		case err == nil:
			accepted++
		case errors.Is(err, wire.ErrMalformed):
			malformed++
		case !errors.As(err, &m):
			t.Fatalf("unexpected error %v", err)
		}
		restore()
	}
	want := slices.Clone(good)
	for range 1_000_000 {
		try(func(b []byte) error { return s.compare(b, want) })
	}
	for range 300 {
		try(func(b []byte) error { return s.Check(b, l, secret, secret) })
	}
	if accepted > 0 {
		t.Errorf("%d accepted", accepted)
	}
	if malformed == 0 {
		t.Error("no mutation broke the form")
	}
	if err := s.Check(good, l, secret, secret); err != nil {
		t.Errorf("after all restored: %v", err)
	}
}

// mutate returns b changed, in place or not, and a function that undoes a
// change in place. The result always differs from b.
func mutate(r *rand.Rand, b []byte) (bad []byte, restore func()) {
	i, j := r.IntN(len(b)), r.IntN(len(b))
	old := b[i]
	restore = func() { b[i] = old }
	switch r.IntN(16) {
	case 0:
		return b[:i], restore
	case 1:
		return append(b[:len(b):len(b)], old), restore
	case 2:
		b[i] += uint8(1 + r.IntN(255))
	case 3: // bytes change places, or one is flipped where they are equal
		swapped := slices.Clone(b)
		swapped[i], swapped[j] = b[j], b[i]
		if b[i] == b[j] {
			swapped[i] ^= 1
		}
		return swapped, restore
	default:
		b[i] ^= 1 << r.IntN(8)
	}
	return b, restore
}

// The scalar is the first of the four that is below the order of P-256.
func TestScalarsAreTriedInOrder(t *testing.T) {
	order := []byte("\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51")
	good := bytes.Repeat([]byte{3}, 32)
	want, err := ecdh.P256().NewPrivateKey(good)
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Repeat([]byte{4}, 32)
	for _, scalars := range [][]byte{slices.Concat(order, good, other, other), slices.Concat(make([]byte, 32), order, good, other)} {
		got, err := p256Key(scalars)
		if err != nil || !got.Equal(want) {
			t.Errorf("got %v, %v", got, err)
		}
	}
	if k, err := p256Key(bytes.Repeat(order, p256Tries)); err == nil || k != nil {
		t.Error("took the order itself")
	}
}

// A capsule of the right form may still be too large.
func TestParseIsBounded(t *testing.T) {
	_, l, _, _ := sealed(t)
	encode := func(shares int) []byte {
		var w wire.Writer
		w.Uint16(Version)
		l.write(&w)
		w.Opaque(nil)
		w.Vector(func(w *wire.Writer) {
			for range shares {
				w.Fixed(make([]byte, 34)) // commitment, and two parts of no bytes
			}
		})
		return w.Bytes()
	}
	if c, err := Parse(encode(2880)); err != nil || len(c.Shares()) != 2880 {
		t.Error(err)
	}
	if c, err := Parse(encode(2890)); !errors.Is(err, wire.ErrMalformed) || c != nil {
		t.Errorf("%d bytes: %v", len(encode(2890)), err)
	}
}

// Whatever parses encodes to the same bytes, part by part.
func FuzzParse(f *testing.F) {
	_, _, _, good := sealed(f)
	f.Add(good)
	f.Add(good[:200])
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse(b)
		if err != nil {
			if c != nil {
				t.Fatal("a capsule beside an error")
			}
			return
		}
		var w wire.Writer
		w.Uint16(Version)
		c.label.write(&w)
		w.Opaque(c.body)
		w.Vector(func(w *wire.Writer) {
			for _, s := range c.shares {
				w.Fixed(s.Commitment[:])
				w.Opaque(s.Enc)
				w.Opaque(s.Ciphertext)
			}
		})
		if !bytes.Equal(w.Bytes(), b) || c.label.check() != nil {
			t.Fatalf("%x encodes as %x", b, w.Bytes())
		}
	})
}
