package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"writ/api"
	"writ/charter"
	"writ/directory"
	"writ/ledger"
	"writ/mls"
)

// How old the checkpoint may be under which an account was looked up.
const (
	// enterAge: when a leaf enters a conversation, or this device speaks in it for the
	// first time.
	enterAge = 10 * time.Minute
	// stayAge: when a member's device, whose key is in the conversation, goes on, and when
	// this device speaks to it. So conversations go on for a day while the directory is
	// away or says nothing of a member.
	stayAge = 24 * time.Hour
	// refreshAge: after this a look-up is renewed without a need.
	refreshAge = 6 * time.Hour
)

const maxAsked = 64 // accounts in one call

// ErrDirectory is wrapped when the directory's answer can't be accepted: it does not
// verify, or contradicts what it showed before.
var ErrDirectory = errors.New("the directory's answer can't be accepted")

// directoryLog is what a law says of the directory, parsed.
type directoryLog struct {
	policy *ledger.Policy
	labels directory.LabelKey
}

// directoryOf returns the directory that a law names.
func (d *Device) directoryOf(law charter.Hash) (*directoryLog, error) {
	if l, ok := d.logs[law]; ok {
		return l, nil
	}
	c, ok := d.cfg.Laws.Charter(law)
	if !ok {
		return nil, fmt.Errorf("client: %v: %w", law, ErrUnknownLaw)
	}
	policy, err := ledger.ParsePolicy(c.Directory.Policy)
	if err != nil {
		return nil, fmt.Errorf("client: the directory of %s: %w", c.Name, err)
	}
	labels, err := directory.ParseLabelKey(c.Directory.VRF[:])
	if err != nil {
		return nil, fmt.Errorf("client: the directory of %s: %w", c.Name, err)
	}
	d.logs[law] = &directoryLog{policy, labels}
	return d.logs[law], nil
}

// sameDirectory demands that a law names the directory that this device's own law
// names: a name means the same person under both only then.
func (d *Device) sameDirectory(law charter.Hash) error {
	if law == d.self.law {
		return nil
	}
	own, err := d.directoryOf(d.self.law)
	if err != nil {
		return err
	}
	other, err := d.directoryOf(law)
	if err != nil {
		return err
	}
	if own.policy.LogVKey() != other.policy.LogVKey() || string(own.labels.Bytes()) != string(other.labels.Bytes()) {
		return fmt.Errorf("client: refused: %v names another directory than this device's law", law)
	}
	return nil
}

