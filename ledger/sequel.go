package ledger

import (
	"slices"
	"time"
)

// Sequel is what the log says of a request since its entry: how custodians answered,
// and what sealed what was opened (LED-76). Each part names its entry, so that anybody
// can look it up.
type Sequel struct {
	Answers []Answer      // in the log's order
	Errors  []LoggedError // that seal this request, in the log's order
	Review  *LoggedReview // of its emergency; nil while there is none
	// Unreviewed says that the review of its emergency is due and not on the log.
	Unreviewed bool
}

// Answer is what one custodian said to a request: that it releases, keeps or refuses. One
// that refused may have released since, each at its own entry.
type Answer struct {
	Index             uint64
	Kind              Type // release, preservation or refusal
	Office, Custodian string
	Reason            uint8 // of a refusal
}

// LoggedError is an error entry that counts.
type LoggedError struct {
	Index   uint64
	Seen    time.Time // by this reader
	Request uint64    // index of the request it is against, of the same warrant
	Office  string    // that stated it
	Kind    ErrorKind
}

// LoggedReview is a review entry that counts.
type LoggedReview struct {
	Index   uint64
	Seen    time.Time // by this reader
	Outcome Outcome
	Offices []string // that signed it
}

// sequels is what a book collects for them.
type sequels struct {
	answers map[EntryHash][]Answer   // by request
	errors  map[uint64][]LoggedError // by index of the warrant
	reviews map[uint64]*LoggedReview // by index of the warrant
}

func newSequels() sequels {
	return sequels{map[EntryHash][]Answer{}, map[uint64][]LoggedError{}, map[uint64]*LoggedReview{}}
}

func (s *sequels) answer(request EntryHash, a Answer) {
	s.answers[request] = append(s.answers[request], a)
}

// Sequel returns what followed a request on the log, as it stands at a time. It is empty
// for an unknown request.
func (b *Book) Sequel(request EntryHash, now time.Time) Sequel {
	r := b.requests[request]
	if r == nil {
		return Sequel{}
	}
	s := Sequel{Answers: slices.Clone(b.sequels.answers[request]), Review: b.sequels.reviews[r.WarrantIndex]}
	for _, e := range b.sequels.errors[r.WarrantIndex] {
		if e.Kind != BeyondScope || e.Request == r.Index {
			s.Errors = append(s.Errors, e)
		}
	}
	due, urgent := b.ReviewDue(r.WarrantIndex)
	s.Unreviewed = urgent && s.Review == nil && !now.Before(due)
	return s
}

// asOf returns notices with what followed on the log.
func (b *Book) asOf(now time.Time, list []Notice) []Notice {
	for i := range list {
		list[i].Sequel = b.Sequel(list[i].Request.Hash, now)
	}
	return list
}

// WarrantOf returns the warrant entry with a commitment.
func (b *Book) WarrantOf(commitment [32]byte) (*LoggedWarrant, bool) {
	at, ok := b.commitments[commitment]
	if !ok {
		return nil, false
	}
	return b.warrants[at], true
}
