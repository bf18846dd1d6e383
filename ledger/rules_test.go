package ledger

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A finding names the rule of spec/ that is broken.
func TestFindingsNameTheirRule(t *testing.T) {
	w := newWorld(t)
	w.all()
	w.apply(w.warrant(9, func(x *Warrant) { x.CaseType = "tax" }).Entry())
	w.apply(w.entries[1])
	w.apply([]byte("no entry"))
	r := w.request(1, 7)
	r.WarrantIndex = 0
	r.Sign(w.docket())
	w.apply(r.Entry())
	for i := range w.Charter.Limits.CapSubjects {
		w.apply(w.warrant(byte(20+i), nil).Entry())
	}
	beyond := w.request(w.book.Size()-1, 8)
	w.apply(beyond.Entry())
	w.apply(w.release(HashEntry(beyond.Entry()), "judicial", "judicial-1", nil).Entry())
	for i, want := range []string{"LED-54", "LED-51", "LED-50", "LED-56", "LED-55"} {
		f := w.book.Findings()
		if i >= len(f) || f[i].Rule != want {
			t.Fatalf("findings %+v, want %s at %d", f, want, i)
		}
	}
	late := w.book.Overdue(time.Unix(int64(w.Charter.DestroyBy(w.Charter.Period(lawTime))+w.Charter.Limits.Freshness), 0).Add(time.Second))
	if len(late) == 0 || late[0].Rule != "LED-60" {
		t.Errorf("overdue: %+v", late)
	}
}

// A warrant's rank is the highest count, up to it, of a period that its life
// touches, whatever the length of the period.
func TestRankIsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, k := NewBook(), tallyKey{"law", false, false}
		lengths := []uint64{7, 10, 31}
		for range rapid.IntRange(1, 40).Draw(t, "warrants") {
			begin := rapid.Uint64Range(0, 100).Draw(t, "begin")
			b.tally(k, rapid.SampledFrom(lengths).Draw(t, "in force"), life{begin, begin + rapid.Uint64Range(1, 40).Draw(t, "life")})
		}
		lives := b.lives.from(k, 0)
		for place := range lives {
			length := rapid.SampledFrom(lengths).Draw(t, "length")
			counts := map[uint64]int{}
			for _, l := range lives[:place+1] {
				for p := l.Begin / length; p*length < l.End; p++ {
					counts[p]++
				}
			}
			want := 0
			for p, n := range counts {
				if l := lives[place]; p*length < l.End && (p+1)*length > l.Begin {
					want = max(want, n)
				}
			}
			if got := b.rank(k, place, length); got != want {
				t.Fatalf("rank %d of %d, want %d", got, place, want)
			}
		}
	})
}

// BenchmarkRank asks for a warrant's rank among 100,000: custodians do for every
// request.
func BenchmarkRank(b *testing.B) {
	book, k := NewBook(), tallyKey{"law", false, false}
	for i := range uint64(100_000) {
		book.tally(k, 30*86400, life{i * 60, i*60 + 86400})
	}
	for b.Loop() {
		book.rank(k, 99_999, 30*86400)
	}
}
