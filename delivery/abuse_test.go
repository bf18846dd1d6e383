package delivery

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/capsule"
	"writ/directory"
	"writ/ledger"
	"writ/mls"
	"writ/warrant"
)

var background = context.Background()

// What a registered device can do at most to the service and to others.

// An answer that was lost can be asked for again at any time.
func TestCreateAgainLater(t *testing.T) {
	w := newWorld(t)
	alice := w.phone("alice", "phone", nil)
	g, err := mls.Client{Credential: mls.Credential{Identity: alice.id.Encode()}, Key: alice.key, Extensions: alice.homeLaw()}.NewGroup(alice.mlsConfig(), randomBytes(16), nil)
	if err != nil {
		t.Fatal(err)
	}
	info, err := g.GroupInfo([]mls.Extension{{Type: openedExtension, Data: alice.opened()}}, true)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := alice.api().CreateConversation(background, &api.CreateConversationRequest{GroupInfo: info}); err != nil {
			t.Error(err)
		}
		w.clock.pass(time.Hour)
	}
	_, err = alice.api().CreateConversation(background, &api.CreateConversationRequest{GroupInfo: make([]byte, maxGroupInfo+1)})
	refusedWith(t, "a tree of millions of blanks, perhaps", err, connect.CodeInvalidArgument)
}

// A member can't fill delivery's memory, nor the others' devices, with proposals.
func TestProposalsBounded(t *testing.T) {
	w := newWorld(t)
	alice, bob, conv := w.pair()
	propose := func() error {
		p, _, err := bob.groups[conv].Propose(mls.Proposal{Remove: new(mls.LeafIndex(0))})
		if err != nil {
			t.Fatal(err)
		}
		_, err = bob.api().Propose(background, &api.ProposeRequest{Conversation: []byte(conv), Mid: randomBytes(16), Message: p})
		return err
	}
	for i := range maxWaiting {
		if err := propose(); err != nil {
			t.Fatalf("proposal %d: %v", i, err)
		}
	}
	refusedWith(t, "one too many", propose(), connect.CodeResourceExhausted)
	w.service.Close()
	w.start()
	alice.login()
	bob.login()
	refusedWith(t, "one too many, after a restart", propose(), connect.CodeResourceExhausted)
	alice.commit(conv, mls.CommitOptions{})
	bob.follow(conv)
	if err := propose(); err != nil {
		t.Errorf("in the next epoch: %v", err)
	}
}

// Others than the sender need to deposit one capsule at most: the right one.
func TestForeignCapsules(t *testing.T) {
	w := newWorld(t)
	alice, bob, conv := w.pair()
	good := alice.seal(conv, alice.label(conv))
	put := func(p *phone, n byte) error {
		b := bytes.Clone(good.Bytes())
		b[len(b)-1] ^= n
		if _, err := capsule.Parse(b); err != nil {
			t.Fatal(err)
		}
		_, err := p.api().PutCapsule(background, &api.PutCapsuleRequest{Capsule: b})
		return err
	}
	if err := put(bob, 1); err != nil {
		t.Fatal(err)
	}
	refusedWith(t, "a second by another", put(bob, 2), connect.CodeResourceExhausted)
	for n := range byte(maxCapsules) {
		if err := put(alice, 10+n); err != nil {
			t.Errorf("sender's %d: %v", n, err)
		}
	}
	refusedWith(t, "a fifth by the sender", put(alice, 20), connect.CodeResourceExhausted)
}

// Made-up conversations take no room from real ones.
func TestMadeUpConversations(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Conversations = 2 })
	alice, _, conv := w.pair()
	hash := alice.deposit(conv)
	for range 10 {
		_, err := alice.api().GetCapsules(background, &api.GetCapsulesRequest{Conversation: randomBytes(16)})
		refusedWith(t, "made up", err, connect.CodeNotFound)
	}
	if n := len(w.service.conversations); n != 1 || w.service.conversations[conv] == nil {
		t.Errorf("%d copies, and not of the real conversation", n)
	}
	alice.say(conv, hash, "x")
}

