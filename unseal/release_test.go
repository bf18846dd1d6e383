package unseal

import (
	"bytes"
	"testing"
)

func TestOpening(t *testing.T) {
	w := newWorld(t)
	one, two := w.seal("alice", "c", 1), w.seal("alice", "c", 2)
	q := w.file(w.order(), parcel(one, two), edits{})
	again, err := ParseRequest(q.Encode())
	if err != nil {
		t.Fatal(err)
	}
	all := w.shares(again)
	combiner := must(NewCombiner(w.access))
	for _, c := range []*compartment{one, two} {
		s, d, bad, err := combiner.Combine(c.capsule.Bytes(), all[c.capsule.Hash()])
		if err != nil || bad != nil || !bytes.Equal(s, c.s) || !bytes.Equal(d, c.d) {
			t.Errorf("epoch %d: %x, %x, %v, %v", c.label.Epoch, s, d, bad, err)
		}
	}
	if len(all) != 2 || len(w.book.Findings()) != 0 {
		t.Errorf("%d compartments released, findings %v", len(all), w.book.Findings())
	}
}
