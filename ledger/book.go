package ledger

import (
	"slices"
	"time"

	"writ/charter"
	"writ/warrant"
)

// Book is a reader's copy of what the log says: every entry, replayed in
// order, that counts. An entry costs a parse, a signature check and a few look-ups. It is
// in memory, or lies on a [Shelf] of which it reads what it is asked for. It is not safe for
// concurrent use, not even its readers alone: they too may change what it remembers.
type Book struct {
	firsts []charter.Hash
	size   uint64

	laws  map[charter.Hash]*law
	heads map[string]*law // newest version, by name

	statistics Statistics

	pages *pages
	tables
}

// Finding is an entry that doesn't count, or something an auditor must look
// at.
type Finding struct {
	Index   uint64 `json:"index"`
	Type    string `json:"type"`
	Rule    string `json:"rule"` // of spec/: the number of what is broken
	Problem string `json:"problem"`
}

// LoggedWarrant is a warrant entry that counts.
type LoggedWarrant struct {
	*Warrant
	Index uint64
	Hash  EntryHash
	// Rank counts the warrants of the same law, test flag and action up to this one,
	// in that cap period touched by its life in which they are most: 1 is the
	// first. One whose rank exceeds CapSubjects of its charter must not be
	// acted on.
	Rank int
	Standing

	place int // among the warrants of the same law and test flag, from 0
}

// LoggedRequest is a request entry that counts.
type LoggedRequest struct {
	*Request
	Index uint64
	Hash  EntryHash
	Root  [32]byte
	Error ErrorKind // of an error against it, 0 if there is none
}

// NewBook returns an empty book. A charter of version 1 counts only if its
// hash is among firsts; without any, the first of each name counts, which is
// enough for an auditor who compares the hash by other means.
func NewBook(firsts ...charter.Hash) *Book { return newBook(&pages{whole: true}, firsts) }

func newBook(p *pages, firsts []charter.Hash) *Book {
	b := &Book{firsts: firsts, pages: p, laws: map[charter.Hash]*law{}, heads: map[string]*law{},
		statistics: Statistics{Laws: map[string]*LawStatistics{}}}
	b.tables = newTables(b, p)
	return b
}

// Size returns the number of entries applied, which is the index of the next.
func (b *Book) Size() uint64 { return b.size }

// Apply takes the next entry of the log, which the caller has proven to be
// there, and the time at which the caller first saw it there. An entry that
// doesn't count becomes a finding. It returns an error only if index is
// not [Book.Size].
func (b *Book) Apply(index uint64, entry []byte, seen time.Time) error {
	b.pages.check()
	if index != b.size {
		return invalid("entry %d where %d is next", index, b.size)
	}
	counted := false
	defer func() { b.pages.broken = !counted }()
	b.apply(index, entry, seen)
	counted = true
	return nil
}

func (b *Book) apply(index uint64, entry []byte, seen time.Time) {
	b.size++
	b.statistics.Entries++
	e, err := ParseEntry(entry)
	if err != nil {
		b.find(index, Type(0), err)
		return
	}
	record, err := b.examine(e, index, seen)
	if err != nil {
		b.find(index, e.kind, err)
		return
	}
	b.counted.put(e.Hash(), index)
	record()
}

// Check reports why an entry would not count if it came next, or nil.
func (b *Book) Check(e *Entry) error {
	_, err := b.examine(e, b.size, time.Time{})
	return err
}

// Find returns the index of an entry that counts.
func (b *Book) Find(h EntryHash) (index uint64, ok bool) {
	return b.counted.get(h)
}

// Findings returns what was found wrong, in the log's order.
func (b *Book) Findings() []Finding { return b.findings.from(none{}, 0) }

// Warrant returns the warrant entry at an index.
func (b *Book) Warrant(index uint64) (*LoggedWarrant, bool) {
	return b.warrants.get(index)
}

// WarrantsInPeriod counts the warrants of a charter, in all its versions, whose life
// touches the charter's cap period that contains a time: tests or the others.
// It is 0 for an unknown charter.
func (b *Book) WarrantsInPeriod(h charter.Hash, at time.Time, test bool) int {
	l, ok := b.laws[h]
	if !ok || at.Unix() < 0 {
		return 0
	}
	return b.count(tallyKey{l.charter.Name, test, false}, l.charter.Limits.CapPeriod, uint64(at.Unix()))
}

