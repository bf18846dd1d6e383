package unseal

import (
	"crypto/hpke"
	"fmt"
	"testing"

	"writ/capsule"
)

// compartments of a large request: as many as the format allows.
func (w *world) many() (cs []*compartment) {
	for i := range MaxCompartments {
		cs = append(cs, w.seal("alice", fmt.Sprintf("c%d", i), uint64(i%200)))
	}
	return cs
}

func BenchmarkAuthorize(b *testing.B) {
	w := newWorld(b)
	q := w.file(w.order(), parcel(w.many()...), edits{})
	f := w.facts("judicial", "judicial-1")
	b.ReportAllocs()
	for b.Loop() {
		if a, refused := Authorize(q, f); a == nil {
			b.Fatal(refused)
		}
	}
	b.ReportMetric(float64(MaxCompartments*b.N)/b.Elapsed().Seconds(), "compartments/s")
}

func BenchmarkRelease(b *testing.B) {
	w := newWorld(b)
	f := w.facts("judicial", "judicial-1")
	a, _ := Authorize(w.file(w.order(), parcel(w.many()...), edits{}), f)
	intent := w.intend(a.Intent(), "judicial-1")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewRelease(a, intent, f.Keys, w.signing("judicial-1"), w.now); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(MaxCompartments*b.N)/b.Elapsed().Seconds(), "shares/s")
}

// BenchmarkBare is the floor of BenchmarkRelease: HPKE opening alone.
func BenchmarkBare(b *testing.B) {
	w := newWorld(b)
	c := w.seal("alice", "c", 1)
	s, ctx, k := c.capsule.Shares()[0], capsule.Context(&c.label, w.access), w.Key("judicial-1", w.access.Period())
	for b.Loop() {
		r, err := hpke.NewRecipient(s.Enc, k, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), ctx[:])
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Open(s.Commitment[:], s.Ciphertext); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "shares/s")
}

func BenchmarkCombine(b *testing.B) {
	w, c, shares := opened(b)
	combiner := must(NewCombiner(w.access))
	for b.Loop() {
		if _, _, _, err := combiner.Combine(c.capsule.Bytes(), shares); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "compartments/s")
}
