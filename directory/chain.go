package directory

import (
	"crypto/ed25519"
	"maps"
	"slices"

	"filippo.io/edwards25519"
)

// Chain is an account's statements from version 1, each of which was verified
// against the one before. It is immutable. Only [NewChain] and [Chain.Follow]
// make one.
type Chain struct {
	statements []*Statement
	used       map[string]bool // every name and key that was ever listed
}

// NewChain verifies an account's statements from version 1 on, each against
// those before it. There must be one at least.
func NewChain(statements ...*Statement) (*Chain, error) {
	c := &Chain{used: map[string]bool{}}
	for _, s := range statements {
		if err := c.append(s); err != nil {
			return nil, err
		}
	}
	if c.statements == nil {
		return nil, invalid("an account without a statement")
	}
	return c, nil
}

// ParseChain parses and verifies an account's statements from version 1 on.
func ParseChain(statements [][]byte) (*Chain, error) {
	if len(statements) > MaxVersion {
		return nil, malformed("%d statements", len(statements))
	}
	var all []*Statement
	for _, b := range statements {
		s, err := Parse(b)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return NewChain(all...)
}

// Encode returns the statements from version 1 on, as [ParseChain] reads them.
func (c *Chain) Encode() (statements [][]byte) {
	for _, s := range c.statements {
		statements = append(statements, s.Encode())
	}
	return statements
}

// Follow verifies that next may follow the chain's newest statement and returns
// the longer chain.
func (c *Chain) Follow(next *Statement) (*Chain, error) {
	longer := &Chain{statements: slices.Clone(c.statements), used: maps.Clone(c.used)}
	if err := longer.append(next); err != nil {
		return nil, err
	}
	return longer, nil
}

// Until returns the chain as it was at a version, from 1.
func (c *Chain) Until(version uint64) *Chain {
	until, err := NewChain(c.statements[:version]...)
	if err != nil {
		panic("directory: the beginning of a chain is one: " + err.Error())
	}
	return until
}

// Newest returns the newest statement. It must not be changed.
func (c *Chain) Newest() *Statement { return c.statements[len(c.statements)-1] }

// Account returns the account's name.
func (c *Chain) Account() string { return c.statements[0].Account }

// Version returns the newest version.
func (c *Chain) Version() uint64 { return uint64(len(c.statements)) }

// Statement returns a version of the chain, from 1. It must not be changed.
func (c *Chain) Statement(version uint64) *Statement { return c.statements[version-1] }

func (c *Chain) append(s *Statement) error {
	check := c.checkNext
	if c.statements == nil {
		check = checkFirst
	}
	if err := s.reparse(); err != nil { // DIR-1 to DIR-4
		return err
	}
	if err := check(s); err != nil {
		return err
	}
	if err := c.checkKeys(s); err != nil {
		return err
	}
	c.statements = append(c.statements, s)
	c.used[string(s.Recovery[:])] = true
	for _, d := range s.Devices {
		c.used[usedName(d)], c.used[string(d.Key[:])] = true, true
	}
	return nil
}

// CheckNext checks next by the version before it alone, which is nil for version 1 (DIR-5
// to DIR-9): one signature. Whether it may follow only the whole chain says, which knows
// what was in use before: see [Chain.Follow].
func CheckNext(prev, next *Statement) error {
	if prev == nil {
		return checkFirst(next)
	}
	for _, check := range []func(prev, next *Statement) error{checkLink, checkSigner, checkRecovery, checkKept, checkTimes} {
		if err := check(prev, next); err != nil {
			return err
		}
	}
	return nil
}

func checkFirst(s *Statement) error {
	if s.Version != 1 {
		return invalid("history begins with version %d", s.Version)
	}
	if !s.signedBy(s.Devices[0].Key) { // DIR-5
		return invalid("version 1 is not signed by its device %q", s.Signer)
	}
	return nil
}

func (c *Chain) checkNext(next *Statement) error {
	if err := CheckNext(c.Newest(), next); err != nil {
		return err
	}
	return c.checkFresh(c.Newest(), next)
}

// usedName keeps names apart from keys: a name has no slash.
func usedName(d Device) string { return "/" + d.Name }

// reparse holds a statement that was put together in memory to the same form
// as one that was read.
func (s *Statement) reparse() error {
	_, err := Parse(s.Encode())
	return err
}

// checkKeys: DIR-17, no new key is weak.
func (c *Chain) checkKeys(s *Statement) error {
	if !c.used[string(s.Recovery[:])] && weak(s.Recovery) {
		return invalid("the recovery key is weak")
	}
	for _, d := range s.Devices {
		if !c.used[string(d.Key[:])] && weak(d.Key) {
			return invalid("the key of device %q is weak", d.Name)
		}
	}
	return nil
}

// checkLink: DIR-6, the same account, the next version, the hash of this one.
func checkLink(prev, next *Statement) error {
	switch {
	case next.Account != prev.Account:
		return invalid("statement of %q after one of %q", next.Account, prev.Account)
	case next.Version != prev.Version+1:
		return invalid("version %d after %d", next.Version, prev.Version)
	case next.Previous != prev.Hash():
		return invalid("version %d follows another version %d", next.Version, prev.Version)
	}
	return nil
}

// checkSigner: DIR-5, a device or the recovery key of the version before.
func checkSigner(prev, next *Statement) error {
	key := [32]byte(prev.Recovery)
	if next.Signer != "" {
		d, ok := prev.Device(next.Signer)
		if !ok {
			return invalid("version %d is signed by %q, which version %d does not list", next.Version, next.Signer, prev.Version)
		}
		key = d.Key
	}
	if !next.signedBy(key) {
		return invalid("version %d: wrong signature", next.Version)
	}
	return nil
}

// checkRecovery: DIR-7, who steals a device can't lock the person out.
func checkRecovery(prev, next *Statement) error {
	if next.Recovery != prev.Recovery && next.Signer != "" {
		return invalid("device %q changed the recovery key", next.Signer)
	}
	return nil
}

// checkKept: DIR-8, a device that stays, stays as it is; something changes.
func checkKept(prev, next *Statement) error {
	for _, d := range next.Devices {
		if old, ok := prev.Device(d.Name); ok && old != d {
			return invalid("device %q has another key or time than before", d.Name)
		}
	}
	if slices.Equal(prev.Devices, next.Devices) && prev.Recovery == next.Recovery {
		return invalid("version %d changes nothing", next.Version)
	}
	return nil
}

// checkTimes: DIR-9, times of adding don't run backwards.
func checkTimes(prev, next *Statement) error {
	for _, d := range next.Devices {
		if _, ok := prev.Device(d.Name); !ok && d.Added < prev.newest() {
			return invalid("device %q was added before an earlier one", d.Name)
		}
	}
	return nil
}

// checkFresh: DIR-10, what an earlier version listed and a later one dropped
// never comes back: neither a device's name nor a key, in no role.
func (c *Chain) checkFresh(prev, next *Statement) error {
	if next.Recovery != prev.Recovery && c.used[string(next.Recovery[:])] {
		return invalid("the new recovery key was in use before")
	}
	for _, d := range next.Devices {
		if _, ok := prev.Device(d.Name); ok {
			continue
		}
		if c.used[usedName(d)] || c.used[string(d.Key[:])] {
			return invalid("device %q: its name or key was in use before", d.Name)
		}
	}
	return nil
}

// weak reports whether a key is a point of small order, under which anyone can
// sign anything, or no point at all, under which nobody can.
func weak(key [ed25519.PublicKeySize]byte) bool {
	p, err := new(edwards25519.Point).SetBytes(key[:])
	return err != nil || p.MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) == 1
}
