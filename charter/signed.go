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
