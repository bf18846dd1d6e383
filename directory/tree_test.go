package directory

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"writ/internal/wire"
)

// plainRoot is the definition of the tree's root (DIR-15), over labels that
// share their first depth bits.
func plainRoot(values map[Label]Value, depth int) [32]byte {
	halves := [2]map[Label]Value{{}, {}}
	for l, v := range values {
		if len(values) == 1 {
			return Update{l, v}.hash()
		}
		halves[l[depth/8]>>(7-depth%8)&1][l] = v
	}
	if len(values) == 0 {
		return [32]byte{}
	}
	left, right := plainRoot(halves[0], depth+1), plainRoot(halves[1], depth+1)
	return wire.Hash("directory node", left[:], right[:])
}

// drawLabel draws labels that share long prefixes, so that deep and lopsided
// trees come up.
func drawLabel(t *rapid.T, name string) (l Label) {
	l[0] = rapid.SampledFrom([]byte{0, 1, 0x80, 0xff}).Draw(t, name)
	l[rapid.IntRange(1, 31).Draw(t, name)] = byte(1) << rapid.IntRange(0, 7).Draw(t, name)
	return l
}

func drawUpdates(t *rapid.T, most int) (us []Update) {
	for range rapid.IntRange(0, most).Draw(t, "updates") {
		us = append(us, Update{drawLabel(t, "label"), Value{rapid.Uint64Range(1, 9).Draw(t, "version"), [32]byte{1}}})
	}
	return us
}

// The root is that of the definition whatever the batches were, and older trees
// stay as they were.
func TestTreeIsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tree Tree
		values := map[Label]Value{}
		for range rapid.IntRange(1, 5).Draw(t, "batches") {
			old, oldRoot := tree, plainRoot(values, 0)
			us := drawUpdates(t, 12)
			tree = tree.With(us...)
			for _, u := range us {
				values[u.Label] = u.Value
			}
			if tree.Root() != plainRoot(values, 0) || old.Root() != oldRoot {
				t.Fatalf("roots differ after %v", us)
			}
		}
		for l, v := range values {
			if got, ok := tree.Value(l); !ok || got != v {
				t.Fatalf("value of %x: %v", l, got)
			}
		}
	})
}

// A proof shows what the map holds, and no change of it shows anything else.
func TestTreeProofs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := map[Label]Value{}
		us := drawUpdates(t, 30)
		for _, u := range us {
			values[u.Label] = u.Value
		}
		tree := Tree{}.With(us...)
		label := drawLabel(t, "asked")
		if len(us) > 0 && rapid.Bool().Draw(t, "present") {
			label = us[0].Label
		}
		encoded := tree.Prove(label).Encode()
		p, err := parseTreeProof(encoded)
		if err != nil || !bytes.Equal(p.Encode(), encoded) {
			t.Fatal(err)
		}
		want, there := values[label]
		got, ok, err := p.Verify(tree.Root(), label)
		if err != nil || ok != there || got != want {
			t.Fatalf("%x: got %v, %v, %v; want %v, %v", label, got, ok, err, want, there)
		}
		if _, _, err := p.Verify(tree.With(Update{label, Value{99, label}}).Root(), label); err == nil {
			t.Fatal("accepted under the root after an update")
		}
		encoded[rapid.IntRange(0, len(encoded)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if p, err := parseTreeProof(encoded); err == nil {
			if _, _, err := p.Verify(tree.Root(), label); err == nil {
				t.Fatal("changed proof accepted")
			}
		}
	})
}

// A leaf that is in the tree, but elsewhere, does not prove a label absent.
func TestTreeProofMisplacedLeaf(t *testing.T) {
	a, b := Update{Label{0x00}, Value{1, [32]byte{1}}}, Update{Label{0x80}, Value{2, [32]byte{2}}}
	tree := Tree{}.With(a, b)
	lie := &TreeProof{there: &b, siblings: [][32]byte{a.hash()}}
	asked := Label{0x80, 1}
	if _, ok, err := lie.Verify(tree.Root(), asked); ok || err != nil {
		t.Fatalf("the honest form of it: %v", err)
	}
	// With b as terminal on a's side the hashes lead to the mirrored tree's root.
	mirrored := nodeHash(b.hash(), a.hash())
	if _, _, err := lie.Verify(mirrored, Label{0x00, 1}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a leaf out of its place: %v", err)
	}
}

func TestTreeProofForms(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty":          nil,
		"short leaf":     {1, 0, 0},
		"long zero":      append([]byte{0, 33, 1}, make([]byte, 32)...),
		"neither":        {0, 1, 2},
		"trailing":       {0, 0, 0},
		"257 siblings":   append([]byte{0, 0x41, 0x01}, make([]byte, 257)...),
		"truncated hash": {0, 2, 1, 1},
	} {
		if p, err := parseTreeProof(b); p != nil || !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
}

