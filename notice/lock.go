package notice

import (
	"fmt"

	"writ/charter"
	"writ/ledger"
	"writ/notice/beacon"
	"writ/warrant"
)

// Round returns the round at which a warrant's person is told: the first of its
// law's beacon that comes at notice_due or after. It is refused if that is later
// than the law allows.
func Round(law *charter.Charter, w *warrant.Warrant) (uint64, error) {
	if law.Beacon == nil {
		return 0, fmt.Errorf("notice: %w: the charter has no exceptional access", ErrInvalid)
	}
	round := law.Beacon.RoundFrom(w.NoticeDue)
	at, err := law.Beacon.Time(round)
	if err != nil {
		return 0, err
	}
	if latest := w.LatestNotice(law.Limits); at > latest {
		return 0, refused("round %d comes %d s later than the law allows", round, at-latest)
	}
	return round, nil
}

// Lock returns the round and timelock for a request under a warrant.
func Lock(law *charter.Charter, w *warrant.Warrant, salt [32]byte) (round uint64, timelock []byte, err error) {
	if round, err = Round(law, w); err != nil {
		return 0, nil, err
	}
	timelock, err = beacon.Lock(law.Beacon.Key, round, salt)
	return round, timelock, err
}

// Check recomputes round and timelock of a request and compares every byte
// (NOT-21).
func Check(law *charter.Charter, w *warrant.Warrant, r *ledger.Request, salt [32]byte) error {
	round, err := Round(law, w)
	if err != nil {
		return err
	}
	if r.Round != round {
		return refused("round %d where %d is due", r.Round, round)
	}
	return beacon.Check(r.Timelock, law.Beacon.Key, round, salt)
}
