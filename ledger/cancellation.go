package ledger

import (
	"writ/internal/wire"
	"writ/warrant"
)

// Cancellation ends a warrant before its life does. One approver of an office
// that had to approve the warrant is enough: saying no needs no double lock.
// Encoded: uint64 warrant_index || warrant[32] || approval<V>.
type Cancellation struct {
	WarrantIndex uint64
	Warrant      EntryHash
	Approval     warrant.Approval // of [Cancellation.Hash]
}

// Hash returns what the approver signs.
func (x *Cancellation) Hash() warrant.Hash { return wire.Hash("entry cancellation", x.content()) }

func (x *Cancellation) content() []byte {
	var w wire.Writer
	w.Uint64(x.WarrantIndex)
	w.Fixed(x.Warrant[:])
	return w.Bytes()
}

func parseCancellation(b []byte) (*Cancellation, error) {
	r := wire.NewReader(b)
	x := &Cancellation{WarrantIndex: r.Uint64(), Warrant: r.Array32()}
	list, err := approvals(r)
	switch {
	case err != nil:
		return nil, err
	case len(list) != 1:
		return nil, malformed("cancellation: %d approvals", len(list))
	}
	x.Approval = list[0]
	return x, nil
}

// Entry returns the encoded entry.
func (x *Cancellation) Entry() []byte {
	return approvedEntry(TypeCancellation, x.content(), x.Approval)
}

// approvals reads the end of an entry that approvers sign.
func approvals(r *wire.Reader) ([]warrant.Approval, error) {
	list, err := warrant.ParseApprovals(r.Opaque(MaxEntry))
	if r.Check(err); r.Done() != nil {
		return nil, malformed("approvals: %v", r.Done())
	}
	return list, nil
}

func approvedEntry(t Type, content []byte, list ...warrant.Approval) []byte {
	var w wire.Writer
	w.Fixed(content)
	w.Opaque(warrant.EncodeApprovals(list))
	return encodeEntry(t, w.Bytes())
}
