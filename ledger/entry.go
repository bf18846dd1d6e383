package ledger

import (
	"golang.org/x/mod/sumdb/tlog"

	"writ/charter"
	"writ/internal/wire"
)

// MaxEntry is the largest entry in bytes. The log's tiles give an entry a
// 16-bit length.
const MaxEntry = 60_000

const entryVersion = 1

// Type says what an entry is.
type Type uint8

// The types of entries. An entry of any other type is unsupported.
const (
	TypeCharter      Type = 1
	TypeCustodianKey Type = 2
	TypeWarrant      Type = 3
	TypeRequest      Type = 4
	TypeRelease      Type = 5
	TypeRefusal      Type = 6
	TypeDestruction  Type = 7
	TypeCancellation Type = 8
	TypeReview       Type = 9
	TypeError        Type = 10
	TypePreservation Type = 11
	TypeReading      Type = 12
	TypeRound        Type = 13
	TypeHoldEnd      Type = 14
)

// types are, for each type, the name and the rule of spec/ledger.md by which an entry
// of it counts.
var types = map[Type]struct{ name, rule string }{
	TypeCharter:      {"charter", "LED-52"},
	TypeCustodianKey: {"custodian key", "LED-53"},
	TypeWarrant:      {"warrant", "LED-54"},
	TypeRequest:      {"request", "LED-56"},
	TypeRelease:      {"release", "LED-57"},
	TypeRefusal:      {"refusal", "LED-58"},
	TypeDestruction:  {"destruction", "LED-59"},
	TypeCancellation: {"cancellation", "LED-70"},
	TypeReview:       {"review", "LED-71"},
	TypeError:        {"error", "LED-75"},
	TypePreservation: {"preservation", "LED-90"},
	TypeReading:      {"reading", "LED-62"},
	TypeRound:        {"round", "LED-80"},
	TypeHoldEnd:      {"hold end", "LED-91"},
}

// String returns the name that the label of the entry's signature carries.
func (t Type) String() string {
	if known, ok := types[t]; ok {
		return known.name
	}
	return "unknown"
}

// label is the name under which the entry's content is signed.
func (t Type) label() string { return "entry " + t.String() }

// EntryHash is the RFC 6962 leaf hash of an entry.
type EntryHash [32]byte

// HashEntry returns the hash of an encoded entry.
func HashEntry(entry []byte) EntryHash { return EntryHash(tlog.RecordHash(entry)) }

// Entry is a parsed entry: exactly one of its pointers is not nil. Its
// signature has not been verified.
type Entry struct {
	Charter      *charter.Signed
	CustodianKey *charter.KeyStatement
	Warrant      *Warrant
	Request      *Request
	Release      *Release
	Refusal      *Refusal
	Destruction  *Destruction
	Reading      *Reading
	Cancellation *Cancellation
	Review       *Review
	Error        *Error
	Round        *Round
	Preservation *Preservation
	HoldEnd      *HoldEnd

	kind  Type
	bytes []byte
}

// Type returns what the entry is.
func (e *Entry) Type() Type { return e.kind }

// Bytes returns the encoding. It must not be changed.
func (e *Entry) Bytes() []byte { return e.bytes }

// Hash returns the entry's hash.
func (e *Entry) Hash() EntryHash { return HashEntry(e.bytes) }

// ParseEntry parses an entry: its form, not its signatures. An unknown
// version, type or flag is unsupported.
func ParseEntry(b []byte) (*Entry, error) {
	if len(b) > MaxEntry {
		return nil, malformed("entry of %d bytes, at most %d are allowed", len(b), MaxEntry)
	}
	r := wire.NewReader(b)
	version, kind, body := r.Uint16(), Type(r.Uint8()), r.Opaque(MaxEntry)
	if err := r.Done(); err != nil {
		return nil, malformed("entry: %v", err)
	}
	if version != entryVersion {
		return nil, unsupported("entry version %d", version)
	}
	e := &Entry{kind: kind, bytes: b}
	if err := e.parseBody(body); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *Entry) parseBody(b []byte) (err error) {
	switch e.kind {
	case TypeCharter:
		e.Charter, err = charter.ParseSigned(b)
	case TypeCustodianKey:
		e.CustodianKey, err = charter.ParseKeyStatement(b)
	case TypeWarrant:
		e.Warrant, err = parseWarrant(b)
	case TypeRequest:
		e.Request, err = parseRequest(b)
	case TypeRelease:
		e.Release, err = parseRelease(b)
	case TypeRefusal:
		e.Refusal, err = parseRefusal(b)
	case TypeDestruction:
		e.Destruction, err = parseDestruction(b)
	case TypeReading:
		e.Reading, err = parseReading(b)
	case TypeCancellation:
		e.Cancellation, err = parseCancellation(b)
	case TypeReview:
		e.Review, err = parseReview(b)
	case TypeError:
		e.Error, err = parseError(b)
	case TypeRound:
		e.Round, err = parseRound(b)
	case TypePreservation:
		e.Preservation, err = parsePreservation(b)
	case TypeHoldEnd:
		e.HoldEnd, err = parseHoldEnd(b)
	default:
		return unsupported("entry type %d", e.kind)
	}
	return err
}

// CharterEntry returns the entry of a signed charter.
func CharterEntry(s *charter.Signed) []byte { return encodeEntry(TypeCharter, s.Encode()) }

// CustodianKeyEntry returns the entry of a custodian's key for a period.
func CustodianKeyEntry(k *charter.KeyStatement) []byte {
	return encodeEntry(TypeCustodianKey, k.Encode())
}

func encodeEntry(t Type, body []byte) []byte {
	var w wire.Writer
	w.Uint16(entryVersion)
	w.Uint8(uint8(t))
	w.Opaque(body)
	return w.Bytes()
}
