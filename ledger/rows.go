package ledger

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"writ/charter"
	"writ/internal/wire"
)

// tables are what a book remembers of the entries that count. Those in the second group
// are read whole when the book is opened: they stay small, or are what waits for something.
type tables struct {
	head *table[none, head]

	enacted    *table[uint64, enacted]       // by index of the charter's entry
	used       *table[string, uint32]        // newest version with a warrant, by name
	standing   *table[custodianPeriod, none] // keys that are not stated to be destroyed
	unreviewed *table[uint64, none]          // emergencies without a review, by index of the warrant
	waiting    *table[uint64, waiting]       // requests whose round is not on the log, by index
	kept       *table[answer, uint64]        // holds that did not end: until when

	counted     *table[EntryHash, uint64]                  // index of each entry that counts
	keys        *table[keyPeriod, []*charter.KeyStatement] // in the log's order
	gone        *table[custodianPeriod, none]              // destructions
	halves      *table[rawKey, *charter.KeyStatement]      // that use them
	warrants    *table[uint64, *LoggedWarrant]             // by index
	commitments *table[[32]byte, uint64]                   // index of their warrant
	requests    *table[EntryHash, *LoggedRequest]
	releases    *table[answer, uint64] // index
	refusals    *table[answer, uint8]  // reason
	holds       *table[answer, hold]
	readings    *list[EntryHash, LoggedReading] // by request
	answers     *list[EntryHash, Answer]        // by request
	errors      *list[uint64, LoggedError]      // by index of the warrant
	reviews     *table[uint64, *LoggedReview]   // by index of the warrant
	clocks      *table[uint64, []*clock]        // by round: one for each beacon that a request of the round waits for
	told        *list[none, told]
	findings    *list[none, Finding]

	lives   *list[tallyKey, life]      // in the log's order
	lengths *table[tallyKey, []uint64] // of the periods in which the lives are placed
	places  *list[tallyPeriod, int]    // of the lives that touch it
}

type none struct{}

type keyPeriod struct {
	charter string
	period  uint32
}

// rawKey is one half of a custodian's hybrid key, hashed.
type rawKey struct {
	charter string
	hash    [32]byte
}

type custodianPeriod struct {
	charter, office, custodian string
	period                     uint32
}

// answer identifies what a custodian said to a request.
type answer struct {
	request           EntryHash
	office, custodian string
}

// enacted is what the entry of a law does not say.
type enacted struct{ Seen, Active time.Time }

func newTables(b *Book, p *pages) tables {
	return tables{
		head: newTable(p, noKey, plainForm[head]()),

		enacted:    newTable(p, indexKey, plainForm[enacted]()),
		used:       newTable(p, nameKey, plainForm[uint32]()),
		standing:   newTable(p, custodianPeriodKey, plainForm[none]()),
		unreviewed: newTable(p, indexKey, plainForm[none]()),
		waiting:    newTable(p, indexKey, plainForm[waiting]()),
		kept:       newTable(p, answerKey, plainForm[uint64]()),

		counted:     newTable(p, hashKey, plainForm[uint64]()),
		keys:        newTable(p, keyPeriodKey, statementsForm()),
		gone:        newTable(p, custodianPeriodKey, plainForm[none]()),
		halves:      newTable(p, rawKeyKey, formOf((*charter.KeyStatement).Encode, charter.ParseKeyStatement)),
		warrants:    newTable(p, indexKey, b.warrantForm()),
		commitments: newTable(p, commitmentKey, plainForm[uint64]()),
		requests:    newTable(p, hashKey, b.requestForm()),
		releases:    newTable(p, answerKey, plainForm[uint64]()),
		refusals:    newTable(p, answerKey, plainForm[uint8]()),
		holds:       newTable(p, answerKey, plainForm[hold]()),
		readings:    newList(p, hashKey, b.readingForm()),
		answers:     newList(p, hashKey, plainForm[Answer]()),
		errors:      newList(p, indexKey, plainForm[LoggedError]()),
		reviews:     newTable(p, indexKey, plainForm[*LoggedReview]()),
		clocks:      newTable(p, indexKey, b.clocksForm()),
		told:        newList(p, noKey, plainForm[told]()),
		findings:    newList(p, noKey, plainForm[Finding]()),

		lives:   newList(p, tallyCode, plainForm[life]()),
		lengths: newTable(p, tallyCode, plainForm[[]uint64]()),
		places:  newList(p, tallyPeriodKey, plainForm[int]()),
	}
}

// reopen reads what must be in memory of a book that lies on a shelf.
func (b *Book) reopen() {
	b.enacted.load(indexOf)
	b.used.load(func(key []byte) string { return string(key) })
	b.standing.load(custodianPeriodOf)
	b.unreviewed.load(indexOf)
	b.waiting.load(indexOf)
	b.kept.load(answerOf)
	for _, index := range sortedKeys(b.enacted.rows) {
		s := must(b.entry(index)).Charter
		c, at := must(charter.Parse(s.Charter)), b.enacted.rows[index]
		l := &law{charter: c, hash: s.Hash(), index: index, seen: at.Seen, active: at.Active, prev: b.heads[c.Name]}
		b.laws[l.hash], b.heads[c.Name] = l, l
	}
}

// entry returns an entry that counts.
func (b *Book) entry(index uint64) (*Entry, error) { return ParseEntry(b.pages.shelf.Entry(index)) }

