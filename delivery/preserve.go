package delivery

import (
	"context"
	"crypto/sha256"
	"slices"

	"writ/api"
	"writ/capsule"
	"writ/engine"
	"writ/mls"
)

// onlyCapsules leaves of a compartment what a warrant that preserves needs: its capsules,
// first the one that most of its messages name, since anybody in a conversation can
// deposit one. Nothing tells how many messages there are, or when they came.
func (d *disclosure) onlyCapsules(ctx context.Context, out *api.Compartment, c engine.Compartment, span engine.Range) error {
	votes, err := d.votes(ctx, c, span)
	if err != nil {
		return err
	}
	slices.SortStableFunc(out.Capsules, func(a, b []byte) int { return votes[capsule.HashOf(b)] - votes[capsule.HashOf(a)] })
	out.Count, out.Statement, out.LeafProof = 0, nil, nil
	for _, b := range out.Capsules {
		d.size += len(b)
	}
	return nil
}

// votes counts how often a compartment's messages name each capsule.
func (d *disclosure) votes(ctx context.Context, c engine.Compartment, span engine.Range) (map[capsule.Hash]int, error) {
	votes := map[capsule.Hash]int{}
	for {
		list, err := d.s.store.ReadCompartment(ctx, span, c.Epoch, c.Leaf)
		if err != nil {
			return nil, d.s.storeFault(err, "messages")
		}
		if len(list) == 0 {
			return votes, nil
		}
		for _, m := range list {
			span.After = m.Seq
			if e, err := mls.Inspect(m.Body); err == nil && len(e.AuthenticatedData) >= sha256.Size {
				votes[capsule.Hash(e.AuthenticatedData[:sha256.Size])]++
			}
		}
	}
}
