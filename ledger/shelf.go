package ledger

import (
	"bytes"
	"encoding/json"
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
// what a book takes for a warrant that was not cancelled, and for a cap not reached.
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
}

// table is a map of which rows may lie on the shelf. What was read from there or written
// stays in memory.
type table[K comparable, V any] struct {
	pages *pages
	tag   byte
	key   func(K) []byte
	form  form[V]
	rows  map[K]V
	whole bool // all rows were loaded
}

// form is how the values of a table look on the shelf.
type form[V any] struct {
	marshal   func(V) ([]byte, error)
	unmarshal func([]byte) (V, error)
}

// plain is the form of a value that is what it shows.
func plainForm[V any]() form[V] {
	return form[V]{func(v V) ([]byte, error) { return json.Marshal(v) },
		func(b []byte) (v V, err error) { return v, json.Unmarshal(b, &v) }}
}

// formOf is the form of a value that is stored as another.
func formOf[V, R any](pack func(V) R, unpack func(R) (V, error)) form[V] {
	stored := plainForm[R]()
	return form[V]{func(v V) ([]byte, error) { return stored.marshal(pack(v)) },
		func(b []byte) (v V, err error) {
			r, err := stored.unmarshal(b)
			if err != nil {
				return v, err
			}
			return unpack(r)
		}}
}

// newTable adds a table to those of a book. Their order tells their rows apart.
func newTable[K comparable, V any](p *pages, key func(K) []byte, f form[V]) *table[K, V] {
	p.tags++
	return &table[K, V]{pages: p, tag: p.tags, key: key, form: f, rows: map[K]V{}}
}

func (t *table[K, V]) get(k K) (v V, ok bool) {
	if v, ok = t.rows[k]; ok || t.whole || t.pages.whole {
		return v, ok
	}
	stored := t.pages.shelf.Get(t.place(k))
	if stored == nil {
		return v, false
	}
	t.rows[k] = must(t.form.unmarshal(stored))
	return t.rows[k], true
}

// put stores a value, also again after what it points to changed.
func (t *table[K, V]) put(k K, v V) {
	t.rows[k] = v
	if t.pages.shelf != nil {
		t.pages.changed[string(t.place(k))] = must(t.form.marshal(v))
	}
}

// remove takes a row out of a table that is in memory.
func (t *table[K, V]) remove(k K) {
	delete(t.rows, k)
	if t.pages.shelf != nil {
		t.pages.changed[string(t.place(k))] = nil
	}
}

// load reads all rows into memory.
func (t *table[K, V]) load(parse func([]byte) K) {
	t.pages.shelf.Scan([]byte{t.tag}, func(key, value []byte) {
		t.rows[parse(bytes.Clone(key[1:]))] = must(t.form.unmarshal(value))
	})
	t.whole = true
}

func (t *table[K, V]) place(k K) []byte { return append([]byte{t.tag}, t.key(k)...) }

// list is a table of growing lists, each element in a row of its own.
type list[K comparable, V any] struct {
	lengths  *table[K, int]
	elements *table[element[K], V]
}

type element[K comparable] struct {
	of K
	at int
}

func newList[K comparable, V any](p *pages, key func(K) []byte, f form[V]) *list[K, V] {
	return &list[K, V]{newTable(p, key, plainForm[int]()), newTable(p, func(e element[K]) []byte {
		return append(key(e.of), indexKey(uint64(e.at))...)
	}, f)}
}

func (l *list[K, V]) len(k K) int {
	n, _ := l.lengths.get(k)
	return n
}

func (l *list[K, V]) at(k K, i int) V {
	v, ok := l.elements.get(element[K]{k, i})
	if !ok {
		panic(fmt.Sprintf("ledger: a list of %d elements has no element %d", l.len(k), i))
	}
	return v
}

func (l *list[K, V]) add(k K, v V) {
	n := l.len(k)
	l.elements.put(element[K]{k, n}, v)
	l.lengths.put(k, n+1)
}

// from returns a list without its first elements, nil if nothing is left.
func (l *list[K, V]) from(k K, i int) (all []V) {
	for n := l.len(k); i < n; i++ {
		all = append(all, l.at(k, i))
	}
	return all
}

// search returns the first index at which an element of an ascending list is not before
// what is searched.
func (l *list[K, V]) search(k K, before func(V) bool) int {
	low, high := 0, l.len(k)
	for low < high {
		if mid := (low + high) / 2; before(l.at(k, mid)) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("ledger: a row of the book is damaged: %v", err))
	}
	return v
}