// lookUp asks for accounts, verifies each answer, and keeps what it says. It returns
// them in the order asked for.
func (d *Device) lookUp(ctx context.Context, accounts ...string) ([]*directory.Verified, error) {
	log, err := d.directoryOf(d.inForce(d.self.law)) // its witnesses may be others by now
	if err != nil {
		return nil, err
	}
	if err := d.recall(); err != nil {
		return nil, err
	}
	var all []*directory.Verified
	for len(all) < len(accounts) {
		ask := accounts[len(all):]
		found, err := d.lookUpSome(ctx, log, ask[:min(len(ask), maxAsked)])
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// recall reads the checkpoint that an earlier process accepted. It takes the law, which a
// device that is opened need not have yet: its copy of the ledger may begin anew.
func (d *Device) recall() error {
	if d.remembered == nil {
		return nil
	}
	log, err := d.directoryOf(d.self.law)
	if err != nil {
		return err
	}
	if d.checkpoint, err = log.policy.Remembered(d.remembered); err != nil {
		return fmt.Errorf("client: checkpoint of the directory: %w", err)
	}
	d.remembered = nil
	return nil
}

func (d *Device) lookUpSome(ctx context.Context, log *directoryLog, accounts []string) ([]*directory.Verified, error) {
	req := &api.LookUpRequest{Accounts: accounts}
	if d.checkpoint != nil {
		req.Size = d.checkpoint.Size()
	}
	res, err := retry(ctx, d.cfg.Directory.LookUp, req)
	if err != nil {
		return nil, fmt.Errorf("client: directory: %w", err)
	}
	if n := len(res.Lookups); n == 0 || n > len(accounts) {
		return nil, fmt.Errorf("client: %w: %d answers for %d accounts", ErrDirectory, n, len(accounts))
	}
	c, err := log.fresh(res.Checkpoint, d.cfg.Now())
	if err != nil {
		return nil, d.notProven(accounts, fmt.Errorf("client: %w: %w", ErrDirectory, err))
	}
	if err := d.follow(c, res.Consistency); err != nil {
		return nil, err
	}
	var all []*directory.Verified
	for i, lookup := range res.Lookups {
		v, err := d.verify(lookup, accounts[i], log, c)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// fresh verifies a checkpoint. One that is good but for its time is refused with
// [ErrClock] too: this device can't tell an old answer from a clock that is off.
func (l *directoryLog) fresh(signed []byte, now time.Time) (*ledger.Checkpoint, error) {
	c, err := l.policy.Checkpoint(signed, now, enterAge)
	if err == nil {
		return c, nil
	}
	if _, timeless := l.policy.Checkpoint(signed, now, 0); timeless == nil {
		return nil, fmt.Errorf("%w; or this device's clock is off: %w", err, ErrClock)
	}
	return nil, err
}

// follow accepts a checkpoint if its log begins with the log seen before (DIR-44).
func (d *Device) follow(c *ledger.Checkpoint, proof [][]byte) error {
	if old := d.checkpoint; old != nil && old.Origin() == c.Origin() && !continues(old, c, proof) {
		err := fmt.Errorf("client: %w: its log of %d entries does not continue the log of %d seen before", ErrDirectory, c.Size(), old.Size())
		text := "The directory's log does not continue the log seen before. It may show different people different devices. " + adviceTell
		return errors.Join(err, d.raise("", text, old.Signed(), c.Signed()))
	}
	d.checkpoint = c
	return d.save(deviceSpace, []mls.Record{{Key: keyCheckpoint, Value: c.Signed()}})
}

func continues(old, c *ledger.Checkpoint, hashes [][]byte) bool {
	switch {
	case c.Size() == old.Size():
		return c.Tree() == old.Tree()
	case c.Size() < old.Size():
		return false
	case old.Size() == 0:
		return true
	}
	var proof tlog.TreeProof
	for _, h := range hashes {
		if len(h) != tlog.HashSize {
			return false
		}
		proof = append(proof, tlog.Hash(h))
	}
	return tlog.CheckTree(proof, c.Tree().N, c.Tree().Hash, old.Tree().N, old.Tree().Hash) == nil
}

// verify checks an answer about one account and keeps what it says.
func (d *Device) verify(lookup []byte, name string, log *directoryLog, c *ledger.Checkpoint) (*directory.Verified, error) {
	known := d.accounts[name]
	at := directory.Facts{Size: c.Size(), Root: c.Tree().Hash, Time: c.Time(), MaxAge: enterAge}
	if known != nil {
		at.Known = known.pin
	}
	v, err := directory.Verify(lookup, name, log.labels, at, d.cfg.Now())
	if err != nil {
		err = fmt.Errorf("client: %w: %s: %w", ErrDirectory, name, err)
		if errors.Is(err, directory.ErrRollback) {
			text := fmt.Sprintf("The directory no longer shows the devices of %s that it showed before. %s", name, adviceTell)
			return nil, errors.Join(err, d.raise(name, text, c.Signed(), lookup))
		}
		return nil, d.notProven([]string{name}, err)
	}
	if name == d.self.Account {
		if err := d.watchOwn(v); err != nil {
			return nil, err
		}
	}
	return v, d.keep(v, c.Time())
}

// notProven raises an alarm if an answer that can't be accepted was about the own
// account (DIR-45).
func (d *Device) notProven(accounts []string, err error) error {
	if !slices.Contains(accounts, d.self.Account) {
		return err
	}
	why := "its answer does not hold"
	if errors.Is(err, ErrClock) {
		why = "its answer is old, or this device's clock is off"
	}
	text := fmt.Sprintf("The directory can not prove which devices your account has: %s. Others may be shown devices that are not yours. %s", why, adviceTell)
	return errors.Join(err, d.raise(d.self.Account, text))
}

// errUnseen is wrapped for a leaf whose account was not looked up lately enough.
var errUnseen = errors.New("its account was not looked up in the directory")

// looked runs f again after looking up the accounts that it asked about: those that were
// not looked up lately, and once those whose look-up does not list the device in
// question, since a newer one may. f must change nothing if it fails.
func (d *Device) looked(ctx context.Context, f func() error) error {
	d.fresh = map[string]bool{}
	defer func() { d.fresh, d.unseen = nil, nil }()
	for {
		d.unseen = map[string]bool{}
		err := f()
		ask := sortedKeys(d.unseen)
		if !errors.Is(err, errUnseen) || len(ask) == 0 {
			return err
		}
		if _, err := d.lookUp(ctx, ask...); err != nil {
			return err
		}
		for _, account := range ask {
			d.fresh[account] = true
		}
	}
}

// vouch says whether a device may have a leaf with that key. Stays is a leaf of a
// device that is in the conversation with that key already, or was when this device
// joined it; another one enters.
func (d *Device) vouch(id directory.Identity, key mls.SignaturePublicKey, stays, entering bool) error {
	a, age := d.accounts[id.Account], stayAge
	if entering {
		age = enterAge
	}
	old := !d.asked(id.Account, age)
	if !old && a.standing(id.Device, key) == listed {
		return nil
	}
	if d.unseen != nil && !d.fresh[id.Account] {
		d.unseen[id.Account] = true
		return fmt.Errorf("client: refused: %v: %w", id, errUnseen)
	}
	switch {
	case old:
		return fmt.Errorf("client: refused: %v: %w", id, errUnseen)
	case a.standing(id.Device, key) == unknown:
		return fmt.Errorf("client: refused: %s has no device %q with that key in the directory: somebody may be listening in", id.Account, id.Device)
	case !stays:
		return fmt.Errorf("client: refused: %s has revoked the device %q", id.Account, id.Device)
	}
	return nil // it is removed before this device speaks
}
