package ledger

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"writ/warrant"
)

// Standing is what the log says of a warrant after its entry.
type Standing struct {
	Cancelled bool
	Review    Outcome   // of an emergency; 0 while there is none
	Reviewed  time.Time // when this reader first saw the review
	Error     ErrorKind // the first against a request under it; 0 if there is none
}

// stopped says why nothing more may be requested or released under a warrant;
// it is empty where the log does not forbid it.
func (w *LoggedWarrant) stopped() string {
	switch {
	case w.Cancelled:
		return "was cancelled"
	case w.Review == ReviewRefused:
		return "was refused in review"
	case w.Error != 0:
		return "has an error against it: " + w.Error.String()
	}
	return ""
}

// ReviewDue returns when the review of an emergency is due; ok is false for
// another warrant or an unknown one.
func (b *Book) ReviewDue(index uint64) (due time.Time, ok bool) {
	w, _ := b.warrants.get(index)
	if w == nil || !w.IsEmergency() {
		return due, false
	}
	u := b.laws[w.Charter].charter.Limits.Urgent // permits asks for it
	return time.Unix(int64(w.NotBefore+u.ReviewWithin), 0), true
}

// Lapsed reports whether an emergency was not confirmed in time, by when this
// reader saw the confirmation. Who did not follow the log in time can't know that
// it was, and takes it for lapsed.
func (b *Book) Lapsed(index uint64, now time.Time) bool {
	due, urgent := b.ReviewDue(index)
	if !urgent || now.Before(due) {
		return false
	}
	w, _ := b.warrants.get(index)
	return w.Review != ReviewConfirmed || w.Reviewed.After(due)
}

// Unreviewed returns a finding for each emergency of which the review is due and
// not on the log. It looks at those only that have none.
func (b *Book) Unreviewed(now time.Time) (late []Finding) {
	for _, index := range sortedKeys(b.unreviewed.rows) {
		if due, _ := b.ReviewDue(index); !now.Before(due) {
			err := breaks("LED-72", invalid("the review of the emergency was due %s", due.UTC().Format(time.RFC3339)))
			late = append(late, Finding{index, TypeWarrant.String(), ruleOf(TypeWarrant, err), plain(err)})
		}
	}
	return late
}

// Sealed reports whether what was opened for a request must not be read, and
// why: its warrant was refused in review or is an emergency that nobody
// confirmed by now though it is due, or an error stands against it. An unknown
// request is sealed.
func (b *Book) Sealed(request EntryHash, now time.Time) (why string, sealed bool) {
	r, _ := b.requests.get(request)
	if r == nil {
		return "the request is not on the ledger", true
	}
	w := b.warrantOf(r)
	due, urgent := b.ReviewDue(r.WarrantIndex)
	switch {
	case w.Review == ReviewRefused:
		return "its urgent warrant was refused in review", true
	case w.Error == WrongPerson || w.Error == Unlawful:
		return "an error stands against its warrant: " + w.Error.String(), true
	case r.Error != 0:
		return "an error stands against it: " + r.Error.String(), true
	case urgent && w.Review == 0 && !now.Before(due):
		return fmt.Sprintf("the review of its urgent warrant was due %s", due.UTC().Format(time.RFC3339)), true
	}
	return "", false
}

// renewable says why a warrant entry may not renew the one it names.
func (b *Book) renewable(x *warrant.Public) error {
	w, ok := b.WarrantOf(x.Renews)
	if !ok {
		return invalid("it renews a warrant that is not on the log")
	}
	old, now := b.laws[w.Charter].charter, b.laws[x.Charter].charter
	switch why := w.stopped(); {
	case old.Name != now.Name || w.IsTest() != x.IsTest() || w.Action != x.Action:
		return invalid("it renews a warrant under another law, or of another kind, that of entry %d", w.Index)
	case why != "":
		return invalid("it renews the warrant of entry %d, which %s", w.Index, why)
	case w.IsEmergency() && w.Review != ReviewConfirmed:
		return invalid("it renews the emergency of entry %d, which was not confirmed", w.Index)
	}
	return nil
}

