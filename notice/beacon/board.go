package beacon

import (
	"bytes"
	"slices"

	bls "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

	"writ/internal/wire"
)

// Phase is where a ceremony stands.
type Phase uint8

// The phases. In each the board takes one kind of document.
const (
	Dealing    Phase = 1
	Responding Phase = 2
	Answering  Phase = 3 // skipped if nobody complained
	Done       Phase = 4
	Failed     Phase = 5
)

// Fault is what an operator did wrong, or failed to do.
type Fault struct {
	Name   string // of the operator
	Reason string
	// Excluded says that the operator's deal doesn't count.
	Excluded bool
}

// Board is the public side of a ceremony: a list of signed documents, and what
// follows from them. Everybody who reads the same documents in the same order,
// with the phases closed at the same places, comes to the same group: the order
// must come from a log. It is joint Feldman (Pedersen 1991) with signed
// complaints and answers, as in Gennaro, Jarecki, Krawczyk and Rabin; for a
// key that is handed on, each dealer's constant term is the share it has, and
// the shares are weighted as Lagrange says (Desmedt and Jajodia).
//
// In every phase one document of each operator counts. What is not signed by an
// operator of the ceremony is nobody's fault and only refused.
type Board struct {
	ceremony *Ceremony
	hash     [32]byte
	previous *Group // nil for a new key
	dealers  []Member

	phase     Phase
	posted    map[seatOfKind][]byte // every first document, by its signer
	deals     []*deal               // by the dealer's seat; nil: none that counts
	responses []*response           // by the member's seat; nil: none that counts
	answers   []*answer             // by the dealer's seat; nil: none
	faults    []Fault

	group *Group // in phase Done
}

type seatOfKind struct {
	kind kind
	seat int
}

// NewBoard returns the board of a ceremony before its first document. A ceremony
// that hands on a key needs the previous group, whose members deal; for a new
// key it is nil.
func NewBoard(c *Ceremony, previous *Group) (*Board, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	b := &Board{ceremony: c, hash: c.Hash(), previous: previous, dealers: c.Members, phase: Dealing,
		posted: map[seatOfKind][]byte{}}
	var hash [32]byte
	if previous != nil {
		hash = previous.Hash()
		b.dealers = previous.ceremony.Members
		if previous.ceremony.Genesis != c.Genesis || previous.ceremony.Period != c.Period {
			return nil, invalid("ceremony: another clock than the group's before")
		}
	}
	if c.Previous != hash {
		return nil, invalid("ceremony: it names another group before it")
	}
	b.deals, b.answers = make([]*deal, len(b.dealers)), make([]*answer, len(b.dealers))
	b.responses = make([]*response, len(c.Members))
	return b, nil
}

// Phase returns where the ceremony stands.
func (b *Board) Phase() Phase { return b.phase }

// Faults returns who did what wrong, in the order in which it came to light.
func (b *Board) Faults() []Fault { return slices.Clone(b.faults) }

// Group returns the group that was made.
func (b *Board) Group() (*Group, error) {
	if b.phase != Done {
		return nil, refused("the ceremony has no result")
	}
	return b.group, nil
}

// Post takes a document. An error says why it doesn't count; if its signature is
// good, the fault is recorded too. The same document twice is no fault.
func (b *Board) Post(encoded []byte) error {
	d, err := parseDocument(encoded)
	if err != nil {
		return err
	}
	signers := b.dealers
	if d.kind == kindResponse {
		signers = b.ceremony.Members
	}
	switch {
	case d.ceremony != b.hash:
		return refused("%v of another ceremony", d.kind)
	case d.seat >= len(signers):
		return invalid("%v by seat %d of %d", d.kind, d.seat, len(signers))
	case !d.verify(signers[d.seat].Key):
		return invalid("%v not signed by %s", d.kind, signers[d.seat].Name)
	case b.phase != Phase(d.kind):
		return refused("%v by %s out of its phase", d.kind, signers[d.seat].Name)
	}
	place := seatOfKind{d.kind, d.seat}
	if first, ok := b.posted[place]; ok {
		return b.again(d, first, encoded, signers[d.seat].Name)
	}
	b.posted[place] = bytes.Clone(encoded)
	if err := b.take(d); err != nil {
		b.fault(signers[d.seat].Name, err.Error(), d.kind != kindResponse)
		return err
	}
	return nil
}

