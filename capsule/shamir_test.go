package capsule

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// slowMul is FIPS 197 section 4.2 written as a polynomial division.
func slowMul(a, b uint8) uint8 {
	p := 0
	for i := range 8 {
		p ^= int(a) << i * int(b>>i&1)
	}
	for i := 14; i >= 8; i-- {
		p ^= 0x11b << (i - 8) * (p >> i & 1)
	}
	return uint8(p)
}

func TestField(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			if got := mul(uint8(a), uint8(b)); got != slowMul(uint8(a), uint8(b)) {
				t.Fatalf("%d * %d = %d", a, b, got)
			}
		}
		if a > 0 && mul(uint8(a), inverse(uint8(a))) != 1 {
			t.Fatalf("inverse of %d is %d", a, inverse(uint8(a)))
		}
	}
}

// All 32 bytes are multiplied, each by itself.
func TestTimesIsByteWise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.Byte(), ShareSize, ShareSize).Draw(t, "in")
		x := rapid.Byte().Draw(t, "x")
		e, out := load(in), make([]byte, ShareSize)
		e.times(x)
		e.store(out)
		for i := range in {
			if out[i] != slowMul(in[i], x) {
				t.Fatalf("byte %d: %d * %d = %d", i, in[i], x, out[i])
			}
		}
	})
}

type split struct {
	secret []byte
	xs     []uint8
	ys     [][]byte
	k      int
}

// drawSplit shares a random secret k of n and picks k of the shares in any
// order.
func drawSplit(t *rapid.T) split {
	n := rapid.IntRange(1, 255).Draw(t, "n")
	k := rapid.IntRange(1, min(n, 12)).Draw(t, "k")
	random := func(n int, name string) []byte { return rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, name) }
	s := split{secret: random(ShareSize, "secret"), k: k}
	secret, coefficients := load(s.secret), random(ShareSize*(k-1), "coefficients")
	for range k {
		x := rapid.Uint8Range(1, uint8(n)).Filter(func(x uint8) bool { return !slices.Contains(s.xs, x) }).Draw(t, "x")
		y, b := share(&secret, coefficients, x), make([]byte, ShareSize)
		y.store(b)
		s.xs, s.ys = append(s.xs, x), append(s.ys, b)
	}
	return s
}

// Any k shares give the secret back.
func TestAnyThresholdRestores(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSplit(t)
		got, err := CombineShares(s.xs, s.ys)
		if err != nil || !bytes.Equal(got, s.secret) {
			t.Fatalf("got %x, %v; want %x", got, err, s.secret)
		}
	})
}

// Any k-1 shares fit every secret: for another secret there is a k-th share
// that leads to it, so they tell nothing. The polynomial through the other
// secret at 0 and the k-1 shares, taken at the missing coordinate, is that
// share.
func TestFewerSharesFitEverySecret(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSplit(t)
		other := rapid.SliceOfN(rapid.Byte(), ShareSize, ShareSize).Draw(t, "other")
		missing := s.xs[s.k-1]
		xs, ys := []uint8{missing}, [][]byte{other} // coordinates seen from the missing one
		for i, x := range s.xs[:s.k-1] {
			xs, ys = append(xs, x^missing), append(ys, s.ys[i])
		}
		fitting, err := CombineShares(xs, ys)
		if err != nil {
			t.Fatal(err)
		}
		got, err := CombineShares(s.xs, append(s.ys[:s.k-1:s.k-1], fitting))
		if err != nil || !bytes.Equal(got, other) {
			t.Fatalf("got %x, %v; want %x", got, err, other)
		}
	})
}

// All subsets of a gate of 3 of 5: those of three and more open, others don't.
func TestAllSubsetsOfAGate(t *testing.T) {
	secret := load(bytes.Repeat([]byte{7}, ShareSize))
	coefficients := bytes.Repeat([]byte("some coefficient"), 2*2)
	copy(coefficients[ShareSize:], "another one")
	for set := 1; set < 1<<5; set++ {
		var xs []uint8
		var ys [][]byte
		for i := range uint8(5) {
			if set>>i&1 == 1 {
				y, b := share(&secret, coefficients, i+1), make([]byte, ShareSize)
				y.store(b)
				xs, ys = append(xs, i+1), append(ys, b)
			}
		}
		got, err := CombineShares(xs, ys)
		if err != nil {
			t.Fatal(err)
		}
		if opens := load(got) == secret; opens != (len(xs) >= 3) {
			t.Errorf("shares %v: opens %v", xs, opens)
		}
	}
}

func TestCombineRefuses(t *testing.T) {
	y := make([]byte, ShareSize)
	for name, c := range map[string]struct {
		xs []uint8
		ys [][]byte
	}{
		"nothing":   {nil, nil},
		"zero":      {[]uint8{0, 1}, [][]byte{y, y}},
		"twice":     {[]uint8{1, 1}, [][]byte{y, y}},
		"short":     {[]uint8{1, 2}, [][]byte{y, y[:31]}},
		"unpaired":  {[]uint8{1, 2}, [][]byte{y}},
		"lone zero": {[]uint8{0}, [][]byte{y}},
	} {
		if got, err := CombineShares(c.xs, c.ys); !errors.Is(err, ErrInvalid) || got != nil {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
}
