package audit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"writ/directory"
	"writ/internal/wire"
	"writ/ledger"
)

// directoryLog logs leaves under a right root, and after it a wrong one, junk and a leaf.
func (w *world) directoryLog() {
	w.entries, w.hashes = nil, nil
	book := directory.NewBook()
	add := func(e []byte) {
		w.log(e)
		book.Apply(e)
	}
	for i := range byte(40) {
		add(directory.Leaf{Label: directory.Label{i % 30}, Commitment: [32]byte{i}}.Entry())
	}
	add(book.Root().Entry())
	lie := book.Root()
	lie.Hash[0] ^= 1
	add(lie.Entry())
	add([]byte("no entry"))
	add(directory.Leaf{Label: directory.Label{3}}.Entry())
}

// replay gives an auditor the entries that it has not.
func (w *world) replay(a *DirectoryAuditor) *DirectoryAuditor {
	for a.Size() < uint64(len(w.entries)) {
		w.must(a.Apply(a.Size(), w.entries[a.Size()], begun))
	}
	return a
}

// An auditor that goes on from what it kept, at any entry, finds what the one finds that
// reads the whole log, and keeps the same.
func TestDirectoryKept(t *testing.T) {
	w := newWorld(t)
	w.directoryLog()
	all, whole := w.entries, w.replay(NewDirectory())
	c := w.checkpoint(2)
	at := Options{Now: time.Now(), MaxAge: time.Minute}
	want := whole.Report(w.policy, c, at)
	if len(want.Findings) != 2 || want.Leaves != 41 || want.Roots != 2 {
		t.Fatalf("%+v", want)
	}
	for n := 1; n <= len(all); n++ {
		w.entries = all[:n]
		kept := w.replay(NewDirectory()).Encode(w.checkpoint(2))
		a, err := ResumeDirectory(kept, w.policy)
		if err != nil || a.Size() != uint64(n) {
			t.Fatalf("after %d entries: %v", n, err)
		}
		w.entries = all
		if got := w.replay(a).Report(w.policy, c, at); !reflect.DeepEqual(got, want) {
			t.Fatalf("after %d entries: %+v, want %+v", n, got, want)
		}
		if !bytes.Equal(a.Encode(c), whole.Encode(c)) {
			t.Fatalf("after %d entries it keeps something else", n)
		}
	}
}

// What was damaged, cut or made of something else is not gone on from.
func TestDirectoryKeptIsRefused(t *testing.T) {
	w := newWorld(t)
	w.directoryLog()
	a, c := w.replay(NewDirectory()), w.checkpoint(2)
	good := a.Encode(c)
	for i := range good {
		b := bytes.Clone(good)
		if b[i] ^= 1 << (i % 8); i%7 == 0 {
			b = good[:i]
		}
		if got, err := ResumeDirectory(b, w.policy); err == nil || got != nil {
			t.Fatalf("changed or cut at %d of %d", i, len(good))
		}
	}
	findings := 2 + 2 + len(c.Signed()) + 8
	first := len(a.findings[0].Problem)
	change := func(at int, with ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], with)
		return summed(b[:len(b)-32])
	}
	other := newWorld(t)
	w.log([]byte("one more"))
	for name, c := range map[string]struct {
		b    []byte
		says string
	}{
		"trailing":             {summed(append(good[:len(good)-32:len(good)-32], 0)), "after the end"},
		"another version":      {change(0, 0, 2), "unsupported: version 2"},
		"too many roots":       {change(findings-1, 4), "more than its 44 entries"},
		"endless findings":     {change(findings, 255), "finding"},
		"a finding of nothing": {change(findings+8+8, 3), "finding of kind 3"},
		"findings in disorder": {change(findings+8+7, 43), "findings out of order"},
		"a finding to come":    {change(findings+8+8+1+2+first+7, 44), "more than its 44 entries"},
		"a text that hides":    {change(findings+8+8+1+2+3, 27), "control characters"},
		"another checkpoint":   {a.Encode(w.checkpoint(2)), "not the entries of its checkpoint of 45"},
		"empty":                {nil, "cut short or damaged"},
		"nothing but its sum":  {summed(nil), "unsupported"},
	} {
		if _, err := ResumeDirectory(c.b, w.policy); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ResumeDirectory(good, other.policy); !errors.Is(err, ledger.ErrRefused) {
		t.Errorf("another log's: %v", err)
	}
}

// summed puts a right sum at the end of what may be wrong otherwise.
func summed(b []byte) []byte {
	sum := sha256.Sum256(b)
	return slices.Concat(b, sum[:])
}

// Whatever parses is written again to the same bytes, and whatever entry the log has, what
// is written parses.
func FuzzDirectoryKept(f *testing.F) {
	w := newWorld(f)
	w.directoryLog()
	c := w.checkpoint(2)
	good := w.replay(NewDirectory()).Encode(c)
	f.Add(good[:len(good)-32], w.entries[0])
	f.Add([]byte{0, 1, 0}, []byte("no entry"))
	f.Fuzz(func(t *testing.T, b, entry []byte) {
		if len(entry) > 1<<16-1 {
			return
		}
		if a, signed, err := parseAudited(summed(b)); err == nil && bytes.Equal(signed, c.Signed()) && !bytes.Equal(a.Encode(c), summed(b)) {
			t.Fatalf("%x is written as %x", b, a.Encode(c))
		} else if err != nil && !errors.Is(err, wire.ErrMalformed) && !strings.Contains(err.Error(), "unsupported") {
			t.Fatal(err)
		}
		a := NewDirectory()
		for _, e := range append(w.entries[:len(w.entries):len(w.entries)], entry) {
			if err := a.Apply(a.Size(), e, begun); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := parseAudited(a.Encode(c)); err != nil {
			t.Fatalf("after %x: %v", entry, err)
		}
	})
}
