package docket

import (
	"bytes"
	"fmt"

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

// entry returns the signed warrant entry. It is a function of the lodgement, so
// that publishing again gives the same bytes.
func (l *Lodgement) entry(key ledger.DocketSigner) []byte {
	x := &ledger.Warrant{Public: l.Public}
	x.Sign(key)
	return x.Entry()
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
