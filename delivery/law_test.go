package delivery

import (
	"context"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/capsule"
	"writ/charter"
	"writ/internal/wire"
	"writ/mls"
)

// plainLaw is a charter without exceptional access.
var plainLaw = &charter.Charter{Name: "plain", Jurisdiction: "test", LegalBasis: "test", Language: "en", Number: 1, Mode: charter.NoAccess}

// Under a charter without exceptional access there are no capsules, and the same
// service is plain MLS; in the same conversation others are under their own law.
func TestLawWithoutAccess(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Laws.(Fixed)[plainLaw.Hash()] = plainLaw })
	alice, carol := w.phone("alice", "phone", nil), w.phone("carol", "phone", nil)
	carol.law = plainLaw
	carol.stock(1)
	conv := alice.create()
	alice.commit(conv, mls.CommitOptions{Add: alice.take("carol")})
	carol.join()
	send := func(p *phone, ad []byte) error {
		_, err := p.api().Append(context.Background(), p.protect(conv, ad, "x"))
		return err
	}
	if err := send(carol, nil); err != nil {
		t.Errorf("without a capsule: %v", err)
	}
	refusedWith(t, "authenticated data", send(carol, randomBytes(32)), connect.CodeInvalidArgument)
	l := alice.label(conv)
	good := alice.seal(conv, l)
	brings := carol.protect(conv, nil, "x")
	brings.Capsule = good.Bytes()
	_, err := carol.api().Append(context.Background(), brings)
	refusedWith(t, "a capsule beside a message", err, connect.CodeInvalidArgument)
	_, err = carol.api().PutCapsule(context.Background(), &api.PutCapsuleRequest{Capsule: relabel(t, good, func(l *capsule.Label) {
		l.Account, l.Leaf, l.Charter = "carol", 1, plainLaw.Hash()
	})})
	refusedWith(t, "a capsule", err, connect.CodePermissionDenied)
	if !strings.Contains(err.Error(), "nothing to seal") {
		t.Errorf("a capsule is refused with %v", err)
	}
	refusedWith(t, "alice without a capsule", send(alice, nil), connect.CodeInvalidArgument)
	w.clock.pass(30 * 24 * time.Hour)
	carol.login()
	if err := send(carol, nil); err != nil {
		t.Errorf("a law without limits knows no over-age epoch: %v", err)
	}
}

// A member may move to another charter with a commit of its own; from then on its
// capsules are the new one's. What it may read does not change.
func TestChangeOfLaw(t *testing.T) {
	w := newWorld(t)
	next := *w.law.Charter
	next.Name = "other law"
	next.Keys = nil
	alice, bob, conv := w.pair()
	h := next.Hash()
	move := mls.CommitOptions{LeafExtensions: []mls.Extension{{Type: charter.LeafExtensionType, Data: h[:]}}}
	_, r := alice.prepare(conv, move)
	_, err := alice.api().Commit(context.Background(), r)
	refusedWith(t, "an unknown law", err, connect.CodePermissionDenied)
	alice.groups[conv].DropPending()
	w.config.Laws.(Fixed)[h] = &next
	alice.say(conv, alice.deposit(conv), "under the old law")
	alice.commit(conv, move)
	_, err = alice.api().PutCapsule(context.Background(), &api.PutCapsuleRequest{Capsule: alice.seal(conv, alice.label(conv)).Bytes()})
	refusedWith(t, "a capsule under the old law", err, connect.CodePermissionDenied)
	bob.follow(conv)
	bob.say(conv, bob.deposit(conv), "bob is under his own")
	if list := alice.read(conv); len(list) != 4 || list[0].Seq != 1 {
		t.Errorf("alice reads %d messages from seq %d", len(list), list[0].Seq)
	}
	c, err := alice.api().Conversations(context.Background(), &api.ConversationsRequest{})
	if err != nil || c.Conversations[0].FirstSeq != 1 || c.Conversations[0].LastSeq != 4 || !c.Conversations[0].Member {
		t.Errorf("conversations %v, %v", c, err)
	}
	if welcomes, err := alice.api().Welcomes(context.Background(), &api.WelcomesRequest{}); err != nil || len(welcomes.Welcomes) != 0 {
		t.Errorf("alice is welcomed to where she is: %v", err)
	}
}

