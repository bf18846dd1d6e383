package ledger

import "time"

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

// Sequel returns what followed a request on the log, as it stands at a time. It is empty
// for an unknown request.
func (b *Book) Sequel(request EntryHash, now time.Time) Sequel {
	r, ok := b.requests.get(request)
	if !ok {
		return Sequel{}
	}
	law := b.laws[b.warrantOf(r).Charter].charter.Name
	s := Sequel{Answers: b.answers.from(asked{law, request}, 0)}
	s.Review, _ = b.reviews.get(r.WarrantIndex)
	for _, e := range b.errors.from(r.WarrantIndex, 0) {
		if e.Kind != BeyondScope || e.Request == r.Index {
			s.Errors = append(s.Errors, e)
		}
	}
	due, urgent := b.ReviewDue(r.WarrantIndex)
	s.Unreviewed = urgent && s.Review == nil && !now.Before(due)
	return s
}

// WarrantOf returns the warrant entry with a commitment.
func (b *Book) WarrantOf(commitment [32]byte) (*LoggedWarrant, bool) {
	at, ok := b.commitments.get(commitment)
	if !ok {
		return nil, false
	}
	return b.warrants.get(at)
}
