package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/charter"
	"writ/directory"
	"writ/mls"
)

// firstStatement is the account's first: this device alone.
func (d *Device) firstStatement(recovery directory.RecoveryKey) *directory.Statement {
	s := &directory.Statement{Account: d.self.Account, Version: 1, Recovery: recovery}
	s.Add(d.self.Device, directory.DeviceKey(d.self.key.Public()), uint64(d.cfg.Now().Unix()))
	d.signStatement(s)
	return s
}

// signStatement signs as this device.
func (d *Device) signStatement(s *directory.Statement) {
	key := d.private()
	defer clear(key)
	s.SignAs(d.self.Device, directory.DeviceSigner(key))
}

// draft stores a statement before anyone is told of it, so that this device knows it
// for its own whatever happens next.
func (d *Device) draft(s *directory.Statement) error {
	if err := d.save(deviceSpace, []mls.Record{{Key: keyDrafted, Value: s.Encode()}}); err != nil {
		return err
	}
	d.drafted = s
	return nil
}

// publish brings the drafted statement to the directory. One that the directory refuses
// for good is dropped.
func (d *Device) publish(ctx context.Context) error {
	if d.drafted == nil {
		return nil
	}
	_, err := retry(ctx, d.cfg.Directory.PutStatement, &api.PutStatementRequest{Statement: d.drafted.Encode()})
	if err == nil {
		return nil
	}
	first := d.drafted.Version == 1
	if !temporary(err) {
		d.drafted = nil
		if err := d.save(deviceSpace, []mls.Record{{Key: keyDrafted}}); err != nil {
			return err
		}
	}
	if first && connect.CodeOf(err) == connect.CodeFailedPrecondition {
		return errors.Join(taken(d.self.Identity), d.giveUp())
	}
	return fmt.Errorf("client: directory: %w", err)
}

// ErrTaken is wrapped when an account's first statement is refused because the account
// has one.
var ErrTaken = errors.New("the directory has an account of this name")

var (
	// ErrHasDevice is wrapped when a device is to be added whose name the account has or
	// had.
	ErrHasDevice = errors.New("the account has a device of that name")
	// ErrNoDevice is wrapped when a device is to be revoked that the account doesn't list.
	ErrNoDevice = errors.New("the account lists no device")
)

// change publishes a statement of this device's: the newest with a change.
func (d *Device) change(ctx context.Context, change func(*directory.Statement) error) error {
	if d.self == nil || !d.self.registered {
		return errNotRegistered
	}
	if err := d.publish(ctx); err != nil { // what a crash left
		return err
	}
	v, err := d.lookUp(ctx, d.self.Account)
	if err != nil {
		return err
	}
	if !v[0].Has(d.self.Identity, d.self.key.Public()) {
		return fmt.Errorf("client: refused: %v: %w", d.self.Identity, ErrUnlisted)
	}
	s := v[0].Chain().Draft()
	if err := change(s); err != nil {
		return err
	}
	d.signStatement(s)
	if _, err := v[0].Chain().Follow(s); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	if err := d.draft(s); err != nil {
		return err
	}
	if err := d.publish(ctx); err != nil {
		return err
	}
	_, err = d.lookUp(ctx, d.self.Account)
	return err
}

// AddDevice lists a further device of the account, whose key [Device.Prepare] returned
// on it.
func (d *Device) AddDevice(ctx context.Context, device string, key directory.DeviceKey) error {
	if err := d.lock(); err != nil {
		return err
	}
	defer d.mu.Unlock()
	return d.change(ctx, func(s *directory.Statement) error {
		if have, ok := s.Device(device); ok {
			return fmt.Errorf("client: refused: %w: %q, with the key %s", ErrHasDevice, device, directory.Fingerprint(have.Key))
		}
		if _, former := find(d.accounts[d.self.Account].devices, device); former {
			return fmt.Errorf("client: refused: %w: %q, which was revoked: its name does not come back", ErrHasDevice, device)
		}
		s.Add(device, key, uint64(d.cfg.Now().Unix()))
		return nil
	})
}

// RevokeDevice takes a device of the account from the list, and has delivery end its
// sessions. The next Sync removes it from the conversations of this device; others' devices
// do so when they look.
func (d *Device) RevokeDevice(ctx context.Context, device string) error {
	if err := d.lock(); err != nil {
		return err
	}
	defer d.mu.Unlock()
	err := d.change(ctx, func(s *directory.Statement) error {
		if !s.Drop(device) {
			return fmt.Errorf("client: refused: %w %q", ErrNoDevice, device)
		}
		return nil
	})
	if err == nil {
		d.dropOthers(ctx)
	}
	return err
}

// Recover makes this device, which is new, the only one of its account, by the recovery
// key, which it replaces by another. It may be repeated until it succeeds.
func (d *Device) Recover(ctx context.Context, id directory.Identity, law charter.Hash, by directory.RecoverySigner, next directory.RecoveryKey) error {
	if _, err := d.Prepare(id, law); err != nil {
		return err
	}
	if err := d.lock(); err != nil {
		return err
	}
	defer d.mu.Unlock()
	if d.drafted == nil && !d.self.registered {
		if err := d.draftRecovery(ctx, by, next); err != nil {
			return err
		}
	}
	return d.enter(ctx)
}

