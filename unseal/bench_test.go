package unseal

import (
	"crypto/hpke"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"writ/capsule"
	"writ/ledger"
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

// spread runs f for 0 to n-1 on all processors.
func spread(n int, f func(i int)) {
	var next atomic.Int64
	var done sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		done.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	done.Wait()
}

// BenchmarkOpening opens 10,000 compartments, in ten requests: each of seven
// custodians authorises and releases, each with its own copy of the ledger, the
// reader opens what they released and combines all seven. "x-bare" is the ratio to
// the bare decapsulations of the seven, made in the same run.
func BenchmarkOpening(b *testing.B) {
	const requests, each = 10, 1000
	w := newWorld(b)
	var parts [requests][]*compartment
	var files [requests]*Request
	for i := range requests {
		parts[i] = make([]*compartment, each)
		spread(each, func(j int) { parts[i][j] = w.seal("alice", fmt.Sprintf("c%d.%d", i, j), uint64(j%4)) })
		files[i] = w.file(w.order(), parcel(parts[i]...), edits{})
	}
	leaves := w.access.Leaves()
	type desk struct {
		facts   Facts
		intents [requests]*ledger.Included
	}
	desks := make([]desk, len(leaves))
	unsigned := make([][requests]*ledger.Release, len(leaves))
	for d, l := range leaves {
		desks[d].facts = w.facts(l.Office, l.Custodian)
		book := ledger.NewBook(w.Charter.Hash())
		desks[d].facts.View = view(book)
		for i, e := range w.log.entries {
			must(0, book.Apply(uint64(i), e, w.now))
		}
	}
	spread(len(leaves), func(d int) {
		for i, q := range files {
			a, refused := Authorize(q, desks[d].facts)
			if a == nil {
				panic(refused)
			}
			unsigned[d][i] = a.Intent()
		}
	})
	for d, l := range leaves {
		for i := range files {
			desks[d].intents[i] = w.intend(unsigned[d][i], l.Custodian)
		}
	}
	for b.Loop() {
		for i, q := range files {
			shares := make([][]Share, len(leaves))
			spread(len(leaves), func(d int) {
				l := leaves[d]
				a, refused := Authorize(q, desks[d].facts)
				if a == nil {
					panic(refused)
				}
				r := must(NewRelease(a, desks[d].intents[i], desks[d].facts.Keys, w.signing(l.Custodian), w.now))
				shares[d] = must(OpenRelease(r, w.reader, w.Charter.Custodian(l.Office, l.Custodian).Key))
			})
			of := map[capsule.Hash][]Share{}
			for _, list := range shares {
				for _, s := range list {
					of[s.Capsule] = append(of[s.Capsule], s)
				}
			}
			combiner := must(NewCombiner(w.access))
			spread(each, func(j int) {
				c := parts[i][j].capsule
				if _, _, _, err := combiner.Combine(c.Bytes(), of[c.Hash()]); err != nil {
					panic(err)
				}
			})
		}
	}
	took := b.Elapsed() / time.Duration(b.N)
	b.ReportMetric(requests*each/took.Seconds(), "compartments/s")
	b.ReportMetric(float64(took)/float64(w.bareOpening(parts[0][:100], requests*each)), "x-bare")
}

// bareOpening is how long all processors take for every custodian's bare HPKE
// opening of n compartments, from a sample of them.
func (w *world) bareOpening(sample []*compartment, n int) time.Duration {
	leaves := w.access.Leaves()
	keys := make([]hpke.PrivateKey, len(leaves))
	for i, l := range leaves {
		keys[i] = w.Key(l.Custodian, w.access.Period())
	}
	began := time.Now()
	spread(len(sample), func(i int) {
		c := sample[i]
		ctx := capsule.Context(&c.label, w.access)
		for d, s := range c.capsule.Shares() {
			r := must(hpke.NewRecipient(s.Enc, keys[d], hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), ctx[:]))
			must(r.Open(s.Commitment[:], s.Ciphertext))
		}
	})
	return time.Since(began) * time.Duration(n) / time.Duration(len(sample))
}
