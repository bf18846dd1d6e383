package ledger

import (
	"testing"
	"time"
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
