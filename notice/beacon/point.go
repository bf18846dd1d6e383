package beacon

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/big"

	bls "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

// Sizes of compressed points and of a scalar in bytes.
const (
	PublicKeySize = bls.SizeOfG2AffineCompressed // 96
	SignatureSize = bls.SizeOfG1AffineCompressed // 48
	scalarSize    = fr.Bytes                     // 32
)

// suite is the ciphersuite of drand's scheme bls-unchained-g1-rfc9380, used as
// the domain separation tag of RFC 9380.
const suite = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"

// minusGenerator is the negative of the generator of G2.
var minusGenerator = func() (minus bls.G2Affine) {
	_, _, _, g := bls.Generators()
	minus.Neg(&g)
	return minus
}()

// PublicKey is a beacon's public key: a point of G2 that is not the identity.
type PublicKey struct{ point bls.G2Affine }

// ParsePublicKey reads a compressed point of [PublicKeySize] bytes.
func ParsePublicKey(b []byte) (*PublicKey, error) {
	p, err := parseG2(b)
	if err != nil {
		return nil, err
	}
	return &PublicKey{p}, nil
}

// Bytes returns the compressed point.
func (k *PublicKey) Bytes() []byte {
	b := k.point.Bytes()
	return b[:]
}

// Equal reports whether two keys are the same.
func (k *PublicKey) Equal(other *PublicKey) bool { return k.point.Equal(&other.point) }

// parseG1 reads a point of G1. The library checks curve and subgroup; the
// identity, and any but the one compressed encoding of a point, are refused here.
func parseG1(b []byte) (p bls.G1Affine, err error) {
	if _, err := p.SetBytes(b); err != nil {
		return bls.G1Affine{}, malformed("not a point of G1")
	}
	if p.IsInfinity() {
		return bls.G1Affine{}, invalid("the identity of G1")
	}
	if again := p.Bytes(); !bytes.Equal(again[:], b) {
		return bls.G1Affine{}, malformed("point of G1 in another than its one form")
	}
	return p, nil
}

// parseG2 is parseG1 for G2.
func parseG2(b []byte) (p bls.G2Affine, err error) {
	if _, err := p.SetBytes(b); err != nil {
		return bls.G2Affine{}, malformed("not a point of G2")
	}
	if p.IsInfinity() {
		return bls.G2Affine{}, invalid("the identity of G2")
	}
	if again := p.Bytes(); !bytes.Equal(again[:], b) {
		return bls.G2Affine{}, malformed("point of G2 in another than its one form")
	}
	return p, nil
}

// parseScalar reads 32 big-endian bytes smaller than the groups' order.
func parseScalar(b []byte) (s fr.Element, err error) {
	if err := s.SetBytesCanonical(b); err != nil {
		return fr.Element{}, malformed("scalar is not below the order")
	}
	return s, nil
}

// identity returns H1(round): the point of G1 that is signed, and to which is
// encrypted.
func identity(round uint64) bls.G1Affine {
	id := sha256.Sum256(binary.BigEndian.AppendUint64(nil, round))
	p, err := bls.HashToG1(id[:], []byte(suite))
	if err != nil {
		panic("beacon: " + err.Error()) // only a tag of over 255 bytes fails
	}
	return p
}

// mask splits a secret scalar into two that add up to it, either of which alone
// is random: see the package comment on time.
func mask(s *fr.Element) (a, b fr.Element) {
	if _, err := a.SetRandom(); err != nil {
		panic("beacon: " + err.Error()) // the system's generator doesn't fail
	}
	b.Sub(s, &a)
	return a, b
}

// secretG1 returns s*p for a secret s.
func secretG1(p *bls.G1Affine, s *fr.Element) bls.G1Affine {
	a, b := mask(s)
	defer clearScalars(&a, &b)
	var x, y bls.G1Jac
	base := *new(bls.G1Jac).FromAffine(p)
	multiply(&a, func(n scalar) { x.ScalarMultiplication(&base, n) })
	multiply(&b, func(n scalar) { y.ScalarMultiplication(&base, n) })
	var sum bls.G1Affine
	sum.FromJacobian(x.AddAssign(&y))
	return sum
}

// secretG2 returns s*g for a secret s and the generator g of G2.
func secretG2(s *fr.Element) bls.G2Affine {
	a, b := mask(s)
	defer clearScalars(&a, &b)
	var x, y bls.G2Jac
	multiply(&a, func(n scalar) { x.ScalarMultiplicationBase(n) })
	multiply(&b, func(n scalar) { y.ScalarMultiplicationBase(n) })
	var sum bls.G2Affine
	sum.FromJacobian(x.AddAssign(&y))
	return sum
}

// scalar is a scalar as the library multiplies points by it.
type scalar = *big.Int

// multiply hands a scalar to f as an integer and erases the integer.
func multiply(s *fr.Element, f func(scalar)) {
	n := s.BigInt(new(big.Int))
	f(n)
	clear(n.Bits())
}

func clearScalars(s ...*fr.Element) {
	for _, x := range s {
		*x = fr.Element{}
	}
}

// paired reports whether e(p1, q1) * e(p2, q2) is 1.
func paired(p1 bls.G1Affine, q1 bls.G2Affine, p2 bls.G1Affine, q2 bls.G2Affine) bool {
	ok, err := bls.PairingCheck([]bls.G1Affine{p1, p2}, []bls.G2Affine{q1, q2})
	return err == nil && ok
}
