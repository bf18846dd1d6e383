package ledger

import (
	"bytes"
	"crypto/ed25519"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"writ/charter"
	"writ/internal/wire"
)

// DocketSigner signs warrant and request entries: the private half of a
// [charter.DocketKey].
type DocketSigner ed25519.PrivateKey

// CustodianSigner signs release, refusal and destruction entries: the private
// half of a [charter.CustodianKey].
type CustodianSigner ed25519.PrivateKey

// Flags of a warrant entry. Any other flag is unsupported.
const (
	FlagEmergency uint8 = 1 << 0
	FlagTest      uint8 = 1 << 1
)

// Bounds of the vectors of an entry.
const (
	MaxOffices = 16
	MaxLeaves  = 1024

	maxCharterName = 200
)

// Warrant is all that is public of a warrant. Encoded: commitment[32] ||
// charter[32] || case_type<V> || offices<V> || uint64 window || uint64
// not_before || uint64 not_after || uint8 flags || signature[64].
type Warrant struct {
	Commitment [32]byte     // salted commitment to the readable warrant
	Charter    charter.Hash // the law it stands under
	CaseType   string
	Offices    []string // that approved, sorted, distinct
	Window     uint64   // length of what it may open, seconds
	NotBefore  uint64   // its life, seconds since the Unix epoch
	NotAfter   uint64
	Flags      uint8
	Signature  [64]byte // by the charter's docket key
}

// IsEmergency reports whether the urgent procedure was used.
func (x *Warrant) IsEmergency() bool { return x.Flags&FlagEmergency != 0 }

// IsTest reports whether the warrant is for synthetic accounts.
func (x *Warrant) IsTest() bool { return x.Flags&FlagTest != 0 }

func (x *Warrant) content() []byte {
	var w wire.Writer
	w.Fixed(x.Commitment[:])
	w.Fixed(x.Charter[:])
	w.String(x.CaseType)
	w.Vector(func(w *wire.Writer) {
		for _, o := range x.Offices {
			w.String(o)
		}
	})
	w.Uint64(x.Window)
	w.Uint64(x.NotBefore)
	w.Uint64(x.NotAfter)
	w.Uint8(x.Flags)
	return w.Bytes()
}

func parseWarrant(b []byte) (*Warrant, error) {
	r := wire.NewReader(b)
	x := &Warrant{Commitment: r.Array32(), Charter: r.Array32(), CaseType: r.Name()}
	offices := r.Vector(MaxOffices * (wire.MaxName + 2))
	for offices.More() {
		x.Offices = append(x.Offices, offices.Name())
	}
	r.Check(offices.Done())
	x.Window, x.NotBefore, x.NotAfter, x.Flags = r.Uint64(), r.Uint64(), r.Uint64(), r.Uint8()
	copy(x.Signature[:], r.Fixed(64))
	if err := r.Done(); err != nil {
		return nil, malformed("warrant: %v", err)
	}
	switch {
	case x.Flags&^(FlagEmergency|FlagTest) != 0:
		return nil, unsupported("warrant flags %#x", x.Flags)
	case len(x.Offices) == 0 || len(x.Offices) > MaxOffices || !ascending(x.Offices, strings.Compare):
		return nil, malformed("warrant: offices are not a sorted list of 1 to %d", MaxOffices)
	case x.NotAfter <= x.NotBefore:
		return nil, malformed("warrant: its life ends before it begins")
	}
	return x, nil
}

// Sign sets the signature.
func (x *Warrant) Sign(key DocketSigner) { x.Signature = sign(TypeWarrant, key, x.content()) }

// Verify reports whether the signature is by the docket key of a charter.
func (x *Warrant) Verify(docket charter.DocketKey) bool {
	return docket.Verify(TypeWarrant.label(), x.content(), x.Signature[:])
}

// Entry returns the encoded entry.
func (x *Warrant) Entry() []byte { return signedEntry(TypeWarrant, x.content(), x.Signature) }

