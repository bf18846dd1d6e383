package keyproof

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"writ/charter"
	"writ/directory"
	"writ/ledger"
)

// Log is a directory as a law names it. It is immutable.
type Log struct {
	policies []*ledger.Policy // of one log, that of the newest version first
	labels   directory.LabelKey
}

// NewLog parses what the newest version of a law says of its directory. Older
// versions that name the same log and label key give witnesses who dated it in
// their time.
func NewLog(newest charter.Directory, older ...charter.Directory) (*Log, error) {
	policy, err := ledger.ParsePolicy(newest.Policy)
	if err != nil {
		return nil, fmt.Errorf("keyproof: the law's directory: %w", err)
	}
	labels, err := directory.ParseLabelKey(newest.VRF[:])
	if err != nil {
		return nil, fmt.Errorf("keyproof: the law's directory: %w", err)
	}
	l := &Log{[]*ledger.Policy{policy}, labels}
	for _, d := range older {
		if p, err := ledger.ParsePolicy(d.Policy); err == nil && p.LogVKey() == policy.LogVKey() && d.VRF == newest.VRF {
			l.policies = append(l.policies, p)
		}
	}
	return l, nil
}

// Account is what the directory's log has of an account, proven. Only [Log.Verify]
// makes one.
type Account struct {
	name       string
	chain      *directory.Chain // nil: it has no statement
	checkpoint *ledger.Checkpoint
	dates      map[uint64]Span // by version
}

// Span is when something came onto the log: after From and no later than By, by
// the witnesses' clocks. Either is zero if it is not known.
type Span struct{ From, By time.Time }

// Verify checks a proof: the checkpoint is one that the law's policy accepts, not
// older than maxAge (0: of any time), the look-up holds under it, and so does each
// date. An account without statements verifies too.
func (l *Log) Verify(p *Proof, now time.Time, maxAge time.Duration) (*Account, error) {
	c, err := accept(l.policies[0], p.Checkpoint, now, maxAge)
	if err != nil {
		return nil, err
	}
	at := directory.Facts{Size: c.Size(), Root: c.Tree().Hash, Time: c.Time()}
	v, err := directory.Verify(p.Lookup, p.Account, l.labels, at, c.Time())
	if err != nil {
		return nil, fmt.Errorf("keyproof: %w", err)
	}
	a := &Account{p.Account, v.Chain(), c, map[uint64]Span{}}
	next := uint64(1)
	for _, d := range p.Dates {
		if d.Version < next || d.Version > uint64(len(v.Leaves())) {
			return nil, invalid("version %d is dated out of order, or is not there", d.Version)
		}
		if a.dates[d.Version], err = l.date(d, v.Leaves()[d.Version-1].Index, c); err != nil {
			return nil, err
		}
		next = d.Version + 1
	}
	return a, nil
}

// Form brings the checkpoints of an answer into the one form that Verify takes: a
// directory may have more witnesses than the law names, such as while an amendment
// waits. What no version's policy accepts stays as it is.
func (l *Log) Form(p *Proof) {
	form := func(signed []byte, policies []*ledger.Policy) []byte {
		for _, policy := range policies {
			if c, err := policy.Checkpoint(signed, time.Time{}, 0); err == nil {
				return c.Signed()
			}
		}
		return signed
	}
	p.Checkpoint = form(p.Checkpoint, l.policies[:1])
	p.Dates = slices.Clone(p.Dates)
	for i := range p.Dates {
		d := &p.Dates[i]
		d.Before, d.After = form(d.Before, l.policies), form(d.After, l.policies)
	}
}

// accept takes a checkpoint in its one form.
func accept(policy *ledger.Policy, signed []byte, now time.Time, maxAge time.Duration) (*ledger.Checkpoint, error) {
	c, err := policy.Checkpoint(signed, now, maxAge)
	if err != nil {
		return nil, fmt.Errorf("keyproof: %w", err)
	}
	if !bytes.Equal(c.Signed(), signed) {
		return nil, invalid("a checkpoint in another than its one form")
	}
	return c, nil
}

// date verifies the checkpoints around a leaf. Before it a quorum stood by a log
// without the leaf, and did so at the checkpoint's time. After it, a quorum stood by
// one with the leaf, the last of them at the latest cosignature: one witness that
// dates back can't make the leaf older.
func (l *Log) date(d Date, index uint64, newest *ledger.Checkpoint) (s Span, err error) {
	if len(d.Before)+len(d.After) == 0 {
		return s, invalid("version %d has a date that says nothing", d.Version)
	}
	if len(d.Before) > 0 {
		c, _, err := l.any(d.Before)
		if err != nil {
			return s, err
		}
		if c.Size() > index {
			return s, invalid("the checkpoint before version %d covers it", d.Version)
		}
		s.From = c.Time()
	}
	if len(d.After) > 0 {
		c, policy, err := l.any(d.After)
		if err != nil {
			return s, err
		}
		switch {
		case c.Size() <= index || c.Size() > newest.Size():
			return s, invalid("the checkpoint after version %d does not cover it, or more than the newest", d.Version)
		case c.Size() == newest.Size() && c.Tree() != newest.Tree():
			return s, invalid("two checkpoints of %d entries contradict each other", c.Size())
		}
		for _, x := range policy.Cosignatures(c) {
			if x.Time.After(s.By) {
				s.By = x.Time
			}
		}
	}
	return s, nil
}

// any takes a checkpoint that the policy of some version accepts.
func (l *Log) any(signed []byte) (c *ledger.Checkpoint, policy *ledger.Policy, err error) {
	for _, policy = range l.policies {
		if c, err = accept(policy, signed, time.Time{}, 0); err == nil {
			return c, policy, nil
		}
	}
	return nil, nil, err
}