// again handles a second document in a place. A dealer who signs two deals is
// out; of two responses or answers the first counts.
func (b *Board) again(d *document, first, encoded []byte, name string) error {
	if bytes.Equal(first, encoded) {
		return nil
	}
	out := d.kind == kindDeal && b.deals[d.seat] != nil
	if out {
		b.deals[d.seat] = nil
	}
	err := invalid("a second %v by %s", d.kind, name)
	if out || d.kind != kindDeal {
		b.fault(name, err.Error(), out)
	}
	return err
}

// take puts a signed document in its place, or says what is wrong with it.
func (b *Board) take(d *document) (err error) {
	switch d.kind {
	case kindDeal:
		b.deals[d.seat], err = b.checkDeal(d)
	case kindResponse:
		b.responses[d.seat], err = b.checkResponse(d)
	case kindAnswer:
		if b.answers[d.seat], err = b.checkAnswer(d); err != nil {
			b.deals[d.seat] = nil
		}
	}
	return err
}

// checkDeal holds a dealer that hands on its share to the previous group.
func (b *Board) checkDeal(d *document) (*deal, error) {
	x, err := parseDeal(d.body, b.ceremony)
	if err != nil {
		return nil, err
	}
	if b.previous != nil && !x.commitments[0].Equal(&b.previous.shares[d.seat]) {
		return nil, invalid("deal: not of the share that the dealer has")
	}
	return x, nil
}

func (b *Board) checkResponse(d *document) (*response, error) {
	x, err := parseResponse(d.body)
	if err != nil {
		return nil, err
	}
	if x.view != b.view() {
		return nil, invalid("response: to other deals than stand on the board")
	}
	for _, seat := range x.complaints {
		if seat >= len(b.deals) || b.deals[seat] == nil {
			return nil, invalid("response: complaint about a deal that does not count")
		}
	}
	return x, nil
}

// checkAnswer demands the right share for everybody who complained, and no other.
func (b *Board) checkAnswer(d *document) (*answer, error) {
	if b.deals[d.seat] == nil {
		return nil, invalid("answer: by a dealer who is out")
	}
	x, err := parseAnswer(d.body)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(x.seats, b.complainers(d.seat)) {
		return nil, invalid("answer: not to those who complained")
	}
	for i, seat := range x.seats {
		if !matches(b.deals[d.seat].commitments, seat, &x.shares[i]) {
			return nil, invalid("answer: share of seat %d does not match the commitments", seat)
		}
	}
	return x, nil
}

// matches reports whether a share is the committed polynomial's value for a
// seat.
func matches(commitments []bls.G2Affine, seat int, share *fr.Element) bool {
	have, want := secretG2(share), evaluate(commitments, seat)
	return have.Equal(&want)
}

// Close ends the phase. It fails, for good, when too few deals count or too few
// members answered: a new ceremony without those at fault is needed then.
func (b *Board) Close() error {
	switch b.phase {
	case Dealing:
		b.missing(kindDeal, b.dealers)
		return b.enter(Responding)
	case Responding:
		return b.closeResponses()
	case Answering:
		for seat := range b.deals {
			if b.deals[seat] != nil && b.answers[seat] == nil && len(b.complainers(seat)) > 0 {
				b.exclude(seat, "no answer to a complaint")
			}
		}
		return b.finish()
	}
	return refused("the ceremony is over")
}