// One account can't take all key packages of another.
func TestTakesBounded(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.phone("alice", "phone", nil), w.phone("bob", "phone", nil)
	tablet := w.phone("alice", "tablet", alice)
	bob.stock(maxTakes + 4)
	alice.stock(maxTakes + 4)
	take := func(p *phone, account string) (n int, err error) {
		r, err := p.api().TakeKeyPackages(background, &api.TakeKeyPackagesRequest{Account: account, Suite: uint32(suite), RequestId: randomBytes(16)})
		return len(r.GetKeyPackages()), err
	}
	for i := range maxTakes {
		by := []*phone{alice, tablet}[i%2]
		if n, err := take(by, "bob"); n != 1 || err != nil {
			t.Fatalf("take %d: %d, %v", i, n, err)
		}
	}
	for _, by := range []*phone{alice, tablet} {
		_, err := take(by, "bob")
		refusedWith(t, "one too many", err, connect.CodeResourceExhausted)
	}
	if n, err := take(bob, "alice"); n != 1 || err != nil {
		t.Errorf("another account: %d, %v", n, err)
	}
	for range maxTakes + 1 {
		if _, err := take(bob, "bob"); err != nil {
			t.Errorf("of its own account: %v", err)
		}
	}
	w.clock.pass(takesSpan)
	if n, err := take(alice, "bob"); n != 0 || err != nil { // bob himself took the rest
		t.Errorf("an hour later: %d, %v", n, err)
	}
}

// Who asks for the key packages of ever more names fills no memory with it.
func TestTakesForgetNobody(t *testing.T) {
	var x takes
	now := time.Now()
	for range maxTakes {
		x.allow("alice", "bob", now)
	}
	for i := range 4 * maxTaken {
		if got, want := x.allow("eve", fmt.Sprintf("name-%d", i), now), i < maxTaken; got != want {
			t.Fatalf("name %d: %v", i, got)
		}
	}
	if n := len(x.n["eve"]); n > maxTaken {
		t.Errorf("%d names are remembered", n)
	}
	if x.allow("alice", "bob", now) || !x.allow("alice", "carol", now) || !x.allow("eve", "name-1", now) {
		t.Error("the bounds of others have changed")
	}
}

// A proposal that is not valid costs no reading of the whole group from the store.
func TestBadProposalIsCheap(t *testing.T) {
	w := newWorld(t)
	alice, bob, conv := w.pair()
	alice.commit(conv, mls.CommitOptions{})
	bob.follow(conv)
	c := w.service.conversations[conv]
	group := c.group
	if group == nil {
		t.Fatal("no group in memory")
	}
	good, _, err := bob.groups[conv].Propose(mls.Proposal{Remove: new(mls.LeafIndex(0))})
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(good)
	bad[len(bad)/2] ^= 1
	for _, body := range [][]byte{bad, good} {
		_, err = bob.api().Propose(background, &api.ProposeRequest{Conversation: []byte(conv), Mid: randomBytes(16), Message: body})
		if got := err == nil; got != (&body[0] == &good[0]) || c.group != group {
			t.Errorf("%v; the group was dropped: %v", err, c.group != group)
		}
	}
	alice.follow(conv)
	alice.commit(conv, mls.CommitOptions{})
}

// A member can't make its leaf grow, which everybody in the conversation keeps.
func TestLeafBounded(t *testing.T) {
	w := newWorld(t)
	alice, bob, conv := w.pair()
	for size, want := range map[int]connect.Code{64 << 10: connect.CodePermissionDenied, 1 << 10: 0} {
		c, r := alice.prepare(conv, mls.CommitOptions{LeafExtensions: append(alice.homeLaw(), mls.Extension{Type: known[0], Data: make([]byte, size)})})
		_, err := alice.api().Commit(background, r)
		if err == nil && want == 0 {
			alice.groups[conv].Apply(c.Staged)
			continue
		}
		alice.groups[conv].DropPending()
		refusedWith(t, fmt.Sprintf("a leaf with %d bytes more", size), err, want)
	}
	bob.follow(conv)
}

// An account's history may be long: its newest device registers all the same.
func TestRegisterWithLongHistory(t *testing.T) {
	w := newWorld(t)
	alice := w.phone("alice", "phone", nil)
	chain, err := directory.ParseChain(alice.lists(&phone{id: directory.Identity{Account: "alice", Device: "first"}, key: newKey(t)}))
	if err != nil {
		t.Fatal(err)
	}
	state := func(change func(*directory.Statement)) {
		next := chain.Draft()
		change(next)
		next.SignAs("phone", directory.DeviceSigner(ed25519.NewKeyFromSeed(alice.key.Bytes()[:32])))
		if chain, err = chain.Follow(next); err != nil {
			t.Fatal(err)
		}
	}
	add := func(device string, key *mls.SignatureKey) {
		state(func(s *directory.Statement) { s.Add(device, directory.DeviceKey(key.Public()), 1) })
	}
	for chain.Version() < directory.MaxVersion-16 {
		name := fmt.Sprintf("device-%d", chain.Version())
		add(name, newKey(t))
		state(func(s *directory.Statement) { s.Drop(name) })
	}
	for n := len(chain.Newest().Devices) + 1; n < directory.MaxDevices; n++ {
		add(fmt.Sprintf("%s-%d", strings.Repeat("long", 14), n), newKey(t))
	}
	tablet := &phone{world: w, id: directory.Identity{Account: "alice", Device: "tablet"}, law: w.law.Charter, key: newKey(t)}
	add("tablet", tablet.key)
	r := &api.RegisterRequest{Account: "alice", Device: "tablet", SignatureKey: tablet.key.Public(), Statements: chain.Encode()}
	r.Proof = tablet.sign("device registration", RegistrationContent(tablet.id, tablet.key.Public()))
	if _, err := tablet.api().Register(background, r); err != nil {
		t.Fatal(err)
	}
	tablet.login()
}