// RankUnder returns the rank that a warrant would have by the cap period of
// another version of its charter, 0 for an unknown warrant or charter.
func (b *Book) RankUnder(index uint64, h charter.Hash) int {
	w, _ := b.warrants.get(index)
	l := b.laws[h]
	if w == nil || l == nil || l.charter.Mode == charter.NoAccess {
		return 0
	}
	return b.rank(tallyOf(l.charter.Name, w.Warrant), w.place, l.charter.Limits.CapPeriod)
}

// Request returns a request entry.
func (b *Book) Request(h EntryHash) (*LoggedRequest, bool) {
	return b.requests.get(h)
}

// Release returns the index at which a custodian logged its intent to release
// for a request.
func (b *Book) Release(request EntryHash, office, custodian string) (index uint64, ok bool) {
	return b.releases.get(answer{request, office, custodian})
}

// Refusal returns the reason for which a custodian first refused a request.
func (b *Book) Refusal(request EntryHash, office, custodian string) (reason uint8, ok bool) {
	for _, l := range b.refusedLaws(request) {
		if reason, ok = b.refusals.get(refusal{asked{l.charter.Name, request}, office, custodian}); ok {
			break
		}
	}
	return reason, ok
}

// examine returns what to record if the entry counts, and changes nothing.
func (b *Book) examine(e *Entry, index uint64, seen time.Time) (record func(), err error) {
	if at, ok := b.counted.get(e.Hash()); ok {
		return nil, breaks("LED-51", invalid("the same entry as %d", at))
	}
	switch e.kind {
	case TypeCharter:
		return b.charter(e.Charter, index, seen)
	case TypeCustodianKey:
		return b.custodianKey(e.CustodianKey)
	case TypeWarrant:
		return b.warrant(e, index)
	case TypeRequest:
		return b.request(e, index)
	case TypeRelease:
		return b.release(e.Release, index)
	case TypeRefusal:
		return b.refusal(e.Refusal, index)
	case TypeDestruction:
		return b.destruction(e.Destruction)
	case TypeReading:
		return b.reading(e, index)
	case TypeCancellation:
		return b.cancellation(e.Cancellation)
	case TypeReview:
		return b.review(e.Review, index, seen)
	case TypeError:
		return b.mistake(e.Error, index, seen)
	case TypeRound:
		return b.round(e.Round, index)
	case TypePreservation:
		return b.preservation(e.Preservation, index)
	case TypeHoldEnd:
		return b.holdEnd(e.HoldEnd)
	}
	return nil, unsupported("entry type %d", e.kind)
}

func (b *Book) warrant(e *Entry, index uint64) (func(), error) {
	x := e.Warrant
	l, err := b.lawOf(&x.Public)
	if err != nil {
		return nil, err
	}
	if !x.Verify(l.charter.Docket) {
		return nil, invalid("warrant not signed by the docket")
	}
	if err := x.CheckApprovals(x.Approvals, l.charter); err != nil {
		return nil, breaks("LED-63", invalid("%v", err))
	}
	return func() {
		b.commitments.put(x.Commitment, index)
		b.used.put(l.charter.Name, l.charter.Number)
		place, rank := b.tally(tallyOf(l.charter.Name, x), l.charter.Limits.CapPeriod, life{x.NotBefore, x.NotAfter})
		b.warrants.put(index, &LoggedWarrant{Warrant: x, Index: index, Hash: e.Hash(), Rank: rank, place: place})
		if x.IsEmergency() {
			b.unreviewed.put(index, none{})
		}
		b.statistics.warrant(l.charter.Name, x)
	}, nil
}

func (b *Book) request(e *Entry, index uint64) (func(), error) {
	x := e.Request
	w, ok := b.warrants.get(x.WarrantIndex)
	if !ok || w.Hash != x.Warrant {
		return nil, invalid("request for a warrant that is not entry %d", x.WarrantIndex)
	}
	c := b.laws[w.Charter].charter
	if !x.Verify(c.Docket) {
		return nil, invalid("request not signed by the docket")
	}
	if why := w.stopped(); why != "" {
		return nil, breaks("LED-74", invalid("request under a warrant that %s", why))
	}
	if _, err := c.Beacon.Time(x.Round); err != nil {
		return nil, invalid("request with a round that never comes: %d", x.Round)
	}
	return func() {
		r := &LoggedRequest{Request: x, Index: index, Hash: e.Hash(), Root: x.Root()}
		b.requests.put(r.Hash, r)
		b.wait(w.Charter, r)
		b.statistics.request(c.Name, w.Warrant, x)
	}, nil
}

