package unseal

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"writ/capsule"
	"writ/charter"
)

// Combiner opens compartments of one access structure, one at a time. It is
// safe for concurrent use.
type Combiner struct {
	access *charter.Access
	sealer *capsule.Sealer
}

// NewCombiner parses the custodians' public keys, with which it re-seals.
func NewCombiner(a *charter.Access) (*Combiner, error) {
	s, err := capsule.NewSealer(a)
	if err != nil {
		return nil, fmt.Errorf("unseal: %w", err)
	}
	return &Combiner{a, s}, nil
}

// Combine opens one compartment from the shares that custodians released of it:
// see [capsule.Sealer.Open]. It returns always the custodians whose share was
// bad, sorted. The error wraps [ErrTooFew], or [ErrForged] if the sender sealed
// something else, or [ErrInvalid] if capsule and shares are not of one
// compartment and this structure.
func (c *Combiner) Combine(sealed []byte, shares []Share) (ratchet, senderData []byte, bad []string, err error) {
	parsed, err := capsule.Parse(sealed)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("unseal: %w", err)
	}
	open, bad, err := c.leaves(parsed.Hash(), shares)
	if err != nil {
		return nil, nil, nil, err
	}
	defer clear(open)
	ratchet, senderData, leaves, err := c.sealer.Open(parsed, open)
	for _, leaf := range leaves {
		bad = append(bad, c.access.Leaves()[leaf].Custodian)
	}
	slices.Sort(bad)
	bad = slices.Compact(bad)
	if err != nil {
		return nil, nil, bad, fmt.Errorf("unseal: %w", err)
	}
	return ratchet, senderData, bad, nil
}

// Good returns the shares to which a capsule commits, each secret once, in the order
// of the first of its [capsule.Sealer.Places]: they show anybody what
// [Combiner.Combine] found.
func (c *Combiner) Good(parsed *capsule.Capsule, shares []Share) (secrets [][capsule.ShareSize]byte) {
	first := map[int][capsule.ShareSize]byte{}
	for _, s := range shares {
		if at := c.sealer.Places(parsed, s.Secret); len(at) > 0 {
			first[at[0].Leaf] = s.Secret
		}
	}
	for _, leaf := range slices.Sorted(maps.Keys(first)) {
		secrets = append(secrets, first[leaf])
	}
	return secrets
}

// leaves returns the shares of a capsule by the leaves they are for, and the
// custodians who stand at no leaf or sent a share of another path. A share of another
// capsule is an error (R12).
func (c *Combiner) leaves(h capsule.Hash, shares []Share) (open []capsule.OpenShare, bad []string, err error) {
	for _, s := range shares {
		if s.Capsule != h {
			return nil, nil, invalid("share of another compartment")
		}
		leaf := slices.IndexFunc(c.access.Leaves(), func(l charter.Leaf) bool { return l.Custodian == s.Custodian })
		if leaf < 0 || !bytes.Equal(s.Path, c.access.Leaves()[leaf].Path) {
			bad = append(bad, s.Custodian)
			continue
		}
		open = append(open, capsule.OpenShare{Leaf: leaf, Secret: s.Secret})
	}
	return open, bad, nil
}
