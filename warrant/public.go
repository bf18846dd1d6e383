package warrant

import (
	"slices"
	"strings"

	"writ/charter"
	"writ/internal/wire"
)

// MaxOffices bounds the offices of a [Public] form.
const MaxOffices = 16

// Public is all that the ledger says of a warrant: nothing of whom, which
// conversations, which days or why. A renewal shows the commitment that it
// renews, so that anyone can count how long one person's warrants went on, still
// without a name. Encoded: commitment[32] || charter[32] || uint8 action ||
// renews[32] || case_type<V> || offices<V> || uint64 window || uint64 not_before
// || uint64 not_after || uint8 flags || readers<V>.
type Public struct {
	Commitment [32]byte     // salted commitment to the readable warrant
	Charter    charter.Hash // the law it stands under
	Action     Action
	Renews     [32]byte // commitment of the warrant that it renews, or zero
	CaseType   string
	Offices    []string // that must approve it, sorted, distinct, 1 to [MaxOffices]
	Window     uint64   // length of what it may open, seconds
	NotBefore  uint64   // its life, Unix seconds
	NotAfter   uint64
	Flags      Flags
	// Readers are commitments to the keys of those who may read, sorted, distinct:
	// a reading shows that it is one of them, and their number is public. 1 to 16
	// if it discloses, else possibly none.
	Readers [][32]byte
}

// Commitment returns what the ledger states of a warrant instead of the
// warrant. The salt is random and travels with the readable warrant.
func Commitment(salt [32]byte, h Hash) [32]byte {
	return wire.Hash("warrant commitment", salt[:], h[:])
}

// Salted encodes a warrant with the salt of its commitment, for those who may know
// both: approvers, and custodians of the warrant that another renews. Encoded:
// salt[32] || warrant.
func Salted(w *Warrant, salt [32]byte) []byte { return slices.Concat(salt[:], w.Encode()) }

// ParseSalted reads what [Salted] wrote. Its errors are those of [Parse].
func ParseSalted(b []byte) (w *Warrant, salt [32]byte, err error) {
	if len(b) < len(salt) {
		return nil, salt, fieldError("salt", "%d bytes", len(b))
	}
	salt = [32]byte(b)
	w, err = Parse(b[len(salt):])
	return w, salt, err
}

// Public returns what the ledger has to say of a warrant with a salt, under the
// charter that it names. The warrant must have been parsed.
func (w *Warrant) Public(salt [32]byte, c *charter.Charter) Public {
	return w.PublicBy(salt, c.WarrantRules(w.Flags&IsPrivileged != 0).Offices())
}

// PublicBy is [Warrant.Public] for an approver, who takes the offices from the
// docket: with others than the charter's the form is one that no reader of the
// ledger counts.
func (w *Warrant) PublicBy(salt [32]byte, offices []string) Public {
	start, end := w.Window()
	return Public{Commitment: Commitment(salt, w.Hash()), Charter: w.Charter, Action: w.Action, Renews: w.Renews,
		CaseType: w.CaseType, Offices: offices, Window: uint64(end.Unix() - start.Unix()),
		NotBefore: w.NotBefore, NotAfter: w.NotAfter, Flags: w.Flags, Readers: w.commitReaders(salt)}
}

// Hash returns what approvers sign. Its commitment binds the whole warrant, and
// whoever has the ledger only can compute it.
func (p *Public) Hash() Hash { return wire.Hash("public warrant", p.Encode()) }

// Differs names the first field in which two forms differ; it is empty where
// they are the same. It is the one comparison of an entry with its warrant.
func (p Public) Differs(q Public) string {
	for _, field := range []struct {
		name string
		same bool
	}{
		{"commitment", p.Commitment == q.Commitment},
		{"charter", p.Charter == q.Charter},
		{"action", p.Action == q.Action},
		{"renewal", p.Renews == q.Renews},
		{"case type", p.CaseType == q.CaseType},
		{"offices", slices.Equal(p.Offices, q.Offices)},
		{"window", p.Window == q.Window},
		{"begin of life", p.NotBefore == q.NotBefore},
		{"end of life", p.NotAfter == q.NotAfter},
		{"flags", p.Flags == q.Flags},
		{"readers", slices.Equal(p.Readers, q.Readers)},
	} {
		if !field.same {
			return field.name
		}
	}
	return ""
}

// IsEmergency reports whether the urgent procedure is used.
func (p *Public) IsEmergency() bool { return p.Flags&IsEmergency != 0 }

// IsTest reports whether the warrant is for synthetic accounts.
func (p *Public) IsTest() bool { return p.Flags&IsTest != 0 }

// IsPrivileged reports whether it reaches privileged conversations.
func (p *Public) IsPrivileged() bool { return p.Flags&IsPrivileged != 0 }

// IsRenewal reports whether it renews another warrant.
func (p *Public) IsRenewal() bool { return p.Renews != [32]byte{} }

// Encode returns the encoding.
func (p *Public) Encode() []byte {
	var w wire.Writer
	w.Fixed(p.Commitment[:])
	w.Fixed(p.Charter[:])
	w.Uint8(uint8(p.Action))
	w.Fixed(p.Renews[:])
	w.String(p.CaseType)
	w.Vector(func(w *wire.Writer) {
		for _, o := range p.Offices {
			w.String(o)
		}
	})
	w.Uint64(p.Window)
	w.Uint64(p.NotBefore)
	w.Uint64(p.NotAfter)
	w.Uint8(uint8(p.Flags))
	w.Vector(func(w *wire.Writer) {
		for _, c := range p.Readers {
			w.Fixed(c[:])
		}
	})
	return w.Bytes()
}

// ReadPublic reads what [Public.Encode] wrote and leaves what follows. An unknown
// action or flag is unsupported.
func ReadPublic(r *wire.Reader) (p Public, err error) {
	p = Public{Commitment: r.Array32(), Charter: r.Array32(), Action: Action(r.Uint8()), Renews: r.Array32(), CaseType: r.Name()}
	offices := r.Vector(MaxOffices * (wire.MaxName + 2))
	for offices.More() {
		p.Offices = append(p.Offices, offices.Name())
	}
	r.Check(offices.Done())
	p.Window, p.NotBefore, p.NotAfter, p.Flags = r.Uint64(), r.Uint64(), r.Uint64(), Flags(r.Uint8())
	readers := r.Vector(maxReaders * 32)
	for readers.More() {
		p.Readers = append(p.Readers, readers.Array32())
	}
	r.Check(readers.Done())
	if err := r.Err(); err != nil {
		return Public{}, wrap(err)
	}
	if err := p.check(); err != nil {
		return Public{}, err
	}
	return p, nil
}

func (p *Public) check() error {
	sorted := slices.IsSortedFunc(p.Offices, strings.Compare) && len(slices.Compact(slices.Clone(p.Offices))) == len(p.Offices)
	switch {
	case p.Action != Disclose && p.Action != Preserve:
		return unsupported("action", "%d", p.Action)
	case p.Flags&^allFlags != 0:
		return unsupported("flags", "%#02x", uint8(p.Flags))
	case len(p.Offices) == 0 || len(p.Offices) > MaxOffices || !sorted:
		return fieldError("offices", "not a sorted list of 1 to %d", MaxOffices)
	case p.NotAfter <= p.NotBefore:
		return fieldError("not_after", "not after not_before")
	case p.Action == Disclose && len(p.Readers) == 0:
		return fieldError("readers", "nobody may read what it opens")
	case !sorted32(p.Readers):
		return fieldError("readers", "not a sorted list of distinct commitments")
	}
	return nil
}
