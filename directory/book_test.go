package directory

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"
)

// leafOf is one of a thousand accounts' next leaf.
func leafOf(i int) []byte {
	l := Leaf{Commitment: [32]byte{byte(i)}}
	binary.BigEndian.PutUint64(l.Label[:], uint64(i%1000)*0x9e3779b97f4a7c15)
	return l.Entry()
}

// allocated returns how many bytes a function takes.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A directory that lies can't make its auditor do all its work again for each entry: not with
// wrong roots without end, nor with right ones that never cover what waits for them.
func TestRootsOfALongTailCostNoMore(t *testing.T) {
	const roots = 300
	cost := func(leaves int, rightEvery int) uint64 {
		b := NewBook()
		for i := range leaves {
			b.Apply(leafOf(i))
		}
		steps := uint64(0)
		right := func() {
			steps++
			if err := b.Apply(Root{steps, b.treeAt(steps).Root()}.Entry()); err != nil {
				t.Fatal(err)
			}
		}
		right()
		wrong := func(i uint64) {
			if b.Apply(Root{uint64(leaves) - i, [32]byte{1}}.Entry()) == nil {
				t.Fatal("a wrong root was taken")
			}
		}
		wrong(0) // walks over the tail once
		return allocated(func() {
			for i := range uint64(roots) {
				wrong(i)
				if rightEvery > 0 && i%uint64(rightEvery) == 0 {
					right()
				}
			}
		})
	}
	for _, rightEvery := range []int{0, 1} {
		if short, long := cost(1_000, rightEvery), cost(20_000, rightEvery); long > 3*short {
			t.Errorf("%d wrong roots after 20,000 leaves take %d bytes, after 1,000 they take %d", roots, long, short)
		}
	}
}

// However long the tail grew and whatever roots came, the tree is that of the leaves.
func TestTreeOfALongTail(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 4 {
		b, values := NewBook(), Tree{}
		trees := []Tree{values} // by size
		for i := range 3_000 {
			size := b.covered.size + random.Uint64N(b.size-b.covered.size+1)
			var err error
			switch kind := random.IntN(400); {
			case kind == 0 && size > 0:
				err = b.Apply(Root{size, trees[size].Root()}.Entry())
			case kind < 20:
				if b.Apply(Root{size, [32]byte{1}}.Entry()) == nil {
					t.Fatal("a wrong root was taken")
				}
			case kind == 20 && size > 0: // as a directory does
				err = b.Apply(b.Root().Entry())
			case kind == 21: // a copy goes its own way
				c := b.Clone()
				for i := range 300 {
					c.Apply(leafOf(i))
				}
				c.Apply(Root{c.size, c.treeAt(c.size).Root()}.Entry())
				continue
			default:
				e, _ := ParseEntry(leafOf(i))
				values = values.With(Update{e.Leaf.Label, b.Value(e.Leaf.Label).Next(b.size, *e.Leaf)})
				err = b.Apply(leafOf(i))
			}
			if err != nil {
				t.Fatal(err)
			}
			trees = append(trees, values)
		}
		if got := b.Root(); got.Hash != values.Root() || len(trees) != int(b.size)+1 {
			t.Fatal("another tree")
		}
		for label := range b.changed {
			want, _ := values.Value(label)
			if b.Value(label) != want {
				t.Fatal("another value")
			}
		}
		if len(b.changed) > len(b.tail) {
			t.Fatal("the book keeps what its tree has")
		}
	}
}
