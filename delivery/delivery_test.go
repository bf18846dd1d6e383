package delivery

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/capsule"
	"writ/engine"
	"writ/mls"
)

func ed25519Sign(seed, content []byte) []byte {
	return ed25519.Sign(ed25519.NewKeyFromSeed(seed), content)
}

// Two people talk, over HTTP, through real MLS.
func TestConversation(t *testing.T) {
	w := newWorld(t)
	alice, bob, conv := w.pair()
	hash := alice.deposit(conv)
	for _, text := range texts(3, "hello") {
		alice.say(conv, hash, text)
	}
	var got []string
	for _, m := range bob.read(conv) {
		if m.Kind != api.Kind_KIND_APPLICATION {
			continue
		}
		opened, _, err := bob.groups[conv].Unprotect(m.Body)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(opened.AuthenticatedData, hash) || uint32(opened.Sender) != m.Sender {
			t.Error("sender or authenticated data differ")
		}
		got = append(got, string(opened.Data))
	}
	if strings.Join(got, ",") != "hello 0,hello 1,hello 2" {
		t.Errorf("bob reads %q", got)
	}
	r, err := bob.api().Conversations(context.Background(), &api.ConversationsRequest{})
	if err != nil || len(r.Conversations) != 1 || r.Conversations[0].Epoch != 1 || !r.Conversations[0].Member || r.Conversations[0].LastSeq != 4 || r.Conversations[0].Leaf != 1 {
		t.Errorf("bob's conversations %v, %v", r, err)
	}
	caps, err := bob.api().GetCapsules(context.Background(), &api.GetCapsulesRequest{Conversation: []byte(conv), Epoch: 1, Leaf: 0})
	if err != nil || len(caps.Capsules) != 1 {
		t.Errorf("capsules: %v", err)
	}
}

