package unseal

import (
	"fmt"
	"time"

	"writ/capsule"
	"writ/ledger"
	"writ/warrant"
)

// KeptShare is one custodian's share of one compartment, taken out of its seal to be kept
// beyond the horizon.
type KeptShare struct {
	Capsule capsule.Hash
	Secret  [capsule.ShareSize]byte
}

// Keep opens this custodian's shares of a request that asks to preserve them, and
// releases nothing. It asks for what [NewRelease] asks for: the proof that exactly the
// intent of a, a preservation, is on the ledger, under a checkpoint fresh at now, within
// the warrant's life. It is all or nothing. The caller keeps the shares sealed, and until
// [Authorization.Until] at the longest.
func Keep(a *Authorization, intent *ledger.Included, keys *Keyring, now time.Time) ([]KeptShare, error) {
	if err := a.allows(intent, warrant.Preserve, now); err != nil {
		return nil, err
	}
	if uint64(max(now.Unix(), 0)) >= a.until {
		return nil, refused("the hold is over")
	}
	kept := make([]KeptShare, 0, len(a.compared))
	for _, s := range a.compared {
		share, err := s.openWith(keys)
		if err != nil {
			clear(kept)
			return nil, fmt.Errorf("unseal: capsule %s: %w", s.hash, err)
		}
		kept = append(kept, KeptShare{s.hash, [capsule.ShareSize]byte(share)})
		clear(share)
	}
	return kept, nil
}
