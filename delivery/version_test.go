package delivery

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/charter"
	"writ/ledger"
	"writ/mls"
	"writ/warrant"
)

// amended are laws of which one has a newer version, in force since a time.
type amended struct {
	Fixed
	next     *charter.Charter
	since    time.Time
	warrants error // what is said of every warrant
}

func (a *amended) InForce(name string, at time.Time) (*charter.Charter, bool) {
	if name != a.next.Name || at.Before(a.since) {
		return nil, false
	}
	return a.next, true
}

func (a *amended) Actionable(context.Context, uint64, ledger.EntryHash) error { return a.warrants }

// DEL-36, R32: when a newer version of a law has been in force for as long as an epoch of
// the older may live, delivery takes no message under the older, says so with the version
// to read, and takes them again once the device's leaf names that. Capsules of what was said
// before are still taken: they stay openable.
func TestSupersededLaw(t *testing.T) {
	w := newWorld(t)
	alice, bob, conv := w.pair()
	grace := time.Duration(w.law.Charter.Limits.MaxEpochAge) * time.Second
	next := *w.law.Charter
	next.Number, next.Previous = 2, w.law.Charter.Hash()
	h := next.Hash()
	laws := &amended{Fixed: FixedLaws(w.law.Charter, &next), next: &next, since: w.clock.now().Add(time.Hour)}
	w.service.config.Laws = laws
	say := func(p *phone, ad []byte) error {
		_, err := p.api().Append(context.Background(), p.protect(conv, ad, "x"))
		return err
	}
	w.clock.pass(time.Hour + grace - time.Second)
	alice.login()
	bob.login()
	alice.commit(conv, mls.CommitOptions{})
	bob.follow(conv)
	deposited := alice.deposit(conv)
	if err := say(alice, deposited); err != nil {
		t.Fatalf("within the time that is left: %v", err)
	}
	w.clock.pass(time.Second)
	err := say(alice, deposited)
	hint := refusedWith(t, "under the superseded version", err, connect.CodeFailedPrecondition)
	if string(hint.Law) != string(h[:]) || !strings.Contains(hint.Hint, "acknowledge") || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("hint %v for %v", hint, err)
	}
	alice.commit(conv, mls.CommitOptions{})
	ad := alice.deposit(conv) // which is taken
	refusedWith(t, "a new epoch under the superseded version", say(alice, ad), connect.CodeFailedPrecondition)
	alice.commit(conv, mls.CommitOptions{LeafExtensions: []mls.Extension{{Type: charter.LeafExtensionType, Data: h[:]}}})
	alice.law = &next
	if err := say(alice, alice.deposit(conv)); err != nil {
		t.Errorf("under the version in force: %v", err)
	}
	bob.follow(conv)
	ad = bob.deposit(conv)
	refusedWith(t, "who did not move", say(bob, ad), connect.CodeFailedPrecondition)
	if len(bob.read(conv)) == 0 {
		t.Error("who did not move reads nothing")
	}
}

// Delivery discloses nothing under a warrant that by its own copy of the ledger is not to
// be acted on: its law was amended, or the cap is passed.
func TestDiscloseNotActionable(t *testing.T) {
	w, l := newLedgerWorld(t)
	alice, _, conv := w.pair()
	alice.say(conv, alice.deposit(conv), "x")
	laws := &amended{Fixed: FixedLaws(w.law.Charter), next: w.law.Charter, warrants: errors.New("version 1 of the charter is not in force")}
	w.service.config.Laws = laws
	order := w.order(l, func(*warrant.Warrant) {})
	_, err := alice.api().Disclose(context.Background(), order)
	refusedWith(t, "a warrant that may not be acted on", err, connect.CodePermissionDenied)
	if err == nil || !strings.Contains(err.Error(), "not in force") {
		t.Errorf("%v", err)
	}
	laws.warrants = nil
	var out *api.DiscloseResponse
	if out, err = alice.api().Disclose(context.Background(), order); err != nil || len(out.Compartments) == 0 {
		t.Errorf("one that may: %v", err)
	}
}