// Request asks the custodians for compartments under a warrant entry. Encoded: uint64
// warrant_index || warrant[32] || leaves<V> || uint64 round || timelock<V> ||
// signature[64].
type Request struct {
	WarrantIndex uint64     // where the warrant entry stands
	Warrant      EntryHash  // and its hash
	Leaves       [][32]byte // notice.Leaf of each compartment, sorted, distinct, 1 to MaxLeaves
	Round        uint64     // beacon round of the notice; 0 in this version
	Timelock     []byte     // the notice's salt, sealed to Round; empty in this version
	Signature    [64]byte   // by the docket key of the warrant's charter
}

func (x *Request) content() []byte {
	var w wire.Writer
	w.Uint64(x.WarrantIndex)
	w.Fixed(x.Warrant[:])
	w.Vector(func(w *wire.Writer) {
		for _, l := range x.Leaves {
			w.Fixed(l[:])
		}
	})
	w.Uint64(x.Round)
	w.Opaque(x.Timelock)
	return w.Bytes()
}

func parseRequest(b []byte) (*Request, error) {
	r := wire.NewReader(b)
	x := &Request{WarrantIndex: r.Uint64(), Warrant: r.Array32()}
	leaves := r.Vector(MaxLeaves * 32)
	for leaves.More() {
		x.Leaves = append(x.Leaves, leaves.Array32())
	}
	r.Check(leaves.Done())
	x.Round, x.Timelock = r.Uint64(), r.Opaque(MaxEntry)
	copy(x.Signature[:], r.Fixed(64))
	if err := r.Done(); err != nil {
		return nil, malformed("request: %v", err)
	}
	switch {
	case len(x.Leaves) == 0 || !ascending(x.Leaves, compare32):
		return nil, malformed("request: leaves are not a sorted list of 1 to %d", MaxLeaves)
	case x.Round != 0 || len(x.Timelock) != 0:
		return nil, unsupported("request with a timelock")
	}
	return x, nil
}

// Root returns the RFC 6962 root hash over the leaves, which releases repeat.
func (x *Request) Root() [32]byte { return leafRoot(x.Leaves) }

// Sign sets the signature.
func (x *Request) Sign(key DocketSigner) { x.Signature = sign(TypeRequest, key, x.content()) }

// Verify reports whether the signature is by the docket key of a charter.
func (x *Request) Verify(docket charter.DocketKey) bool {
	return docket.Verify(TypeRequest.label(), x.content(), x.Signature[:])
}

// Entry returns the encoded entry.
func (x *Request) Entry() []byte { return signedEntry(TypeRequest, x.content(), x.Signature) }

// Release is a custodian's intent to release its shares for a whole request,
// logged before it hands them over. Encoded: uint64 request_index || request[32] || office<V> ||
// custodian<V> || uint32 count || root[32] || signature[64].
type Release struct {
	RequestIndex      uint64
	Request           EntryHash
	Office, Custodian string
	Count             uint32   // compartments: the number of the request's leaves
	Root              [32]byte // Request.Root
	Signature         [64]byte // by the custodian
}

func (x *Release) content() []byte {
	var w wire.Writer
	w.Uint64(x.RequestIndex)
	w.Fixed(x.Request[:])
	w.String(x.Office)
	w.String(x.Custodian)
	w.Uint32(x.Count)
	w.Fixed(x.Root[:])
	return w.Bytes()
}

func parseRelease(b []byte) (*Release, error) {
	r := wire.NewReader(b)
	x := &Release{RequestIndex: r.Uint64(), Request: r.Array32(), Office: r.Name(), Custodian: r.Name(),
		Count: r.Uint32(), Root: r.Array32()}
	copy(x.Signature[:], r.Fixed(64))
	if err := r.Done(); err != nil {
		return nil, malformed("release: %v", err)
	}
	return x, nil
}

// Sign sets the signature.
func (x *Release) Sign(key CustodianSigner) { x.Signature = sign(TypeRelease, key, x.content()) }

// Verify reports whether the signature is by a custodian's signing key.
func (x *Release) Verify(custodian charter.CustodianKey) bool {
	return custodian.Verify(TypeRelease.label(), x.content(), x.Signature[:])
}

// Entry returns the encoded entry.
func (x *Release) Entry() []byte { return signedEntry(TypeRelease, x.content(), x.Signature) }

