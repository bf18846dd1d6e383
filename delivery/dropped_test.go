package delivery

import (
	"context"
	"crypto/ed25519"
	"slices"
	"testing"

	"connectrpc.com/connect"

	"writ/api"
	"writ/directory"
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
