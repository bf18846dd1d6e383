package ledger

import (
	"fmt"
	"maps"
	"slices"

	"writ/charter"
)

// Shelf keeps a book between two readings, so that its reader need not replay the log:
// rows that the book wrote, and the entries themselves. It belongs to the reader alone,
// who trusts it as his own memory.
//
// A shelf panics if it can't be read. No answer would do in its place: "nothing there" is
// what a book takes for a warrant that was not cancelled, and for a cap not reached. The book
// panics at all that follows too, since it may have counted half of an entry, and gives a
// shelf no more rows.
type Shelf interface {
	// Get returns the value of a row, nil if there is none.
	Get(key []byte) []byte
	// Scan visits all rows whose key begins with a prefix.
	Scan(prefix []byte, visit func(key, value []byte))
	// Entry returns the entry at an index below the book's size.
	Entry(index uint64) []byte
}

// Row is a change of what lies on a shelf. A nil value takes the row away.
type Row struct{ Key, Value []byte }

// OpenBook returns the book that lies on a shelf, an empty one if the shelf is empty. The
// first charters are those of [NewBook] and must be the same each time: they decided what
// counted. It reads the laws and what waits for something; the rest is read when it is
// asked for, so that opening costs the same however long the log is.
func OpenBook(s Shelf, firsts ...charter.Hash) (b *Book, err error) {
	defer func() {
		if r := recover(); r != nil {
			b, err = nil, fmt.Errorf("ledger: the shelf can't be read: %v", r)
		}
	}()
	p := &pages{shelf: s, changed: map[string][]byte{}, taken: map[string][]byte{}}
	b = newBook(p, firsts)
	h, ok := b.head.get(none{})
	if p.whole = !ok; ok {
		b.size, b.statistics, p.kept = h.Size, h.Statistics, h.Size
		b.reopen()
	}
	return b, nil
}

// Changes returns what a shelf must take, all of it or nothing, to have the book as it is now:
// the rows since the last Changes that was followed by [Book.Kept], sorted by key. There are none
// if no entry was applied since then, or if the book has no shelf.
func (b *Book) Changes() []Row {
	p := b.pages
	p.check()
	if p.shelf == nil || b.size == p.kept {
		return nil
	}
	b.head.put(none{}, head{b.size, b.statistics})
	maps.Copy(p.taken, p.changed)
	p.changed, p.size = map[string][]byte{}, b.size
	rows := make([]Row, 0, len(p.taken))
	for _, key := range slices.Sorted(maps.Keys(p.taken)) {
		rows = append(rows, Row{[]byte(key), p.taken[key]})
	}
	return rows
}

// Kept tells the book that its shelf has the rows that [Book.Changes] last returned.
func (b *Book) Kept() {
	clear(b.pages.taken)
	b.pages.kept = b.pages.size
}

// head is the row without which a shelf is empty.
type head struct {
	Size       uint64
	Statistics Statistics
}

// pages is what the tables of one book share.
type pages struct {
	shelf   Shelf             // nil: the book is in memory only
	whole   bool              // nothing lay on the shelf when the book was opened
	tags    byte              // of the tables made so far
	changed map[string][]byte // rows since the last Changes, by key; nil takes one away
	taken   map[string][]byte // rows that Changes returned and nobody said were kept
	size    uint64            // of the book as Changes last returned it
	kept    uint64            // of the book that lies on the shelf
	broken  bool              // something panicked in the middle of a reading or of an entry
}

// check panics if the book is broken.
func (p *pages) check() {
	if p.broken {
		panic("ledger: a book that failed before")
	}
}
