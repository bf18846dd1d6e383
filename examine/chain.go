package examine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"writ/api"
	"writ/charter"
	"writ/ledger"
)

// chain is the ledger as the examiner read it: the book, and where charters and
// keys stand.
type chain struct {
	book *ledger.Book
	laws []lawAt
	keys []keyAt
}

type lawAt struct {
	index uint64
	hash  charter.Hash
}

type keyAt struct {
	index     uint64
	statement *charter.KeyStatement
}

// apply takes the next entry.
func (c *chain) apply(index uint64, entry []byte, seen time.Time) error {
	if err := c.book.Apply(index, entry, seen); err != nil {
		return err
	}
	e, err := ledger.ParseEntry(entry)
	if err != nil {
		return nil // a finding of the book
	}
	if at, ok := c.book.Find(e.Hash()); !ok || at != index {
		return nil
	}
	switch {
	case e.Charter != nil:
		c.laws = append(c.laws, lawAt{index, e.Charter.Hash()})
	case e.CustodianKey != nil:
		c.keys = append(c.keys, keyAt{index, e.CustodianKey})
	}
	return nil
}

// lawEntries returns where a charter and the versions before it stand, the
// first version first.
func (c *chain) lawEntries(law *charter.Charter) []uint64 {
	var indexes []uint64
	for _, l := range c.laws {
		if v, ok := c.book.Charter(l.hash); ok && v.Name == law.Name && v.Number <= law.Number {
			indexes = append(indexes, l.index)
		}
	}
	return indexes
}

// keyEntries returns where the key statements of a law for some periods stand,
// in the ledger's order.
func (c *chain) keyEntries(law *charter.Charter, periods []uint32) []uint64 {
	var indexes []uint64
	for _, k := range c.keys {
		if k.statement.CharterName == law.Name && slices.Contains(periods, k.statement.Period) {
			indexes = append(indexes, k.index)
		}
	}
	return indexes
}

// readLedger replays the log and finds the warrant's law.
func (x *examiner) readLedger(ctx context.Context) error {
	x.Progress(Progress{Stage: "ledger"})
	x.chain = &chain{book: ledger.NewBook(x.Charters...)}
	if _, err := x.reader.Update(ctx, 0, x.chain.apply); err != nil {
		return fmt.Errorf("examine: %w", err)
	}
	var ok bool
	if x.law, ok = x.chain.book.Charter(x.c.Warrant.Charter); !ok {
		return fmt.Errorf("examine: invalid: charter %s is not on the ledger", x.c.Warrant.Charter)
	}
	return nil
}

// findWarrant takes approvals from the docket and the entry's proof from the
// log.
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
	x.out.Approvals, x.out.WarrantEntry = got.Approvals, *p
	return nil
}

// version returns the warrant's charter or a version before it, by its hash, or nil.
func (x *examiner) version(h charter.Hash) *charter.Charter {
	for _, c := range x.chain.book.Versions(x.c.Warrant.Charter) {
		if c.Hash() == h {
			return c
		}
	}
	return nil
}

// access returns the access structure under which something was sealed.
func (x *examiner) access(at sealedUnder) (*charter.Access, error) {
	c := x.version(at.law)
	a, err := c.Access(at.period, x.chain.book.Keys(c.Name, at.period))
	if err != nil {
		return nil, fmt.Errorf("examine: %w", err)
	}
	return a, nil
}

// custodian returns a custodian as the newest version says that has one of that name: it
// answers for what was sealed to it also after an amendment struck it off.
func (x *examiner) custodian(office, id string) *charter.Custodian {
	for _, c := range x.chain.book.Versions(x.c.Warrant.Charter) {
		if k := c.Custodian(office, id); k != nil {
			return k
		}
	}
	return nil
}
