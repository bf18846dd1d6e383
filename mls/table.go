package mls

// chunkSize is how many slots of a table are copied when one of them changes.
const chunkSize = 64

// A table is an array that is cheap to copy: a copy shares the chunks of the original
// until it writes to them. The zero table is empty. Slots never written are zero and
// take no memory.
type table[T any] struct {
	chunks []*chunk[T]
	size   int
	owner  *owner // of the chunks that may be written in place; nil after share
}

type chunk[T any] struct {
	owner *owner
	slots [chunkSize]T
}

// An owner is a name; it has a size, so that two have two addresses.
type owner struct{ _ byte }

// share gives up the right to write in place: copies may see the chunks from now on.
func (t *table[T]) share() {
	if t.owner != nil { // a table that is shared already is only read
		t.owner = nil
	}
}

// clone returns a copy that can be written without the original noticing.
func (t *table[T]) clone() table[T] {
	t.share()
	return table[T]{append([]*chunk[T](nil), t.chunks...), t.size, new(owner)}
}

func (t *table[T]) get(i int) (v T) {
	if c := t.chunks[i/chunkSize]; c != nil {
		v = c.slots[i%chunkSize]
	}
	return v
}

// at is the place of slot i, to be written.
func (t *table[T]) at(i int) *T {
	c := t.chunks[i/chunkSize]
	if c == nil || c.owner != t.owner || t.owner == nil {
		own := &chunk[T]{owner: t.owner}
		if c != nil {
			own.slots = c.slots
		}
		t.chunks[i/chunkSize], c = own, own
	}
	return &c.slots[i%chunkSize]
}

// resize extends with zeros, or truncates.
func (t *table[T]) resize(n int) {
	var zero T
	for i := n; i < t.size && i%chunkSize != 0; i++ {
		*t.at(i) = zero
	}
	chunks := (n + chunkSize - 1) / chunkSize
	if chunks > len(t.chunks) {
		t.chunks = append(t.chunks, make([]*chunk[T], chunks-len(t.chunks))...)
	}
	t.chunks, t.size = t.chunks[:chunks:chunks], n
}

// differences yields the slots in which two tables may differ: all those of chunks
// that they don't share.
func (t *table[T]) differences(o *table[T], yield func(i int)) {
	for k := range max(len(t.chunks), len(o.chunks)) {
		if k < len(t.chunks) && k < len(o.chunks) && t.chunks[k] == o.chunks[k] {
			continue
		}
		for i := k * chunkSize; i < min((k+1)*chunkSize, max(t.size, o.size)); i++ {
			yield(i)
		}
	}
}