func FuzzTreeProof(f *testing.F) {
	us := []Update{}
	for i := range 20 {
		us = append(us, Update{sha256.Sum256([]byte{byte(i)}), Value{uint64(i), [32]byte{}}})
	}
	tree := Tree{}.With(us...)
	for _, u := range us {
		f.Add(tree.Prove(u.Label).Encode(), u.Label[:])
	}
	f.Add(tree.Prove(Label{1}).Encode(), make([]byte, 32))
	f.Fuzz(func(t *testing.T, b, l []byte) {
		p, err := parseTreeProof(b)
		if err != nil || len(l) != 32 {
			return
		}
		if !bytes.Equal(p.Encode(), b) {
			t.Fatalf("%x encodes as %x", b, p.Encode())
		}
		v, ok, err := p.Verify(tree.Root(), Label(l))
		if want, there := tree.Value(Label(l)); err == nil && (ok != there || v != want) {
			t.Fatalf("%x proves %v, %v of %x", b, v, ok, l)
		}
	})
}

// subtrees reads the hashes of a [frontier] of that size from the log's stored hashes.
func subtrees(size uint64, log tlog.HashReader) ([]tlog.Hash, error) {
	var indexes []int64
	done := uint64(0)
	for level := 62; level >= 0; level-- {
		if n := uint64(1) << level; size&n != 0 {
			indexes = append(indexes, tlog.StoredHashIndex(level, int64(done>>level)))
			done += n
		}
	}
	return log.ReadHashes(indexes)
}

// The end of a log with the subtrees before it is the whole log.
func TestSpan(t *testing.T) {
	log := &testLog{}
	for n := range 70 {
		log.append(fmt.Append(nil, n))
		for start := range uint64(n + 2) {
			left, err := subtrees(start, log)
			if err != nil {
				t.Fatal(err)
			}
			if f := (frontier{}).with(log.entries[:start]...); f.size != start || !slices.Equal(f.roots, left) || !f.valid() {
				t.Fatalf("the frontier of %d entries is %v", start, f)
			}
			s := span{start, left, log.entries[start:]}
			want, _ := tlog.TreeHash(int64(n+1), log)
			if got, ok := s.head(); !ok || got != want {
				t.Fatalf("%d entries from %d: %v, %v", n+1, start, got, ok)
			}
			if got, ok := (span{start, append(left, tlog.Hash{}), s.entries}).head(); ok {
				t.Fatalf("a subtree too many: %v", got)
			}
		}
	}
	if _, ok := (span{}).head(); ok {
		t.Error("an empty log has a head")
	}
	if _, ok := (span{start: 1 << 63, entries: log.entries}).head(); ok {
		t.Error("a log of 2^63 entries has a head")
	}
}

func TestEntries(t *testing.T) {
	leaf, root := Leaf{Label{1}, [32]byte{2}}, Root{7, [32]byte{3}}
	if e, err := ParseEntry(leaf.Entry()); err != nil || e.Root != nil || *e.Leaf != leaf {
		t.Errorf("leaf: %v, %v", e, err)
	}
	if e, err := ParseEntry(root.Entry()); err != nil || e.Leaf != nil || *e.Root != root {
		t.Errorf("root: %v, %v", e, err)
	}
	if _, err := ParseEntry(make([]byte, maxEntry+1)); !strings.Contains(err.Error(), "entry of 129 bytes") {
		t.Errorf("read a long entry before refusing it: %v", err)
	}
	b := root.Entry()
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"another version": {slices.Concat([]byte{0, 2}, b[2:]), ErrUnsupported},
		"another type":    {slices.Concat([]byte{0, 1, 3}, b[3:]), ErrUnsupported},
		"root as leaf":    {slices.Concat([]byte{0, 1, 1}, b[3:]), wire.ErrMalformed},
		"leaf as root":    {slices.Concat([]byte{0, 1, 2}, leaf.Entry()[3:]), wire.ErrMalformed},
		"trailing":        {append(bytes.Clone(b), 0), wire.ErrMalformed},
		"long":            {make([]byte, maxEntry+1), wire.ErrMalformed},
	} {
		if e, err := ParseEntry(c.b); e != (Entry{}) || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v", name, e, err)
		}
	}
}

func FuzzParseEntry(f *testing.F) {
	f.Add(Leaf{Label{1}, [32]byte{2}}.Entry())
	f.Add(Root{7, [32]byte{3}}.Entry())
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEntry(b)
		switch {
		case err != nil:
		case e.Leaf != nil && !bytes.Equal(e.Leaf.Entry(), b), e.Root != nil && !bytes.Equal(e.Root.Entry(), b):
			t.Fatalf("%x does not encode again", b)
		case (e.Leaf == nil) == (e.Root == nil):
			t.Fatalf("%x is %v", b, e)
		}
	})
}

