package unseal

import (
	"fmt"

	"writ/capsule"
	"writ/internal/wire"
	"writ/ledger"
	"writ/warrant"
)

// Bounds of a request.
const (
	MaxCompartments = ledger.MaxLeaves // 1024
	MaxRequest      = 32 << 20         // bytes
)

const maxRosterProof = 4096

// Request is the package a custodian gets, sealed to its mail key with
// [warrant.Seal]:
//
//	struct {
//	    uint16 version = 1;
//	    opaque warrant<V>;                         package warrant
//	    opaque warrant_salt[32];                   of the commitment
//	    opaque renewed<V>;                         a warrant.Salted, or empty
//	    opaque warrant_entry<V>, warrant_proof<V>; package ledger
//	    opaque request_entry<V>, request_proof<V>;
//	    opaque notice_salt[32];                    package notice
//	    struct { opaque capsule<V>, roster_proof<V>; } compartments<V>;
//	} Request;
//
// There are 1 to 1024 compartments, in any order. A roster proof is empty where
// the subject is the sender.
type Request struct {
	Warrant      []byte
	WarrantSalt  [32]byte
	Renewed      []byte // the warrant that this one renews, with its salt
	WarrantEntry []byte
	WarrantProof []byte
	RequestEntry []byte
	RequestProof []byte
	NoticeSalt   [32]byte
	Compartments []Compartment
}

// Compartment is one capsule with the proof that the subject was in the roster.
type Compartment struct {
	Capsule     []byte
	RosterProof []byte
}

// Encode returns the encoding.
func (q *Request) Encode() []byte {
	var w wire.Writer
	w.Uint16(1)
	w.Opaque(q.Warrant)
	w.Fixed(q.WarrantSalt[:])
	w.Opaque(q.Renewed)
	for _, b := range [][]byte{q.WarrantEntry, q.WarrantProof, q.RequestEntry, q.RequestProof} {
		w.Opaque(b)
	}
	w.Fixed(q.NoticeSalt[:])
	w.Vector(func(w *wire.Writer) {
		for _, c := range q.Compartments {
			w.Opaque(c.Capsule)
			w.Opaque(c.RosterProof)
		}
	})
	return w.Bytes()
}

// ParseRequest takes the package apart. Its parts are parsed by [Authorize].
// What it returns aliases b.
func ParseRequest(b []byte) (*Request, error) {
	if len(b) > MaxRequest {
		return nil, fmt.Errorf("unseal: request: %w: %d bytes", wire.ErrMalformed, len(b))
	}
	r := wire.NewReader(b)
	if v := r.Uint16(); r.Err() == nil && v != 1 {
		return nil, fmt.Errorf("unseal: request: %w: version %d", ErrUnsupported, v)
	}
	q := &Request{
		Warrant: r.Opaque(warrant.MaxSize), WarrantSalt: r.Array32(),
		Renewed:      r.Opaque(32 + warrant.MaxSize),
		WarrantEntry: r.Opaque(ledger.MaxEntry), WarrantProof: r.Opaque(ledger.MaxProof),
		RequestEntry: r.Opaque(ledger.MaxEntry), RequestProof: r.Opaque(ledger.MaxProof),
		NoticeSalt: r.Array32(),
	}
	list := r.Vector(MaxRequest)
	for list.More() {
		if len(q.Compartments) == MaxCompartments {
			list.Fail("more than %d compartments", MaxCompartments)
		}
		q.Compartments = append(q.Compartments, Compartment{list.Opaque(capsule.MaxSize), list.Opaque(maxRosterProof)})
	}
	r.Check(list.Done())
	if len(q.Compartments) == 0 {
		r.Fail("no compartments")
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("unseal: request: %w", err)
	}
	return q, nil
}
