package examine

import (
	"context"
	"fmt"
	"slices"

	"writ/api"
	"writ/charter"
	"writ/ledger"
)

// readLedger reads the own copy of the log up to now and finds the warrant's law.
func (x *examiner) readLedger(ctx context.Context) error {
	x.Progress(Progress{Stage: "ledger"})
	if err := x.Ledger.Refresh(ctx); err != nil {
		return fmt.Errorf("examine: %w", err)
	}
	x.Ledger.View(func(b *ledger.Book) { x.laws = b.Versions(x.c.Warrant.Charter) })
	if len(x.laws) == 0 {
		return fmt.Errorf("examine: invalid: charter %s is not on the ledger", x.c.Warrant.Charter)
	}
	x.law = x.laws[0]
	return nil
}

// findWarrant asks the docket where the entry stands, and takes it with its proof
// from the log.
func (x *examiner) findWarrant(ctx context.Context) error {
	got, err := x.Agency.Docket.GetWarrant(ctx, &api.GetWarrantRequest{WarrantHash: x.hash[:]})
	if err != nil {
		return err
	}
	if len(got.Entry) == 0 {
		return ErrNotPublished
	}
	p, err := x.proven(ctx, got.Index)
	if err != nil {
		return err
	}
	if ledger.HashEntry(p.Entry) != ledger.HashEntry(got.Entry) {
		return fmt.Errorf("examine: invalid: the ledger has another entry at %d than the docket says", got.Index)
	}
	x.out.WarrantEntry = *p
	return nil
}

// version returns the warrant's charter or a version before it, by its hash, or nil.
func (x *examiner) version(h charter.Hash) *charter.Charter {
	for _, c := range x.laws {
		if c.Hash() == h {
			return c
		}
	}
	return nil
}

// access returns the access structure under which something was sealed.
func (x *examiner) access(at sealedUnder) (*charter.Access, error) {
	c := x.version(at.law)
	var keys []*charter.KeyStatement
	x.Ledger.View(func(b *ledger.Book) { keys = slices.Clone(b.Keys(c.Name, at.period)) })
	a, err := c.Access(at.period, keys)
	if err != nil {
		return nil, fmt.Errorf("examine: %w", err)
	}
	return a, nil
}

// custodian returns a custodian as the newest version says that has one of that name: it
// answers for what was sealed to it also after an amendment struck it off.
func (x *examiner) custodian(office, id string) *charter.Custodian {
	for _, c := range x.laws {
		if k := c.Custodian(office, id); k != nil {
			return k
		}
	}
	return nil
}
