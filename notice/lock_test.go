package notice_test

import (
	"errors"
	"testing"
	"time"

	"writ/charter"
	"writ/charter/chartertest"
	"writ/ledger"
	"writ/notice"
	"writ/notice/beacon"
	"writ/warrant"
)

// due returns a law with rounds each minute, and a warrant whose notice is due
// at a time after the latest that the law allows, or before it.
func due(after time.Duration) (*charter.Charter, *warrant.Warrant) {
	law := chartertest.New("lock").Charter
	w := &warrant.Warrant{WindowStart: "2026-11-02T00:00:00Z", WindowEnd: "2026-11-03T00:00:00Z",
		NotBefore: uint64(chartertest.Now.Unix()), NotAfter: uint64(chartertest.Now.Add(72 * time.Hour).Unix())}
	w.NoticeDue = uint64(int64(w.LatestNotice(law.Limits)) + int64(after/time.Second))
	return law, w
}

// The round is the first at notice_due or after, and never later than the law
// allows, by a second.
func TestRound(t *testing.T) {
	law, w := due(0)
	last, err := notice.Round(law, w)
	if err != nil {
		t.Fatalf("due at the latest moment: %v", err)
	}
	if at, err := law.Beacon.Time(last); err != nil || at != w.NoticeDue {
		t.Errorf("the last round comes at %d, %v, not at %d", at, err, w.NoticeDue)
	}
	for _, c := range []struct {
		after time.Duration
		round uint64
	}{{-time.Second, last}, {-59 * time.Second, last}, {-60 * time.Second, last - 1}, {-61 * time.Second, last - 1}} {
		law, w := due(c.after)
		if round, err := notice.Round(law, w); err != nil || round != c.round {
			t.Errorf("due %v before: round %d, %v, want %d", -c.after, round, err, c.round)
		}
	}
	law, w = due(time.Second)
	if _, err := notice.Round(law, w); !errors.Is(err, notice.ErrRefused) {
		t.Errorf("due a second too late: %v", err)
	}
	law, w = due(0)
	law.Beacon.Genesis++ // the round for the latest moment comes 59 s after it
	if _, err := notice.Round(law, w); !errors.Is(err, notice.ErrRefused) {
		t.Errorf("a round after the latest moment: %v", err)
	}
	law.Beacon = nil
	if _, err := notice.Round(law, w); !errors.Is(err, notice.ErrInvalid) {
		t.Errorf("without a beacon: %v", err)
	}
}

// A custodian that has the salt accepts what Lock gives, and nothing else.
func TestCheck(t *testing.T) {
	law, w := due(-time.Hour)
	salt := [32]byte{7}
	round, timelock, err := notice.Lock(law, w, salt)
	if err != nil {
		t.Fatal(err)
	}
	good := ledger.Request{Round: round, Timelock: timelock}
	if err := notice.Check(law, w, &good, salt); err != nil {
		t.Fatal(err)
	}
	if notice.Check(law, w, &good, [32]byte{8}) == nil {
		t.Error("another salt passes")
	}
	later := good
	later.Round++
	if later.Timelock, err = beacon.Lock(law.Beacon.Key, later.Round, salt); err != nil {
		t.Fatal(err)
	}
	if err := notice.Check(law, w, &later, salt); !errors.Is(err, notice.ErrRefused) {
		t.Errorf("a later round: %v", err)
	}
	for i := range timelock {
		timelock[i] ^= 1
		if notice.Check(law, w, &good, salt) == nil {
			t.Fatalf("byte %d changed, and it passes", i)
		}
		timelock[i] ^= 1
	}
}
