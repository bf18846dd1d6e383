package ledger

import (
	"bytes"
	"crypto/ed25519"
	"errors"

	"golang.org/x/mod/sumdb/tlog"

	"writ/charter"
	"writ/internal/wire"
	"writ/notice/beacon"
	"writ/warrant"
)

// DocketSigner signs warrant and request entries: the private half of a
// [charter.DocketKey].
type DocketSigner ed25519.PrivateKey

// CustodianSigner signs release, refusal and destruction entries: the private
// half of a [charter.CustodianKey].
type CustodianSigner ed25519.PrivateKey

// Bounds of the vectors of an entry.
const (
	MaxLeaves = 1024

	maxCharterName = 200
)

// Warrant is all that is public of a warrant, with the proof that its offices
// approved it. Encoded: [warrant.Public] || approvals<V> || signature[64].
type Warrant struct {
	warrant.Public
	Approvals []warrant.Approval // of [warrant.Public.Hash], in ascending order of office and approver
	Signature [64]byte           // by the charter's docket key
}

func (x *Warrant) content() []byte {
	var w wire.Writer
	w.Fixed(x.Public.Encode())
	w.Opaque(warrant.EncodeApprovals(x.Approvals))
	return w.Bytes()
}

func parseWarrant(b []byte) (x *Warrant, err error) {
	r := wire.NewReader(b)
	x = new(Warrant)
	if x.Public, err = warrant.ReadPublic(r); err == nil {
		x.Approvals, err = warrant.ParseApprovals(r.Opaque(MaxEntry))
	}
	x.Signature = signature(r)
	switch {
	case errors.Is(err, warrant.ErrUnsupported):
		return nil, unsupported("%v", err)
	case err != nil:
		return nil, malformed("%v", err)
	}
	if err := r.Done(); err != nil {
		return nil, malformed("warrant: %v", err)
	}
	return x, nil
}

func signature(r *wire.Reader) (s [64]byte) {
	copy(s[:], r.Fixed(64))
	return s
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
	Round        uint64     // of the charter's beacon, when the notice comes; 1 or more
	Timelock     []byte     // the notice's salt, locked to Round; beacon.TimelockSize bytes
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
	x.Round, x.Timelock = r.Uint64(), r.Opaque(beacon.TimelockSize)
	x.Signature = signature(r)
	if err := r.Done(); err != nil {
		return nil, malformed("request: %v", err)
	}
	switch {
	case len(x.Leaves) == 0 || !ascending(x.Leaves, compare32):
		return nil, malformed("request: leaves are not a sorted list of 1 to %d", MaxLeaves)
	case x.Round == 0 || len(x.Timelock) != beacon.TimelockSize:
		return nil, malformed("request: round %d with a timelock of %d bytes", x.Round, len(x.Timelock))
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
	x.Signature = signature(r)
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
	x.Signature = signature(r)
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
	x.Signature = signature(r)
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