func (b *Book) release(x *Release, index uint64) (func(), error) {
	c, w, err := b.answered(x, warrant.Disclose, x.Verify)
	if err != nil {
		return nil, err
	}
	a := answer{x.Request, x.Office, x.Custodian}
	switch at, again := b.releases.get(a); {
	case again:
		return nil, invalid("release of entry %d again", at)
	case w.stopped() != "":
		return nil, breaks("LED-74", invalid("release under a warrant that %s", w.stopped()))
	}
	return func() {
		b.releases.put(a, index)
		b.answers.add(asked{c.Name, x.Request}, Answer{Index: index, Kind: TypeRelease, Office: x.Office, Custodian: x.Custodian})
		b.statistics.release(c.Name, w.Warrant, x)
		if w.Rank > int(c.Limits.CapSubjects) {
			b.find(index, TypeRelease, breaks("LED-55", invalid("release for warrant %d of a cap of %d", w.Rank, c.Limits.CapSubjects)))
		}
	}, nil
}

// answered returns the charter and the warrant to which a release or preservation belongs,
// or why it answers no request on the log.
func (b *Book) answered(x *Release, action warrant.Action, verify func(charter.CustodianKey) bool) (*charter.Charter, *LoggedWarrant, error) {
	r, ok := b.requests.get(x.Request)
	if !ok || r.Index != x.RequestIndex {
		return nil, nil, invalid("for a request that is not entry %d", x.RequestIndex)
	}
	w := b.warrantOf(r)
	l := b.laws[w.Charter]
	switch {
	case b.signedUnder(x.Office, x.Custodian, verify, []*law{l}) == nil:
		return nil, nil, invalid("not signed by a custodian of the charter")
	case int(x.Count) != len(r.Leaves) || x.Root != r.Root:
		return nil, nil, invalid("for other compartments than requested")
	case w.Action != action:
		return nil, nil, invalid("under a warrant that asks for something else")
	}
	return l.charter, w, nil
}

// refusal finds the law through the request or, if that is not on the log,
// through the key that signed.
func (b *Book) refusal(x *Refusal, index uint64) (func(), error) {
	l := b.signedUnder(x.Office, x.Custodian, x.Verify, b.refusedLaws(x.Request))
	if l == nil {
		return nil, invalid("refusal not signed by a custodian of a charter")
	}
	request := asked{l.charter.Name, x.Request}
	a := refusal{request, x.Office, x.Custodian}
	if _, again := b.refusals.get(a); again {
		return nil, invalid("refused before")
	}
	return func() {
		b.refusals.put(a, x.Reason)
		b.answers.add(request, Answer{index, TypeRefusal, x.Office, x.Custodian, x.Reason})
		b.statistics.refusal(l.charter.Name, x)
	}, nil
}

// warrantOf returns the warrant entry of a request that counts.
func (b *Book) warrantOf(r *LoggedRequest) *LoggedWarrant {
	w, ok := b.warrants.get(r.WarrantIndex)
	if !ok {
		panic("ledger: a request that counts under a warrant that doesn't")
	}
	return w
}

func (b *Book) refusedLaws(request EntryHash) []*law {
	if r, ok := b.requests.get(request); ok {
		return []*law{b.laws[b.warrantOf(r).Charter]}
	}
	laws := make([]*law, 0, len(b.heads))
	for _, l := range b.heads {
		laws = append(laws, l)
	}
	slices.SortFunc(laws, func(x, y *law) int { return int(int64(x.index) - int64(y.index)) })
	return laws
}

func (b *Book) find(index uint64, t Type, err error) {
	b.findings.add(none{}, Finding{Index: index, Type: t.String(), Rule: ruleOf(t, err), Problem: plain(err)})
	b.statistics.Findings++
}
