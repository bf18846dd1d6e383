package beacon

import (
	"bytes"
	"encoding/binary"

	bls "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

	"writ/internal/wire"
)

// MaxGroup bounds an encoded [Group] in bytes.
const MaxGroup = 2 + 4 + MaxCeremony + 4 + MaxMembers*PublicKeySize

// PartialSize is the size of an encoded partial signature: uint16 seat ||
// signature[48], the shape of drand's.
const PartialSize = 2 + SignatureSize

// Group is the public side of a shared key: the ceremony it came from and the
// commitments to its polynomial. Encoded: uint16 format = 1 || ceremony<V> ||
// commitments<V>, threshold points of G2, the constant term first.
type Group struct {
	ceremony    *Ceremony
	commitments []bls.G2Affine
	shares      []bls.G2Affine // public shares, by seat
}

// newGroup refuses a polynomial that gives the identity as the key or as an
// operator's public share.
func newGroup(c *Ceremony, commitments []bls.G2Affine) (*Group, error) {
	g := &Group{ceremony: c, commitments: commitments}
	for seat := range c.Members {
		g.shares = append(g.shares, evaluate(commitments, seat))
	}
	for i := range g.shares {
		if g.shares[i].IsInfinity() {
			return nil, invalid("group: an operator's public share is the identity")
		}
	}
	if commitments[0].IsInfinity() {
		return nil, invalid("group: the key is the identity")
	}
	return g, nil
}

// Encode returns the encoded group.
func (g *Group) Encode() []byte {
	var w wire.Writer
	w.Uint16(Format)
	w.Opaque(g.ceremony.Encode())
	w.Opaque(encodeG2s(g.commitments))
	return w.Bytes()
}

// ParseGroup reads an encoded group.
func ParseGroup(b []byte) (*Group, error) {
	r := wire.NewReader(b)
	if f := r.Uint16(); r.Err() == nil && f != Format {
		return nil, unsupported("group format %d", f)
	}
	ceremony, points := r.Opaque(MaxCeremony), r.Opaque(MaxMembers*PublicKeySize)
	if err := r.Done(); err != nil {
		return nil, wrap("group", err)
	}
	c, err := ParseCeremony(ceremony)
	if err != nil {
		return nil, err
	}
	commitments, err := parseG2s(points, int(c.Threshold))
	if err != nil {
		return nil, err
	}
	return newGroup(c, commitments)
}

// Hash returns H("writ/v1 beacon group", encoding).
func (g *Group) Hash() [32]byte { return wire.Hash("beacon group", g.Encode()) }

// Beacon returns what a charter names.
func (g *Group) Beacon() *Beacon {
	return &Beacon{&PublicKey{g.commitments[0]}, g.ceremony.Genesis, g.ceremony.Period}
}

// Ceremony returns the ceremony that made the group: its operators and
// threshold.
func (g *Group) Ceremony() *Ceremony { return g.ceremony }

// Partial is a verified partial signature.
type Partial struct {
	group *Group
	seat  int
	round uint64
	point bls.G1Affine
}

// Seat returns the signer's place among the ceremony's members, from 0.
func (p *Partial) Seat() int { return p.seat }

// VerifyPartial reads one operator's partial signature of a round:
// e(signature, g) = e(H1(round), public share).
func (g *Group) VerifyPartial(round uint64, b []byte) (*Partial, error) {
	if round == 0 {
		return nil, invalid("round 0")
	}
	if len(b) != PartialSize {
		return nil, malformed("partial signature of %d bytes", len(b))
	}
	seat := int(binary.BigEndian.Uint16(b))
	if seat >= len(g.shares) {
		return nil, invalid("partial signature by seat %d of %d", seat, len(g.shares))
	}
	p, err := parseG1(b[2:])
	if err != nil {
		return nil, err
	}
	if !verifyPoint(&g.shares[seat], round, &p) {
		return nil, invalid("not the partial signature of %s for round %d", g.ceremony.Members[seat].Name, round)
	}
	return &Partial{g, seat, round, p}, nil
}

// Combine makes the round's signature of at least threshold partial signatures
// of one round by distinct operators. It uses the first of them; all choices
// give the same.
func (g *Group) Combine(partials []*Partial) (*Signature, error) {
	t := int(g.ceremony.Threshold)
	if len(partials) < t {
		return nil, refused("%d partial signatures where %d are needed", len(partials), t)
	}
	partials = partials[:t]
	seats := make([]int, t)
	for i, p := range partials {
		if p.group != g || p.round != partials[0].round {
			return nil, invalid("partial signatures of different groups or rounds")
		}
		seats[i] = p.seat
	}
	c, err := lagrange(seats)
	if err != nil {
		return nil, err
	}
	var sum bls.G1Jac
	for i, p := range partials {
		var term bls.G1Jac
		multiply(&c[i], func(n scalar) { term.ScalarMultiplication(new(bls.G1Jac).FromAffine(&p.point), n) })
		sum.AddAssign(&term)
	}
	var point bls.G1Affine
	encoded := point.FromJacobian(&sum).Bytes()
	return g.Beacon().Key.Verify(partials[0].round, encoded[:])
}

