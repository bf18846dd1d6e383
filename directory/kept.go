package directory

import (
	"bytes"

	"writ/internal/wire"
)

// maxLogged is the largest entry that a log holds, whatever it is (c2sp.org/tlog-tiles).
const maxLogged = 1<<16 - 1

// Write appends the book as a reader of the log keeps it, 72 bytes for each account
// (AUD-41):
//
//	struct { opaque label[32]; uint64 version; opaque history[32]; } Value;
//	struct {
//	  uint64 covered;                             entries before it are the tree's
//	  opaque left<V> of [32];                     perfect subtrees of these, largest first
//	  uint64 labels; Value values[labels];        the tree, by ascending label
//	  uint64 entries; opaque entry<V> [entries];  all from covered on
//	} Book;
func (b *Book) Write(w *wire.Writer) {
	w.Uint64(b.covered.size)
	writeHashes(w, b.covered.roots)
	w.Uint64(b.tree.root.count())
	b.tree.root.each(func(u *Update) {
		w.Fixed(u.Label[:])
		w.Uint64(u.Value.Version)
		w.Fixed(u.Value.History[:])
	})
	w.Uint64(uint64(len(b.tail)))
	for _, e := range b.tail {
		w.Opaque(e.bytes)
	}
}

// ReadBook reads what [Book.Write] wrote and leaves what follows. It demands that the
// tree is one whose root stands among the entries: with [Book.Head] that of a witnessed
// checkpoint, the log itself shows that the book is its own.
func ReadBook(r *wire.Reader) *Book {
	b := NewBook()
	b.covered = frontier{r.Uint64(), parseHashes(r)}
	if !b.covered.valid() {
		r.Fail("%d subtrees of %d entries", len(b.covered.roots), b.covered.size)
	}
	b.size = b.covered.size
	b.tree = Tree{}.With(b.readValues(r)...)
	root, stated := Root{b.covered.size, b.tree.Root()}, b.covered.size == 0
	n := r.Uint64()
	for i := uint64(0); i < n && r.Err() == nil; i++ {
		e, _ := b.push(r.Opaque(maxLogged))
		stated = stated || e.Root != nil && *e.Root == root
	}
	if !stated {
		r.Fail("a tree that is not the log's")
	}
	return b
}

// readValues reads the labels of the tree, whose leaves are among the entries covered.
func (b *Book) readValues(r *wire.Reader) (values []Update) {
	n := r.Uint64()
	for i := uint64(0); i < n && r.Err() == nil; i++ {
		u := Update{r.Array32(), Value{r.Uint64(), r.Array32()}}
		switch {
		case i > 0 && bytes.Compare(values[i-1].Label[:], u.Label[:]) >= 0:
			r.Fail("labels out of order")
		case u.Value.Version == 0 || u.Value.Version > b.covered.size-b.leaves:
			r.Fail("more leaves than entries, or a label without one")
		}
		b.leaves += u.Value.Version
		values = append(values, u)
	}
	return values
}

// each gives a function what is below a node, by ascending label.
func (n *node) each(f func(*Update)) {
	switch {
	case n == nil:
	case n.update != nil:
		f(n.update)
	default:
		n.left.each(f)
		n.right.each(f)
	}
}

// count returns the number of labels below a node.
func (n *node) count() (labels uint64) {
	n.each(func(*Update) { labels++ })
	return labels
}
