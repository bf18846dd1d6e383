package charter

import (
	"cmp"
	"crypto/ed25519"
	"fmt"
	"slices"

	"writ/internal/wire"
)

// Signed is a version of a charter with the signatures that put it into force.
//
//	struct { opaque charter<V>; Signature signatures<V>; } Signed;
//	struct { opaque office<V>; opaque approver<V>; opaque signature[64]; } Signature;
//
// Signatures are over the charter's hash under "writ/v1 charter" and stand in
// ascending order of office and approver, each approver once.
type Signed struct {
	Charter    []byte // encoding
	Signatures []Signature
}

// Signature is one approver's, with an Ed25519 key: amendments take no
// WebAuthn assertions.
type Signature struct {
	Office    string
	Approver  string
	Signature [ed25519.SignatureSize]byte
}

// Encode returns the canonical encoding.
func (s *Signed) Encode() []byte {
	var w wire.Writer
	w.Opaque(s.Charter)
	vector(&w, s.Signatures, func(w *wire.Writer, s Signature) {
		w.String(s.Office)
		w.String(s.Approver)
		w.Fixed(s.Signature[:])
	})
	return w.Bytes()
}

// ParseSigned parses the form only, at most [MaxSignedSize] bytes.
func ParseSigned(b []byte) (*Signed, error) {
	if len(b) > MaxSignedSize {
		return nil, fmt.Errorf("charter: signed: %w: %d bytes", wire.ErrMalformed, len(b))
	}
	r := wire.NewReader(b)
	s := &Signed{Charter: clone(r.Opaque(MaxSize))}
	s.Signatures = list(r, func(r *wire.Reader) Signature {
		sig := Signature{Office: r.Name(), Approver: r.Name()}
		copy(sig.Signature[:], r.Fixed(ed25519.SignatureSize))
		return sig
	})
	for i := 1; i < len(s.Signatures); i++ {
		if s.Signatures[i-1].compare(s.Signatures[i]) >= 0 {
			r.Fail("signatures not in ascending order")
		}
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("charter: signed: %w", err)
	}
	return s, nil
}

func (s Signature) compare(t Signature) int {
	return cmp.Or(cmp.Compare(s.Office, t.Office), cmp.Compare(s.Approver, t.Approver))
}

// Hash returns the hash of the charter that is signed.
func (s *Signed) Hash() Hash { return wire.Hash("charter", s.Charter) }

// Sign adds or replaces an approver's signature.
func (s *Signed) Sign(office, approver string, key ed25519.PrivateKey) {
	h := s.Hash()
	sig := Signature{Office: office, Approver: approver}
	copy(sig.Signature[:], ed25519.Sign(key, wire.SignContent("charter", h[:])))
	at, found := slices.BinarySearchFunc(s.Signatures, sig, Signature.compare)
	if found {
		s.Signatures[at] = sig
	} else {
		s.Signatures = slices.Insert(s.Signatures, at, sig)
	}
}

// Verify returns the charter if it may follow prev, which is nil for version 1
// and otherwise itself verified. Rules, with numbers that follow those of
// [Charter.Validate]:
//
//	30  version 1 has no predecessor; another follows the version before it,
//	    by number, hash and name
//	31  a charter without exceptional access has no successor
//	32  every signature is by an Ed25519 approver of the version before (for
//	    version 1 of itself), each approver once, and verifies
//	33  the signatures satisfy that version's amendment rule; a first version
//	    without exceptional access has no rule and no signatures
//	34  the length of the key period stays: key statements name a period by
//	    number only, and serve all versions
func (s *Signed) Verify(prev *Charter) (*Charter, error) {
	c, err := Parse(s.Charter)
	if err != nil {
		return nil, err
	}
	if err := c.follows(prev); err != nil {
		return nil, err
	}
	law := prev
	if law == nil {
		law = c
	}
	signed, err := s.count(law)
	if err != nil {
		return nil, err
	}
	final := law.Mode == NoAccess // follows refuses one as prev
	if !final && !law.Amendment.Satisfied(signed) {
		return nil, invalid(33, "signatures missing from %v", law.Amendment.Missing(signed))
	}
	return c, nil
}

func (c *Charter) follows(prev *Charter) error {
	if prev == nil {
		if c.Number != 1 {
			return invalid(30, "version %d without its predecessor", c.Number)
		}
		return nil
	}
	switch {
	case prev.Mode == NoAccess:
		return invalid(31, "a charter without exceptional access is final")
	case c.Number != prev.Number+1 || c.Previous != prev.Hash():
		return invalid(30, "version %d does not follow version %d", c.Number, prev.Number)
	case c.Name != prev.Name:
		return invalid(30, "name %q follows %q", c.Name, prev.Name)
	case c.Mode == AccountableAccess && c.Limits.KeyPeriod != prev.Limits.KeyPeriod:
		return invalid(34, "a key period of %d s follows one of %d s", c.Limits.KeyPeriod, prev.Limits.KeyPeriod)
	}
	return nil
}

// count checks every signature by the law and counts them by office.
func (s *Signed) count(law *Charter) (map[string]int, error) {
	h := s.Hash()
	signed := map[string]int{}
	for i, sig := range s.Signatures {
		a := law.Approver(sig.Office, sig.Approver)
		switch {
		case a == nil || a.WebAuthn != nil:
			return nil, invalid(32, "%s of %s can't sign a charter", sig.Approver, sig.Office)
		case i > 0 && s.Signatures[i-1].compare(sig) >= 0:
			return nil, invalid(32, "signatures not in ascending order")
		case !a.Key.Verify("charter", h[:], sig.Signature[:]):
			return nil, invalid(32, "signature of %s does not verify", sig.Approver)
		}
		signed[sig.Office]++
	}
	return signed, nil
}
