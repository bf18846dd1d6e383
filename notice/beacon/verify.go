package beacon

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/consensys/gnark-crypto/ecc"
	bls "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

	"writ/internal/wire"
)

// MaxBatch bounds [PublicKey.VerifyAll].
const MaxBatch = 1 << 16

// Signature is a verified signature of a round.
type Signature struct {
	round uint64
	point bls.G1Affine
}

// Round returns the round that is signed.
func (s *Signature) Round() uint64 { return s.round }

// Bytes returns the compressed point of [SignatureSize] bytes.
func (s *Signature) Bytes() []byte {
	b := s.point.Bytes()
	return b[:]
}

// Randomness returns SHA-256 of the signature, which drand publishes beside it.
func (s *Signature) Randomness() [32]byte { return sha256.Sum256(s.Bytes()) }

// Verify reads the signature of a round: e(signature, g) = e(H1(round), key).
// There is no round 0.
func (k *PublicKey) Verify(round uint64, signature []byte) (*Signature, error) {
	if round == 0 {
		return nil, invalid("round 0")
	}
	p, err := parseG1(signature)
	if err != nil {
		return nil, err
	}
	if !verifyPoint(&k.point, round, &p) {
		return nil, invalid("not the beacon's signature of round %d", round)
	}
	return &Signature{round, p}, nil
}

func verifyPoint(key *bls.G2Affine, round uint64, p *bls.G1Affine) bool {
	return paired(*p, minusGenerator, identity(round), *key)
}

// Signed is a round and what is said to be its signature.
type Signed struct {
	Round     uint64
	Signature []byte
}

// VerifyAll reads many rounds' signatures at the price of two pairings: it
// checks one combination of them, whose coefficients are a hash of all that is
// verified. A batch with a wrong signature passes with a chance of 2^-128. On
// failure it doesn't say which is wrong.
func (k *PublicKey) VerifyAll(list []Signed) ([]*Signature, error) {
	if len(list) == 0 || len(list) > MaxBatch {
		return nil, invalid("batch of %d", len(list))
	}
	verified := make([]*Signature, len(list))
	points, ids := make([]bls.G1Affine, len(list)), make([]bls.G1Affine, len(list))
	for i, s := range list {
		p, err := parseG1(s.Signature)
		if err != nil {
			return nil, err
		}
		if s.Round == 0 {
			return nil, invalid("round 0")
		}
		points[i], ids[i] = p, identity(s.Round)
		verified[i] = &Signature{s.Round, p}
	}
	c := k.coefficients(list)
	var sum, id bls.G1Affine
	if _, err := sum.MultiExp(points, c, ecc.MultiExpConfig{}); err != nil {
		return nil, invalid("batch: %v", err)
	}
	if _, err := id.MultiExp(ids, c, ecc.MultiExpConfig{}); err != nil {
		return nil, invalid("batch: %v", err)
	}
	if !paired(sum, minusGenerator, id, k.point) {
		return nil, invalid("one of %d signatures is not the beacon's", len(list))
	}
	return verified, nil
}

// coefficients returns 128 bits for each signature, a function of all of them.
func (k *PublicKey) coefficients(list []Signed) []fr.Element {
	var w wire.Writer
	for _, s := range list {
		w.Uint64(s.Round)
		w.Fixed(s.Signature)
	}
	seed := wire.Hash("beacon batch", k.Bytes(), w.Bytes())
	c := make([]fr.Element, len(list))
	for i := range c {
		h := sha256.Sum256(binary.BigEndian.AppendUint64(seed[:], uint64(i)))
		c[i].SetBytes(h[:16])
	}
	return c
}