// A capsule must have a share for each custodian, under its KEM.
func TestCapsuleShares(t *testing.T) {
	w := newWorld(t)
	alice, _, conv := w.pair()
	good := alice.seal(conv, alice.label(conv))
	rebuild := func(shares []capsule.Share) []byte {
		var b wire.Writer
		b.Uint16(capsule.Version)
		b.Fixed(good.Label().Encode())
		b.Opaque(good.Body())
		b.Vector(func(b *wire.Writer) {
			for _, s := range shares {
				b.Fixed(s.Commitment[:])
				b.Opaque(s.Enc)
				b.Opaque(s.Ciphertext)
			}
		})
		return b.Bytes()
	}
	put := func(b []byte) error {
		_, err := alice.api().PutCapsule(context.Background(), &api.PutCapsuleRequest{Capsule: b})
		return err
	}
	shares := good.Shares()
	swapped := append([]capsule.Share{}, shares...)
	var token int
	for i, s := range shares {
		if len(s.Enc) != len(shares[0].Enc) {
			token = i
		}
	}
	if token == 0 {
		t.Fatal("all custodians have one KEM")
	}
	swapped[0], swapped[token] = swapped[token], swapped[0]
	refusedWith(t, "a share missing", put(rebuild(shares[1:])), connect.CodePermissionDenied)
	refusedWith(t, "shares of other KEMs", put(rebuild(swapped)), connect.CodePermissionDenied)
	if err := put(rebuild(shares)); err != nil {
		t.Errorf("all shares: %v", err)
	}
	for i := range maxCapsules {
		s := append([]capsule.Share{}, shares...)
		s[0].Commitment[0] ^= byte(i + 1)
		if err := put(rebuild(s)); (err == nil) != (i < maxCapsules-1) {
			t.Errorf("capsule %d of the same depositor: %v", i+2, err)
		}
	}
}

// An account's devices are members of their own, and each is taken once.
func TestTwoDevices(t *testing.T) {
	w := newWorld(t)
	alice := w.phone("alice", "phone", nil)
	bob := w.phone("bob", "phone", nil)
	laptop := w.phone("bob", "laptop", bob)
	bob.stock(2)
	laptop.stock(2)
	conv := alice.create()
	alice.commit(conv, mls.CommitOptions{Add: alice.take("bob")})
	bob.join()
	laptop.join()
	laptop.say(conv, laptop.deposit(conv), "from the laptop")
	bob.say(conv, bob.deposit(conv), "from the phone")
	if n := len(alice.read(conv)); n != 3 {
		t.Errorf("%d messages, want a commit and two", n)
	}
}

// A conversation begins with its creator alone, in epoch 0, at the present time.
func TestCreateRefused(t *testing.T) {
	w := newWorld(t)
	alice, bob, conv := w.pair()
	create := func(p *phone, info []byte) error {
		_, err := p.api().CreateConversation(context.Background(), &api.CreateConversationRequest{GroupInfo: info})
		return err
	}
	info := func(id []byte, opened time.Duration, tree bool) []byte {
		g, err := mls.Client{Credential: mls.Credential{Identity: alice.id.Encode()}, Key: alice.key, Extensions: alice.homeLaw()}.NewGroup(alice.mlsConfig(), id, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.clock.pass(opened)
		data := alice.opened()
		w.clock.pass(-opened)
		b, err := g.GroupInfo([]mls.Extension{{Type: openedExtension, Data: data}}, tree)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	good := info(randomBytes(16), 0, true)
	running, err := alice.groups[conv].GroupInfo([]mls.Extension{{Type: openedExtension, Data: alice.opened()}}, true)
	if err != nil {
		t.Fatal(err)
	}
	refusedWith(t, "by another device", create(bob, good), connect.CodePermissionDenied)
	refusedWith(t, "running already", create(alice, running), connect.CodeInvalidArgument)
	refusedWith(t, "long id", create(alice, info(randomBytes(17), 0, true)), connect.CodeInvalidArgument)
	refusedWith(t, "no tree", create(alice, info(randomBytes(16), 0, false)), connect.CodePermissionDenied)
	refusedWith(t, "future", create(alice, info(randomBytes(16), time.Hour, true)), connect.CodeFailedPrecondition)
	refusedWith(t, "taken id", create(alice, info([]byte(conv), 0, true)), connect.CodeAlreadyExists)
	for range 2 {
		if err := create(alice, good); err != nil {
			t.Errorf("right: %v", err)
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(cursor{make([]byte, 16), 3, 1, 7}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := parseCursor(b); err == nil && len(b) > 0 && string(c.encode()) != string(b) {
			t.Fatalf("%x encodes as %x", b, c.encode())
		}
	})
}
