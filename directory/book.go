package directory

import (
	"fmt"
	"maps"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// RootEvery is after how many entries a directory logs a root of its tree.
// Between it and [MaxTail] lies what may pile up while a root is on its way.
const RootEvery = 32

// Book replays a directory's log. The directory answers lookups from it; an
// auditor feeds it the same entries and learns of each root that is not the
// tree's. It is not safe for concurrent use.
//
// Its memory grows with the number of accounts, about 250 bytes each, and with
// the entries since the last right root. A root costs what [MaxTail] leaves cost, however many
// came since, so that a directory that lies can't make reading its log slow.
type Book struct {
	size    uint64
	leaves  uint64   // among the entries
	covered frontier // of the entries that the last right root states, none before it
	tree    Tree     // over these
	tail    []tailEntry
	changed map[Label]Value // of the tail, where it differs from the tree

	next     Tree // the tree over all entries, if nextSize is size
	nextSize uint64
	marks    []Tree // over the first entries up to each multiple of MaxTail in the tail, as far as roots came
}

type tailEntry struct {
	bytes  []byte
	update *Update // the value of the leaf's label from here on; nil if it is no leaf
}

// NewBook returns a Book of no entries.
func NewBook() *Book { return &Book{changed: map[Label]Value{}} }

// Clone returns a copy that goes its own way from here. It shares the tree, so it
// costs what the tail costs.
func (b *Book) Clone() *Book {
	c := *b
	c.tail, c.changed, c.marks = slices.Clone(b.tail), maps.Clone(b.changed), slices.Clone(b.marks)
	return &c
}

// Size returns the number of entries applied.
func (b *Book) Size() uint64 { return b.size }

// Leaves returns the number of leaves among the entries.
func (b *Book) Leaves() uint64 { return b.leaves }

// Head returns the root of the log's own tree (RFC 6962) over the entries applied; ok
// is false if there are none.
func (b *Book) Head() (head tlog.Hash, ok bool) { return b.covered.with(bytesOf(b.tail)...).head() }

func bytesOf(tail []tailEntry) (entries [][]byte) {
	for _, e := range tail {
		entries = append(entries, e.bytes)
	}
	return entries
}

// Value returns how many leaves a label has, and their history.
func (b *Book) Value(label Label) Value {
	if v, ok := b.changed[label]; ok {
		return v
	}
	v, _ := b.tree.Value(label)
	return v
}

// Apply takes the next entry of the log. An error says why the entry is wrong:
// it stays on the log and nobody may rely on it. A wrong root is proof of a
// directory that lies or is broken; it convinces whoever replays the log.
func (b *Book) Apply(entry []byte) error {
	index := b.size
	switch e, err := b.push(entry); {
	case err != nil:
		return fmt.Errorf("entry %d: %w", index, err)
	case e.Root != nil:
		return b.applyRoot(index, *e.Root)
	}
	return nil
}

// push puts an entry at the end, whatever a root in it says.
func (b *Book) push(entry []byte) (Entry, error) {
	e, err := ParseEntry(entry)
	last := tailEntry{bytes: slices.Clone(entry)}
	if e.Leaf != nil {
		last.update = &Update{e.Leaf.Label, b.Value(e.Leaf.Label).Next(b.size, *e.Leaf)}
		b.leaves++
		b.changed[last.update.Label] = last.update.Value
	}
	b.tail = append(b.tail, last)
	b.size++
	return e, err
}

func (b *Book) applyRoot(index uint64, r Root) error {
	if r.Size > index || r.Size < b.covered.size || r.Size == 0 {
		return invalid("the root at %d covers %d entries, after one of %d", index, r.Size, b.covered.size)
	}
	tree := b.treeAt(r.Size)
	if tree.Root() != r.Hash {
		return invalid("the root at %d is not that of the first %d entries", index, r.Size)
	}
	b.cover(r.Size, tree)
	return nil
}

// cover takes the first entries, up to a size, and the tree over them for covered.
func (b *Book) cover(size uint64, tree Tree) {
	n, passed := size-b.covered.size, size/MaxTail-b.covered.size/MaxTail
	for _, e := range b.tail[:n] {
		if e.update != nil && b.changed[e.update.Label] == e.update.Value {
			delete(b.changed, e.update.Label)
		}
	}
	b.tree, b.covered = tree, b.covered.with(bytesOf(b.tail[:n])...)
	b.tail, b.marks = without(b.tail, n), without(b.marks, min(passed, uint64(len(b.marks))))
}

// without drops the first n elements of a list, which nobody else has. It costs nothing more,
// however long the rest is.
func without[T any](list []T, n uint64) []T {
	clear(list[:n])
	return list[n:]
}

// treeAt returns the tree over the first size entries, size being at least
// what the last root covers.
func (b *Book) treeAt(size uint64) Tree {
	if size == b.nextSize {
		return b.next
	}
	before := b.covered.size / MaxTail
	for at := before + uint64(len(b.marks)) + 1; at <= size/MaxTail; at++ {
		b.marks = append(b.marks, b.grow(at-1, at*MaxTail))
	}
	return b.grow(size/MaxTail, size)
}

// grow returns the tree over the first size entries, made from that at a mark, or of what is
// covered if that is more.
func (b *Book) grow(mark, size uint64) Tree {
	from, tree := b.covered.size, b.tree
	if first := from/MaxTail + 1; mark >= first {
		from, tree = mark*MaxTail, b.marks[mark-first]
	}
	var updates []Update
	for _, e := range b.tail[from-b.covered.size : size-b.covered.size] {
		if e.update != nil {
			updates = append(updates, *e.update)
		}
	}
	return tree.With(updates...)
}

// Due reports whether a root should be logged.
func (b *Book) Due() bool { return len(b.tail) >= RootEvery }

// Root returns the root over all entries so far, to be logged.
func (b *Book) Root() Root {
	b.next = b.treeAt(b.size)
	b.nextSize = b.size
	return Root{b.size, b.next.Root()}
}

// Lookup answers for an account, given its label with the proof, under the
// checkpoint of [Book.Size] entries. chain holds the account's statements from version 1, empty if it has none;
// log reads the hashes of the log's own tree. Only a right chain makes a lookup
// that verifies.
func (b *Book) Lookup(label Label, proof []byte, chain []Opened, log tlog.HashReader) (*Lookup, error) {
	if len(b.tail) > MaxTail {
		return nil, refused("no root for the last %d entries", len(b.tail))
	}
	l := &Lookup{labelProof: proof, chain: chain, tail: span{b.covered.size, b.covered.roots, bytesOf(b.tail)}}
	if b.covered.size == 0 {
		return l, nil
	}
	l.tree = b.tree.Prove(label)
	var err error
	for _, o := range slices.Backward(chain) {
		if o.Index < b.covered.size {
			l.path, err = tlog.ProveRecord(int64(b.size), int64(o.Index), log)
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	return l, nil
}
