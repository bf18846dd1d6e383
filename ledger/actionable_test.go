package ledger

import (
	"strings"
	"testing"
	"time"

	"writ/charter"
)

// A warrant may be acted on while the version it stands under is in force and it is within
// the cap, and no other entry is it.
func TestActionable(t *testing.T) {
	w := newWorld(t)
	refused := func(name, want string, at uint64, h EntryHash, now time.Time) {
		t.Helper()
		if err := w.book.Actionable(at, h, now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	var last *LoggedWarrant
	for i := range w.Charter.Limits.CapSubjects + 1 {
		at := w.mustApply(w.warrant(byte(i+1), nil).Entry())
		last, _ = w.book.Warrant(at)
		if i < w.Charter.Limits.CapSubjects {
			if err := w.book.Actionable(at, last.Hash, lawTime); err != nil {
				t.Errorf("warrant %d: %v", i+1, err)
			}
		}
	}
	refused("beyond the cap", "at most", last.Index, last.Hash, lawTime)
	first, _ := w.book.Warrant(1)
	refused("another entry's hash", "no such", 1, last.Hash, lawTime)
	refused("no warrant", "no such", 0, first.Hash, lawTime)
	delay := time.Duration(w.Charter.Limits.ActivationDelay) * time.Second
	w.seen = lawTime.Add(time.Hour)
	w.amend(func(c *charter.Charter) {})
	if err := w.book.Actionable(1, first.Hash, w.seen.Add(delay-1)); err != nil {
		t.Errorf("while the amendment waits: %v", err)
	}
	refused("under a version that was in force", "not in force", 1, first.Hash, w.seen.Add(delay))
}