// evaluate returns the commitment to a polynomial's value at seat+1, given the
// commitments to its coefficients.
func evaluate(commitments []bls.G2Affine, seat int) bls.G2Affine {
	x := abscissa(seat)
	var sum bls.G2Jac
	for i := len(commitments) - 1; i >= 0; i-- {
		multiply(&x, func(n scalar) { sum.ScalarMultiplication(&sum, n) })
		sum.AddMixed(&commitments[i])
	}
	var p bls.G2Affine
	p.FromJacobian(&sum)
	return p
}

// abscissa returns where the polynomial is evaluated for a seat: seat+1, for
// its value at 0 is the key.
func abscissa(seat int) (x fr.Element) {
	x.SetUint64(uint64(seat) + 1)
	return x
}

// lagrange returns the coefficients with which values at distinct seats add up to
// the value at 0.
func lagrange(seats []int) ([]fr.Element, error) {
	c := make([]fr.Element, len(seats))
	for i := range seats {
		num, den := fr.One(), fr.One()
		xi := abscissa(seats[i])
		for j := range seats {
			if i == j {
				continue
			}
			xj := abscissa(seats[j])
			var diff fr.Element
			if diff.Sub(&xj, &xi).IsZero() {
				return nil, invalid("seat %d twice", seats[i])
			}
			num.Mul(&num, &xj)
			den.Mul(&den, &diff)
		}
		c[i].Div(&num, &den)
	}
	return c, nil
}

func encodeG2s(points []bls.G2Affine) []byte {
	var out []byte
	for i := range points {
		b := points[i].Bytes()
		out = append(out, b[:]...)
	}
	return out
}

func parseG2s(b []byte, n int) ([]bls.G2Affine, error) {
	if len(b) != n*PublicKeySize {
		return nil, malformed("%d bytes of commitments where %d points are expected", len(b), n)
	}
	points := make([]bls.G2Affine, n)
	for i := range points {
		var err error
		if points[i], err = parseG2(b[i*PublicKeySize : (i+1)*PublicKeySize]); err != nil {
			return nil, err
		}
	}
	return points, nil
}

// Share is an operator's secret share of a group's key.
type Share struct {
	group *Group
	seat  int
	value fr.Element
}

// shareSize: uint16 format = 1 || group[32] || uint16 seat || scalar[32].
const shareSize = 2 + 32 + 2 + scalarSize

// newShare refuses a value that isn't the one the group's commitments bind.
func newShare(g *Group, seat int, value fr.Element) (*Share, error) {
	p := secretG2(&value)
	if !p.Equal(&g.shares[seat]) {
		return nil, invalid("share does not match the group")
	}
	return &Share{g, seat, value}, nil
}

// Encode returns the secret share's 68 bytes, for storage.
func (s *Share) Encode() []byte {
	hash, value := s.group.Hash(), s.value.Bytes()
	defer clear(value[:])
	var w wire.Writer
	w.Uint16(Format)
	w.Fixed(hash[:])
	w.Uint16(uint16(s.seat))
	w.Fixed(value[:])
	return w.Bytes()
}

// ParseShare reads a secret share of the group and checks that it is one.
func ParseShare(g *Group, b []byte) (*Share, error) {
	r := wire.NewReader(b)
	format, hash, seat, value := r.Uint16(), r.Array32(), int(r.Uint16()), r.Fixed(scalarSize)
	if err := r.Done(); err != nil {
		return nil, wrap("share", err)
	}
	if format != Format {
		return nil, unsupported("share format %d", format)
	}
	if want := g.Hash(); !bytes.Equal(hash[:], want[:]) || seat >= len(g.shares) {
		return nil, invalid("share of another group")
	}
	v, err := parseScalar(value)
	if err != nil {
		return nil, err
	}
	return newShare(g, seat, v)
}

// Seat returns the operator's place among the ceremony's members, from 0.
func (s *Share) Seat() int { return s.seat }

// Erase overwrites the secret. The share must not be used after.
func (s *Share) Erase() { s.value = fr.Element{} }

// Sign returns the partial signature of a round that has come at the Unix time
// now, and refuses one that has not: that would be an early notice.
func (s *Share) Sign(round, now uint64) ([]byte, error) {
	at, err := s.group.Beacon().Time(round)
	if err != nil {
		return nil, err
	}
	if at > now {
		return nil, refused("round %d comes in %d seconds", round, at-now)
	}
	id := identity(round)
	p := secretG1(&id, &s.value)
	b := p.Bytes()
	return append(binary.BigEndian.AppendUint16(nil, uint16(s.seat)), b[:]...), nil
}
