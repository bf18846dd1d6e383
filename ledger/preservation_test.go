package ledger

import (
	"testing"
	"time"

	"writ/charter"
	"writ/warrant"
)

// held logs a warrant that preserves, a request under it and one custodian's intent.
func (w *world) held(n byte) (request EntryHash, x *Preservation) {
	at := w.mustApply(w.warrant(n, func(x *Warrant) { x.Action = warrant.Preserve }).Entry())
	r := w.request(at, n)
	w.mustApply(r.Entry())
	request = HashEntry(r.Entry())
	x = &Preservation{*w.release(request, "judicial", "judicial-1", nil)}
	x.Sign(w.custodian("judicial-1"))
	w.mustApply(x.Entry())
	return request, x
}

func (w *world) holdEnd(request EntryHash, custodian string) *HoldEnd {
	x := &HoldEnd{Request: request, Office: "judicial", Custodian: "judicial-1"}
	x.Sign(w.custodian(custodian))
	return x
}

// R28: a hold is stated, and its end; the log shows when it must end, and that it did not.
func TestHold(t *testing.T) {
	w := newWorld(t)
	request, x := w.held(1)
	until := uint64(lawTime.Unix()) + w.Charter.Limits.MaxHold
	if at, ok := w.book.Preservation(request, "judicial", "judicial-1"); !ok || at != until {
		t.Errorf("until %d, want %d", at, until)
	}
	again := *x
	again.Sign(w.custodian("judicial-1"))
	w.refused("again", "the same entry", again.Entry())
	end := time.Unix(int64(until+w.Charter.Limits.Freshness), 0)
	holds := func(at time.Time) (n int) {
		for _, f := range w.book.Overdue(at) {
			if f.Rule == "LED-92" {
				n++
			}
		}
		return n
	}
	if n := holds(end); n != 0 {
		t.Errorf("%d overdue too early", n)
	}
	if n := holds(end.Add(time.Second)); n != 1 {
		t.Errorf("%d holds overdue, want 1", n)
	}
	if w.book.HoldStopped(request) {
		t.Error("stopped, and nobody did")
	}
	asked, _ := w.book.Request(request)
	w.mustApply(w.cancel(asked.WarrantIndex).Entry())
	if !w.book.HoldStopped(request) {
		t.Error("cancelled, and it goes on")
	}
	late := &Preservation{*w.release(request, "judicial", "judicial-2", nil)}
	late.Sign(w.custodian("judicial-2"))
	w.refused("after the cancellation", "was cancelled", late.Entry())
	w.refused("signed by another", "not signed by a custodian", w.holdEnd(request, "judicial-2").Entry())
	w.refused("of another request", "not on the log", w.holdEnd(EntryHash{1}, "judicial-1").Entry())
	w.mustApply(w.holdEnd(request, "judicial-1").Entry())
	if n := holds(end.Add(time.Second)); n != 0 || !w.book.HoldEnded(request, "judicial", "judicial-1") {
		t.Errorf("%d holds overdue after the end", n)
	}
	for what, entry := range map[string][]byte{"preserved before": x.Entry(), "the hold ended before": w.holdEnd(request, "judicial-1").Entry()} {
		w.forget(entry) // as if other bytes said the same
		w.refused(what, what, entry)
	}
	if a := w.book.Statistics().Laws[w.Charter.Name].Real; a.Holds != 1 || a.Preservations != 1 || a.Warrants != 1 {
		t.Errorf("statistics %+v", a)
	}
}

// A release under a warrant that only preserves does not count, nor a preservation under
// one that discloses; and a law without holds has no such warrants.
func TestHoldAndReleaseApart(t *testing.T) {
	w := newWorld(t)
	request, _ := w.held(1)
	w.refused("release under a hold", "something else", w.release(request, "judicial", "judicial-2", nil).Entry())
	at := w.mustApply(w.warrant(2, nil).Entry())
	r := w.request(at, 9)
	w.mustApply(r.Entry())
	x := &Preservation{*w.release(HashEntry(r.Entry()), "judicial", "judicial-1", nil)}
	x.Sign(w.custodian("judicial-1"))
	w.refused("hold under a disclosure", "something else", x.Entry())
	none := *w.Charter
	none.Number, none.Previous, none.Limits.MaxHold = 2, w.Charter.Hash(), 0
	w.mustApply(CharterEntry(w.Sign(&none)))
	w.Charter = &none
	w.refused("a law without holds", "nothing preserved", w.warrant(3, func(x *Warrant) { x.Action = warrant.Preserve }).Entry())
}

// Holds have a cap of their own, of the same size: they take no place from openings, and
// openings none from them.
func TestHoldsAreCountedApart(t *testing.T) {
	w := newWorld(t)
	w.Charter = w.amend(func(c *charter.Charter) { c.Limits.CapSubjects = 1 })
	rank := func(n byte, action warrant.Action) int {
		at := w.mustApply(w.warrant(n, func(x *Warrant) { x.Action = action }).Entry())
		logged, _ := w.book.Warrant(at)
		if under := w.book.RankUnder(at, w.Charter.Hash()); under != logged.Rank {
			t.Errorf("rank %d, under its own charter %d", logged.Rank, under)
		}
		return logged.Rank
	}
	got := []int{rank(1, warrant.Preserve), rank(2, warrant.Preserve), rank(3, warrant.Disclose), rank(4, warrant.Preserve)}
	if got[0] != 1 || got[1] != 2 || got[2] != 1 || got[3] != 3 {
		t.Errorf("ranks %v, want 1 2 1 3", got)
	}
}