func newKey(t *testing.T) *mls.SignatureKey {
	key, err := mls.GenerateSignatureKey(suite)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// What a device that was dropped listens to ends at once, not only with the next sign of
// life.
func TestDroppedDeviceHearsNothing(t *testing.T) {
	w := newWorld(t)
	alice := w.phone("alice", "phone", nil)
	tablet := w.phone("alice", "tablet", alice)
	w.service.pulse = time.Hour
	ctx, cancel := context.WithTimeout(background, 10*time.Second)
	defer cancel()
	s, err := tablet.api().Subscribe(ctx, &api.SubscribeRequest{})
	if err != nil || !s.Receive() {
		t.Fatal(err, s.Err())
	}
	_, after := alice.drop(tablet)
	if _, err := alice.api().DropDevices(ctx, &api.DropDevicesRequest{Statements: after}); err != nil {
		t.Fatal(err)
	}
	for s.Receive() {
		t.Errorf("event %v", s.Msg())
	}
	refusedWith(t, "after it was dropped", s.Err(), connect.CodeUnavailable)
}

// A quiet subscription shows that it lives, and ends with its session.
func TestQuietSubscription(t *testing.T) {
	w := newWorld(t)
	alice := w.phone("alice", "phone", nil)
	w.service.pulse = 20 * time.Millisecond
	ctx, cancel := context.WithTimeout(background, 10*time.Second)
	defer cancel()
	s, err := alice.api().Subscribe(ctx, &api.SubscribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if !s.Receive() || !s.Msg().GetReady() || !s.Receive() || !s.Msg().GetAlive() || !s.Receive() || !s.Msg().GetAlive() {
		t.Fatalf("no signs of life: %v, %v", s.Msg(), s.Err())
	}
	w.clock.pass(sessionLife)
	for s.Receive() {
		if !s.Msg().GetAlive() {
			t.Errorf("event %v", s.Msg())
		}
	}
	refusedWith(t, "after the session", s.Err(), connect.CodeUnauthenticated)
}

// Delivery can account for what it disclosed: under which warrant, when, how much.
func TestDisclosuresRecorded(t *testing.T) {
	w, l := newLedgerWorld(t)
	alice, _, conv := w.pair()
	hash := alice.deposit(conv)
	alice.say(conv, hash, "a")
	alice.say(conv, hash, "b")
	r := w.order(l, func(*warrant.Warrant) {})
	for range 2 {
		alice.disclosed(r)
		w.clock.pass(time.Second)
	}
	bad := w.approved(l, func(*warrant.Warrant) {}, func(x *ledger.Warrant) { x.Approvals = nil })
	if _, err := alice.api().Disclose(background, bad); err == nil {
		t.Fatal("disclosed without approvals")
	}
	w.service.Close()
	w.start()
	list, err := w.service.store.Disclosures(background, 0, 10)
	if err != nil || len(list) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	order, err := warrant.Parse(r.Warrant)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range list {
		if d.Warrant != order.Hash() || d.Compartments != 1 || d.Messages != 2 || d.At != uint64(w.clock.now().Unix())-2+uint64(i) {
			t.Errorf("record %d: %+v", i, d)
		}
	}
}

// A key package adds its device once: again it would be a welcome that nothing opens, of
// up to 8 MB and as many as an inviter likes.
func TestKeyPackageOnce(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.phone("alice", "phone", nil), w.phone("bob", "phone", nil)
	bob.stock(1)
	taken := alice.take("bob")
	first, second := alice.create(), alice.create()
	alice.commit(first, mls.CommitOptions{Add: taken})
	_, r := alice.prepare(second, mls.CommitOptions{Add: taken})
	_, err := alice.api().Commit(background, r)
	refusedWith(t, "the key package again", err, connect.CodeFailedPrecondition)
	answer, err := bob.api().Welcomes(background, &api.WelcomesRequest{})
	if err != nil || len(answer.Welcomes) != 1 {
		t.Errorf("%d welcomes, %v", len(answer.GetWelcomes()), err)
	}
	alice.groups[second].DropPending()
	alice.commit(second, mls.CommitOptions{}) // the conversation goes on
}
