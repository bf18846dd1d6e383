package unseal

import (
	"bytes"
	"testing"
	"time"

	"writ/ledger"
	"writ/warrant"
)

// TestStrangersKeepNobodyWaiting: while a custodian's copy of the ledger is viewed, nothing
// of a request is judged but after warrant, salt, approvals and proofs were found good. What
// is found wrong before is put right here as soon as the first view ends, and so is wrong
// only for checks that were made during it.
func TestStrangersKeepNobodyWaiting(t *testing.T) {
	for name, spoil := range map[string]func(q *Request) []byte{
		"salt":          func(q *Request) []byte { return q.WarrantSalt[:] },
		"warrant proof": func(q *Request) []byte { return q.WarrantProof },
		"request proof": func(q *Request) []byte { return q.RequestProof },
	} {
		w := newWorld(t)
		q := w.file(w.order(), parcel(w.seal("alice", "c", 1)), edits{})
		part, views := spoil(q), 0
		right := bytes.Clone(part)
		part[0] ^= 1
		f := w.facts("judicial", "judicial-1")
		f.View = func(look func(*ledger.Book)) {
			look(w.book)
			views++
			copy(part, right)
		}
		if _, refused := Authorize(q, f); refused != nil || views != 2 {
			t.Errorf("%s: judged while the ledger was viewed: %+v, %d views", name, refused, views)
		}
	}
}

// TestStrangersSeeOnlyTheLaw: who does not show a logged and approved warrant is refused
// after one view, and who is refused for its form after none.
func TestStrangersSeeOnlyTheLaw(t *testing.T) {
	for _, r := range refusals {
		if r.want > ReasonStale && r.want != ReasonEntry {
			continue
		}
		views, change, want := 0, r.edits, 1
		r.edits = func(w *world) (e edits) {
			if change != nil {
				e = change(w)
			}
			others := e.facts
			e.facts = func(f *Facts) {
				call(others, f)
				show := f.View
				f.View = func(look func(*ledger.Book)) { views++; show(look) }
			}
			return e
		}
		if r.want == ReasonMalformed {
			want = 0
		}
		if _, _, _, refused := r.answer(t); refused == nil || views != want {
			t.Errorf("%s: %d views, want %d", r.name, views, want)
		}
	}
}

// TestAmendedMeanwhile: a law that is amended between the two views binds nobody any more.
func TestAmendedMeanwhile(t *testing.T) {
	w := newWorld(t)
	q := w.file(w.order(), parcel(w.seal("alice", "c", 1)), edits{})
	f, other := w.facts("judicial", "judicial-1"), newWorld(t)
	f.View = func(look func(*ledger.Book)) {
		look(w.book)
		w.book = other.book
	}
	if _, refused := Authorize(q, f); refused == nil || refused.Reason != ReasonCharter {
		t.Errorf("%+v", refused)
	}
}

// BenchmarkStranger refuses a stranger's request, with a warrant and approvals of its own
// make. "viewing-ns/op" is for how long the ledger is viewed.
func BenchmarkStranger(b *testing.B) {
	w := newWorld(b)
	q := w.file(w.order(), parcel(w.seal("alice", "c", 1)), edits{order: func(o *warrant.Warrant) {
		o.Necessity = string(bytes.Repeat([]byte("x"), 10_000))
	}})
	forged := *must(ledger.ParseEntry(q.WarrantEntry)).Warrant
	for i := range forged.Approvals {
		forged.Approvals[i].Signature[0] ^= 1
	}
	forged.Sign(ledger.DocketSigner(w.Docket))
	q.WarrantEntry = forged.Entry()
	f := w.facts("judicial", "judicial-1")
	var viewing time.Duration
	f.View = func(look func(*ledger.Book)) {
		begin := time.Now()
		look(w.book)
		viewing += time.Since(begin)
	}
	for b.Loop() {
		if _, refused := Authorize(q, f); refused == nil || refused.Reason != ReasonApprovals {
			b.Fatal(refused)
		}
	}
	b.ReportMetric(float64(viewing.Nanoseconds())/float64(b.N), "viewing-ns/op")
}
