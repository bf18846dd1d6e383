package delivery

import (
	"bytes"
	"context"
	"sync"

	"writ/api"
	"writ/directory"
	"writ/engine"
	"writ/internal/wire"
)

// Register implements api.Delivery.
func (s *Service) Register(ctx context.Context, r *api.RegisterRequest) (*api.RegisterResponse, error) {
	id, err := identity(r.Account, r.Device)
	if err != nil {
		return nil, err
	}
	content := RegistrationContent(id, r.SignatureKey)
	if !verify(r.SignatureKey, "device registration", content, r.Proof) {
		return nil, refused("the device's proof does not hold")
	}
	if key, err := s.keys.get(ctx, s.store, id); err == nil && bytes.Equal(key, r.SignatureKey) {
		return &api.RegisterResponse{}, nil // a repetition
	}
	chain, founder, err := s.founder(ctx, id, r)
	if err != nil {
		return nil, err
	}
	if chain != nil {
		if err := s.dropBefore(ctx, chain); err != nil {
			return nil, err
		}
	}
	err = s.store.PutDevice(ctx, engine.Device{Account: r.Account, Device: r.Device, Key: r.SignatureKey}, founder, maxDevices)
	if err == engine.ErrConflict {
		return nil, refused("a further device of an account needs the account's statements, which list it")
	}
	if err != nil {
		return nil, s.storeFault(err, "device")
	}
	return &api.RegisterResponse{}, nil
}

// founder returns the registered device that made the account, and its statements, of
// which the newest lists the device that registers; neither for the account's first. Who
// shows an old list gets a device registered that no honest client talks to: they go by
// the directory.
func (s *Service) founder(ctx context.Context, id directory.Identity, r *api.RegisterRequest) (*directory.Chain, string, error) {
	if len(r.Statements) == 0 {
		return nil, "", nil
	}
	chain, founder, err := s.chain(ctx, id.Account, r.Statements)
	if err != nil || founder == "" {
		return nil, "", err
	}
	d, ok := chain.Newest().Device(id.Device)
	if !ok || !bytes.Equal(d.Key[:], r.SignatureKey) {
		return nil, "", refused("the account's statements do not list the device with that key")
	}
	if founder == id.Device {
		return nil, "", nil
	}
	return chain, founder, nil
}

// chain reads statements of an account. Founder is the device that made the account here,
// which signed the first of them; it is empty if the account is not here. Nobody has to
// log in to show hundreds, so their signatures come last.
func (s *Service) chain(ctx context.Context, account string, statements [][]byte) (c *directory.Chain, founder string, err error) {
	if len(statements) == 0 {
		return nil, "", malformed("no statements")
	}
	first, err := directory.Parse(statements[0])
	if err != nil {
		return nil, "", malformed("%v", err)
	}
	if first.Account != account || first.Version != 1 {
		return nil, "", refused("the statements are not those of the account, from the first on")
	}
	made, err := s.store.Founder(ctx, account)
	switch {
	case err == engine.ErrNotFound:
		return nil, "", nil
	case err != nil:
		return nil, "", s.storeFault(err, "device")
	case made.Device != first.Devices[0].Name || !bytes.Equal(made.Key, first.Devices[0].Key[:]):
		return nil, "", refused("the statements are not those of the device that made the account")
	}
	if c, err = directory.ParseChain(statements); err != nil {
		return nil, "", malformed("%v", err)
	}
	return c, made.Device, nil
}

// DropDevices implements api.Delivery. A statement that drops a device is final (DIR-10), so
// an old list drops nobody whom a newer one keeps.
func (s *Service) DropDevices(ctx context.Context, r *api.DropDevicesRequest) (*api.DropDevicesResponse, error) {
	id, err := device(ctx)
	if err != nil {
		return nil, err
	}
	c, founder, err := s.chain(ctx, id.Account, r.Statements)
	if err != nil {
		return nil, err
	}
	if founder == "" {
		return nil, refused("the statements are not those of the device that made the account")
	}
	gone, err := s.drop(ctx, c, false)
	if err != nil {
		return nil, err
	}
	return &api.DropDevicesResponse{Devices: gone}, nil
}

// dropBefore drops what an account's statements do before one of its devices registers: it
// has no session yet to say so. If the recovery key signed the newest, that is every other:
// who had a device may have registered some by statements of its own.
func (s *Service) dropBefore(ctx context.Context, c *directory.Chain) error {
	_, err := s.drop(ctx, c, c.Newest().Signer == "")
	return err
}

// drop drops the devices that an account's statements listed and the newest does not, or
// all that the newest does not list. It returns their names. However long the history, no
// more is written than the account has devices.
func (s *Service) drop(ctx context.Context, c *directory.Chain, all bool) (gone []string, err error) {
	live, err := s.store.LiveDevices(ctx, c.Account())
	if err != nil {
		return nil, s.storeFault(err, "account")
	}
	for _, d := range live {
		if _, stays := c.Newest().Device(d.Device); stays || !all && !listed(c, d) {
			continue
		}
		dropped, err := s.store.DropDevice(ctx, d)
		if err != nil {
			return nil, s.storeFault(err, "device")
		}
		if dropped {
			s.sessions.endAll(directory.Identity{Account: d.Account, Device: d.Device})
			s.hub.endAll(directory.Identity{Account: d.Account, Device: d.Device})
			gone = append(gone, d.Device)
		}
	}
	return gone, nil
}

// listed reports whether some statement lists a device with its key.
func listed(c *directory.Chain, d engine.Device) bool {
	for version := uint64(1); version <= c.Version(); version++ {
		if l, ok := c.Statement(version).Device(d.Device); ok && bytes.Equal(l.Key[:], d.Key) {
			return true
		}
	}
	return false
}

// RegistrationContent is what a device signs as "device registration":
//
//	struct { opaque account<V>; opaque device<V>; opaque signature_key<V>; }
func RegistrationContent(id directory.Identity, signatureKey []byte) []byte {
	return identityContent(id, signatureKey)
}

// Devices implements api.Delivery.
func (s *Service) Devices(ctx context.Context, r *api.DevicesRequest) (*api.DevicesResponse, error) {
	if _, err := device(ctx); err != nil {
		return nil, err
	}
	if !wire.ValidName(r.Account) {
		return nil, malformed("account %q is not a name", r.Account)
	}
	list, err := s.store.LiveDevices(ctx, r.Account)
	if err == nil && len(list) == 0 {
		err = engine.ErrNotFound
	}
	if err != nil {
		return nil, s.storeFault(err, "account")
	}
	out := &api.DevicesResponse{}
	for _, d := range list {
		out.Devices = append(out.Devices, &api.RegisteredDevice{Device: d.Device, SignatureKey: d.Key})
	}
	return out, nil
}

// deviceKeys remembers registered keys, which never change.
type deviceKeys struct {
	mu   sync.Mutex
	keys map[directory.Identity][]byte
}

// maxDeviceKeys bounds deviceKeys; when it is full, it begins again.
const maxDeviceKeys = 100_000

// get returns a device's Ed25519 public key, or engine.ErrNotFound.
func (k *deviceKeys) get(ctx context.Context, store *engine.Delivery, id directory.Identity) ([]byte, error) {
	k.mu.Lock()
	key := k.keys[id]
	k.mu.Unlock()
	if key != nil {
		return key, nil
	}
	key, err := store.DeviceKey(ctx, id.Account, id.Device)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil || len(k.keys) >= maxDeviceKeys {
		k.keys = map[directory.Identity][]byte{}
	}
	k.keys[id] = key
	return key, nil
}