// The rows of warrants, requests and readings lack what their entries say.

type warrantRow struct {
	Index       uint64
	Rank, Place int
	Standing    Standing
}

func (b *Book) warrantForm() form[*LoggedWarrant] {
	return formOf(
		func(w *LoggedWarrant) warrantRow { return warrantRow{w.Index, w.Rank, w.place, w.Standing} },
		func(r warrantRow) (*LoggedWarrant, error) {
			e, err := b.entry(r.Index)
			if err != nil {
				return nil, err
			}
			return &LoggedWarrant{e.Warrant, r.Index, e.Hash(), r.Rank, r.Standing, r.Place}, nil
		})
}

type requestRow struct {
	Index uint64
	Root  [32]byte
	Error ErrorKind
}

func (b *Book) requestForm() form[*LoggedRequest] {
	return formOf(
		func(q *LoggedRequest) requestRow { return requestRow{q.Index, q.Root, q.Error} },
		func(r requestRow) (*LoggedRequest, error) {
			e, err := b.entry(r.Index)
			if err != nil {
				return nil, err
			}
			return &LoggedRequest{e.Request, r.Index, e.Hash(), r.Root, r.Error}, nil
		})
}

func (b *Book) readingForm() form[LoggedReading] {
	return formOf(
		func(x LoggedReading) uint64 { return x.Index },
		func(index uint64) (x LoggedReading, err error) {
			e, err := b.entry(index)
			if err != nil {
				return x, err
			}
			return LoggedReading{e.Reading, index, e.Bytes()}, nil
		})
}

// clockRow names the beacon's key by a law that has it.
type clockRow struct {
	Law       charter.Hash
	Round     uint64
	Signature []byte // nil before it is on the log
}

func (b *Book) clocksForm() form[[]*clock] {
	return formOf(each(func(c *clock) clockRow {
		row := clockRow{Law: c.law, Round: c.round}
		if c.signature != nil {
			row.Signature = c.signature.Bytes()
		}
		return row
	}), eachOrNone(func(r clockRow) (c *clock, err error) {
		c = &clock{law: r.Law, key: b.laws[r.Law].charter.Beacon.Key, round: r.Round}
		if r.Signature != nil {
			c.signature, err = c.key.Verify(r.Round, r.Signature)
		}
		return c, err
	}))
}

func statementsForm() form[[]*charter.KeyStatement] {
	return formOf(each((*charter.KeyStatement).Encode), eachOrNone(charter.ParseKeyStatement))
}

func each[A, B any](f func(A) B) func([]A) []B {
	return func(list []A) (out []B) {
		for _, a := range list {
			out = append(out, f(a))
		}
		return out
	}
}

func eachOrNone[A, B any](f func(A) (B, error)) func([]A) ([]B, error) {
	return func(list []A) (out []B, err error) {
		for _, a := range list {
			b, err := f(a)
			if err != nil {
				return nil, err
			}
			out = append(out, b)
		}
		return out, nil
	}
}

// The keys of rows. What is of one size stands as it is, a name is a vector.

func noKey(none) []byte                 { return nil }
func nameKey(name string) []byte        { return []byte(name) }
func hashKey(h EntryHash) []byte        { return h[:] }
func commitmentKey(c [32]byte) []byte   { return c[:] }
func indexKey(index uint64) []byte      { return binary.BigEndian.AppendUint64(nil, index) }
func indexOf(key []byte) (index uint64) { return binary.BigEndian.Uint64(key) }

func keyPeriodKey(k keyPeriod) []byte {
	var w wire.Writer
	w.String(k.charter)
	w.Uint32(k.period)
	return w.Bytes()
}

func rawKeyKey(k rawKey) []byte {
	var w wire.Writer
	w.String(k.charter)
	w.Fixed(k.hash[:])
	return w.Bytes()
}

func custodianPeriodKey(k custodianPeriod) []byte {
	var w wire.Writer
	w.String(k.charter)
	w.String(k.office)
	w.String(k.custodian)
	w.Uint32(k.period)
	return w.Bytes()
}

func custodianPeriodOf(key []byte) custodianPeriod {
	r := wire.NewReader(key)
	k := custodianPeriod{r.String(MaxEntry), r.Name(), r.Name(), r.Uint32()}
	return must(k, r.Done())
}

func answerKey(a answer) []byte {
	var w wire.Writer
	w.Fixed(a.request[:])
	w.String(a.office)
	w.String(a.custodian)
	return w.Bytes()
}

func answerOf(key []byte) answer {
	r := wire.NewReader(key)
	a := answer{r.Array32(), r.Name(), r.Name()}
	return must(a, r.Done())
}

func writeTally(w *wire.Writer, k tallyKey) {
	w.String(k.charter)
	for _, is := range []bool{k.test, k.hold} {
		if is {
			w.Uint8(1)
		} else {
			w.Uint8(0)
		}
	}
}

func tallyCode(k tallyKey) []byte {
	var w wire.Writer
	writeTally(&w, k)
	return w.Bytes()
}

func tallyPeriodKey(k tallyPeriod) []byte {
	var w wire.Writer
	writeTally(&w, k.of)
	w.Uint64(k.length)
	w.Uint64(k.number)
	return w.Bytes()
}

func sortedKeys[V any](rows map[uint64]V) []uint64 { return slices.Sorted(maps.Keys(rows)) }
