package delivery

import (
	"context"

	"connectrpc.com/connect"
	"writ/api"
	"writ/charter"
	"writ/directory"
	"writ/engine"
	"writ/internal/wire"
	"writ/mls"
)

// PublishKeyPackages implements api.Delivery.
func (s *Service) PublishKeyPackages(ctx context.Context, r *api.PublishKeyPackagesRequest) (*api.PublishKeyPackagesResponse, error) {
	id, err := device(ctx)
	if err != nil {
		return nil, err
	}
	if len(r.KeyPackages) > maxStock {
		return nil, full("key packages")
	}
	list := make([]engine.KeyPackage, 0, len(r.KeyPackages))
	for i, b := range r.KeyPackages {
		k, err := s.checkKeyPackage(id, b)
		if err != nil {
			return nil, malformed("key package %d: %v", i, err)
		}
		list = append(list, engine.KeyPackage{Device: id.Device, Suite: uint16(k.Suite), Body: b})
	}
	stock, err := s.store.PutKeyPackages(ctx, id.Account, id.Device, list, maxStock, uint64(s.now().Unix()))
	if err != nil {
		return nil, s.storeFault(err, "key packages")
	}
	return &api.PublishKeyPackagesResponse{Stock: uint32(stock)}, nil
}

// checkKeyPackage makes the checks of RFC 9420 section 10.1, and that the key
// package is the device's own.
func (s *Service) checkKeyPackage(id directory.Identity, b []byte) (*mls.KeyPackage, error) {
	if len(b) > maxKeyPackage {
		return nil, malformed("%d bytes", len(b))
	}
	k, err := mls.ParseKeyPackage(b)
	if err != nil {
		return nil, err
	}
	if err := k.Verify(s.letIn, s.now()); err != nil {
		return nil, err
	}
	if string(k.Leaf.Credential.Identity) != string(id.Encode()) {
		return nil, malformed("of another device")
	}
	return k, nil
}

// TakeKeyPackages implements api.Delivery. The request id counts for this device
// only, so that no other device can learn or spend its answer.
func (s *Service) TakeKeyPackages(ctx context.Context, r *api.TakeKeyPackagesRequest) (*api.TakeKeyPackagesResponse, error) {
	id, err := device(ctx)
	if err != nil {
		return nil, err
	}
	if !wire.ValidName(r.Account) || r.Suite > 0xffff || len(r.RequestId) != midSize {
		return nil, malformed("account, suite or request id")
	}
	if !s.takes.allow(id.Account, r.Account, s.now()) {
		return nil, fault(connect.CodeResourceExhausted, &api.Hint{Hint: "Try again in an hour. The account's key packages are for others too."},
			"%d takes from %s within an hour, or from %d accounts", maxTakes, r.Account, maxTaken)
	}
	request := wire.Hash("key package request", id.Encode(), r.RequestId)
	taken, missing, err := s.store.TakeKeyPackages(ctx, r.Account, uint16(r.Suite), request[:], uint64(s.now().Unix()))
	if err != nil {
		return nil, s.storeFault(err, "account")
	}
	out := &api.TakeKeyPackagesResponse{Missing: missing}
	for _, k := range taken {
		out.KeyPackages = append(out.KeyPackages, &api.DeviceKeyPackage{Device: k.Device, KeyPackage: k.Body})
	}
	return out, nil
}

// letIn is the authentication service (RFC 9420 section 5.3.1): a leaf gets in if its
// credential names a registered device, its key is that device's, its home law is known,
// and it is not too large.
func (s *Service) letIn(leaf *mls.LeafNode) error {
	if n := len(leaf.Bytes()); n > maxLeaf {
		return refused("a leaf of %d bytes where at most %d are allowed", n, maxLeaf)
	}
	m, err := memberOf(leaf)
	if err != nil {
		return err
	}
	key, err := s.keys.get(context.Background(), s.store, directory.Identity{Account: m.Account, Device: m.Device})
	if err != nil {
		return s.storeFault(err, "device")
	}
	if string(key) != string(leaf.SignatureKey) {
		return refused("the leaf's key is not that of %s/%s", m.Account, m.Device)
	}
	if _, ok := s.config.Laws.Charter(m.Charter); !ok {
		return refused("the leaf is under a charter unknown here")
	}
	return nil
}

// memberOf reads account, device and charter out of a leaf.
func memberOf(leaf *mls.LeafNode) (engine.Member, error) {
	if leaf.Credential.Certificates != nil {
		return engine.Member{}, refused("an X.509 credential")
	}
	id, err := directory.ParseIdentity(leaf.Credential.Identity)
	if err != nil {
		return engine.Member{}, refused("credential: %v", err)
	}
	law, ok := leaf.Extension(charter.LeafExtensionType)
	if !ok || len(law) != 32 {
		return engine.Member{}, refused("leaf without a home law")
	}
	return engine.Member{Account: id.Account, Device: id.Device, Charter: [32]byte(law)}, nil
}
