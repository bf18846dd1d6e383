package delivery

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"maps"
	"slices"
	"testing"

	"connectrpc.com/connect"

	"writ/api"
	"writ/directory"
	"writ/mls"
)

// drop gives the account's statements of p, the first device, that list other and then
// drop it again.
func (p *phone) drop(other *phone) (before, after [][]byte) {
	p.Helper()
	before = p.lists(other)
	chain, err := directory.ParseChain(before)
	if err != nil {
		p.Fatal(err)
	}
	next := chain.Draft()
	next.Drop(other.id.Device)
	next.SignAs(p.id.Device, directory.DeviceSigner(ed25519.NewKeyFromSeed(p.key.Bytes()[:32])))
	if chain, err = chain.Follow(next); err != nil {
		p.Fatal(err)
	}
	return before, chain.Encode()
}

// DEL-14: whoever shows the account's statements ends the sessions of the devices that these
// dropped, for good: they log in no more, also after a restart, and nobody is given their key
// packages. Nothing else drops a device.
func TestDroppedDevice(t *testing.T) {
	w := newWorld(t)
	alice := w.phone("alice", "phone", nil)
	laptop, tablet := w.phone("alice", "laptop", alice), w.phone("alice", "tablet", alice)
	bob := w.phone("bob", "phone", nil)
	laptop.stock(2)
	before, after := alice.drop(laptop)
	show := func(p *phone, statements [][]byte) ([]string, error) {
		out, err := p.api().DropDevices(context.Background(), &api.DropDevicesRequest{Statements: statements})
		return out.GetDevices(), err
	}
	alive := func(p *phone) error {
		_, err := p.api().Welcomes(context.Background(), &api.WelcomesRequest{})
		return err
	}
	_, stranger := bob.drop(laptop)
	_, fork := tablet.drop(laptop)
	for name, c := range map[string]struct {
		by         *phone
		statements [][]byte
	}{"another account's caller": {bob, after}, "another account's statements": {alice, stranger}, "not of the founder": {alice, fork}} {
		if _, err := show(c.by, c.statements); connect.CodeOf(err) != connect.CodePermissionDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := show(alice, nil); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("nothing: %v", err)
	}
	if gone, err := show(tablet, before); err != nil || len(gone) != 0 || alive(laptop) != nil {
		t.Errorf("a list that keeps it drops %v, %v", gone, err)
	}
	if gone, err := show(tablet, after); err != nil || !slices.Equal(gone, []string{"laptop"}) {
		t.Fatalf("dropped %v, %v", gone, err)
	}
	if gone, err := show(alice, after); err != nil || len(gone) != 0 {
		t.Errorf("dropped again: %v, %v", gone, err)
	}
	if err := alive(laptop); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("its session goes on: %v", err)
	}
	if out, err := bob.api().Devices(context.Background(), &api.DevicesRequest{Account: "alice"}); err != nil || len(out.Devices) != 2 {
		t.Errorf("lists %v, %v", out, err)
	}
	if n := len(bob.take("alice")); n != 0 {
		t.Errorf("%d of its key packages are given out", n)
	}
	w.service.Close()
	w.start()
	for p, want := range map[*phone]connect.Code{laptop: connect.CodePermissionDenied, alice: 0, tablet: 0} {
		err := p.tryLogin()
		if err == nil && want != 0 || err != nil && connect.CodeOf(err) != want {
			t.Errorf("%v logs in: %v", p.id, err)
		}
		if got := alive(p) == nil; got != (want == 0) {
			t.Errorf("%v has a session: %v", p.id, got)
		}
	}
	refusedWith(t, "login", laptop.tryLogin(), connect.CodePermissionDenied)
}

// account is an account as its holders state it, at delivery or at the directory.
type account struct {
	t     *testing.T
	w     *world
	chain *directory.Chain
	keys  map[string]ed25519.PrivateKey // of its devices, and of "" to recover
}

// state follows the newest statement by one that a device signs, or the recovery key.
func (a *account) state(signer string, change func(*directory.Statement)) {
	a.t.Helper()
	next := a.chain.Draft()
	change(next)
	if signer == "" {
		next.SignRecovery(directory.RecoverySigner(a.keys[""]))
	} else {
		next.SignAs(signer, directory.DeviceSigner(a.keys[signer]))
	}
	longer, err := a.chain.Follow(next)
	if err != nil {
		a.t.Fatal(err)
	}
	a.chain = longer
}

// add lists a new device and registers it.
func (a *account) add(signer, device string, more ...func(*directory.Statement)) error {
	a.t.Helper()
	p := &phone{world: a.w, id: directory.Identity{Account: a.chain.Account(), Device: device}, law: a.w.law.Charter, key: newKey(a.t)}
	a.keys[device] = ed25519.NewKeyFromSeed(p.key.Bytes()[:32])
	a.state(signer, func(s *directory.Statement) {
		for _, change := range more {
			change(s)
		}
		s.Add(device, directory.DeviceKey(p.key.Public()), 1)
	})
	r := &api.RegisterRequest{Account: p.id.Account, Device: device, SignatureKey: p.key.Public(), Statements: a.chain.Encode()}
	r.Proof = p.sign("device registration", RegistrationContent(p.id, p.key.Public()))
	if _, err := p.api().Register(context.Background(), r); err != nil {
		return err
	}
	return p.tryLogin()
}