// closeResponses excludes a dealer about whom so many complain that one of them
// must be honest.
func (b *Board) closeResponses() error {
	b.missing(kindResponse, b.ceremony.Members)
	t, complaints := int(b.ceremony.Threshold), 0
	have := 0
	for _, r := range b.responses {
		if r != nil {
			have++
		}
	}
	if have < t {
		b.phase = Failed
		return refused("%d responses where %d are needed", have, t)
	}
	for seat := range b.deals {
		n := len(b.complainers(seat))
		if b.deals[seat] != nil && n >= t {
			b.exclude(seat, "as many complaints as the threshold")
			continue
		}
		complaints += n
	}
	if complaints == 0 {
		return b.finish()
	}
	return b.enter(Answering)
}

// enter goes to a phase if enough deals still count.
func (b *Board) enter(next Phase) error {
	if have, need := len(b.qualified()), b.needed(); have < need {
		b.phase = Failed
		return refused("%d deals count where %d are needed", have, need)
	}
	b.phase = next
	return nil
}

// needed is how many deals must count, so that one of them is an honest
// dealer's: the threshold, or what it takes to interpolate the key handed on.
func (b *Board) needed() int {
	if b.previous != nil {
		return int(b.previous.ceremony.Threshold)
	}
	return int(b.ceremony.Threshold)
}

// qualified returns the seats of the dealers whose deals count.
func (b *Board) qualified() []int {
	var seats []int
	for seat, d := range b.deals {
		if d != nil {
			seats = append(seats, seat)
		}
	}
	return seats
}

// finish adds up what the qualified dealers committed to.
func (b *Board) finish() error {
	if err := b.enter(Done); err != nil {
		return err
	}
	weights, err := b.weights()
	if err == nil {
		b.group, err = newGroup(b.ceremony, b.sum(weights))
	}
	if err == nil && b.previous != nil && !b.group.Beacon().Key.Equal(b.previous.Beacon().Key) {
		err = invalid("group: the key is not the one handed on")
	}
	if err != nil {
		b.phase, b.group = Failed, nil
	}
	return err
}

// weights returns the factor of each qualified dealer's polynomial.
func (b *Board) weights() ([]fr.Element, error) {
	seats := b.qualified()
	if b.previous != nil {
		return lagrange(seats)
	}
	w := make([]fr.Element, len(seats))
	for i := range w {
		w[i].SetOne()
	}
	return w, nil
}

func (b *Board) sum(weights []fr.Element) []bls.G2Affine {
	sums := make([]bls.G2Affine, b.ceremony.Threshold)
	for k := range sums {
		var sum bls.G2Jac
		for i, seat := range b.qualified() {
			var term bls.G2Jac
			term.FromAffine(&b.deals[seat].commitments[k])
			multiply(&weights[i], func(n scalar) { term.ScalarMultiplication(&term, n) })
			sum.AddAssign(&term)
		}
		sums[k].FromJacobian(&sum)
	}
	return sums
}

// view returns the hash of the deals that count: what a response is about.
func (b *Board) view() [32]byte {
	parts := [][]byte{b.hash[:]}
	for _, seat := range b.qualified() {
		parts = append(parts, b.posted[seatOfKind{kindDeal, seat}])
	}
	return wire.Hash("beacon view", parts...)
}

// complainers returns the seats of the members who complain about a dealer.
func (b *Board) complainers(dealer int) []int {
	var seats []int
	for seat, r := range b.responses {
		if r != nil && slices.Contains(r.complaints, dealer) {
			seats = append(seats, seat)
		}
	}
	return seats
}

func (b *Board) exclude(dealer int, reason string) {
	b.deals[dealer] = nil
	b.fault(b.dealers[dealer].Name, reason, true)
}

func (b *Board) fault(name, reason string, excluded bool) {
	b.faults = append(b.faults, Fault{name, reason, excluded})
}

// missing records who posted nothing.
func (b *Board) missing(k kind, signers []Member) {
	for seat, m := range signers {
		if _, ok := b.posted[seatOfKind{k, seat}]; !ok {
			b.fault(m.Name, "no "+k.String(), k == kindDeal)
		}
	}
}
