package capsule

import (
	"bytes"
	"fmt"

	"writ/internal/wire"
)

// Mismatch is the error of [Sealer.Check] for a capsule that parses and is not
// the right one. It wraps [ErrInvalid].
type Mismatch struct {
	Part      string // "label", "body", "number of shares", "commitment" or "sealed share"
	Office    string // of the custodian whose share it is, if it is one
	Custodian string
}

// Error says which part differs.
func (m *Mismatch) Error() string {
	if m.Custodian == "" {
		return "capsule: invalid: the " + m.Part + " differs"
	}
	return fmt.Sprintf("capsule: invalid: the %s of custodian %s (%s) differs", m.Part, m.Custodian, m.Office)
}

// Unwrap returns [ErrInvalid].
func (m *Mismatch) Unwrap() error { return ErrInvalid }

// Check recomputes the capsule of a compartment and compares every byte. It
// returns nil, an error that wraps [wire.ErrMalformed], or a [*Mismatch] that
// names the first part that differs; or what Seal would return.
func (s *Sealer) Check(capsule []byte, l *Label, ratchet, senderData []byte) error {
	want, err := s.seal(l, ratchet, senderData)
	if err != nil {
		return err
	}
	return s.compare(capsule, want)
}

func (s *Sealer) compare(got, want []byte) error {
	if bytes.Equal(got, want) {
		return nil
	}
	if len(got) > MaxSize {
		return fmt.Errorf("capsule: %w: %d bytes", wire.ErrMalformed, len(got))
	}
	g, err := parse(got)
	if err != nil {
		return err
	}
	w, err := parse(want)
	if err != nil {
		return err
	}
	return s.mismatch(g, w)
}

// mismatch names the first part of two differing capsules that differs.
func (s *Sealer) mismatch(got, want *Capsule) error {
	switch {
	case !bytes.Equal(got.label.Encode(), want.label.Encode()):
		return &Mismatch{Part: "label"}
	case !bytes.Equal(got.body, want.body):
		return &Mismatch{Part: "body"}
	case len(got.shares) != len(want.shares):
		return &Mismatch{Part: "number of shares"}
	}
	for i, leaf := range s.access.Leaves() {
		g, w := &got.shares[i], &want.shares[i]
		if g.Commitment != w.Commitment {
			return &Mismatch{"commitment", leaf.Office, leaf.Custodian}
		}
		if !bytes.Equal(g.Enc, w.Enc) || !bytes.Equal(g.Ciphertext, w.Ciphertext) {
			return &Mismatch{"sealed share", leaf.Office, leaf.Custodian}
		}
	}
	return &Mismatch{Part: "encoding"}
}
