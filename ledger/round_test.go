package ledger

import (
	"strings"
	"testing"
	"time"

	"writ/notice/beacon"
	"writ/notice/beacon/beacontest"
)

// round returns the entry of a round's true signature.
func (w *world) round(n uint64) []byte { return NewRound(w.Beacon.Sign(n)).Entry() }

// lockedTo logs a request that is locked to a round.
func (w *world) lockedTo(at uint64, leaf byte, round uint64) *LoggedRequest {
	w.t.Helper()
	x := w.request(at, leaf)
	x.Round = round
	x.Sign(w.docket())
	w.mustApply(x.Entry())
	r, _ := w.book.Request(HashEntry(x.Entry()))
	return r
}

// Anybody may bring a round, and only the true signature of one that a request
// waits for counts, once.
func TestRoundCounts(t *testing.T) {
	w := newWorld(t)
	at := w.mustApply(w.warrant(1, nil).Entry())
	w.refused("nobody waits", "waits for", w.round(70))
	first, second, other := w.lockedTo(at, 1, 70), w.lockedTo(at, 2, 70), w.lockedTo(at, 3, 71)

	stranger := beacontest.New("stranger", 0, 60, 2, 2)
	w.refused("another beacon", "waits for", NewRound(stranger.Sign(70)).Entry())
	moved := NewRound(w.Beacon.Sign(71))
	moved.Round = 70
	w.refused("another round's signature", "waits for", moved.Entry())
	w.refused("no point", "waits for", (&Round{Round: 70}).Entry())
	w.refused("a later round", "waits for", w.round(72))
	if n := w.book.Notices(0, lawTime); len(n) != 0 {
		t.Fatalf("told before its round: %v", n)
	}

	told := w.mustApply(w.round(70))
	w.refused("twice", "same entry", w.round(70))
	n := w.book.Notices(0, lawTime)
	if len(n) != 2 || n[0].Request.Hash != first.Hash || n[1].Request.Hash != second.Hash || n[0].Told != told || n[0].Signature.Round() != 70 {
		t.Fatalf("told: %+v", n)
	}
	if n[0].Warrant.Index != at || n[0].Law.Hash() != w.Charter.Hash() {
		t.Error("told under another warrant or law")
	}
	if w.mustApply(w.round(71)); len(w.book.Notices(told+1, lawTime)) != 1 || w.book.Notices(told+1, lawTime)[0].Request.Hash != other.Hash {
		t.Error("the second round does not tell the one request that waited for it")
	}
	if got := w.book.Statistics().Rounds; got != 2 {
		t.Errorf("%d rounds counted", got)
	}
}

// A request that is logged after its round is readable at once.
func TestRequestAfterItsRound(t *testing.T) {
	w := newWorld(t)
	at := w.mustApply(w.warrant(1, nil).Entry())
	w.lockedTo(at, 1, 70)
	told := w.mustApply(w.round(70))
	late := w.lockedTo(at, 2, 70)
	n := w.book.Notices(told+1, lawTime)
	if len(n) != 1 || n[0].Request.Hash != late.Hash || n[0].Told != late.Index || n[0].Signature == nil {
		t.Fatalf("told: %+v", n)
	}
}

// What a version says of its beacon holds for the requests under it, also when
// the next version names another beacon.
func TestRoundOfTheWarrantsVersion(t *testing.T) {
	w := newWorld(t)
	at := w.mustApply(w.warrant(1, nil).Entry())
	old := w.lockedTo(at, 1, 70)
	next := *w.Charter
	next.Number, next.Previous = 2, w.Charter.Hash()
	stranger := beacontest.New("stranger", 1_700_000_000, 60, 2, 2)
	next.Beacon = stranger.Beacon()
	w.mustApply(CharterEntry(w.Sign(&next)))
	index := w.mustApply(w.warrant(2, func(x *Warrant) { x.Charter = next.Hash() }).Entry())
	fresh := w.lockedTo(index, 2, 70)
	if w.mustApply(NewRound(stranger.Sign(70)).Entry()); w.book.Notices(0, lawTime)[0].Request.Hash != fresh.Hash {
		t.Error("the new beacon does not tell the new request")
	}
	if w.mustApply(w.round(70)); w.book.Notices(0, lawTime)[1].Request.Hash != old.Hash {
		t.Error("the old beacon does not tell the old request")
	}
}

// A round that came and is not on the log is a finding when the law's freshness
// has passed since.
func TestOverdueNotices(t *testing.T) {
	w := newWorld(t)
	at := w.mustApply(w.warrant(1, nil).Entry())
	w.lockedTo(at, 1, 70)
	w.lockedTo(at, 2, 90)
	due, err := w.Charter.Beacon.Time(70)
	if err != nil {
		t.Fatal(err)
	}
	came := time.Unix(int64(due), 0)
	fresh := time.Duration(w.Charter.Limits.Freshness) * time.Second
	for _, c := range []struct {
		at            time.Time
		waiting, late int
	}{{came.Add(-time.Second), 0, 0}, {came, 1, 0}, {came.Add(fresh), 1, 0}, {came.Add(fresh + time.Second), 1, 1}} {
		late := w.book.OverdueNotices(c.at)
		if len(w.book.Waiting(c.at)) != c.waiting || len(late) != c.late {
			t.Errorf("at %v: %d wait, %v overdue", c.at.Sub(came), len(w.book.Waiting(c.at)), late)
		}
		if c.late > 0 && (late[0].Rule != "LED-81" || !strings.Contains(late[0].Problem, "round 70")) {
			t.Errorf("finding %+v", late[0])
		}
	}
	w.mustApply(w.round(70))
	if late := w.book.OverdueNotices(came.Add(2 * fresh)); late != nil {
		t.Errorf("overdue though on the log: %v", late)
	}
}

// The bench of a replay: who reads a log pays this for each round.
func BenchmarkBookApplyRound(b *testing.B) {
	w := newWorld(b)
	at := w.mustApply(w.warrant(1, nil).Entry())
	under, _ := w.book.Warrant(at)
	var entries [][]byte
	for i := range uint64(b.N) {
		x := &Request{WarrantIndex: at, Warrant: under.Hash, Leaves: [][32]byte{{1}}, Round: 100 + i, Timelock: make([]byte, beacon.TimelockSize)}
		x.Sign(w.docket())
		w.mustApply(x.Entry())
		entries = append(entries, w.round(100+i))
	}
	b.ResetTimer()
	for _, e := range entries {
		w.mustApply(e)
	}
}
