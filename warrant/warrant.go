// Package warrant is what an order says, who approved it, and when it is valid.
//
// # Terms
//
// A [Warrant] authorises the opening of one subject's compartments within a
// window of time. A draft is its JSON form ([ParseDraft], [Warrant.JSON]); the
// binary form ([Parse], [Warrant.Encode]) is what is hashed. The ledger gets its
// [Public] form only, with a salted [Commitment] to the hash. An [Approval] is one
// approver's signature over office and the hash of the public form, so that
// everybody can verify it: an Ed25519 signature, or a WebAuthn assertion whose
// challenge is of both. A [Verified] warrant has passed [Verify]: it fits its
// charter, its approvals satisfy the charter's double lock, and it is within its
// life. Only a Verified warrant opens anything. An envelope ([Seal], [Open])
// carries the readable warrant with its salt ([Salted]) to approvers and
// custodians, so that no server holds a readable list of targets.
//
// # Format
//
// Integers are big endian, <V> is a vector with its length (package wire):
//
//	struct {
//	    uint16 version = 1;
//	    opaque id[16];             random, not zero
//	    opaque charter[32];        hash of the charter in force
//	    uint8  action;             1 disclose, 2 preserve
//	    opaque renews[32];         commitment of the warrant it renews, or zero
//	    string reference, legal_type;
//	    Name   case_type;
//	    string jurisdiction, legal_entity;
//	    Name   subject, subject_again;     the same account, entered twice
//	    uint8  direction;          1 sent, 2 sent and received
//	    opaque conversations<V>;   of opaque id<V>; empty means all
//	    string window_start, window_end;   RFC 3339, see below
//	    uint64 not_before, not_after;      life, Unix seconds
//	    string necessity, least_intrusive; not blank
//	    uint16 reader_kem = 0x647a;
//	    opaque reader_key<V>;      X-Wing public key of the examiner
//	    struct { Name id; opaque key[32]; opaque mail_key<V>; } readers<V>;
//	    uint64 notice_due;         Unix seconds
//	    uint8  flags;              bit 0 IsEmergency, 1 IsTest, 2 IsPrivileged
//	} Warrant;
//
// What the ledger shows of a warrant is its [Public] form.
//
// The window is half open, [start, end), to the second, each end with "Z" or a
// numeric offset. The life is half open too.
//
// # Guarantees
//
// What parses encodes again to the same bytes. An unknown version, field, flag
// or direction rejects the whole document. Errors name the field.
//
// # What it does not do
//
// It does not know the ledger: whether the warrant is logged, and whether the
// cap is reached, is checked in package unseal. It keeps no record of
// approvals: an approval is bound to one public form and one office, so repeating
// it gains nothing, and one approver counts once.
//
//	w, err := warrant.ParseDraft(draft)
//	for _, line := range w.Explain() { fmt.Println(line) }
//	p := w.Public(salt, c)
//	a := key.Approve(p.Hash(), "judicial", "judge-1")
//	v, err := warrant.Verify(w, salt, []warrant.Approval{a, b}, c, now)
package warrant

import (
	"errors"
	"strings"
	"time"

	"writ/charter"
	"writ/internal/wire"
)

// Errors wrapped by this package's errors, beside [wire.ErrMalformed].
var (
	ErrInvalid     = errors.New("invalid")
	ErrUnsupported = errors.New("unsupported")
	ErrRefused     = errors.New("refused")
)

// Version is the only format version.
const Version = 1

// ReaderKEM is the only KEM of a reader key: X-Wing.
const ReaderKEM = 0x647a

// MaxSize bounds the binary form in bytes.
const MaxSize = 128 << 10

const (
	maxText          = 512      // bytes of a one-line text
	maxGrounds       = 16 << 10 // bytes of a statement of grounds
	maxConversations = 1024
	maxConversation  = 64 // bytes of an MLS group id
	maxReaderKey     = 2048
	maxReaders       = 16
)

// Hash is the hash of a warrant's binary form, or of what approvers sign.
type Hash [32]byte

// ID is the random identifier of a warrant.
type ID [16]byte

// Action says what a warrant has done with the compartments it names (ETSI TS
// 103 120: a disclosure or a preservation task).
type Action uint8

// The actions.
const (
	Disclose Action = 1 // they are opened
	Preserve Action = 2 // they are kept beyond the horizon, and nothing is opened
)

// Direction says whose messages in the subject's conversations are in scope.
type Direction uint8

// The directions.
const (
	Sent            Direction = 1 // what the subject sent
	SentAndReceived Direction = 2 // and what others sent to a conversation the subject was in
)

// Flags of a warrant.
type Flags uint8

// The flags. Any other bit rejects the warrant.
const (
	IsEmergency Flags = 1 << 0 // ETSI TS 103 120 IsEmergency: the charter's urgent limits apply
	IsTest      Flags = 1 << 1 // ETSI TS 103 120 IsTest: synthetic accounts, counted apart
	// IsPrivileged reaches privileged conversations too, with the approval of the
	// charter's privilege offices.
	IsPrivileged Flags = 1 << 2

	allFlags = IsEmergency | IsTest | IsPrivileged
)

