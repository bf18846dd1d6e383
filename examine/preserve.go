package examine

import (
	"context"
	"errors"
	"fmt"

	"writ/api"
	"writ/ledger"
	"writ/unseal"
	"writ/warrant"
)

// Held is what custodians keep under a warrant that preserves, a part for each request.
type Held struct {
	Parts   []HeldPart
	Outside []Skipped // in scope, but not kept
}

// HeldPart is what is kept for one request.
type HeldPart struct {
	Request      Proven
	Compartments int
	Custodians   []string // "office/custodian" that keep their shares; enough to open
	Refusals     []Refusal
	Until        uint64 // Unix seconds: the earliest end among them
}

// ErrAction is returned for a warrant that only preserves where something is to be
// opened, and the other way round.
var ErrAction = errors.New("examine: refused: the warrant is for something else")

// Preserve has the custodians keep what the case's warrant names, beyond the horizon.
// Nothing is opened. If too few custodians keep their shares, the error is a
// [*BlockedError]: what they keep would not suffice.
func Preserve(ctx context.Context, config Config, c *Case) (*Held, error) {
	if c.Warrant.Action != warrant.Preserve {
		return nil, ErrAction
	}
	x := newExaminer(config, c)
	if err := run(ctx, x.readLedger, x.findWarrant, x.disclose); err != nil {
		return nil, err
	}
	held := &Held{}
	for _, set := range chunks(x.sealed) {
		part := x.part(set)
		if err := run(ctx, part.request, part.release); err != nil {
			return nil, err
		}
		held.Parts = append(held.Parts, part.held(len(set)))
	}
	held.Outside = x.outside
	return held, nil
}

// held says what custodians answered.
func (x *examiner) held(compartments int) HeldPart {
	p := HeldPart{Request: x.out.RequestEntry, Compartments: compartments, Refusals: x.out.Refusals}
	for _, r := range x.out.Releases {
		p.Custodians = append(p.Custodians, r.Office+"/"+r.Custodian)
		if p.Until == 0 || r.until < p.Until {
			p.Until = r.until
		}
	}
	return p
}

// kept verifies that a custodian logged that it keeps its shares.
func (x *examiner) kept(office, custodian string, k *api.Kept) (*Release, []unseal.Share, error) {
	in, err := x.Ledger.Policy().Include(k.GetIntent(), k.GetIntentProof(), x.Now(), 0)
	if err != nil {
		return nil, nil, fmt.Errorf("examine: intent of %s: %w", custodian, err)
	}
	p := in.Entry().Preservation
	if p == nil || p.Office != office || p.Custodian != custodian || p.Request != ledger.HashEntry(x.out.RequestEntry.Entry) ||
		!p.Verify(x.custodian(office, custodian).Key) {
		return nil, nil, fmt.Errorf("examine: invalid: %s did not log that it keeps its shares", custodian)
	}
	if most := x.c.Warrant.NotBefore + x.law.Limits.MaxHold; uint64(x.Now().Unix()) >= k.Until || k.Until > most {
		return nil, nil, fmt.Errorf("examine: invalid: %s says that it keeps its shares until %d, of at most %d", custodian, k.Until, most)
	}
	return &Release{Office: office, Custodian: custodian, until: k.Until,
		Intent: Proven{Entry: k.Intent, Proof: k.IntentProof, Index: in.Index()}}, nil, nil
}
