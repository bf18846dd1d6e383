// Package audit makes the public report of a ledger: what stands there, what is
// wrong with it, and the numbers of every law, recomputed from the entries
// (spec/audit.md). It opens no file and no connection and asks no clock.
//
// # Terms
//
// An [Auditor] takes the entries of one log in order, each proven to its reader,
// and replays them into a [ledger.Book]. Beside the book it keeps what followed
// each warrant: an order's requests, and what custodians answered. A [Journal]
// is when an auditor that follows saw the log grow; without one no entry has a
// time. A [Report] is the result, for programs (JSON), for tables ([Report.CSV])
// and for people ([Report.Text], [Report.HTML]).
//
// # Guarantees
//
// The numbers are a function of the entries and their order: whoever replays the
// same log gets the same. What can't be known from a log is listed as not
// recorded, with the reason, and never estimated. The page runs no script, loads
// nothing, and shows every text of the log escaped.
//
// # What it does not do
//
// It reads no log and verifies no checkpoint: follower and ledger do. It does not
// know whom a warrant names, who asked for it, or what was said: nobody who has
// only the log does.
//
// # To add a number or a check
//
// A number is a field of [Numbers], counted in count.go, and a line of the
// table figures or breakdowns, from which every form is made. Something that
// becomes a finding with time is a line of the table checks.
//
// # Example
//
//	a := audit.New()
//	next, err := follower.Update(ctx, 0, a.Apply)
//	report := a.Report(policy, checkpoint, audit.Options{Now: now})
//	fmt.Print(report.Text())
package audit

import (
	"time"

	"writ/charter"
	"writ/ledger"
)

// Auditor is an audit under way. It is not safe for concurrent use.
type Auditor struct {
	book    *ledger.Book
	journal Journal

	laws     []lawEntry // in the log's order
	orders   []*order   // likewise
	byIndex  map[uint64]*order
	requests map[ledger.EntryHash]*request
	undated  map[string]map[string]int // refusals without a request on the log, by law and reason
}

type lawEntry struct {
	index   uint64
	charter *charter.Charter
}

// order is a warrant entry that counts and what followed it.
type order struct {
	*ledger.LoggedWarrant
	law       *charter.Charter
	requests  []*request
	cancelled bool
	review    ledger.Outcome // 0 before
	reviewAt  uint64         // index
}

// request is a request entry that counts and what custodians answered.
type request struct {
	*ledger.LoggedRequest
	releases []*ledger.Release
	refusals []*ledger.Refusal
	readings []*ledger.Reading
	errors   []*ledger.Error
	holds    int    // that custodians stated
	ended    int    // of these
	openedAt uint64 // index of the release that made the quorum, 0 before
}

// New returns an auditor of an empty log. First versions of charters count as
// [ledger.NewBook] says.
func New(firsts ...charter.Hash) *Auditor {
	return &Auditor{book: ledger.NewBook(firsts...), byIndex: map[uint64]*order{},
		requests: map[ledger.EntryHash]*request{}, undated: map[string]map[string]int{}}
}

// Book returns the replay, which the caller must not change.
func (a *Auditor) Book() *ledger.Book { return a.book }

// Mark tells the auditor of a checkpoint it is about to read up to. Marks of
// earlier runs come first; one that shows no growth says nothing new.
func (a *Auditor) Mark(m Mark) {
	if n := len(a.journal); n == 0 || m.Size > a.journal[n-1].Size {
		a.journal = append(a.journal, m)
	}
}

// Apply takes the next entry, as [ledger.Book.Apply] does. Seen is the time of
// the checkpoint under which it was read, which counts where no [Mark] is older.
func (a *Auditor) Apply(index uint64, entry []byte, seen time.Time) error {
	if at, ok := a.journal.at(index); ok {
		seen = at
	}
	if err := a.book.Apply(index, entry, seen); err != nil {
		return err
	}
	e, err := ledger.ParseEntry(entry)
	if err != nil {
		return nil // a finding of the book
	}
	if at, ok := a.book.Find(e.Hash()); ok && at == index {
		a.file(index, e)
	}
	return nil
}

// file puts an entry that counts where its numbers belong.
func (a *Auditor) file(index uint64, e *ledger.Entry) {
	switch {
	case e.Charter != nil:
		c, _ := a.book.Charter(e.Charter.Hash())
		a.laws = append(a.laws, lawEntry{index, c})
	case e.Warrant != nil:
		w, _ := a.book.Warrant(index)
		c, _ := a.book.Charter(w.Charter)
		o := &order{LoggedWarrant: w, law: c}
		a.orders, a.byIndex[index] = append(a.orders, o), o
	case e.Request != nil:
		r, _ := a.book.Request(e.Hash())
		o, q := a.byIndex[r.WarrantIndex], &request{LoggedRequest: r}
		o.requests, a.requests[r.Hash] = append(o.requests, q), q
	case e.Release != nil:
		a.release(index, e.Release)
	case e.Refusal != nil:
		a.refuse(e.Refusal)
	case e.Reading != nil:
		q := a.requests[e.Reading.Request]
		q.readings = append(q.readings, e.Reading)
	case e.Preservation != nil:
		a.requests[e.Preservation.Request].holds++
	case e.HoldEnd != nil:
		a.requests[e.HoldEnd.Request].ended++
	case e.Cancellation != nil:
		a.byIndex[e.Cancellation.WarrantIndex].cancelled = true
	case e.Review != nil:
		o := a.byIndex[e.Review.WarrantIndex]
		o.review, o.reviewAt = e.Review.Outcome, index
	case e.Error != nil:
		q := a.requests[e.Error.Request]
		q.errors = append(q.errors, e.Error)
	}
}

func (a *Auditor) release(index uint64, x *ledger.Release) {
	q := a.requests[x.Request]
	q.releases = append(q.releases, x)
	if q.openedAt == 0 && a.opens(a.byIndex[q.WarrantIndex], q) {
		q.openedAt = index
	}
}

// opens reports whether those who released are a quorum of the warrant's charter
// or of a version before it, under which a capsule may have been sealed.
func (a *Auditor) opens(o *order, q *request) bool {
	released := map[[2]string]bool{}
	for _, x := range q.releases {
		released[[2]string{x.Office, x.Custodian}] = true
	}
	for _, c := range a.book.Versions(o.Charter) {
		if c.Opens(func(office, custodian string) bool { return released[[2]string{office, custodian}] }) {
			return true
		}
	}
	return false
}

// refuse files a refusal with its request. Where that is not on the log the law
// is the one whose custodian signed.
func (a *Auditor) refuse(x *ledger.Refusal) {
	if q := a.requests[x.Request]; q != nil {
		q.refusals = append(q.refusals, x)
		return
	}
	for _, l := range a.laws {
		cu := l.charter.Custodian(x.Office, x.Custodian)
		if cu == nil || !x.Verify(cu.Key) {
			continue
		}
		if a.undated[l.charter.Name] == nil {
			a.undated[l.charter.Name] = map[string]int{}
		}
		a.undated[l.charter.Name][reasonKey(x.Reason)]++
		return
	}
}
