package directory

import (
	"bytes"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// MaxAhead is how far a device's time of adding may lie in the future of the
// reader's clock.
const MaxAhead = 24 * time.Hour

// ErrRollback is wrapped when a lookup lacks or replaces what the reader knows
// already. The old answer and this one together are evidence: see [Compare].
var ErrRollback = fmt.Errorf("%w: the directory went back on what it showed before", ErrRefused)

// Facts is what the reader knows before it asks. Size, Root and Time must come
// from a checkpoint of the directory's log that the witness policy accepted
// (ledger.Policy.Checkpoint); this package checks no cosignature.
type Facts struct {
	Size   uint64        // entries of the log
	Root   [32]byte      // its RFC 6962 root hash
	Time   time.Time     // when a quorum of witnesses stood by it
	MaxAge time.Duration // an older checkpoint is refused
	Known  Pin           // the newest statement seen of this account; zero if none was
}

// Pin is what a reader keeps of an account so that nobody can take it back.
type Pin struct {
	Version uint64
	Hash    StatementHash
}

// Verified is what the directory says of an account, proven. Only [Verify]
// makes one.
type Verified struct {
	account string
	facts   Facts
	chain   *Chain // nil: the account has no statement
	leaves  []LeafFacts
}

// Account returns the account that was asked for.
func (v *Verified) Account() string { return v.account }

// Chain returns the account's statements, or nil if it has none.
func (v *Verified) Chain() *Chain { return v.chain }

// Leaves returns the account's leaves on the log, all opened.
func (v *Verified) Leaves() []LeafFacts { return v.leaves }

// Pin returns what to keep for the next lookup.
func (v *Verified) Pin() Pin {
	if v.chain == nil {
		return Pin{}
	}
	return Pin{v.chain.Version(), v.chain.Newest().Hash()}
}

// Has reports whether the account's newest statement lists that device with
// that MLS signature key. It is what a credential check asks before an Add, an
// Update or a Welcome is accepted.
func (v *Verified) Has(id Identity, signatureKey []byte) bool {
	if v.chain == nil || id.Account != v.account {
		return false
	}
	d, ok := v.chain.Newest().Device(id.Device)
	return ok && bytes.Equal(d.Key[:], signatureKey)
}

// Verify checks a lookup of an account in the order of DIR-20 to DIR-29: the
// reader's checkpoint is fresh, the label is the account's, the tail is the
// end of the log, the tree's root is on the log and the tree's proof holds, the
// opened leaves are all the log has of the label, and the statements follow one
// another. An account of which the log has no leaf verifies to one without
// statements.
func Verify(lookup []byte, account string, key LabelKey, at Facts, now time.Time) (*Verified, error) {
	l, err := ParseLookup(lookup) // DIR-20
	if err != nil {
		return nil, err
	}
	if age := now.Sub(at.Time); age > at.MaxAge { // DIR-21
		return nil, refused("the checkpoint is %v old", age.Round(time.Second))
	}
	label, err := key.Verify(account, l.labelProof) // DIR-22
	if err != nil {
		return nil, err
	}
	if err := l.checkTail(at); err != nil { // DIR-23
		return nil, err
	}
	value, entries, err := l.checkTree(label) // DIR-24, DIR-25
	if err != nil {
		return nil, err
	}
	v := &Verified{account: account, facts: at}
	if v.leaves, err = l.checkLeaves(label, value, entries); err != nil { // DIR-26
		return nil, err
	}
	if err := l.checkPath(at, v.leaves); err != nil { // DIR-27
		return nil, err
	}
	if v.chain, err = l.checkChain(account, now); err != nil { // DIR-28
		return nil, err
	}
	if err := at.Known.check(v.chain); err != nil { // DIR-29
		return nil, err
	}
	return v, nil
}

// checkTail: the tail with what is left of it makes up the checkpoint's tree.
func (l *Lookup) checkTail(at Facts) error {
	if l.tail.start+uint64(len(l.tail.entries)) != at.Size {
		return invalid("%d entries from %d are not the end of a log of %d", len(l.tail.entries), l.tail.start, at.Size)
	}
	if head, ok := l.tail.head(); !ok || head != tlog.Hash(at.Root) {
		return invalid("the entries shown are not those of the log")
	}
	return nil
}

// checkTree returns what the log's tree over the entries before the tail says
// of the label, and the parsed tail.
func (l *Lookup) checkTree(label Label) (value Value, entries []Entry, err error) {
	var root *Root
	for _, b := range l.tail.entries {
		e, err := ParseEntry(b)
		if err != nil {
			return value, nil, err
		}
		entries = append(entries, e)
		if e.Root == nil || l.tail.start == 0 || e.Root.Size != l.tail.start {
			continue
		}
		if root != nil && *root != *e.Root {
			return value, nil, invalid("the log has two roots of one tree")
		}
		root = e.Root
	}
	if l.tail.start == 0 {
		if l.tree != nil {
			return value, nil, invalid("a tree where all entries are shown")
		}
		return value, entries, nil
	}
	if root == nil {
		return value, nil, invalid("no root on the log covers the entries before %d", l.tail.start)
	}
	value, _, err = l.tree.Verify(root.Hash, label)
	return value, entries, err
}

// checkLeaves: the opened leaves before the tail are those of the tree's
// history, the others are all that the tail has of the label.
func (l *Lookup) checkLeaves(label Label, value Value, tail []Entry) ([]LeafFacts, error) {
	var leaves []LeafFacts
	var history Value // fixes each leaf, its index and their order
	inTree := 0
	for i := range l.chain {
		o := &l.chain[i]
		leaf := LeafFacts{o.Index, NewLeaf(label, o.Statement, o.Salt), o}
		if leaves = append(leaves, leaf); inTree == i && o.Index < l.tail.start {
			history, inTree = history.Next(leaf.Index, leaf.Leaf), i+1
		}
	}
	if history != value {
		return nil, invalid("the tree has %d leaves of the account, not the %d shown", value.Version, history.Version)
	}
	if err := l.checkRest(label, leaves[inTree:], tail); err != nil {
		return nil, err
	}
	return leaves, nil
}

func (l *Lookup) checkRest(label Label, leaves []LeafFacts, tail []Entry) error {
	next := uint64(0) // first place of the tail not yet looked at
	for _, leaf := range leaves {
		at, ok := find(label, tail, next)
		if !ok || l.tail.start+at != leaf.Index || *tail[at].Leaf != leaf.Leaf {
			return invalid("version %d is not the account's next leaf on the log", leaf.Opened.Statement.Version)
		}
		next = at + 1
	}
	if at, more := find(label, tail, next); more {
		return invalid("the log has a newer leaf of the account, at %d", l.tail.start+at)
	}
	return nil
}

// find returns the place of the first leaf of a label in a tail, from a place on.
func find(label Label, tail []Entry, from uint64) (uint64, bool) {
	for i := from; i < uint64(len(tail)); i++ {
		if e := tail[i]; e.Leaf != nil && e.Leaf.Label == label {
			return i, true
		}
	}
	return 0, false
}

// checkPath: the newest leaf before the tail is on the log itself, not only in
// its tree.
func (l *Lookup) checkPath(at Facts, leaves []LeafFacts) error {
	var newest *LeafFacts
	for i := range leaves {
		if leaves[i].Index < l.tail.start {
			newest = &leaves[i]
		}
	}
	if newest == nil {
		if len(l.path) > 0 {
			return invalid("a path without a leaf")
		}
		return nil
	}
	leaf := tlog.RecordHash(newest.Leaf.Entry())
	if tlog.CheckRecord(l.path, int64(at.Size), tlog.Hash(at.Root), int64(newest.Index), leaf) != nil {
		return invalid("the leaf at %d is not on the log", newest.Index)
	}
	return nil
}

// checkChain: the statements are the account's and follow one another.
func (l *Lookup) checkChain(account string, now time.Time) (*Chain, error) {
	if len(l.chain) == 0 {
		return nil, nil
	}
	var statements []*Statement
	for _, o := range l.chain {
		statements = append(statements, o.Statement)
	}
	chain, err := NewChain(statements...)
	if err != nil {
		return nil, err
	}
	if chain.Account() != account {
		return nil, invalid("statements of %q where %q was asked for", chain.Account(), account)
	}
	if limit := now.Add(MaxAhead).Unix(); chain.Newest().newest() > uint64(max(limit, 0)) {
		return nil, invalid("a device was added in the future")
	}
	return chain, nil
}

// check: nothing the reader knows is gone or replaced.
func (p Pin) check(c *Chain) error {
	switch {
	case p.Version == 0:
		return nil
	case c == nil || c.Version() < p.Version:
		return fmt.Errorf("directory: %w: version %d is gone", ErrRollback, p.Version)
	case c.Statement(p.Version).Hash() != p.Hash:
		return fmt.Errorf("directory: %w: version %d is another", ErrRollback, p.Version)
	}
	return nil
}
