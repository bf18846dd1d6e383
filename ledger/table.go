package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
)

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

// plainForm is the form of a value that is what it shows.
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
	t.pages.check()
	if v, ok = t.rows[k]; ok || t.whole || t.pages.whole {
		return v, ok
	}
	t.pages.broken = true // until it is read
	stored := t.pages.shelf.Get(t.place(k))
	if ok = stored != nil; ok {
		v = must(t.form.unmarshal(stored))
		t.rows[k] = v
	}
	t.pages.broken = false
	return v, ok
}

// put stores a value. What it points to may be with readers and must not change.
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
