package ledger

import (
	"writ/internal/wire"
	"writ/warrant"
)

// Outcome is how the review of an emergency ended.
type Outcome uint8

// The outcomes. Another is unsupported.
const (
	ReviewConfirmed Outcome = 1 // by all who must approve such a warrant
	ReviewRefused   Outcome = 2 // by as many of one office as must approve it
)

// Review is the second look at a warrant of the urgent procedure. Confirming it
// takes the approvals of a new warrant; to refuse it one office is enough. Encoded: uint64
// warrant_index || warrant[32] || uint8 outcome || approvals<V>.
type Review struct {
	WarrantIndex uint64
	Warrant      EntryHash
	Outcome      Outcome
	Approvals    []warrant.Approval // of [Review.Hash], in ascending order of office and approver
}

// Hash returns what each approver signs.
func (x *Review) Hash() warrant.Hash { return wire.Hash("entry review", x.content()) }

func (x *Review) content() []byte {
	var w wire.Writer
	w.Uint64(x.WarrantIndex)
	w.Fixed(x.Warrant[:])
	w.Uint8(uint8(x.Outcome))
	return w.Bytes()
}

func parseReview(b []byte) (x *Review, err error) {
	r := wire.NewReader(b)
	x = &Review{WarrantIndex: r.Uint64(), Warrant: r.Array32(), Outcome: Outcome(r.Uint8())}
	if x.Approvals, err = approvals(r); err != nil {
		return nil, err
	}
	switch {
	case x.Outcome != ReviewConfirmed && x.Outcome != ReviewRefused:
		return nil, unsupported("review outcome %d", x.Outcome)
	case !ascending(x.Approvals, warrant.CompareApprovals):
		return nil, malformed("review: approvals are not sorted, or one stands twice")
	}
	return x, nil
}

// Entry returns the encoded entry.
func (x *Review) Entry() []byte { return approvedEntry(TypeReview, x.content(), x.Approvals...) }
