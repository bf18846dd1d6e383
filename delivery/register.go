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
	founder, err := s.founder(ctx, id, r)
	if err != nil {
		return nil, err
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

// founder returns the registered device that made the account and whose statements, up
// to the newest, list the device that registers; empty for the account's first. Who
// shows an old list gets a device registered that no honest client talks to: they go by
// the directory.
func (s *Service) founder(ctx context.Context, id directory.Identity, r *api.RegisterRequest) (string, error) {
	if len(r.Statements) == 0 {
		return "", nil
	}
	chain, founder, err := s.chain(ctx, id.Account, r.Statements)
	if err != nil {
		return "", err
	}
	d, ok := chain.Newest().Device(id.Device)
	if !ok || !bytes.Equal(d.Key[:], r.SignatureKey) {
		return "", refused("the account's statements do not list the device with that key")
	}
	if founder == id.Device {
		return "", nil
	}
	return founder, nil
}

// chain reads statements of an account. Founder is the device that made the account here,
// which signed the first of them; it is empty if the account is not here.
func (s *Service) chain(ctx context.Context, account string, statements [][]byte) (c *directory.Chain, founder string, err error) {
	if c, err = directory.ParseChain(statements); err != nil {
		return nil, "", malformed("%v", err)
	}
	if c.Account() != account {
		return nil, "", refused("the statements are of another account")
	}
	first := c.Statement(1).Devices[0]
	made, err := s.store.Founder(ctx, account)
	switch {
	case err == engine.ErrNotFound:
		return c, "", nil
	case err != nil:
		return nil, "", s.storeFault(err, "device")
	case made.Device != first.Name || !bytes.Equal(made.Key, first.Key[:]):
		return nil, "", refused("the statements are not those of the device that made the account")
	}
	return c, first.Name, nil
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
	out := &api.DropDevicesResponse{}
	for version := uint64(1); version < c.Version(); version++ {
		for _, d := range c.Statement(version).Devices {
			if _, stays := c.Newest().Device(d.Name); stays {
				continue
			}
			gone, err := s.store.DropDevice(ctx, engine.Device{Account: id.Account, Device: d.Name, Key: d.Key[:]})
			if err != nil {
				return nil, s.storeFault(err, "device")
			}
			if gone {
				s.sessions.endAll(directory.Identity{Account: id.Account, Device: d.Name})
				s.hub.endAll(directory.Identity{Account: id.Account, Device: d.Name})
				out.Devices = append(out.Devices, d.Name)
			}
		}
	}
	return out, nil
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
	list, err := s.store.Devices(ctx, r.Account)
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
