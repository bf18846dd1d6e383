package keyproof

import (
	"bytes"
	"fmt"
	"time"

	"writ/ledger"
)

// Slack is how far the clock that dates an epoch and the witnesses' may differ: as
// much as a member allows another's.
const Slack = 10 * time.Minute

// Checkpoint returns the checkpoint under which the account was looked up.
func (a *Account) Checkpoint() *ledger.Checkpoint { return a.checkpoint }

// Key is a key that the account listed as a device.
type Key struct {
	Account string
	Device  string
	Added   time.Time // by the clock of the device that added it
	Since   Span      // when the statement that added it came onto the log
	Dropped bool      // a later statement does not list it: it was revoked
	Until   Span      // when that statement came onto the log

	looked time.Time // of the checkpoint
}

// Changes returns the versions that list a device of that name first, and first no
// more, if there are such.
func (a *Account) Changes(device string) (versions []uint64) {
	added, dropped := a.changes(device)
	for _, v := range []uint64{added, dropped} {
		if v > 0 {
			versions = append(versions, v)
		}
	}
	return versions
}

// changes relies on DIR-10: a name that was dropped never comes back.
func (a *Account) changes(device string) (added, dropped uint64) {
	if a.chain == nil {
		return 0, 0
	}
	for v := uint64(1); v <= a.chain.Version(); v++ {
		_, listed := a.chain.Statement(v).Device(device)
		switch {
		case listed && added == 0:
			added = v
		case !listed && added > 0:
			return added, v
		}
	}
	return added, 0
}

// Key returns what the account's statements say of a signature key as that
// device's. If none ever listed it the error wraps [ErrNotProven].
func (a *Account) Key(device string, key []byte) (*Key, error) {
	added, dropped := a.changes(device)
	if added == 0 {
		return nil, fmt.Errorf("%w: the directory's log lists no device %q of %s", ErrNotProven, device, a.name)
	}
	d, _ := a.chain.Statement(added).Device(device)
	if !bytes.Equal(d.Key[:], key) {
		return nil, fmt.Errorf("%w: the directory's log lists another key for the device %q of %s", ErrNotProven, device, a.name)
	}
	return &Key{Account: a.name, Device: device, Added: time.Unix(int64(d.Added), 0).UTC(), Since: a.dates[added],
		Dropped: dropped > 0, Until: a.dates[dropped], looked: a.checkpoint.Time()}, nil
}

// At is nil if the key was the account's at a time, the clocks being apart by no
// more than [Slack]: the log had it by then, and had no statement without it yet.
// Else the error wraps [ErrNotProven] and says why.
func (k *Key) At(opened time.Time) error {
	early, late := opened.Add(-Slack), opened.Add(Slack)
	switch {
	case k.looked.Before(early):
		return notProven("the directory was asked at %v, before the epoch was opened", k.looked)
	case k.Since.From.After(late):
		return notProven("the log did not have the key yet at %v, after the epoch was opened", k.Since.From)
	case k.Since.By.IsZero():
		return fmt.Errorf("%w: nothing shows when the log had the key", ErrNotProven)
	case k.Since.By.After(late):
		return notProven("the log is known to have the key only by %v, after the epoch was opened", k.Since.By)
	case !k.Dropped || !k.Until.From.Before(early):
		return nil
	case !k.Until.By.IsZero() && k.Until.By.Before(late):
		return notProven("the account had revoked the key by %v", k.Until.By)
	}
	return fmt.Errorf("%w: the account has revoked the key, and nothing shows that it was after the epoch was opened", ErrNotProven)
}

func notProven(format string, at time.Time) error {
	return fmt.Errorf("%w: "+format, ErrNotProven, at.UTC().Format(time.RFC3339))
}
