package beacon

import (
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

	"writ/internal/wire"
)

// Operator is the secret side of a ceremony: one operator's keys, and the
// polynomial it deals, which derives from a seed so that it can answer
// complaints after a restart. What it posted must be kept, not made again:
// sealing is random, and two different deals are a fault.
type Operator struct {
	Signer OperatorSigner
	Mail   *MailOpener // not needed to deal
	Seed   [32]byte    // random, of one ceremony; to be erased after it
}

// Deal returns the operator's deal: its commitments, and for each member a
// share. To hand on a key it takes the share that the operator has, otherwise
// nil.
func (o *Operator) Deal(b *Board, share *Share) ([]byte, error) {
	seat, f, err := o.polynomial(b, share)
	if err != nil {
		return nil, err
	}
	defer clear(f)
	d := &deal{}
	for k := range f {
		d.commitments = append(d.commitments, secretG2(&f[k]))
	}
	for to, m := range b.ceremony.Members {
		s, err := sealShare(b.hash, seat, to, m.Mail, valueAt(f, to))
		if err != nil {
			return nil, err
		}
		d.sealed = append(d.sealed, s)
	}
	return (&document{kind: kindDeal, ceremony: b.hash, seat: seat, body: d.body()}).sign(o.Signer), nil
}

// Respond returns the operator's response to the deals on the board, complaining
// of each whose share doesn't open or doesn't match.
func (o *Operator) Respond(b *Board) ([]byte, error) {
	seat := seatOf(b.ceremony.Members, o.Signer.Public())
	if seat < 0 || b.phase != Responding {
		return nil, refused("no response is due from this operator")
	}
	x := &response{view: b.view()}
	for _, dealer := range b.qualified() {
		s, err := o.open(b, dealer, seat)
		if err != nil {
			x.complaints = append(x.complaints, dealer)
		}
		clearScalars(&s)
	}
	return (&document{kind: kindResponse, ceremony: b.hash, seat: seat, body: x.body()}).sign(o.Signer), nil
}

// Answer returns the operator's answer to complaints about its deal: the shares
// of who complained, in the clear. It is nil if none is due.
func (o *Operator) Answer(b *Board, share *Share) ([]byte, error) {
	seat, f, err := o.polynomial(b, share)
	if err != nil {
		return nil, err
	}
	defer clear(f)
	who := b.complainers(seat)
	if b.phase != Answering || b.deals[seat] == nil || len(who) == 0 {
		return nil, nil
	}
	x := &answer{seats: who}
	for _, to := range who {
		x.shares = append(x.shares, valueAt(f, to))
	}
	return (&document{kind: kindAnswer, ceremony: b.hash, seat: seat, body: x.body()}).sign(o.Signer), nil
}

// Share returns the operator's share of the group that was made.
func (o *Operator) Share(b *Board) (*Share, error) {
	seat := seatOf(b.ceremony.Members, o.Signer.Public())
	if seat < 0 || b.phase != Done {
		return nil, refused("no share is due to this operator")
	}
	weights, err := b.weights()
	if err != nil {
		return nil, err
	}
	var sum fr.Element
	defer clearScalars(&sum)
	for i, dealer := range b.qualified() {
		s, err := o.open(b, dealer, seat)
		if err != nil {
			return nil, err
		}
		s.Mul(&s, &weights[i])
		sum.Add(&sum, &s)
		clearScalars(&s)
	}
	return newShare(b.group, seat, sum)
}

// polynomial returns the dealer's seat and its coefficients, constant term
// first.
func (o *Operator) polynomial(b *Board, share *Share) (seat int, f []fr.Element, err error) {
	seat = seatOf(b.dealers, o.Signer.Public())
	if seat < 0 {
		return 0, nil, refused("this operator does not deal")
	}
	f = make([]fr.Element, b.ceremony.Threshold)
	for k := range f {
		f[k] = o.coefficient(b.hash, k)
	}
	switch {
	case b.previous == nil && share == nil:
	case b.previous != nil && share != nil && share.group.Hash() == b.previous.Hash() && share.seat == seat:
		f[0] = share.value
	default:
		return 0, nil, invalid("not the share to hand on")
	}
	return seat, f, nil
}

// coefficient derives coefficient k: 48 bytes reduced by the order, which is
// uniform but for 2^-128.
func (o *Operator) coefficient(ceremony [32]byte, k int) (a fr.Element) {
	b, err := hkdf.Key(sha256.New, o.Seed[:], ceremony[:], wire.Label("beacon coefficient")+string([]byte{byte(k)}), 48)
	if err != nil {
		panic("beacon: " + err.Error()) // 48 bytes are within HKDF's limit
	}
	a.SetBytes(b)
	clear(b)
	return a
}

// valueAt evaluates a polynomial at seat+1.
func valueAt(f []fr.Element, seat int) (y fr.Element) {
	x := abscissa(seat)
	for k := len(f) - 1; k >= 0; k-- {
		y.Mul(&y, &x).Add(&y, &f[k])
	}
	return y
}

// open returns a dealer's share for this operator: as it was answered to the
// operator's complaint, or as it was sealed.
func (o *Operator) open(b *Board, dealer, seat int) (fr.Element, error) {
	if x := b.answers[dealer]; x != nil {
		for i := range x.seats {
			if x.seats[i] == seat {
				return x.shares[i], nil
			}
		}
	}
	plain, err := hpke.Open(o.Mail.private, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(),
		shareInfo(b.hash, dealer, seat), b.deals[dealer].sealed[seat])
	if err != nil {
		return fr.Element{}, invalid("the share does not open")
	}
	defer clear(plain)
	s, err := parseScalar(plain)
	if err != nil {
		return fr.Element{}, err
	}
	if !matches(b.deals[dealer].commitments, seat, &s) {
		return fr.Element{}, invalid("the share does not match the commitments")
	}
	return s, nil
}

func sealShare(ceremony [32]byte, dealer, to int, key MailKey, s fr.Element) ([]byte, error) {
	public, err := key.recipient()
	if err != nil {
		return nil, invalid("mail key: %v", err)
	}
	plain := s.Bytes()
	defer clear(plain[:])
	sealed, err := hpke.Seal(public, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), shareInfo(ceremony, dealer, to), plain[:])
	if err != nil {
		return nil, invalid("share: %v", err)
	}
	return sealed, nil
}

func shareInfo(ceremony [32]byte, dealer, to int) []byte {
	h := wire.Hash("beacon share", ceremony[:], []byte{byte(dealer)}, []byte{byte(to)})
	return h[:]
}
