package ledger

import (
	"maps"
	"slices"
	"time"

	"writ/charter"
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
	running    *table[answer, uint64]        // holds that did not end: until when

	counted     *table[EntryHash, uint64]               // index of each entry that counts
	keys        *list[keyPeriod, *charter.KeyStatement] // in the log's order
	gone        *table[custodianPeriod, none]           // destructions
	halves      *table[rawKey, *charter.KeyStatement]   // that use them
	warrants    *table[uint64, *LoggedWarrant]          // by index
	commitments *table[[32]byte, uint64]                // index of their warrant
	requests    *table[EntryHash, *LoggedRequest]
	releases    *table[answer, uint64] // index
	refusals    *table[refusal, uint8] // reason
	holds       *table[answer, hold]
	readings    *list[EntryHash, LoggedReading] // by request
	answers     *list[asked, Answer]
	errors      *list[uint64, LoggedError]    // by index of the warrant
	reviews     *table[uint64, *LoggedReview] // by index of the warrant
	clocks      *table[uint64, []*clock]      // by round: one for each beacon that a request of the round waits for
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

// asked is a request with the law whose custodians answer it. A refusal may come before the
// request, which shows its law: another law's custodian of the same name answers nothing.
type asked struct {
	law     string
	request EntryHash
}

// refusal identifies what a custodian refused.
type refusal struct {
	asked
	office, custodian string
}

// enacted is what the entry of a law does not say.
type enacted struct{ seen, active time.Time }

func newTables(b *Book, p *pages) tables {
	return tables{
		head: newTable(p, noKey, plainForm[head]()),

		enacted:    newTable(p, indexKey, enactedForm()),
		used:       newTable(p, nameKey, plainForm[uint32]()),
		standing:   newTable(p, custodianPeriodKey, plainForm[none]()),
		unreviewed: newTable(p, indexKey, plainForm[none]()),
		waiting:    newTable(p, indexKey, plainForm[waiting]()),
		running:    newTable(p, answerKey, plainForm[uint64]()),

		counted:     newTable(p, hashKey, plainForm[uint64]()),
		keys:        newList(p, keyPeriodKey, statementForm()),
		gone:        newTable(p, custodianPeriodKey, plainForm[none]()),
		halves:      newTable(p, rawKeyKey, statementForm()),
		warrants:    newTable(p, indexKey, b.warrantForm()),
		commitments: newTable(p, commitmentKey, plainForm[uint64]()),
		requests:    newTable(p, hashKey, b.requestForm()),
		releases:    newTable(p, answerKey, plainForm[uint64]()),
		refusals:    newTable(p, refusalKey, plainForm[uint8]()),
		holds:       newTable(p, answerKey, plainForm[hold]()),
		readings:    newList(p, hashKey, b.readingForm()),
		answers:     newList(p, askedKey, plainForm[Answer]()),
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
	b.running.load(answerOf)
	for _, index := range sortedKeys(b.enacted.rows) {
		s := must(b.entry(index)).Charter
		c, at := must(charter.Parse(s.Charter)), b.enacted.rows[index]
		l := &law{charter: c, hash: s.Hash(), index: index, seen: at.seen, active: at.active, prev: b.heads[c.Name]}
		b.laws[l.hash], b.heads[c.Name] = l, l
	}
}

// entry returns an entry that counts.
func (b *Book) entry(index uint64) (*Entry, error) { return ParseEntry(b.pages.shelf.Entry(index)) }

func sortedKeys[V any](rows map[uint64]V) []uint64 { return slices.Sorted(maps.Keys(rows)) }
