package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/charter"
	"writ/directory"
	"writ/internal/wire"
	"writ/mls"
)

// Keys of the records in the device's space.
const (
	keySelf         = "self"
	keyAccount      = "account/"      // + name: what is known of an account's devices
	keyStatement    = "statement/"    // + version: the own account's
	keyDrafted      = "drafted"       // a statement of this device that may not be published
	keyCheckpoint   = "checkpoint"    // the newest of the directory's log
	keyAlarm        = "alarm/"        // + number
	keyConversation = "conversation/" // + id
	keyKeyPackage   = "key-package/"  // + reference in hexadecimal
)

const keyPackageLife = 90 * 24 * time.Hour

func cutKey(key string) (prefix, name string) {
	if i := strings.IndexByte(key, '/'); i >= 0 {
		return key[:i+1], key[i+1:]
	}
	return key, ""
}

// Prepare makes the device's key, under an account and its law, without telling
// anyone. The person has been shown the law: it counts as acknowledged. It returns the
// public key, which an earlier device may add ([Device.AddDevice]). Repeating it with the
// same arguments gives the same key.
func (d *Device) Prepare(id directory.Identity, law charter.Hash) (mls.SignaturePublicKey, error) {
	if err := d.lock(); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	if d.self != nil {
		if d.self.Identity != id || d.self.law != law {
			return nil, fmt.Errorf("client: refused: this device is %v under %v already", d.self.Identity, d.self.law)
		}
		return d.self.key.Public(), nil
	}
	if _, err := directory.ParseIdentity(id.Encode()); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if _, ok := d.cfg.Laws.Charter(law); !ok {
		return nil, fmt.Errorf("client: refused: %v: %w", law, ErrUnknownLaw)
	}
	key, err := mls.GenerateSignatureKey(Suite)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	s := &self{Identity: id, law: law, key: key}
	if err := d.save(deviceSpace, []mls.Record{{Key: keySelf, Value: s.encode()}, acknowledged(law)}); err != nil {
		return nil, err
	}
	d.self, d.acks[law] = s, true
	return key.Public(), nil
}

// Claim prepares the device for the name of a new account and looks whether the name is
// free, before anything is published. If it is not, it fails with ErrTaken and the device
// is nobody's again. A device that has begun to register stays what it is.
func (d *Device) Claim(ctx context.Context, id directory.Identity, law charter.Hash) error {
	if _, err := d.Prepare(id, law); err != nil {
		return err
	}
	if err := d.lock(); err != nil {
		return err
	}
	defer d.mu.Unlock()
	if d.self.registered || d.own != nil || d.drafted != nil {
		return nil
	}
	v, err := d.lookUp(ctx, id.Account)
	if connect.CodeOf(err) == connect.CodeFailedPrecondition {
		return nil // there is no account at all; if that is not so, the first statement is refused
	}
	if err != nil || v[0].Chain() == nil || v[0].Has(id, d.self.key.Public()) {
		return err
	}
	return errors.Join(d.giveUp(), taken(id))
}

func taken(id directory.Identity) error {
	return fmt.Errorf("client: refused: %s: %w", id.Account, ErrTaken)
}

// giveUp forgets a key under which nothing was published, and what was looked up under it:
// without a law there is no directory.
func (d *Device) giveUp() error {
	records := []mls.Record{{Key: keySelf}, {Key: keyCheckpoint}}
	for _, name := range sortedKeys(d.accounts) {
		records = append(records, mls.Record{Key: keyAccount + name})
	}
	if err := d.save(deviceSpace, records); err != nil {
		return err
	}
	d.self, d.checkpoint, d.remembered, d.accounts = nil, nil, nil, map[string]*account{}
	return nil
}

// ErrUnlisted is wrapped when the account's statements don't list this device.
var ErrUnlisted = errors.New("the account does not list this device")

// Register prepares the device and makes it known to directory and delivery: as the
// first of its account, whose statements the recovery key may change later without
// any device, or, if recovery is zero, as one that an earlier device has added
// ([Device.AddDevice]). It may be repeated until it succeeds. After ErrTaken the device is
// nobody's again.
func (d *Device) Register(ctx context.Context, id directory.Identity, law charter.Hash, recovery directory.RecoveryKey) error {
	if _, err := d.Prepare(id, law); err != nil {
		return err
	}
	if err := d.lock(); err != nil {
		return err
	}
	defer d.mu.Unlock()
	if recovery != (directory.RecoveryKey{}) && d.own == nil && d.drafted == nil {
		if err := d.draft(d.firstStatement(recovery)); err != nil {
			return err
		}
	}
	return d.enter(ctx)
}

// enter publishes what was drafted and registers the device that it lists.
func (d *Device) enter(ctx context.Context) error {
	if d.self.registered {
		return nil
	}
	if err := d.publish(ctx); err != nil {
		return err
	}
	if err := d.checkListed(ctx); err != nil {
		return err
	}
	if err := d.register(ctx); err != nil {
		return err
	}
	return d.replenish(ctx)
}

