package docket

import (
	"bytes"
	"fmt"
	"slices"

	"writ/charter"
	"writ/internal/wire"
	"writ/ledger"
	"writ/warrant"
)

// Lodgement is what the docket may know of a warrant: the fields of its ledger
// entry, and which envelope goes with it. Encoded: warrant_hash[32] ||
// commitment[32] || charter[32] || case_type<V> || uint64 window || uint64
// not_before || uint64 not_after || uint8 flags || envelope_hash[32].
type Lodgement struct {
	Warrant    warrant.Hash
	Commitment [32]byte
	Charter    charter.Hash
	CaseType   string
	Window     uint64 // seconds
	NotBefore  uint64 // Unix seconds
	NotAfter   uint64
	Flags      uint8
	Envelope   [32]byte // SHA-256
}

// ParseLodgement parses the form only.
func ParseLodgement(b []byte) (*Lodgement, error) {
	r := wire.NewReader(b)
	l := &Lodgement{Warrant: r.Array32(), Commitment: r.Array32(), Charter: r.Array32(), CaseType: r.Name(),
		Window: r.Uint64(), NotBefore: r.Uint64(), NotAfter: r.Uint64(), Flags: r.Uint8(), Envelope: r.Array32()}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("docket: lodgement: %w", err)
	}
	return l, nil
}

// Encode returns the encoding that the agency signs.
func (l *Lodgement) Encode() []byte {
	var w wire.Writer
	w.Fixed(l.Warrant[:])
	w.Fixed(l.Commitment[:])
	w.Fixed(l.Charter[:])
	w.String(l.CaseType)
	w.Uint64(l.Window)
	w.Uint64(l.NotBefore)
	w.Uint64(l.NotAfter)
	w.Uint8(l.Flags)
	w.Fixed(l.Envelope[:])
	return w.Bytes()
}

// entry returns the signed warrant entry. It is a function of the lodgement
// and the charter, so that publishing again gives the same bytes.
func (l *Lodgement) entry(c *charter.Charter, key ledger.DocketSigner) ([]byte, error) {
	x := &ledger.Warrant{Commitment: l.Commitment, Charter: l.Charter, CaseType: l.CaseType,
		Window: l.Window, NotBefore: l.NotBefore, NotAfter: l.NotAfter, Flags: l.Flags}
	for _, r := range c.Approval {
		x.Offices = append(x.Offices, r.Office)
	}
	slices.Sort(x.Offices)
	x.Sign(key)
	if _, err := ledger.ParseEntry(x.Entry()); err != nil {
		return nil, err
	}
	return x.Entry(), nil
}

// requestEntry returns the signed request entry for leaves, which must be 32
// bytes each, ascending and distinct.
func requestEntry(r *record, leaves [][]byte, key ledger.DocketSigner) ([]byte, error) {
	x := &ledger.Request{WarrantIndex: r.published.index, Warrant: ledger.HashEntry(r.published.entry)}
	if len(leaves) > ledger.MaxLeaves {
		return nil, fmt.Errorf("%w: %d leaves", wire.ErrMalformed, len(leaves))
	}
	for _, l := range leaves {
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
func requestContent(h []byte, leaves [][]byte) []byte {
	var w wire.Writer
	w.Fixed(h)
	w.Opaque(bytes.Join(leaves, nil))
	return w.Bytes()
}
