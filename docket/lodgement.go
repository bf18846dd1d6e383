package docket

import (
	"bytes"
	"fmt"

	"writ/api"
	"writ/internal/wire"
	"writ/ledger"
	"writ/warrant"
)

// Lodgement is what the docket may know of a warrant: what the ledger will show,
// and which envelope goes with it. Encoded: warrant_hash[32] || [warrant.Public]
// || envelope_hash[32].
type Lodgement struct {
	Warrant warrant.Hash
	warrant.Public
	Envelope [32]byte // SHA-256
}

// ParseLodgement parses the form only.
func ParseLodgement(b []byte) (*Lodgement, error) {
	r := wire.NewReader(b)
	l := &Lodgement{Warrant: r.Array32()}
	var err error
	if l.Public, err = warrant.ReadPublic(r); err != nil {
		return nil, fmt.Errorf("docket: lodgement: %w", err)
	}
	l.Envelope = r.Array32()
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("docket: lodgement: %w", err)
	}
	return l, nil
}

// Encode returns the encoding that the agency signs.
func (l *Lodgement) Encode() []byte {
	var w wire.Writer
	w.Fixed(l.Warrant[:])
	w.Fixed(l.Public.Encode())
	w.Fixed(l.Envelope[:])
	return w.Bytes()
}

// entry returns the signed warrant entry. It is a function of lodgement and
// approvals, which stay as they are once there are enough, so that publishing
// again gives the same bytes.
func (l *Lodgement) entry(approvals []warrant.Approval, key ledger.DocketSigner) []byte {
	x := &ledger.Warrant{Public: l.Public, Approvals: approvals}
	x.Sign(key)
	return x.Entry()
}

// requestEntry returns the signed request entry of a call, whose leaves must be
// 32 bytes each, ascending and distinct. It can't know what the timelock holds:
// custodians recompute it.
func requestEntry(r *record, q *api.RequestReleaseRequest, key ledger.DocketSigner) ([]byte, error) {
	x := &ledger.Request{WarrantIndex: r.published.index, Warrant: ledger.HashEntry(r.published.entry),
		Round: q.Round, Timelock: q.Timelock}
	if len(q.Leaves) > ledger.MaxLeaves {
		return nil, fmt.Errorf("%w: %d leaves", wire.ErrMalformed, len(q.Leaves))
	}
	for _, l := range q.Leaves {
		if len(l) != 32 {
			return nil, fmt.Errorf("%w: leaf of %d bytes", wire.ErrMalformed, len(l))
		}
		x.Leaves = append(x.Leaves, [32]byte(l))
	}
	x.Sign(key)
	_, err := ledger.ParseEntry(x.Entry())
	return x.Entry(), err
}

// requestContent is what an agency signs to request a release.
func requestContent(q *api.RequestReleaseRequest) []byte {
	var w wire.Writer
	w.Fixed(q.WarrantHash)
	w.Opaque(bytes.Join(q.Leaves, nil))
	w.Uint64(q.Round)
	w.Opaque(q.Timelock)
	return w.Bytes()
}
