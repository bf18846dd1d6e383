package directory

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"writ/internal/wire"
)

func written(b *Book) []byte {
	var w wire.Writer
	b.Write(&w)
	return w.Bytes()
}

func readBook(b []byte) (*Book, error) {
	r := wire.NewReader(b)
	book := ReadBook(r)
	return book, r.Done()
}

// drawEntry is a leaf, the right root of some size, a wrong one, or no entry at all.
func drawEntry(t *rapid.T, b *Book) []byte {
	switch rapid.IntRange(0, 7).Draw(t, "kind") {
	case 0:
		return b.Root().Entry()
	case 1:
		size := rapid.Uint64Range(b.covered.size, b.size).Draw(t, "size")
		return Root{size, b.treeAt(size).Root()}.Entry()
	case 2:
		return Root{rapid.Uint64Range(0, b.size+2).Draw(t, "size"), [32]byte{1}}.Entry()
	case 3:
		return rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "junk")
	}
	return Leaf{drawLabel(t, "label"), [32]byte{rapid.Byte().Draw(t, "commitment")}}.Entry()
}

// A book that was written and read goes on like the one that was not, at whatever entry,
// and its head is the log's.
func TestKeptBookGoesOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, kept, log := NewBook(), NewBook(), &testLog{}
		for range rapid.IntRange(1, 80).Draw(t, "entries") {
			e := drawEntry(t, b)
			log.append(e)
			if err, again := b.Apply(e), kept.Apply(e); fmt.Sprint(err) != fmt.Sprint(again) {
				t.Fatalf("%v became %v", err, again)
			}
			if rapid.Bool().Draw(t, "kept") {
				var err error
				if kept, err = readBook(written(kept)); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(written(b), written(kept)) || b.Root() != kept.Root() || b.Leaves() != kept.Leaves() {
				t.Fatal("they differ")
			}
			for l, v := range b.changed {
				if kept.Value(l) != v {
					t.Fatal("their values differ")
				}
			}
			want, err := tlog.TreeHash(int64(len(log.entries)), log)
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := kept.Head(); !ok || got != want {
				t.Fatalf("the head is %v, of the log %v", got, want)
			}
		}
	})
}

// sample is a book of forty labels under a root, with some entries after it.
func sample() *Book {
	b := NewBook()
	for i := range byte(40) {
		b.Apply(Leaf{Label: Label{i}, Commitment: [32]byte{i}}.Entry())
	}
	b.Apply(b.Root().Entry())
	b.Apply(Leaf{Label: Label{1}}.Entry())
	b.Apply([]byte("no entry"))
	return b
}

func TestKeptBookIsRefused(t *testing.T) {
	good := written(sample())
	values := 8 + 2 + 2*32 + 8 // where they begin: 40 is two subtrees
	change := func(at int, with ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], with)
		return b
	}
	swapped := slices.Concat(good[:values], good[values+72:values+144], good[values:values+72], good[values+144:])
	none := written(NewBook())
	for name, c := range map[string]struct {
		b    []byte
		says string
	}{
		"another size":         {change(7, 41), "2 subtrees of 41 entries"},
		"2^63 entries":         {change(0, 0x80, 0, 0, 0, 0, 0, 0, 8), "subtrees of"},
		"a label out of order": {swapped, "labels out of order"},
		"a label twice":        {change(values+72, good[values:values+72]...), "labels out of order"},
		"no leaf":              {change(values+32+7, 0), "a label without one"},
		"too many leaves":      {change(values+32+7, 2), "more leaves than entries"},
		"a count that wraps":   {change(values+32, bytes.Repeat([]byte{255}, 8)...), "more leaves than entries"},
		"another label":        {change(values+31, 7), "not the log's"},
		"another history":      {change(values+40, good[values+40]^1), "not the log's"},
		"another root":         {change(values+40*72+8+1+3+1+8, 7), "not the log's"},
		"endless labels":       {change(values-8, 255), "labels out of order"},
		"endless entries":      {change(values+40*72, 255), "bytes missing"},
		"labels of nothing":    {slices.Concat(none[:9], []byte{0, 0, 0, 0, 0, 0, 0, 1}, good[values:values+72], none[17:]), "more leaves than entries"},
		"trailing":             {append(bytes.Clone(good), 0), "after the end"},
		"empty":                {nil, "bytes missing"},
	} {
		if _, err := readBook(c.b); !errors.Is(err, wire.ErrMalformed) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := range good {
		if _, err := readBook(good[:n]); !errors.Is(err, wire.ErrMalformed) {
			t.Fatalf("cut after %d of %d bytes: %v", n, len(good), err)
		}
	}
}

// Whatever is read is written again to the same bytes.
func FuzzReadBook(f *testing.F) {
	f.Add(written(NewBook()))
	f.Add(written(sample()))
	f.Fuzz(func(t *testing.T, b []byte) {
		book, err := readBook(b)
		if err != nil {
			return
		}
		if !bytes.Equal(written(book), b) {
			t.Fatalf("%x is written as %x", b, written(book))
		}
		book.Apply(book.Root().Entry())
		book.Head()
	})
}