// Refusal is a custodian's refusal of a request, which need not be on the log.
// Encoded: request[32] || office<V> || custodian<V> || uint8 reason ||
// signature[64].
type Refusal struct {
	Request           EntryHash
	Office, Custodian string
	Reason            uint8    // the codes are the custodian's: see package unseal
	Signature         [64]byte // by the custodian
}

func (x *Refusal) content() []byte {
	var w wire.Writer
	w.Fixed(x.Request[:])
	w.String(x.Office)
	w.String(x.Custodian)
	w.Uint8(x.Reason)
	return w.Bytes()
}

func parseRefusal(b []byte) (*Refusal, error) {
	r := wire.NewReader(b)
	x := &Refusal{Request: r.Array32(), Office: r.Name(), Custodian: r.Name(), Reason: r.Uint8()}
	copy(x.Signature[:], r.Fixed(64))
	if err := r.Done(); err != nil {
		return nil, malformed("refusal: %v", err)
	}
	return x, nil
}

// Sign sets the signature.
func (x *Refusal) Sign(key CustodianSigner) { x.Signature = sign(TypeRefusal, key, x.content()) }

// Verify reports whether the signature is by a custodian's signing key.
func (x *Refusal) Verify(custodian charter.CustodianKey) bool {
	return custodian.Verify(TypeRefusal.label(), x.content(), x.Signature[:])
}

// Entry returns the encoded entry.
func (x *Refusal) Entry() []byte { return signedEntry(TypeRefusal, x.content(), x.Signature) }

// Destruction states that a custodian destroyed the private key of a period.
// Encoded: office<V> || custodian<V> || uint32 period || charter_name<V> ||
// signature[64].
type Destruction struct {
	Office, Custodian string
	Period            uint32
	CharterName       string
	Signature         [64]byte // by the custodian
}

func (x *Destruction) content() []byte {
	var w wire.Writer
	w.String(x.Office)
	w.String(x.Custodian)
	w.Uint32(x.Period)
	w.String(x.CharterName)
	return w.Bytes()
}

func parseDestruction(b []byte) (*Destruction, error) {
	r := wire.NewReader(b)
	x := &Destruction{Office: r.Name(), Custodian: r.Name(), Period: r.Uint32(), CharterName: r.String(maxCharterName)}
	copy(x.Signature[:], r.Fixed(64))
	if err := r.Done(); err != nil {
		return nil, malformed("destruction: %v", err)
	}
	return x, nil
}

// Sign sets the signature.
func (x *Destruction) Sign(key CustodianSigner) {
	x.Signature = sign(TypeDestruction, key, x.content())
}

// Verify reports whether the signature is by a custodian's signing key.
func (x *Destruction) Verify(custodian charter.CustodianKey) bool {
	return custodian.Verify(TypeDestruction.label(), x.content(), x.Signature[:])
}

// Entry returns the encoded entry.
func (x *Destruction) Entry() []byte {
	return signedEntry(TypeDestruction, x.content(), x.Signature)
}

func sign[K ~[]byte](t Type, key K, content []byte) [64]byte {
	return [64]byte(ed25519.Sign(ed25519.PrivateKey(key), wire.SignContent(t.label(), content)))
}

func signedEntry(t Type, content []byte, sig [64]byte) []byte {
	return encodeEntry(t, append(content, sig[:]...))
}

// leafRoot returns the RFC 6962 root hash whose leaves' data are the values.
func leafRoot(leaves [][32]byte) [32]byte {
	hashes := make([]tlog.Hash, 0, 2*len(leaves))
	read := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(at))
		for i, x := range at {
			out[i] = hashes[x]
		}
		return out, nil
	})
	for i, l := range leaves {
		stored, err := tlog.StoredHashes(int64(i), l[:], read)
		if err != nil {
			panic("ledger: " + err.Error()) // the reader above doesn't fail
		}
		hashes = append(hashes, stored...)
	}
	root, err := tlog.TreeHash(int64(len(leaves)), read)
	if err != nil {
		panic("ledger: " + err.Error())
	}
	return root
}

// ascending reports whether the values are sorted and distinct.
func ascending[T any](s []T, compare func(a, b T) int) bool {
	for i := 1; i < len(s); i++ {
		if compare(s[i-1], s[i]) >= 0 {
			return false
		}
	}
	return true
}

func compare32(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) }
