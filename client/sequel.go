package client

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"writ/internal/wire"
	"writ/ledger"
	"writ/notice"
)

// encodeSequel gives
//
//	struct {
//	    struct { uint64 index; uint8 kind; Name office, custodian; uint8 reason; } answers<V>;
//	    struct { uint64 index, seen, request; Name office; uint8 kind; } errors<V>;
//	    struct { uint64 index, seen; uint8 outcome; Name offices<V>; } review<V>;    none or one
//	    uint8 unreviewed;
//	} Sequel;
//
// Times are Unix seconds.
func encodeSequel(s *ledger.Sequel) []byte {
	var w wire.Writer
	w.Vector(func(w *wire.Writer) {
		for _, a := range s.Answers {
			w.Uint64(a.Index)
			w.Uint8(uint8(a.Kind))
			w.String(a.Office)
			w.String(a.Custodian)
			w.Uint8(a.Reason)
		}
	})
	w.Vector(func(w *wire.Writer) {
		for _, e := range s.Errors {
			w.Uint64(e.Index)
			w.Uint64(uint64(e.Seen.Unix()))
			w.Uint64(e.Request)
			w.String(e.Office)
			w.Uint8(uint8(e.Kind))
		}
	})
	w.Vector(func(w *wire.Writer) {
		if x := s.Review; x != nil {
			w.Uint64(x.Index)
			w.Uint64(uint64(x.Seen.Unix()))
			w.Uint8(uint8(x.Outcome))
			w.Vector(func(w *wire.Writer) {
				for _, office := range x.Offices {
					w.String(office)
				}
			})
		}
	})
	w.Uint8(flag(s.Unreviewed))
	return w.Bytes()
}

func parseSequel(b []byte) (s ledger.Sequel, err error) {
	r := wire.NewReader(b)
	answers, errs, review, offices := r.Vector(maxRecord), r.Vector(maxRecord), r.Vector(maxRecord), wire.NewReader(nil)
	s.Unreviewed = readFlag(r)
	if err := r.Done(); err != nil {
		return s, err
	}
	for answers.More() {
		s.Answers = append(s.Answers, ledger.Answer{Index: answers.Uint64(), Kind: ledger.Type(answers.Uint8()),
			Office: answers.Name(), Custodian: answers.Name(), Reason: answers.Uint8()})
	}
	for errs.More() {
		s.Errors = append(s.Errors, ledger.LoggedError{Index: errs.Uint64(), Seen: readTime(errs), Request: errs.Uint64(),
			Office: errs.Name(), Kind: ledger.ErrorKind(errs.Uint8())})
	}
	if review.More() {
		s.Review = &ledger.LoggedReview{Index: review.Uint64(), Seen: readTime(review), Outcome: ledger.Outcome(review.Uint8())}
		for offices = review.Vector(maxRecord); offices.More(); {
			s.Review.Offices = append(s.Review.Offices, offices.Name())
		}
	}
	return s, cmp.Or(answers.Done(), errs.Done(), review.Done(), offices.Done())
}

func readTime(r *wire.Reader) time.Time { return time.Unix(int64(r.Uint64()), 0) }

// follow brings what the log says of requests since onto their cards. It returns the
// cards that changed, and of these the ones of which the person is told again, whether
// they were acknowledged or not.
func (n *notices) follow(due []ledger.Notice) (changed, told []*card, err error) {
	for _, x := range due {
		old := n.cards[x.Request.Index]
		if old == nil || old.request.Hash != x.Request.Hash {
			continue
		}
		next := *old
		next.sequel = merge(old.sequel, x.Sequel)
		if string(encodeSequel(&next.sequel)) == string(encodeSequel(&old.sequel)) {
			continue
		}
		before, err := old.card()
		if err != nil {
			return nil, nil, err
		}
		after, err := next.card()
		if err != nil {
			return nil, nil, fmt.Errorf("client: notice of request %d: %w", x.Request.Index, err)
		}
		if again := news(before, after); again {
			next.acknowledged, told = false, append(told, &next)
		}
		n.cards[x.Request.Index] = &next
		changed = append(changed, &next)
	}
	return changed, told, nil
}

// news reports whether a person who has seen one card must see the next: something
// sealed what was opened, a review was had, or it was opened only now.
func news(before, after *notice.Card) bool {
	return len(after.Errors) > len(before.Errors) || after.Review != nil && before.Review == nil ||
		after.Unreviewed && !before.Unreviewed || after.Outcome > before.Outcome
}

// merge adds what a reader of the log sees now to what it saw before: a copy of the log
// that begins anew takes nothing back.
func merge(was, now ledger.Sequel) ledger.Sequel {
	now.Answers = union(was.Answers, now.Answers, func(a ledger.Answer) uint64 { return a.Index })
	now.Errors = union(was.Errors, now.Errors, func(e ledger.LoggedError) uint64 { return e.Index })
	if now.Review == nil {
		now.Review = was.Review
	}
	now.Unreviewed = now.Review == nil && (was.Unreviewed || now.Unreviewed)
	return now
}

// union returns two lists by index; of two with one index that of the first.
func union[T any](first, second []T, index func(T) uint64) []T {
	all := slices.Concat(first, second)
	slices.SortStableFunc(all, func(a, b T) int { return cmp.Compare(index(a), index(b)) })
	return slices.CompactFunc(all, func(a, b T) bool { return index(a) == index(b) })
}