// checkListed looks the own account up and demands that it lists this device.
func (d *Device) checkListed(ctx context.Context) error {
	v, err := d.lookUp(ctx, d.self.Account)
	if err != nil {
		return err
	}
	if !v[0].Has(d.self.Identity, d.self.key.Public()) {
		return fmt.Errorf("client: refused: %v: %w", d.self.Identity, ErrUnlisted)
	}
	if d.own == nil {
		return d.adopt(v[0].Chain())
	}
	return nil
}

func (d *Device) register(ctx context.Context) error {
	proof := d.sign("device registration", registration(d.self.Identity, d.self.key.Public()))
	req := &api.RegisterRequest{Account: d.self.Account, Device: d.self.Device, SignatureKey: d.self.key.Public(), Proof: proof}
	if d.own.Statement(1).Signer != d.self.Device {
		req.Statements = d.own.Encode()
	}
	if _, err := retry(ctx, d.cfg.Delivery.Register, req); err != nil {
		return fmt.Errorf("client: register: %w", err)
	}
	done := *d.self
	done.registered = true
	if err := d.save(deviceSpace, []mls.Record{{Key: keySelf, Value: done.encode()}}); err != nil {
		return err
	}
	d.self = &done
	return nil
}

var errNotRegistered = errors.New("client: refused: the device is not registered")

func registration(id directory.Identity, key mls.SignaturePublicKey) []byte {
	var w wire.Writer
	w.String(id.Account)
	w.String(id.Device)
	w.Opaque(key)
	return w.Bytes()
}

// replenish brings the stock of key packages at delivery to the target.
func (d *Device) replenish(ctx context.Context) error {
	res, err := call(ctx, d, d.cfg.Delivery.PublishKeyPackages, &api.PublishKeyPackagesRequest{})
	if err != nil {
		return fmt.Errorf("client: key packages: %w", err)
	}
	var records []mls.Record
	var req api.PublishKeyPackagesRequest
	for n := int(res.Stock); n < d.cfg.KeyPackages && len(req.KeyPackages) < 100; n++ {
		kp, r, err := d.newKeyPackage()
		if err != nil {
			return err
		}
		records = append(records, r)
		req.KeyPackages = append(req.KeyPackages, kp)
	}
	if len(records) == 0 {
		return nil
	}
	if err := d.save(deviceSpace, records); err != nil {
		return err
	}
	if _, err := call(ctx, d, d.cfg.Delivery.PublishKeyPackages, &req); err != nil {
		if clock := d.checkClock(); clock != nil { // their lifetime begins by this device's clock
			return clock
		}
		return fmt.Errorf("client: key packages: %w", err)
	}
	return d.dropExpired()
}

func (d *Device) newKeyPackage() ([]byte, mls.Record, error) {
	now := d.cfg.Now()
	c := d.client()
	c.Lifetime = mls.Lifetime{NotBefore: uint64(now.Add(-time.Hour).Unix()), NotAfter: uint64(now.Add(keyPackageLife).Unix())}
	kp, secrets, err := c.NewKeyPackage(nil)
	if err != nil {
		return nil, mls.Record{}, fmt.Errorf("client: key package: %w", err)
	}
	defer clear(secrets)
	var w wire.Writer
	w.Opaque(kp.Bytes())
	w.Opaque(secrets)
	return kp.Bytes(), mls.Record{Key: keyPackageKey(kp.Ref()), Value: w.Bytes()}, nil
}

// client is this device as MLS knows it.
func (d *Device) client() mls.Client {
	return mls.Client{Credential: mls.Credential{Identity: d.self.Identity.Encode()}, Key: d.self.key, Extensions: d.homeLaw(), ExtensionTypes: supported()}
}

func keyPackageKey(ref []byte) string { return fmt.Sprintf("%s%x", keyKeyPackage, ref) }

// homeLaw is the leaf extension that states the law of the device's account.
func (d *Device) homeLaw() []mls.Extension {
	return []mls.Extension{{Type: charter.LeafExtensionType, Data: bytes.Clone(d.self.law[:])}}
}

// dropExpired deletes key packages that nobody may use any more.
func (d *Device) dropExpired() error {
	records, err := d.cfg.Storage.Load(deviceSpace)
	if err != nil {
		return err
	}
	defer forget(records)
	var drop []mls.Record
	for _, r := range records {
		if !strings.HasPrefix(r.Key, keyKeyPackage) {
			continue
		}
		kp, _, err := parseStoredKeyPackage(r.Value)
		if err != nil {
			return err
		}
		if d.cfg.Now().Unix() > int64(kp.Leaf.Lifetime.NotAfter)+24*3600 {
			drop = append(drop, mls.Record{Key: r.Key})
		}
	}
	if drop == nil {
		return nil
	}
	return d.save(deviceSpace, drop)
}

// forget erases records that were loaded and are needed no more: keys are among them.
func forget(records []mls.Record) {
	for _, r := range records {
		clear(r.Value)
	}
}

func parseStoredKeyPackage(b []byte) (kp *mls.KeyPackage, secrets []byte, err error) {
	r := wire.NewReader(b)
	public, secrets := r.Opaque(maxText), r.Opaque(maxText)
	if err := r.Done(); err != nil {
		return nil, nil, fmt.Errorf("client: key package: %w", err)
	}
	if kp, err = mls.ParseKeyPackage(public); err != nil {
		return nil, nil, fmt.Errorf("client: key package: %w", err)
	}
	return kp, secrets, nil
}