func (b *Book) cancellation(x *Cancellation) (func(), error) {
	w, err := b.named(x.WarrantIndex, x.Warrant)
	if err != nil {
		return nil, err
	}
	if _, err := b.approved(w, x.Hash(), x.Approval); err != nil {
		return nil, err
	}
	if w.Cancelled {
		return nil, invalid("cancelled before")
	}
	return func() {
		b.stand(w, func(s *Standing) { s.Cancelled = true })
		b.activity(w).Cancellations++
	}, nil
}

// review also counts after a cancellation: who ends a warrant does not end the
// question whether it ought to have been.
func (b *Book) review(x *Review, index uint64, seen time.Time) (func(), error) {
	w, err := b.named(x.WarrantIndex, x.Warrant)
	if err != nil {
		return nil, err
	}
	counted, err := b.approved(w, x.Hash(), x.Approvals...)
	if err != nil {
		return nil, err
	}
	rules := b.laws[w.Charter].charter.WarrantRules(w.IsPrivileged())
	missing := rules.Missing(counted)
	switch {
	case !w.IsEmergency():
		return nil, invalid("review of a warrant that is no emergency")
	case w.Review != 0:
		return nil, invalid("reviewed before")
	case x.Outcome == ReviewConfirmed && len(missing) > 0:
		return nil, invalid("confirmed without %v", missing)
	case x.Outcome == ReviewRefused && len(missing) == len(rules):
		return nil, invalid("refused by no office whole")
	}
	return func() {
		b.stand(w, func(s *Standing) { s.Review, s.Reviewed = x.Outcome, seen })
		b.unreviewed.remove(w.Index)
		b.reviews.put(w.Index, &LoggedReview{index, seen, x.Outcome, slices.Sorted(maps.Keys(counted))})
		b.activity(w).review(x.Outcome)
	}, nil
}

func (b *Book) mistake(x *Error, index uint64, seen time.Time) (func(), error) {
	r, _ := b.requests.get(x.Request)
	if r == nil || r.Index != x.RequestIndex {
		return nil, invalid("error of a request that is not entry %d", x.RequestIndex)
	}
	w := b.warrantOf(r)
	if _, err := b.approved(w, x.Hash(), x.Approval); err != nil {
		return nil, err
	}
	if r.Error != 0 {
		return nil, invalid("there is an error against it before: %s", r.Error)
	}
	return func() {
		changed := *r
		changed.Error = x.Kind
		b.requests.put(r.Hash, &changed)
		b.errors.add(w.Index, LoggedError{index, seen, r.Index, x.Approval.Office, x.Kind})
		if w.Error == 0 || x.Kind < w.Error {
			b.stand(w, func(s *Standing) { s.Error = x.Kind })
		}
		b.activity(w).Errors[x.Kind.String()]++
	}, nil
}

// stand puts a warrant that stands differently in the place of one. That stays as it was, since
// who asked for it may still have it.
func (b *Book) stand(w *LoggedWarrant, change func(*Standing)) {
	changed := *w
	change(&changed.Standing)
	b.warrants.put(w.Index, &changed)
}

// named returns the counted warrant entry of an index and a hash.
func (b *Book) named(index uint64, h EntryHash) (*LoggedWarrant, error) {
	if w, ok := b.warrants.get(index); ok && w.Hash == h {
		return w, nil
	}
	return nil, invalid("it is about a warrant that is not entry %d", index)
}

// approved verifies approvals of h by approvers of offices that had to approve a
// warrant, under its own charter, and counts them by office. They are distinct.
func (b *Book) approved(w *LoggedWarrant, h warrant.Hash, list ...warrant.Approval) (map[string]int, error) {
	c := b.laws[w.Charter].charter
	counted := map[string]int{}
	for _, a := range list {
		if !slices.Contains(w.Offices, a.Office) {
			return nil, invalid("the office %q had no say in the warrant", a.Office)
		}
		if err := a.Verify(h, c); err != nil {
			return nil, invalid("approval of %s of %s: %v", a.Approver, a.Office, err)
		}
		counted[a.Office]++
	}
	return counted, nil
}

func (b *Book) activity(w *LoggedWarrant) *Activity {
	return b.statistics.activity(b.laws[w.Charter].charter.Name, w.Warrant)
}