// What a leaf commits to is each of salt, label, version and statement.
func TestLeafCommits(t *testing.T) {
	v1, bob := first("ann"), first("bob")
	v2 := first("ann")
	v2.Version = 2
	seen := map[[32]byte]string{}
	for name, l := range map[string]Leaf{
		"it":        NewLeaf(Label{1}, v1, [32]byte{1}),
		"salt":      NewLeaf(Label{1}, v1, [32]byte{2}),
		"label":     NewLeaf(Label{2}, v1, [32]byte{1}),
		"statement": NewLeaf(Label{1}, bob, [32]byte{1}),
		"version":   NewLeaf(Label{1}, v2, [32]byte{1}),
	} {
		if other, ok := seen[l.Commitment]; ok {
			t.Errorf("%s and %s commit alike", name, other)
		}
		seen[l.Commitment] = name
	}
}

// Nothing of a statement can be read off the log: no name, no key, no hash.
func TestLogShowsNothing(t *testing.T) {
	s := town(t)
	log := bytes.Join(s.log.entries, nil)
	for account, all := range s.known {
		for _, o := range all {
			h := o.Statement.Hash()
			secrets := [][]byte{[]byte(account), h[:], o.Salt[:], o.Statement.Recovery[:]}
			for _, d := range o.Statement.Devices {
				secrets = append(secrets, []byte(d.Name), d.Key[:])
			}
			for _, x := range secrets {
				if bytes.Contains(log, x) {
					t.Errorf("%q stands on the log", x)
				}
			}
		}
	}
	if len(s.known) != 2 {
		t.Error("not both accounts")
	}
}

func TestLabels(t *testing.T) {
	s := labelSigner(t)
	label, proof := s.Prove("ann")
	key, err := ParseLabelKey(s.Public().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := key.Verify("ann", proof); err != nil || got != label {
		t.Errorf("own proof: %v", err)
	}
	if got, err := key.Verify("bob", proof); !errors.Is(err, ErrInvalid) || got != (Label{}) {
		t.Errorf("another account: %v", err)
	}
	other := GenerateLabelSigner()
	if l, _ := other.Prove("ann"); l == label {
		t.Error("two keys give one label")
	}
	if _, err := other.Public().Verify("ann", proof); !errors.Is(err, ErrInvalid) {
		t.Errorf("another key: %v", err)
	}
	again, err := NewLabelSigner(other.Bytes())
	if err != nil || !bytes.Equal(again.Public().Bytes(), other.Public().Bytes()) {
		t.Errorf("stored key: %v", err)
	}
	for i := range proof { // no two proofs of one label
		p := bytes.Clone(proof)
		p[i] ^= 1
		if _, err := key.Verify("ann", p); err == nil {
			t.Errorf("accepted with byte %d changed", i)
		}
	}
	for name, b := range map[string][]byte{"identity": make([]byte, 32), "short": {1}, "no point": bytes.Repeat([]byte{0xff}, 32)} {
		if _, err := ParseLabelKey(b); err == nil {
			t.Errorf("%s taken for a key", name)
		}
		if _, err := NewLabelSigner(b); err == nil {
			t.Errorf("%s taken for a private key", name)
		}
	}
}

// The book's tree is that of all leaves whatever roots were logged, and a root
// that is not the tree's is found.
func TestBookFindsWrongRoots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, log := NewBook(), [][]byte{}
		values := []map[Label]Value{{}} // by size
		apply := func(e []byte) error { log = append(log, e); return b.Apply(e) }
		for range rapid.IntRange(1, 60).Draw(t, "entries") {
			v := maps.Clone(values[len(values)-1])
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0: // a root, perhaps of some entries ago
				size := rapid.IntRange(int(b.covered.size), int(b.size)).Draw(t, "size")
				err := apply(Root{uint64(size), plainRoot(values[size], 0)}.Entry())
				if (err == nil) != (size > 0) {
					t.Fatalf("root of %d entries: %v", size, err)
				}
			case 1:
				size := rapid.IntRange(0, int(b.size)+3).Draw(t, "size")
				if err := apply(Root{uint64(size), [32]byte{1}}.Entry()); err == nil {
					t.Fatal("wrong root not found")
				}
			default:
				l := Leaf{drawLabel(t, "label"), [32]byte{rapid.Byte().Draw(t, "commitment")}}
				v[l.Label] = v[l.Label].Next(b.size, l)
				if err := apply(l.Entry()); err != nil {
					t.Fatal(err)
				}
			}
			values = append(values, v)
			if len(b.changed) > len(b.tail) {
				t.Fatal("the book keeps what its tree has")
			}
			if r := b.Root(); r.Size != uint64(len(log)) || r.Hash != plainRoot(v, 0) {
				t.Fatal("the book proposes another root")
			}
			for l, want := range v {
				if b.Value(l) != want {
					t.Fatalf("value of %x: %v, want %v", l, b.Value(l), want)
				}
			}
		}
	})
	b := NewBook()
	if err := b.Apply([]byte("x")); !errors.Is(err, wire.ErrMalformed) || b.Size() != 1 {
		t.Errorf("an entry that does not parse: %v", err)
	}
}
