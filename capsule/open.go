package capsule

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"

	"writ/charter"
	"writ/internal/wire"
)

var (
	// ErrTooFew means that the good shares don't satisfy the access structure.
	ErrTooFew = errors.New("too few shares")

	// ErrForged means that a capsule is provably not the one that any secret
	// demands: good shares don't open its body, or what they open seals to other
	// bytes. No shares of a capsule that [Sealer.Seal] made have this outcome.
	ErrForged = errors.New("forged capsule")
)

// An OpenShare is what a custodian's share of a capsule opens to.
type OpenShare struct {
	Leaf   int // index in [charter.Access.Leaves]
	Secret [ShareSize]byte
}

// Open combines shares of one capsule: it compares each with its commitment, combines gate by
// gate, opens the body, seals what it found anew and compares every byte. It returns
// the leaf's application ratchet secret of generation 0, the epoch's sender data
// secret, and always the leaves that had a bad share, ascending; it goes on without
// those. The error wraps [ErrTooFew], [ErrForged], or [ErrInvalid] if capsule and
// shares are not of this structure.
func (s *Sealer) Open(c *Capsule, shares []OpenShare) (ratchet, senderData []byte, bad []int, err error) {
	if c.label.Charter != s.access.Charter() || c.label.Period != s.access.Period() || len(c.shares) != len(s.recipients) {
		return nil, nil, nil, fmt.Errorf("capsule: %w: of another charter, key period or structure", ErrInvalid)
	}
	ctx := contextOf(&c.label, s.encoded)
	good, bad := s.sort(ctx, c, shares)
	defer func() {
		for _, secret := range good {
			clear(secret)
		}
	}()
	root, err := combine(s.access.Root(), good)
	if err != nil {
		return nil, nil, bad, err
	}
	defer clear(root)
	if root == nil {
		return nil, nil, bad, fmt.Errorf("capsule: %w: %d good, %d bad", ErrTooFew, len(good), len(bad))
	}
	ratchet, senderData, err = c.openBody(root, ctx)
	if err == nil {
		err = s.Check(c.encoded, &c.label, ratchet, senderData)
	}
	if err != nil {
		clear(ratchet)
		clear(senderData)
		return nil, nil, bad, fmt.Errorf("capsule: %w: %w", ErrForged, err)
	}
	return ratchet, senderData, bad, nil
}

// sort tells good shares, by leaf, from the leaves of bad ones.
func (s *Sealer) sort(ctx [32]byte, c *Capsule, shares []OpenShare) (good map[int][]byte, bad []int) {
	good = map[int][]byte{}
	for _, o := range shares {
		if s.commits(ctx, c, o) {
			good[o.Leaf] = o.Secret[:]
		} else {
			bad = append(bad, o.Leaf)
		}
	}
	slices.Sort(bad)
	return good, slices.Compact(bad)
}

// Places returns a secret as the share of each leaf for which a capsule of this
// structure commits to it: of several where one custodian suffices, or where the
// capsule is forged.
func (s *Sealer) Places(c *Capsule, secret [ShareSize]byte) (at []OpenShare) {
	ctx := contextOf(&c.label, s.encoded)
	for leaf := range c.shares {
		if o := (OpenShare{leaf, secret}); s.commits(ctx, c, o) {
			at = append(at, o)
		}
	}
	return at
}

func (s *Sealer) commits(ctx [32]byte, c *Capsule, o OpenShare) bool {
	if o.Leaf < 0 || o.Leaf >= len(c.shares) || len(c.shares) != len(s.recipients) {
		return false
	}
	got, want := Commitment(ctx, s.access.Leaves()[o.Leaf].Path, o.Secret[:]), c.shares[o.Leaf].Commitment
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// combine returns a node's secret, or nil if too few below it are known.
func combine(g *charter.Gate, good map[int][]byte) ([]byte, error) {
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
		y, err := combine(child, good)
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
	return CombineShares(xs, ys)
}

// openBody opens a capsule's body with the root's secret.
func (c *Capsule) openBody(root []byte, ctx [32]byte) (ratchet, senderData []byte, err error) {
	key, err := BodyKey(root)
	if err != nil {
		return nil, nil, err
	}
	defer clear(key)
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return nil, nil, err
	}
	plain, err := aead.Open(nil, make([]byte, aead.NonceSize()), c.body, ctx[:])
	if err != nil {
		return nil, nil, fmt.Errorf("capsule: %w: the body does not open", ErrInvalid)
	}
	defer clear(plain)
	r := wire.NewReader(plain)
	ratchet, senderData = bytes.Clone(r.Opaque(maxSecret)), bytes.Clone(r.Opaque(maxSecret))
	return ratchet, senderData, r.Done()
}
