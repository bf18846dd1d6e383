package unseal

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"

	"writ/capsule"
	"writ/charter"
	"writ/internal/wire"
)

const maxSecret = 64 // bytes of an MLS secret

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

// Combine opens one compartment: it compares each share with its commitment,
// combines gate by gate, opens the body, re-seals what it found and compares
// every byte. It returns the leaf's application ratchet secret of generation 0
// and the epoch's sender data secret, and always the custodians whose share was
// bad, sorted. It goes on without the bad ones. The error wraps [ErrTooFew], or
// [ErrForged] if the sender sealed something else, or [ErrInvalid] if capsule
// and shares are not of one compartment and this structure.
func (c *Combiner) Combine(sealed []byte, shares []Share) (ratchet, senderData []byte, bad []string, err error) {
	parsed, err := capsule.Parse(sealed)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("unseal: %w", err)
	}
	if err := c.check(parsed, shares); err != nil {
		return nil, nil, nil, err
	}
	ctx := capsule.Context(parsed.Label(), c.access)
	good, bad := c.sort(ctx, parsed, shares)
	root, err := c.gate(c.access.Root(), good)
	if err != nil {
		return nil, nil, bad, err
	}
	defer clear(root)
	if root == nil {
		return nil, nil, bad, fmt.Errorf("unseal: %w: %d good, %d bad", ErrTooFew, len(good), len(bad))
	}
	ratchet, senderData, err = open(root, ctx, parsed.Body())
	if err == nil {
		err = c.sealer.Check(sealed, parsed.Label(), ratchet, senderData)
	}
	if err != nil {
		clear(ratchet)
		clear(senderData)
		return nil, nil, bad, fmt.Errorf("unseal: %w: %w", ErrForged, err)
	}
	return ratchet, senderData, bad, nil
}

// check refuses what is not of one compartment and this structure (R12).
func (c *Combiner) check(parsed *capsule.Capsule, shares []Share) error {
	l := parsed.Label()
	if l.Charter != c.access.Charter() || l.Period != c.access.Period() || len(parsed.Shares()) != len(c.access.Leaves()) {
		return invalid("capsule of another charter, key period or structure")
	}
	hash := parsed.Hash()
	for _, s := range shares {
		if s.Capsule != hash {
			return invalid("share of another compartment")
		}
	}
	return nil
}

// sort tells good shares, by leaf, from the custodians of bad ones.
func (c *Combiner) sort(ctx [32]byte, parsed *capsule.Capsule, shares []Share) (good map[int][]byte, bad []string) {
	good = map[int][]byte{}
	for _, s := range shares {
		leaf := slices.IndexFunc(c.access.Leaves(), func(l charter.Leaf) bool { return l.Custodian == s.Custodian })
		if leaf >= 0 && bytes.Equal(s.Path, c.access.Leaves()[leaf].Path) {
			got, want := capsule.Commitment(ctx, s.Path, s.Secret[:]), parsed.Shares()[leaf].Commitment
			if subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
				good[leaf] = s.Secret[:]
				continue
			}
		}
		bad = append(bad, s.Custodian)
	}
	slices.Sort(bad)
	return good, slices.Compact(bad)
}

// gate returns a node's secret, or nil if too few below it are known.
func (c *Combiner) gate(g *charter.Gate, good map[int][]byte) ([]byte, error) {
	if g.Leaf >= 0 {
		return bytes.Clone(good[g.Leaf]), nil
	}
	var xs []uint8
	var ys [][]byte
	defer func() {
		for _, y := range ys {
			clear(y)
		}
	}()
	for i, child := range g.Children {
		y, err := c.gate(child, good)
		if err != nil {
			return nil, err
		}
		if y != nil && len(ys) < int(g.Threshold) {
			xs, ys = append(xs, uint8(i+1)), append(ys, y)
		}
	}
	if len(ys) < int(g.Threshold) {
		return nil, nil
	}
	return capsule.CombineShares(xs, ys)
}

// open opens a capsule's body with the root's secret.
func open(root []byte, ctx [32]byte, body []byte) (ratchet, senderData []byte, err error) {
	key, err := capsule.BodyKey(root)
	if err != nil {
		return nil, nil, err
	}
	defer clear(key)
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return nil, nil, err
	}
	plain, err := aead.Open(nil, make([]byte, aead.NonceSize()), body, ctx[:])
	if err != nil {
		return nil, nil, invalid("the body does not open")
	}
	defer clear(plain)
	r := wire.NewReader(plain)
	ratchet, senderData = bytes.Clone(r.Opaque(maxSecret)), bytes.Clone(r.Opaque(maxSecret))
	return ratchet, senderData, r.Done()
}
