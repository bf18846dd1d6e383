package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"writ/charter"
	"writ/ledger"
	"writ/replica"
	"writ/setup"
)

// laws lends the charters and keys of a copy of the ledger to whoever asks by
// hash and by period.
type laws struct{ copy *replica.Replica }

// Charter returns a charter that is on the ledger.
func (l laws) Charter(h charter.Hash) (c *charter.Charter, ok bool) {
	l.copy.View(func(b *ledger.Book) { c, ok = b.Charter(h) })
	return c, ok
}

// InForce returns the version in force of the charter of a name.
func (l laws) InForce(name string, now time.Time) (c *charter.Charter, ok bool) {
	l.copy.View(func(b *ledger.Book) { c, ok = b.InForce(name, now) })
	return c, ok
}

// Versions returns a charter that is on the ledger and those before it.
func (l laws) Versions(h charter.Hash) (list []*charter.Charter) {
	l.copy.View(func(b *ledger.Book) { list = b.Versions(h) })
	return list
}

// Actionable says whether a warrant entry may be acted on now, by a copy that is fresh. It
// reads the ledger if the copy is not, or doesn't have the entry yet.
func (l laws) Actionable(ctx context.Context, index uint64, h ledger.EntryHash) (err error) {
	ask := func() error {
		l.copy.View(func(b *ledger.Book) { err = b.Actionable(index, h, time.Now()) })
		return err
	}
	if l.copy.Fresh() == nil && ask() == nil {
		return nil
	}
	if err := l.copy.Refresh(ctx); err != nil {
		return err
	}
	return ask()
}

// Keys returns the key statements of a law for a key period, in ledger order.
func (l laws) Keys(name string, period uint32) (keys []*charter.KeyStatement) {
	l.copy.View(func(b *ledger.Book) { keys = b.Keys(name, period) })
	return keys
}

// trust is what a deployment file asks its reader to trust, parsed.
type trust struct {
	policy *ledger.Policy
	firsts []charter.Hash
}

func trustOf(d *setup.Deployment) (*trust, error) {
	const hint = "the deployment file is wrong: get it again from whoever published it"
	policy, err := ledger.ParsePolicy(d.Policy)
	if err != nil {
		return nil, fail(codeFailed, err, hint)
	}
	firsts, err := hashes(d.Charters)
	if err == nil && len(firsts) == 0 {
		err = errors.New("the deployment file names no charter: any law on the log would do")
	}
	if err != nil {
		return nil, fail(codeFailed, err, hint)
	}
	return &trust{policy, firsts}, nil
}

// hashes parses hexadecimal charter hashes.
func hashes(list []string) ([]charter.Hash, error) {
	var out []charter.Hash
	for _, s := range list {
		b, err := hex.DecodeString(s)
		if err != nil || len(b) != len(charter.Hash{}) {
			return nil, fmt.Errorf("malformed: %q is not a charter's hash", s)
		}
		out = append(out, charter.Hash(b))
	}
	return out, nil
}