func (d *Device) draftRecovery(ctx context.Context, by directory.RecoverySigner, next directory.RecoveryKey) error {
	v, err := d.lookUp(ctx, d.self.Account)
	if err != nil {
		return err
	}
	chain := v[0].Chain()
	if chain == nil {
		return fmt.Errorf("client: refused: %w %q", ErrNoAccount, d.self.Account)
	}
	if v[0].Has(d.self.Identity, d.self.key.Public()) { // a repetition
		return nil
	}
	if chain.Newest().Recovery != by.Public() {
		return fmt.Errorf("client: refused: %w %q", ErrRecovery, d.self.Account)
	}
	s := chain.Draft()
	for _, dev := range chain.Newest().Devices {
		s.Drop(dev.Name)
	}
	s.Recovery = next
	s.Add(d.self.Device, directory.DeviceKey(d.self.key.Public()), max(uint64(d.cfg.Now().Unix()), latest(chain.Newest())))
	s.SignRecovery(by)
	if _, err := chain.Follow(s); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	return d.draft(s)
}

func latest(s *directory.Statement) (t uint64) {
	for _, d := range s.Devices {
		t = max(t, d.Added)
	}
	return t
}

// AccountDevice is a device that an account lists, or listed once.
type AccountDevice struct {
	Name   string
	Key    directory.DeviceKey
	Added  time.Time // by the clock of the device that added it
	Listed bool
}

// Devices looks an account up and returns its devices, the present and the former.
// An empty name is the own account.
func (d *Device) Devices(ctx context.Context, name string) (list []AccountDevice, version uint64, err error) {
	if err := d.lock(); err != nil {
		return nil, 0, err
	}
	defer d.mu.Unlock()
	v, err := d.see(ctx, name)
	if err != nil {
		return nil, 0, err
	}
	for _, k := range d.accounts[v.Account()].devices {
		list = append(list, AccountDevice{k.Name, k.Key, time.Unix(int64(k.Added), 0), k.listed})
	}
	return list, v.Pin().Version, nil
}

func (d *Device) see(ctx context.Context, name string) (*directory.Verified, error) {
	if d.self == nil {
		return nil, errNotRegistered
	}
	if name == "" {
		name = d.self.Account
	}
	v, err := d.lookUp(ctx, name)
	if err != nil {
		return nil, err
	}
	if v[0].Chain() == nil {
		return nil, fmt.Errorf("client: refused: %w %q", ErrNoAccount, name)
	}
	return v[0], nil
}

// Safety looks the own account and another up and returns the number that the two
// people compare, and at which version of the other's list they did so last, 0 if never.
func (d *Device) Safety(ctx context.Context, name string) (number string, version, compared uint64, err error) {
	if err := d.lock(); err != nil {
		return "", 0, 0, err
	}
	defer d.mu.Unlock()
	own, err := d.see(ctx, "")
	if err != nil {
		return "", 0, 0, err
	}
	other, err := d.see(ctx, name)
	if err != nil {
		return "", 0, 0, err
	}
	a := *d.accounts[name]
	a.shown = [2]directory.Pin{other.Pin(), own.Pin()}
	if err := d.keepAccount(name, &a); err != nil {
		return "", 0, 0, err
	}
	return directory.SafetyNumber(own.Chain(), other.Chain()), a.pin.Version, a.compared.Version, nil
}

// ErrChanged is wrapped when devices changed since the safety number was shown that was
// compared.
var ErrChanged = errors.New("devices have changed since the safety number was shown")

// Compared remembers that the person compared the safety number with the owner of an
// account, as [Device.Safety] showed it last. It is refused with ErrChanged if devices of
// either were seen to change since: that is another number. A change of the account's
// devices is told from then on.
func (d *Device) Compared(name string) error {
	if err := d.lock(); err != nil {
		return err
	}
	defer d.mu.Unlock()
	a := d.accounts[name]
	if a == nil || a.shown[0].Version == 0 {
		return fmt.Errorf("client: refused: no safety number of %q was shown", name)
	}
	if a.shown != [2]directory.Pin{a.pin, d.accounts[d.self.Account].pin} {
		return fmt.Errorf("client: refused: %s: %w", name, ErrChanged)
	}
	now := *a
	now.compared = a.pin
	return d.keepAccount(name, &now)
}

// Recovery returns the recovery key of a try to register that did not end: its person has
// the code. The statement that names it may not be published yet, or stand in the directory
// while delivery does not know the device.
func (d *Device) Recovery() (directory.RecoveryKey, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.drafted != nil:
		return d.drafted.Recovery, true
	case d.own != nil && !d.self.registered:
		return d.own.Newest().Recovery, true
	}
	return directory.RecoveryKey{}, false
}
