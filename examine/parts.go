package examine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"connectrpc.com/connect"

	"writ/api"
	"writ/capsule"
	"writ/charter"
	"writ/internal/wire"
	"writ/ledger"
	"writ/unseal"
	"writ/warrant"
)

// sealed is a compartment as delivery disclosed it, with the capsules that may
// be its own, the likeliest first. Anybody in a conversation can deposit one.
type sealed struct {
	disclosed  *api.Compartment
	candidates []*capsule.Capsule
}

// law is the version of the charter under which the likeliest capsule was sealed.
func (s sealed) law() charter.Hash { return s.candidates[0].Label().Charter }

// maxPart bounds the capsules of one request in bytes, so that the package with
// its proofs stays below [unseal.MaxRequest].
const maxPart = unseal.MaxRequest * 3 / 4

// chunks splits a set so that each part fits in one request and was sealed under one
// version of the charter: a custodian of one version only would refuse both.
func chunks(set []sealed) (parts [][]sealed) {
	set = slices.Clone(set)
	slices.SortStableFunc(set, func(a, b sealed) int { x, y := a.law(), b.law(); return bytes.Compare(x[:], y[:]) })
	begin, size := 0, 0
	for i, s := range set {
		n := len(s.candidates[0].Bytes())
		if i-begin == ledger.MaxLeaves || i > begin && (size+n > maxPart || s.law() != set[begin].law()) {
			parts, begin, size = append(parts, set[begin:i]), i, 0
		}
		size += n
	}
	return append(parts, set[begin:])
}

// openAll opens a set with as many requests as it takes. A part for which too few
// custodians release is left closed, and the error of the first such part returned if all
// are: custodians of an earlier version may be gone.
func (x *examiner) openAll(ctx context.Context, set []sealed) error {
	var first error
	for _, part := range chunks(set) {
		err := x.openPart(ctx, part)
		if err != nil && !errors.Is(err, ErrTooFew) {
			return err
		}
		if err != nil {
			first = cmp.Or(first, err)
			x.leave(part, err.Error())
		}
	}
	if len(x.parts) == 0 {
		return first
	}
	return nil
}

// leave notes that a set stays closed.
func (x *examiner) leave(set []sealed, why string) {
	for _, s := range set {
		x.outside = append(x.outside, Skipped{s.disclosed.Conversation, s.disclosed.Epoch, s.disclosed.Leaf, why})
	}
}

// openPart opens a set with one request. Custodians answer a request whole, so
// one spoiled capsule would close all others in it: a part that they refuse for a
// capsule's sake is halved, and a single compartment tried with its next capsule. What the
// docket takes no request for any more stays closed, and what opened before stays opened.
func (x *examiner) openPart(ctx context.Context, set []sealed) error {
	out, err := x.ask1(ctx, set)
	switch {
	case err == nil:
		x.parts = append(x.parts, out)
		return x.unforge(ctx, set, out)
	case connect.CodeOf(err) == connect.CodeResourceExhausted:
		x.leave(set, err.Error())
		return nil
	case !spoiled(err):
		return err
	case len(set) == 1:
		return x.next(ctx, set[0], "custodians refuse every capsule that is stored of it")
	}
	half := len(set) / 2
	if err := x.openPart(ctx, set[:half]); err != nil {
		return err
	}
	return x.openPart(ctx, set[half:])
}

// spoiled reports whether custodians refused a request because of a capsule in it.
func spoiled(err error) bool {
	var blocked *BlockedError
	if !errors.As(err, &blocked) {
		return false
	}
	for _, r := range blocked.Refusals {
		if r.Reason == unseal.ReasonShare || r.Reason == unseal.ReasonCapsule {
			return true
		}
	}
	return false
}

// ask1 takes a set through request, release and combination, and asks whose keys signed
// what opened.
func (x *examiner) ask1(ctx context.Context, set []sealed) (*Opened, error) {
	part := x.part(set)
	if err := run(ctx, part.request, part.prove, part.release, part.combine, part.whose); err != nil {
		return nil, err
	}
	return part.out, nil
}

// part is the examiner of one request.
func (x *examiner) part(set []sealed) *examiner {
	part, out := *x, *x.out
	part.out, out.NoticeSalt = &out, requestSalt(x.c.NoticeSalt, set)
	for _, s := range set {
		out.Compartments = append(out.Compartments, take(s.disclosed, s.candidates[0], x.c.Warrant.Subject))
	}
	return &part
}

// requestSalt is the notice salt of one request: the same for the same set, so
// that an opening can be repeated, and another for another, so that leaves of one
// compartment in two requests don't show that it is one.
func requestSalt(secret [32]byte, set []sealed) [32]byte {
	parts := [][]byte{secret[:]}
	for _, s := range set {
		h := s.candidates[0].Hash()
		parts = append(parts, h[:])
	}
	return wire.Hash("request salt", parts...)
}

// unforge tries the next capsule of each compartment whose sender had sealed
// something else. The forged one stays in evidence.
func (x *examiner) unforge(ctx context.Context, set []sealed, out *Opened) error {
	for i, c := range out.Compartments {
		if c.Forged == nil {
			continue
		}
		if err := x.next(ctx, set[i], "every capsule that is stored of it is forged"); err != nil {
			return err
		}
	}
	return nil
}

// next goes on with a compartment's next capsule, or leaves it closed.
func (x *examiner) next(ctx context.Context, s sealed, why string) error {
	if len(s.candidates) > 1 {
		return x.openPart(ctx, []sealed{{s.disclosed, s.candidates[1:]}})
	}
	x.leave([]sealed{s}, why)
	return nil
}

// Opening is all that was opened under a warrant, a part for each request.
type Opening struct {
	Parts   []*Opened
	Outside []Skipped // disclosed, but not opened
}

// Compartments counts what was opened.
func (o *Opening) Compartments() (n int) {
	for _, p := range o.Parts {
		for _, c := range p.Compartments {
			if c.Forged == nil {
				n++
			}
		}
	}
	return n
}

// Requested is what was asked for.
type Requested struct {
	Entries      []Proven
	Compartments int
	Outside      []Skipped
}

// Request logs which compartments are asked for and asks no custodian. [Open]
// does it too: as long as delivery has nothing new in scope, with the same
// entries.
func Request(ctx context.Context, config Config, c *Case) (*Requested, error) {
	x := newExaminer(config, c)
	if err := run(ctx, x.readLedger, x.findWarrant, x.disclose); err != nil {
		return nil, err
	}
	r := &Requested{Compartments: len(x.sealed), Outside: x.outside}
	for _, set := range chunks(x.sealed) {
		part := x.part(set)
		if err := part.request(ctx); err != nil {
			return nil, err
		}
		r.Entries = append(r.Entries, part.out.RequestEntry)
	}
	return r, nil
}

// Open opens what the case's warrant names. The warrant must be on the ledger.
// If too few custodians release, the error is a [*BlockedError].
func Open(ctx context.Context, config Config, c *Case) (*Opening, error) {
	if c.Warrant.Action != warrant.Disclose {
		return nil, ErrAction
	}
	x := newExaminer(config, c)
	if err := run(ctx, x.readLedger, x.findWarrant, x.disclose); err != nil {
		return nil, err
	}
	if err := x.openAll(ctx, x.sealed); err != nil {
		return nil, err
	}
	if len(x.parts) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrSpoiled, x.outside[0].Why)
	}
	return &Opening{Parts: x.parts, Outside: x.outside}, nil
}