func TestRepeatedMid(t *testing.T) {
	w := newWorld(t)
	alice, _, conv := w.pair()
	r := alice.protect(conv, alice.deposit(conv), "once")
	first, err := alice.api().Append(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	again, err := alice.api().Append(context.Background(), r)
	if err != nil || again.Seq != first.Seq {
		t.Errorf("again: %v, %v; want seq %d", again, err, first.Seq)
	}
	other := alice.protect(conv, r.Message[:0:0], "other")
	other.Mid = r.Mid
	_, err = alice.api().Append(context.Background(), other)
	refusedWith(t, "no capsule named", err, connect.CodeInvalidArgument)
	w.clock.pass(25 * time.Hour) // the lost answer is asked for after the epoch's end
	alice.login()
	if again, err := alice.api().Append(context.Background(), r); err != nil || again.Seq != first.Seq {
		t.Errorf("much later: %v, %v", again, err)
	}
	if n := len(alice.read(conv)); n != 2 {
		t.Errorf("%d messages stored, want the commit and one", n)
	}
}

// Two commits race for one epoch: one wins, the other is told who.
func TestRacingCommits(t *testing.T) {
	w := newWorld(t)
	alice, bob, conv := w.pair()
	type result struct {
		p      *phone
		c      *mls.PendingCommit
		r      *api.CommitRequest
		answer *api.CommitResponse
		err    error
	}
	results := []*result{{p: alice}, {p: bob}}
	var group sync.WaitGroup
	for _, x := range results {
		x.c, x.r = x.p.prepare(conv, mls.CommitOptions{})
		group.Go(func() { x.answer, x.err = x.p.api().Commit(context.Background(), x.r) })
	}
	group.Wait()
	won, lost := results[0], results[1]
	if won.err != nil {
		won, lost = lost, won
	}
	if won.err != nil {
		t.Fatalf("nobody won: %v, %v", won.err, lost.err)
	}
	hint := refusedWith(t, "loser", lost.err, connect.CodeAborted)
	if hint.WinnerSeq != won.answer.Seq || won.answer.Epoch != 2 || hint.Epoch != 2 {
		t.Errorf("loser is told of seq %d, the winner's is %d", hint.WinnerSeq, won.answer.Seq)
	}
	again, err := won.p.api().Commit(context.Background(), won.r)
	if err != nil || again.Seq != won.answer.Seq {
		t.Errorf("winner asks again: %v, %v", again, err)
	}
	if _, err := won.p.groups[conv].Apply(won.c.Staged); err != nil {
		t.Fatal(err)
	}
	lost.p.groups[conv].DropPending()
	lost.p.follow(conv)
	if lost.p.groups[conv].Epoch() != 2 {
		t.Errorf("loser is in epoch %d", lost.p.groups[conv].Epoch())
	}
	if n := len(alice.read(conv)); n != 2 {
		t.Errorf("%d messages, want two commits", n)
	}
}

// An application message needs a stored capsule of its own compartment.
func TestMessageWithoutCapsule(t *testing.T) {
	w := newWorld(t)
	alice, bob, conv := w.pair()
	send := func(p *phone, ad []byte) error {
		_, err := p.api().Append(context.Background(), p.protect(conv, ad, "x"))
		return err
	}
	sealed := alice.seal(conv, alice.label(conv))
	hash := sealed.Hash()
	refusedWith(t, "not stored", send(alice, hash[:]), connect.CodeFailedPrecondition)
	refusedWith(t, "empty", send(alice, nil), connect.CodeInvalidArgument)
	if _, err := bob.api().PutCapsule(context.Background(), &api.PutCapsuleRequest{Capsule: sealed.Bytes()}); err != nil {
		t.Fatalf("bob deposits for alice: %v", err)
	}
	if err := send(alice, hash[:]); err != nil {
		t.Errorf("stored: %v", err)
	}
	refusedWith(t, "another sender's", send(bob, hash[:]), connect.CodeFailedPrecondition)
	alice.commit(conv, mls.CommitOptions{})
	refusedWith(t, "another epoch's", send(alice, hash[:]), connect.CodeFailedPrecondition)
}

// The first message of a compartment may bring its capsule: both are stored, or neither.
// Whoever hears it live is shown the capsule.
func TestMessageBringsItsCapsule(t *testing.T) {
	w := newWorld(t)
	alice, bob, conv := w.pair()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	stream, err := bob.api().Subscribe(ctx, &api.SubscribeRequest{})
	if err != nil || !stream.Receive() {
		t.Fatal(err, stream.Err())
	}
	send := func(p *phone, names []byte, brings []byte) error {
		r := p.protect(conv, names, "x")
		r.Capsule = brings
		_, err := p.api().Append(ctx, r)
		return err
	}
	stored := func(leaf uint32) [][]byte {
		r, err := alice.api().GetCapsules(ctx, &api.GetCapsulesRequest{Conversation: []byte(conv), Epoch: 1, Leaf: leaf})
		if err != nil {
			t.Fatal(err)
		}
		return r.Capsules
	}
	good, bobs := alice.seal(conv, alice.label(conv)), bob.seal(conv, bob.label(conv))
	hash, bobsHash := good.Hash(), bobs.Hash()
	moved := relabel(t, good, func(l *capsule.Label) { l.Opened++ })
	movedHash := capsule.HashOf(moved)
	refusedWith(t, "one that the message does not name", send(alice, randomBytes(32), good.Bytes()), connect.CodeInvalidArgument)
	refusedWith(t, "another's, named", send(alice, bobsHash[:], bobs.Bytes()), connect.CodeInvalidArgument)
	refusedWith(t, "one with a wrong label, named", send(alice, movedHash[:], moved), connect.CodePermissionDenied)
	refusedWith(t, "no capsule", send(alice, hash[:], []byte("x")), connect.CodeInvalidArgument)
	if n := len(stored(0)) + len(stored(1)); n != 0 {
		t.Fatalf("%d capsules stored with messages that were refused", n)
	}
	for i := range 2 {
		if err := send(alice, hash[:], good.Bytes()); err != nil {
			t.Fatalf("time %d: %v", i, err)
		}
		if !stream.Receive() || !bytes.Equal(stream.Msg().GetMessage().GetCapsule(), good.Bytes()) {
			t.Fatalf("bob is shown %v", stream.Msg())
		}
	}
	if list := stored(0); len(list) != 1 || !bytes.Equal(list[0], good.Bytes()) {
		t.Fatalf("%d capsules stored", len(list))
	}
	if err := send(alice, hash[:], nil); err != nil {
		t.Errorf("the next message: %v", err)
	}
}

// R4, delivery's part: a capsule whose label is not the compartment's is refused.
func TestWrongLabelR4(t *testing.T) {
	w := newWorld(t)
	alice, bob, conv := w.pair()
	good := alice.seal(conv, alice.label(conv))
	for name, c := range map[string]struct {
		change func(*capsule.Label)
		code   connect.Code
	}{
		"conversation":         {func(l *capsule.Label) { l.Conversation = randomBytes(16) }, connect.CodeNotFound},
		"short conversation":   {func(l *capsule.Label) { l.Conversation = l.Conversation[:8] }, connect.CodeInvalidArgument},
		"epoch before":         {func(l *capsule.Label) { l.Epoch = 0 }, connect.CodePermissionDenied},
		"epoch after":          {func(l *capsule.Label) { l.Epoch = 2 }, connect.CodeNotFound},
		"epoch huge":           {func(l *capsule.Label) { l.Epoch = 1<<64 - 1 }, connect.CodeNotFound},
		"leaf":                 {func(l *capsule.Label) { l.Leaf = 1 }, connect.CodePermissionDenied},
		"another member":       {func(l *capsule.Label) { l.Account = "bob" }, connect.CodePermissionDenied},
		"stranger":             {func(l *capsule.Label) { l.Account = "eve" }, connect.CodePermissionDenied},
		"device":               {func(l *capsule.Label) { l.Device = "tablet" }, connect.CodePermissionDenied},
		"charter":              {func(l *capsule.Label) { l.Charter[0] ^= 1 }, connect.CodePermissionDenied},
		"period":               {func(l *capsule.Label) { l.Period++ }, connect.CodePermissionDenied},
		"opening time":         {func(l *capsule.Label) { l.Opened++ }, connect.CodePermissionDenied},
		"opening time earlier": {func(l *capsule.Label) { l.Opened -= 24 * 3600 }, connect.CodePermissionDenied},
		"roster":               {func(l *capsule.Label) { l.Roster[5] ^= 1 }, connect.CodePermissionDenied},
		"suite":                {func(l *capsule.Label) { l.Suite = 1 }, connect.CodePermissionDenied},
	} {
		_, err := alice.api().PutCapsule(context.Background(), &api.PutCapsuleRequest{Capsule: relabel(t, good, c.change)})
		refusedWith(t, name, err, c.code)
	}
	for name, b := range map[string][]byte{"not a capsule": []byte("x"), "a byte more": append(bytes.Clone(good.Bytes()), 0)} {
		_, err := alice.api().PutCapsule(context.Background(), &api.PutCapsuleRequest{Capsule: b})
		refusedWith(t, name, err, connect.CodeInvalidArgument)
	}
	eve := w.phone("eve", "phone", nil)
	_, err := eve.api().PutCapsule(context.Background(), &api.PutCapsuleRequest{Capsule: good.Bytes()})
	refusedWith(t, "depositor outside", err, connect.CodePermissionDenied)
	if _, err := bob.api().PutCapsule(context.Background(), &api.PutCapsuleRequest{Capsule: relabel(t, good, func(*capsule.Label) {})}); err != nil {
		t.Errorf("the unchanged label: %v", err)
	}
}

// relabel puts a changed label into an encoded capsule, whose seal is left as it is:
// delivery can't check it.
func relabel(t *testing.T, c *capsule.Capsule, change func(*capsule.Label)) []byte {
	t.Helper()
	l := *c.Label()
	old := l.Encode()
	change(&l)
	at := bytes.Index(c.Bytes(), old)
	if at < 0 || at > 8 {
		t.Fatalf("the label stands at %d", at)
	}
	return append(append(bytes.Clone(c.Bytes()[:at]), l.Encode()...), c.Bytes()[at+len(old):]...)
}

// An epoch older than the sender's charter allows takes no messages; a commit opens it.
func TestOverAgeEpoch(t *testing.T) {
	w := newWorld(t)
	alice, _, conv := w.pair()
	hash := alice.deposit(conv)
	w.clock.pass(24 * time.Hour)
	alice.login()
	alice.say(conv, hash, "just in time")
	w.clock.pass(time.Second)
	alice.login()
	_, err := alice.api().Append(context.Background(), alice.protect(conv, hash, "too late"))
	refusedWith(t, "over-age", err, connect.CodeFailedPrecondition)
	alice.commit(conv, mls.CommitOptions{})
	alice.say(conv, alice.deposit(conv), "in a new epoch")
}

// The three epochs before the current one take late messages, older ones don't.
func TestLateMessages(t *testing.T) {
	w := newWorld(t)
	alice, _, conv := w.pair()
	hash := alice.deposit(conv)
	late := []*api.AppendRequest{alice.protect(conv, hash, "a"), alice.protect(conv, hash, "b")}
	for range 3 {
		alice.commit(conv, mls.CommitOptions{})
	}
	if _, err := alice.api().Append(context.Background(), late[0]); err != nil {
		t.Errorf("three epochs late: %v", err)
	}
	alice.commit(conv, mls.CommitOptions{})
	_, err := alice.api().Append(context.Background(), late[1])
	if hint := refusedWith(t, "four epochs late", err, connect.CodeFailedPrecondition); hint.Epoch != 5 {
		t.Errorf("hint names epoch %d, want 5", hint.Epoch)
	}
}

func TestRemovedDevice(t *testing.T) {
	w := newWorld(t)
	alice, bob, conv := w.pair()
	hash := bob.deposit(conv)
	late := bob.protect(conv, hash, "after the removal")
	alice.commit(conv, mls.CommitOptions{Remove: []mls.LeafIndex{1}})
	alice.say(conv, alice.deposit(conv), "without bob")
	_, err := bob.api().Append(context.Background(), late)
	refusedWith(t, "removed sender", err, connect.CodePermissionDenied)
	eve := w.phone("eve", "phone", nil)
	_, err = eve.api().Read(context.Background(), &api.ReadRequest{Conversation: []byte(conv)})
	refusedWith(t, "reading as a stranger", err, connect.CodePermissionDenied)
	_, err = eve.api().GetCapsules(context.Background(), &api.GetCapsulesRequest{Conversation: []byte(conv), Epoch: 1})
	refusedWith(t, "capsules for a stranger", err, connect.CodePermissionDenied)
	if list := bob.read(conv); len(list) != 2 || list[1].Kind != api.Kind_KIND_COMMIT {
		t.Errorf("bob reads %d messages, want his joining and his removal", len(list))
	}
	r, err := bob.api().Conversations(context.Background(), &api.ConversationsRequest{})
	if err != nil || r.Conversations[0].Member || r.Conversations[0].LastSeq != 2 {
		t.Errorf("bob's conversations %v, %v", r, err)
	}
	// He comes back, and sees nothing of the time between.
	alice.commit(conv, mls.CommitOptions{Add: alice.take("bob")})
	seen := bob.mustRead(conv, 2)
	if len(seen) != 1 || seen[0].Seq != 4 {
		t.Errorf("after coming back bob reads %v", seen)
	}
}

func (p *phone) mustRead(conv string, after uint64) []*api.Message {
	p.Helper()
	r, err := p.api().Read(context.Background(), &api.ReadRequest{Conversation: []byte(conv), AfterSeq: after})
	if err != nil {
		p.Fatal(err)
	}
	return r.Messages
}

func TestCommitRefused(t *testing.T) {
	w := newWorld(t)
	alice, bob, conv := w.pair()
	eve := w.phone("eve", "phone", nil)
	try := func(name string, code connect.Code, o mls.CommitOptions, change func(*api.CommitRequest)) {
		t.Helper()
		_, r := alice.prepare(conv, o)
		change(r)
		_, err := alice.api().Commit(context.Background(), r)
		refusedWith(t, name, err, code)
		alice.groups[conv].DropPending()
	}
	same := func(*api.CommitRequest) {}
	stated := func(d time.Duration) mls.CommitOptions {
		return mls.CommitOptions{AuthenticatedData: binary.BigEndian.AppendUint64(nil, uint64(w.clock.now().Add(d).Unix()))}
	}
	try("opening time ahead", connect.CodeFailedPrecondition, stated(121*time.Second), same)
	try("opening time behind", connect.CodeFailedPrecondition, stated(-121*time.Second), same)
	try("no opening time", connect.CodeInvalidArgument, mls.CommitOptions{AuthenticatedData: []byte{1}}, same)
	try("welcome for nobody", connect.CodeInvalidArgument, mls.CommitOptions{}, func(r *api.CommitRequest) { r.Welcome = []byte("w") })
	try("no welcome", connect.CodeInvalidArgument, mls.CommitOptions{Add: alice.take("bob")[:0]}, func(r *api.CommitRequest) { r.Message = r.Message[:9] })
	try("changed", connect.CodePermissionDenied, mls.CommitOptions{}, func(r *api.CommitRequest) { r.Message[len(r.Message)/2] ^= 1 })
	try("short mid", connect.CodeInvalidArgument, mls.CommitOptions{}, func(r *api.CommitRequest) { r.Mid = r.Mid[:15] })
	try("private", connect.CodeInvalidArgument, mls.CommitOptions{Private: true}, same)
	try("unknown conversation", connect.CodeInvalidArgument, mls.CommitOptions{}, func(r *api.CommitRequest) { r.Conversation = randomBytes(16) })

	// A ghost: a leaf with bob's name and a key that is not registered.
	ghost := *bob
	ghost.key, _ = mls.GenerateSignatureKey(suite)
	k, _, err := mls.Client{Credential: mls.Credential{Identity: bob.id.Encode()}, Key: ghost.key, Extensions: bob.homeLaw(), Lifetime: mls.Lifetime{NotAfter: 1 << 62}}.NewKeyPackage(nil)
	if err != nil {
		t.Fatal(err)
	}
	try("ghost device", connect.CodePermissionDenied, mls.CommitOptions{Add: []*mls.KeyPackage{k}}, same)

	lawless := eve.id
	k, _, err = mls.Client{Credential: mls.Credential{Identity: lawless.Encode()}, Key: eve.key, Lifetime: mls.Lifetime{NotAfter: 1 << 62}}.NewKeyPackage(nil)
	if err != nil {
		t.Fatal(err)
	}
	try("no home law", connect.CodePermissionDenied, mls.CommitOptions{Add: []*mls.KeyPackage{k}}, same)
	eve.stock(2)
	try("welcome left out", connect.CodeInvalidArgument, mls.CommitOptions{Add: alice.take("eve")}, func(r *api.CommitRequest) { r.Welcome = nil })

	_, r := alice.prepare(conv, mls.CommitOptions{})
	_, err = bob.api().Commit(context.Background(), r)
	refusedWith(t, "by another device", err, connect.CodePermissionDenied)
	_, err = eve.api().Commit(context.Background(), r)
	refusedWith(t, "by a stranger", err, connect.CodePermissionDenied)
	if _, err := alice.api().Commit(context.Background(), r); err != nil {
		t.Errorf("after all those the right one: %v", err)
	}
}

func TestProposals(t *testing.T) {
	w := newWorld(t)
	alice, bob, conv := w.pair()
	proposal, _, err := bob.groups[conv].Propose(mls.Proposal{Remove: new(mls.LeafIndex(1))})
	if err != nil {
		t.Fatal(err)
	}
	r := &api.ProposeRequest{Conversation: []byte(conv), Mid: randomBytes(16), Message: proposal}
	_, err = alice.api().Propose(context.Background(), r)
	refusedWith(t, "another's", err, connect.CodePermissionDenied)
	first, err := bob.api().Propose(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := bob.api().Propose(context.Background(), r); err != nil || again.Seq != first.Seq {
		t.Errorf("again: %v, %v", again, err)
	}
	w.service.Close() // the proposal must be found again after a restart
	w.start()
	alice.login()
	bob.login()
	for _, m := range alice.read(conv) {
		if m.Kind == api.Kind_KIND_PROPOSAL {
			if _, err := alice.groups[conv].HandleProposal(m.Body); err != nil {
				t.Fatal(err)
			}
		}
	}
	alice.commit(conv, mls.CommitOptions{ByReference: true})
	c, err := bob.api().Conversations(context.Background(), &api.ConversationsRequest{})
	if err != nil || c.Conversations[0].Member {
		t.Errorf("bob is still in: %v, %v", c, err)
	}
}

func TestSessions(t *testing.T) {
	w := newWorld(t)
	alice := w.phone("alice", "phone", nil)
	if err := alice.register(nil); err != nil {
		t.Errorf("registering again: %v", err)
	}
	thief := *alice
	thief.key, _ = mls.GenerateSignatureKey(suite)
	refusedWith(t, "another key for the device", thief.register(nil), connect.CodeAlreadyExists)
	thief.id.Device = "laptop"
	refusedWith(t, "another device, nobody vouches", thief.register(nil), connect.CodePermissionDenied)
	another, _ := mls.GenerateSignatureKey(suite)
	refusedWith(t, "another device, listed by a false founder", thief.register(&phone{world: w, id: alice.id, key: another}), connect.CodePermissionDenied)
	content := RegistrationContent(testID("mallory"), alice.key.Public())
	for name, r := range map[string]*api.RegisterRequest{
		"a key without its proof": {SignatureKey: alice.key.Public(), Proof: thief.sign("device registration", content)},
		"proof for another name":  {SignatureKey: alice.key.Public(), Proof: alice.sign("device registration", RegistrationContent(alice.id, alice.key.Public()))},
		"proof of another kind":   {SignatureKey: alice.key.Public(), Proof: alice.sign("login", content)},
		"short key":               {SignatureKey: alice.key.Public()[:31], Proof: alice.sign("device registration", content)},
	} {
		r.Account, r.Device = "mallory", "phone"
		_, err := alice.api().Register(context.Background(), r)
		refusedWith(t, name, err, connect.CodePermissionDenied)
	}
	_, err := alice.api().Register(context.Background(), &api.RegisterRequest{Account: "No Name", Device: "phone"})
	refusedWith(t, "not a name", err, connect.CodeInvalidArgument)
	if err := thief.register(alice); err != nil {
		t.Errorf("another device, vouched for: %v", err)
	}

	ctx := context.Background()
	c, err := alice.api().Challenge(ctx, &api.ChallengeRequest{Account: "alice", Device: "phone"})
	if err != nil {
		t.Fatal(err)
	}
	loginAt := func(p *phone, address string, challenge []byte) error {
		_, err := p.api().Login(ctx, &api.LoginRequest{Account: "alice", Device: "phone", Challenge: challenge, Signature: p.sign("login", LoginContent(alice.id, address, challenge))})
		return err
	}
	login := func(p *phone, challenge []byte) error { return loginAt(p, w.config.Address, challenge) }
	refusedWith(t, "login that was signed for a false address", loginAt(alice, "https://delivery.example.evil", c.Challenge), connect.CodeUnauthenticated)
	refusedWith(t, "login with another key", login(&thief, c.Challenge), connect.CodeUnauthenticated)
	refusedWith(t, "made-up challenge", login(alice, randomBytes(56)), connect.CodeUnauthenticated)
	if err := login(alice, c.Challenge); err != nil {
		t.Errorf("login: %v", err)
	}
	refusedWith(t, "the challenge again", login(alice, c.Challenge), connect.CodeUnauthenticated)
	c, _ = alice.api().Challenge(ctx, &api.ChallengeRequest{Account: "alice", Device: "phone"})
	w.clock.pass(challengeLife)
	refusedWith(t, "an old challenge", login(alice, c.Challenge), connect.CodeUnauthenticated)

	w.clock.pass(time.Second)
	if c, _ = alice.api().Challenge(ctx, &api.ChallengeRequest{Account: "alice", Device: "phone"}); login(alice, c.Challenge) != nil {
		t.Error("login refused")
	}
	w.clock.pass(challengeLife - 30*time.Second)
	c, _ = alice.api().Challenge(ctx, &api.ChallengeRequest{Account: "alice", Device: "phone"})
	if err := login(alice, c.Challenge); err != nil {
		t.Errorf("login: %v", err)
	}
	w.clock.pass(32 * time.Second) // what was used is now kept in the older half
	alice.login()
	refusedWith(t, "the challenge again, a while later", login(alice, c.Challenge), connect.CodeUnauthenticated)

	devices, err := alice.api().Devices(ctx, &api.DevicesRequest{Account: "alice"})
	if err != nil || len(devices.Devices) != 2 || devices.Devices[0].Device != "laptop" || string(devices.Devices[1].SignatureKey) != string(alice.key.Public()) {
		t.Errorf("devices: %v, %v", devices, err)
	}
	_, err = alice.api().Devices(ctx, &api.DevicesRequest{Account: "nobody"})
	refusedWith(t, "devices of nobody", err, connect.CodeNotFound)

	use := func() error { _, err := alice.api().Conversations(ctx, &api.ConversationsRequest{}); return err }
	old := alice.token
	for range maxSessions {
		alice.login()
	}
	if err := use(); err != nil {
		t.Errorf("newest session: %v", err)
	}
	alice.token = old
	refusedWith(t, "one session too many", use(), connect.CodeUnauthenticated)
	alice.login()
	w.clock.pass(sessionLife)
	refusedWith(t, "an old session", use(), connect.CodeUnauthenticated)
}

// Nobody without a session makes the service hold megabytes: the answer comes while the
// body is still on its way.
func TestBodiesOfStrangers(t *testing.T) {
	w := newWorld(t)
	for procedure, want := range map[string]int{
		api.DeliveryAppendProcedure:     http.StatusUnauthorized,
		api.DeliveryPutCapsuleProcedure: http.StatusUnauthorized,
		api.DeliveryDevicesProcedure:    http.StatusUnauthorized,
		api.DeliveryRegisterProcedure:   http.StatusTooManyRequests, // connect's status of a body that is too long
	} {
		sent := &counting{left: maxRequest - 1<<20}
		r, err := http.NewRequest(http.MethodPost, w.url+procedure, sent)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/proto")
		r.Header.Set("Authorization", "Bearer "+base64.RawURLEncoding.EncodeToString(randomBytes(32)))
		answer, err := w.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want || sent.n.Load() > 6<<20 {
			t.Errorf("%s: status %d after %d bytes, want %d", procedure, answer.StatusCode, sent.n.Load(), want)
		}
	}
}

// counting is a body of zeros that counts what was taken of it, and goes slowly enough
// for an answer to come before its end.
type counting struct {
	left int
	n    atomic.Int64
}

func (c *counting) Read(b []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	time.Sleep(time.Millisecond)
	n := min(len(b), c.left)
	clear(b[:n])
	c.left -= n
	c.n.Add(int64(n))
	return n, nil
}

func TestKeyPackagesRefused(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.phone("alice", "phone", nil), w.phone("bob", "phone", nil)
	now := uint64(w.clock.now().Unix())
	publish := func(id string, key *mls.SignatureKey, c mls.Client) error {
		c.Credential, c.Key = mls.Credential{Identity: []byte(id)}, key
		k, _, err := c.NewKeyPackage(nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = alice.api().PublishKeyPackages(context.Background(), &api.PublishKeyPackagesRequest{KeyPackages: [][]byte{k.Bytes()}})
		return err
	}
	good := mls.Client{Extensions: alice.homeLaw(), Lifetime: mls.Lifetime{NotBefore: now - 1, NotAfter: now + 1}}
	past, lawless := good, good
	past.Lifetime.NotAfter = now - 1
	lawless.Extensions = nil
	mine := string(alice.id.Encode())
	refusedWith(t, "another's name", publish(string(bob.id.Encode()), bob.key, good), connect.CodeInvalidArgument)
	refusedWith(t, "another key", publish(mine, bob.key, good), connect.CodeInvalidArgument)
	refusedWith(t, "expired", publish(mine, alice.key, past), connect.CodeInvalidArgument)
	refusedWith(t, "no home law", publish(mine, alice.key, lawless), connect.CodeInvalidArgument)
	if err := publish(mine, alice.key, good); err != nil {
		t.Error(err)
	}
	_, err := bob.api().TakeKeyPackages(context.Background(), &api.TakeKeyPackagesRequest{Account: "nobody", Suite: uint32(suite), RequestId: randomBytes(16)})
	refusedWith(t, "unknown account", err, connect.CodeNotFound)
	if n := len(bob.take("alice")); n != 1 {
		t.Errorf("took %d", n)
	}
	r, err := bob.api().TakeKeyPackages(context.Background(), &api.TakeKeyPackagesRequest{Account: "alice", Suite: uint32(suite), RequestId: randomBytes(16)})
	if err != nil || len(r.KeyPackages) != 0 || len(r.Missing) != 1 {
		t.Errorf("empty stock: %v, %v", r, err)
	}
}

// Events come after the commit, in order, to members only; a removed member gets its
// removal and nothing after.
func TestSubscribe(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.phone("alice", "phone", nil), w.phone("bob", "phone", nil)
	bob.stock(2)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	stream, err := bob.api().Subscribe(ctx, &api.SubscribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	next := func() *api.Event {
		t.Helper()
		if !stream.Receive() {
			t.Fatal(stream.Err())
		}
		return stream.Msg()
	}
	if !next().GetReady() {
		t.Fatal("first event is not ready")
	}
	conv := alice.create()
	alice.commit(conv, mls.CommitOptions{Add: alice.take("bob")})
	if !next().GetWelcome() {
		t.Fatal("no welcome")
	}
	hash := alice.deposit(conv)
	for i, text := range texts(3, "m") {
		seq := alice.say(conv, hash, text)
		if m := next().GetMessage(); m == nil || m.Seq != seq || len(m.Body) == 0 {
			t.Fatalf("event %d is %v, want seq %d", i, m, seq)
		}
	}
	alice.commit(conv, mls.CommitOptions{Remove: []mls.LeafIndex{1}})
	alice.say(conv, alice.deposit(conv), "without bob")
	other := alice.create()
	alice.commit(other, mls.CommitOptions{Add: alice.take("bob")})
	if m := next().GetMessage(); m == nil || m.Kind != api.Kind_KIND_COMMIT {
		t.Fatalf("got %v, want the removal", m)
	}
	if e := next(); !e.GetWelcome() {
		t.Fatalf("got %v, want the second welcome: nothing of the conversation bob left", e)
	}
}

// A further subscription ends the device's oldest, and the service's end all.
func TestSubscriptionsEnd(t *testing.T) {
	w := newWorld(t)
	alice := w.phone("alice", "phone", nil)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var streams []*connect.ServerStreamForClient[api.Event]
	for range maxSubscriptions + 1 {
		s, err := alice.api().Subscribe(ctx, &api.SubscribeRequest{})
		if err != nil || !s.Receive() {
			t.Fatal(err, s.Err())
		}
		streams = append(streams, s)
	}
	if streams[0].Receive() {
		t.Error("the oldest goes on")
	}
	refusedWith(t, "the oldest", streams[0].Err(), connect.CodeUnavailable)
	conv := alice.create()
	alice.commit(conv, mls.CommitOptions{})
	for i, s := range streams[1:] {
		if !s.Receive() || s.Msg().GetMessage() == nil {
			t.Errorf("subscription %d has no event: %v", i+1, s.Err())
		}
	}
	w.service.Close()
	for _, s := range streams[1:] {
		if s.Receive() {
			t.Error("an event after the end")
		}
		refusedWith(t, "at the end", s.Err(), connect.CodeUnavailable)
	}
}

// A member that learned of a commit from its event may speak before the copy in
// memory was told.
func TestCopyBehindStore(t *testing.T) {
	w := newWorld(t)
	alice, _, conv := w.pair()
	alice.commit(conv, mls.CommitOptions{})
	behind := func() {
		c, done := w.service.use([]byte(conv))
		defer done()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.epochs = c.epochs[:len(c.epochs)-1]
	}
	behind()
	hash := alice.deposit(conv)
	behind()
	alice.say(conv, hash, "x")
	behind()
	alice.commit(conv, mls.CommitOptions{})

	// The store refuses what the copy would let through, and says where it is.
	late := alice.protect(conv, alice.deposit(conv), "late")
	c, done := w.service.use([]byte(conv))
	defer done()
	old, err := w.service.recent(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		alice.commit(conv, mls.CommitOptions{})
	}
	c.mu.Lock()
	c.epochs = old
	c.mu.Unlock()
	_, err = alice.api().Append(context.Background(), late)
	if hint := refusedWith(t, "late", err, connect.CodeFailedPrecondition); hint.Epoch != 7 {
		t.Errorf("hint names epoch %d, want 7", hint.Epoch)
	}
}

// A subscriber that does not take its events is told that it lagged, once.
func TestSlowSubscriber(t *testing.T) {
	h := newHub()
	sub := h.add(testID("bob"))
	if !h.listen(sub, []string{"conversation"}, 0) {
		t.Fatal("not listening")
	}
	for range 3 * eventQueue {
		h.committed(testMessage("conversation"))
	}
	var messages, lagged int
	for len(sub.events) > 0 {
		if e := <-sub.events; e.GetLagged() {
			lagged++
		} else {
			messages++
		}
	}
	if lagged != 1 || messages != eventQueue-1 {
		t.Errorf("%d lags after %d messages", lagged, messages)
	}
	h.committed(testMessage("conversation"))
	if e := <-sub.events; e.GetMessage() == nil {
		t.Error("no message after the lag")
	}
}

// When the store can't keep up, writes beyond its queue are turned away at once, with
// the time to wait, and the same ones succeed later.
func TestBackpressure(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Store.Queue = 3 })
	alice, _, conv := w.pair()
	hash := alice.deposit(conv)
	const n = 12
	var requests []*api.AppendRequest
	for _, text := range texts(n, "m") {
		requests = append(requests, alice.protect(conv, hash, text))
	}
	w.service.hub.mu.Lock() // the committer waits here after its first batch
	var group sync.WaitGroup
	errs := make(chan error, n)
	for _, r := range requests {
		group.Go(func() {
			_, err := alice.api().Append(context.Background(), r)
			errs <- err
		})
	}
	// At most 3 wait and as many are with the committer.
	for range n - 6 {
		err := <-errs
		hint := refusedWith(t, "over the queue", err, connect.CodeUnavailable)
		if hint.RetryAfterMs != retryAfter || err.(*connect.Error).Meta().Get("Retry-After") != "1" {
			t.Errorf("hint %v, header %v", hint, err.(*connect.Error).Meta())
		}
	}
	w.service.hub.mu.Unlock()
	group.Wait()
	for _, r := range requests {
		if _, err := alice.api().Append(context.Background(), r); err != nil {
			t.Error(err)
		}
	}
	if got := len(alice.read(conv)); got != n+1 {
		t.Errorf("%d messages stored, want %d and a commit", got, n)
	}
}

// Unary calls are plain JSON, errors too.
func TestPlainJSON(t *testing.T) {
	w := newWorld(t)
	alice, _, conv := w.pair()
	post := func(method, body string) (int, map[string]any) {
		t.Helper()
		r, _ := http.NewRequest("POST", w.url+"/writ.v1.Delivery/"+method, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+alice.token)
		answer, err := w.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		b, _ := io.ReadAll(answer.Body)
		var v map[string]any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		return answer.StatusCode, v
	}
	conversation := base64.StdEncoding.EncodeToString([]byte(conv))
	status, v := post("Read", `{"conversation":"`+conversation+`","afterSeq":"0"}`)
	if status != 200 || len(v["messages"].([]any)) != 1 {
		t.Errorf("Read: %d, %v", status, v)
	}
	status, v = post("Read", `{"conversation":"AAAA"}`)
	if status != 400 || v["code"] != "invalid_argument" || v["details"] == nil {
		t.Errorf("malformed: %d, %v", status, v)
	}
	if status, _ = post("Read", strings.Repeat(" ", maxRequest+1)); status == 200 {
		t.Error("an endless request was read")
	}
}

// Without an address of its own delivery would take a login that was signed for any.
func TestNeedsAnAddress(t *testing.T) {
	if s, err := Open(Config{Store: engine.Config{Path: filepath.Join(t.TempDir(), "db")}, Laws: FixedLaws()}); err == nil {
		s.Close()
		t.Error("opened")
	}
}