func drops(names ...string) func(*directory.Statement) {
	return func(s *directory.Statement) {
		for _, name := range names {
			s.Drop(name)
		}
	}
}

func newAccount(t *testing.T, w *world) *account {
	alice := w.phone("alice", "phone", nil)
	first := ed25519.NewKeyFromSeed(alice.key.Bytes()[:32])
	public, recovery, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &directory.Statement{Account: "alice", Version: 1, Recovery: directory.RecoveryKey(public)}
	s.Add("phone", directory.DeviceKey(alice.key.Public()), 1)
	s.SignAs("phone", directory.DeviceSigner(first))
	chain, err := directory.NewChain(s)
	if err != nil {
		t.Fatal(err)
	}
	return &account{t: t, w: w, chain: chain, keys: map[string]ed25519.PrivateKey{"phone": first, "": recovery}}
}

// A person has as many devices in their life as the directory lets them have, one after
// the other. What was dropped takes no place.
func TestDroppedDevicesTakeNoPlace(t *testing.T) {
	w := newWorld(t)
	a := newAccount(t, w)
	last := "phone"
	for i := range 2 * maxDevices {
		next := fmt.Sprintf("phone-%d", i)
		if err := a.add(last, next); err != nil {
			t.Fatalf("device %d: %v", i, err)
		}
		a.state(next, drops(last))
		last = next
	}
	r, err := w.phone("bob", "phone", nil).api().TakeKeyPackages(context.Background(),
		&api.TakeKeyPackagesRequest{Account: "alice", Suite: uint32(suite), RequestId: randomBytes(16)})
	// The last but one is dropped when the next registers.
	if want := []string{fmt.Sprintf("phone-%d", 2*maxDevices-2), last}; err != nil || !slices.Equal(r.Missing, slices.Sorted(slices.Values(want))) {
		t.Errorf("devices without key packages %v, %v", r.GetMissing(), err)
	}
}

// Who stole a device fills the account with devices by statements that only delivery sees.
// The recovery key gets the person in again all the same, and them out.
func TestRecoveryBreaksALockOut(t *testing.T) {
	w := newWorld(t)
	a := newAccount(t, w)
	thief := &account{t: t, w: w, chain: a.chain, keys: maps.Clone(a.keys)}
	for i := range maxDevices - 1 {
		if err := thief.add("phone", fmt.Sprintf("fake-%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	full := &account{t: t, w: w, chain: a.chain, keys: maps.Clone(a.keys)}
	refusedWith(t, "no place is left", full.add("phone", "tablet"), connect.CodeResourceExhausted)
	if err := a.add("", "fresh", drops("phone")); err != nil {
		t.Fatalf("recovered: %v", err)
	}
	bob := w.phone("bob", "phone", nil)
	if n := len(bob.take("alice")); n != 0 {
		t.Errorf("%d key packages of the thief's devices", n)
	}
	fake := &phone{world: w, id: directory.Identity{Account: "alice", Device: "fake-0"}, law: w.law.Charter}
	var err error
	if fake.key, err = mls.NewSignatureKey(suite, thief.keys["fake-0"].Seed()); err != nil {
		t.Fatal(err)
	}
	refusedWith(t, "the thief's device", fake.tryLogin(), connect.CodePermissionDenied)
}

// Who is not logged in makes delivery verify no history that can't matter: one of another
// founder, or of a device that is registered.
func TestHistoriesAreReadLast(t *testing.T) {
	w := newWorld(t)
	a := newAccount(t, w)
	if err := a.add("phone", "tablet"); err != nil {
		t.Fatal(err)
	}
	other := newAccount(t, newWorld(t)) // of the same name, elsewhere
	if err := other.add("phone", "tablet"); err != nil {
		t.Fatal(err)
	}
	register := func(x *account, device string, statements ...[]byte) error {
		p := &phone{world: w, id: directory.Identity{Account: "alice", Device: device}}
		var err error
		if p.key, err = mls.NewSignatureKey(suite, x.keys[device].Seed()); err != nil {
			t.Fatal(err)
		}
		r := &api.RegisterRequest{Account: "alice", Device: device, SignatureKey: p.key.Public(), Statements: statements}
		r.Proof = p.sign("device registration", RegistrationContent(p.id, p.key.Public()))
		_, err = p.api().Register(context.Background(), r)
		return err
	}
	junk := []byte("junk")
	refusedWith(t, "another founder's", register(other, "tablet", other.chain.Encode()[0], junk), connect.CodePermissionDenied)
	if err := register(a, "tablet", junk); err != nil {
		t.Errorf("a repetition: %v", err)
	}
}