// Warrant is an order to open the compartments of one subject. The comments
// give the ETSI TS 103 120 terms.
type Warrant struct {
	ID            ID
	Charter       charter.Hash
	Action        Action
	Renews        [32]byte // commitment of the warrant it renews; zero if it renews none
	Reference     string   // AuthorisationReference
	LegalType     string   // AuthorisationLegalType
	CaseType      string
	Jurisdiction  string // AuthorisationJurisdiction
	LegalEntity   string // AuthorisationLegalEntity
	Subject       string // TargetIdentifier: an account
	SubjectAgain  string // the same, typed a second time
	Direction     Direction
	Conversations [][]byte // MLS group ids; none means all
	WindowStart   string   // TimeSpan StartTime
	WindowEnd     string   // TimeSpan EndTime
	NotBefore     uint64   // AuthorisationTimespan StartTime, Unix seconds
	NotAfter      uint64   // AuthorisationTimespan EndTime, Unix seconds
	Necessity     string   // why it is needed
	// LeastIntrusive says why less intrusive means fail.
	LeastIntrusive string
	ReaderKey      []byte   // DeliveryDetails: X-Wing public key, 1216 bytes
	Readers        []Reader // people who may read what is opened, at most 16
	NoticeDue      uint64   // Unix seconds
	Flags          Flags
}

// Parse reads the binary form. It wraps [wire.ErrMalformed] or
// [ErrUnsupported].
func Parse(b []byte) (*Warrant, error) {
	if len(b) > MaxSize {
		return nil, fieldError("warrant", "longer than %d bytes", MaxSize)
	}
	r := wire.NewReader(b)
	version := r.Uint16()
	if r.Err() == nil && version != Version {
		return nil, unsupported("version", "%d", version)
	}
	w := &Warrant{ID: ID(readID(r)), Charter: r.Array32(), Action: Action(r.Uint8()), Renews: r.Array32()}
	w.Reference, w.LegalType = r.String(maxText), r.String(maxText)
	w.CaseType = r.Name()
	w.Jurisdiction, w.LegalEntity = r.String(maxText), r.String(maxText)
	w.Subject, w.SubjectAgain = r.Name(), r.Name()
	w.Direction = Direction(r.Uint8())
	list := r.Vector(maxConversations * (maxConversation + 2))
	for list.More() {
		w.Conversations = append(w.Conversations, list.Opaque(maxConversation))
	}
	r.Check(list.Done())
	w.WindowStart, w.WindowEnd = r.String(maxText), r.String(maxText)
	w.NotBefore, w.NotAfter = r.Uint64(), r.Uint64()
	w.Necessity, w.LeastIntrusive = r.String(maxGrounds), r.String(maxGrounds)
	kem := r.Uint16()
	w.ReaderKey, w.Readers = r.Opaque(maxReaderKey), parseReaders(r)
	w.NoticeDue, w.Flags = r.Uint64(), Flags(r.Uint8())
	if err := r.Done(); err != nil {
		return nil, wrap(err)
	}
	if kem != ReaderKEM {
		return nil, unsupported("reader_kem", "%#04x", kem)
	}
	if err := w.check(); err != nil {
		return nil, err
	}
	return w, nil
}

// Encode returns the binary form.
func (w *Warrant) Encode() []byte {
	var b wire.Writer
	b.Uint16(Version)
	b.Fixed(w.ID[:])
	b.Fixed(w.Charter[:])
	b.Uint8(uint8(w.Action))
	b.Fixed(w.Renews[:])
	for _, s := range []string{w.Reference, w.LegalType, w.CaseType, w.Jurisdiction, w.LegalEntity, w.Subject, w.SubjectAgain} {
		b.String(s)
	}
	b.Uint8(uint8(w.Direction))
	b.Vector(func(b *wire.Writer) {
		for _, id := range w.Conversations {
			b.Opaque(id)
		}
	})
	b.String(w.WindowStart)
	b.String(w.WindowEnd)
	b.Uint64(w.NotBefore)
	b.Uint64(w.NotAfter)
	b.String(w.Necessity)
	b.String(w.LeastIntrusive)
	b.Uint16(ReaderKEM)
	b.Opaque(w.ReaderKey)
	writeReaders(&b, w.Readers)
	b.Uint64(w.NoticeDue)
	b.Uint8(uint8(w.Flags))
	return b.Bytes()
}

// Hash returns the hash of the binary form, to which the ledger is committed.
func (w *Warrant) Hash() Hash { return HashOf(w.Encode()) }

// HashOf returns the hash of a binary form, which need not parse.
func HashOf(encoded []byte) Hash { return wire.Hash("warrant", encoded) }

// Window returns the window [start, end). The warrant must have been parsed.
func (w *Warrant) Window() (start, end time.Time) {
	start, _ = parseTime(w.WindowStart)
	end, _ = parseTime(w.WindowEnd)
	return start, end
}

// Covers reports whether conversation id is in scope.
func (w *Warrant) Covers(id []byte) bool {
	for _, c := range w.Conversations {
		if string(c) == string(id) {
			return true
		}
	}
	return len(w.Conversations) == 0
}

// Synthetic reports whether an account is made for tests: its name begins with
// "test.". A warrant flagged IsTest reaches only such accounts, so that the
// flag, which is counted apart, can't lift the cap for people.
func Synthetic(account string) bool { return strings.HasPrefix(account, "test.") }

func readID(r *wire.Reader) (id [16]byte) {
	copy(id[:], r.Fixed(16))
	return id
}
