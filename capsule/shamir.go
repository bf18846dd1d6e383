package capsule

import (
	"encoding/binary"
	"fmt"
)

// Sharing after Shamir (1979), byte by byte over GF(2^8) with the polynomial
// x^8+x^4+x^3+x+1 of AES (FIPS 197 section 4.2). Every product has one public
// factor, an x coordinate or what follows from such, and one secret: only the
// public one decides which steps are taken, and no table is read.

// element is 32 field elements, a byte each: a secret, coefficient or share.
type element [ShareSize / 8]uint64

func load(b []byte) (e element) {
	for i := range e {
		e[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return e
}

func (e *element) store(b []byte) {
	for i, v := range e {
		binary.LittleEndian.PutUint64(b[8*i:], v)
	}
}

func (e *element) add(f *element) {
	for i := range e {
		e[i] ^= f[i]
	}
}

// double multiplies every byte by x: xTimes of FIPS 197 section 4.2.1.
func (e *element) double() {
	const low, bit = 0x7f7f7f7f7f7f7f7f, 0x0101010101010101
	for i, v := range e {
		e[i] = (v&low)<<1 ^ (v>>7&bit)*0x1b
	}
}

// times multiplies every byte by a public factor.
func (e *element) times(public uint8) {
	power, product := *e, element{}
	for ; public != 0; public >>= 1 {
		if public&1 == 1 {
			product.add(&power)
		}
		power.double()
	}
	*e = product
}

// mul multiplies two public field elements.
func mul(a, b uint8) uint8 {
	e := element{uint64(a)}
	e.times(b)
	return uint8(e[0])
}

// inverse returns a^254, the inverse of a public field element other than 0.
func inverse(a uint8) uint8 {
	p := a
	for range 6 {
		p = mul(mul(p, p), a) // exponents 3, 7, ..., 127
	}
	return mul(p, p)
}

// share returns the value at x of the polynomial whose constant term is the
// secret and whose further coefficients are 32 bytes each, lowest first.
func share(secret *element, coefficients []byte, x uint8) (y element) {
	for len(coefficients) > 0 {
		at := len(coefficients) - ShareSize
		c := load(coefficients[at:])
		y.add(&c)
		y.times(x)
		coefficients = coefficients[:at]
	}
	y.add(secret)
	return y
}

// CombineShares returns the secret of a gate, 32 bytes, from the shares ys of
// 32 bytes at the distinct coordinates xs, each a child's index plus one. It
// takes as many as the gate's threshold; with fewer, or with a wrong one, the
// result is another secret and no error.
func CombineShares(xs []uint8, ys [][]byte) ([]byte, error) {
	if len(xs) == 0 || len(xs) != len(ys) {
		return nil, fmt.Errorf("capsule: %w: %d coordinates for %d shares", ErrInvalid, len(xs), len(ys))
	}
	var secret element
	for i, y := range ys {
		factor, err := lagrange(xs, i)
		if err != nil {
			return nil, err
		}
		if len(y) != ShareSize {
			return nil, fmt.Errorf("capsule: %w: share of %d bytes", ErrInvalid, len(y))
		}
		e := load(y)
		e.times(factor)
		secret.add(&e)
		clear(e[:])
	}
	out := make([]byte, ShareSize)
	secret.store(out)
	clear(secret[:])
	return out, nil
}

// lagrange returns the product over j other than i of xs[j] / (xs[j] - xs[i]).
func lagrange(xs []uint8, i int) (uint8, error) {
	factor := uint8(1)
	for j, x := range xs {
		if x == 0 || j != i && x == xs[i] {
			return 0, fmt.Errorf("capsule: %w: coordinate %d is zero or stands twice", ErrInvalid, x)
		}
		if j == i {
			continue
		}
		factor = mul(factor, mul(x, inverse(x^xs[i])))
	}
	return factor, nil
}
