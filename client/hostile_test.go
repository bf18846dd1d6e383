package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/capsule"
	"writ/charter"
	"writ/mls"
)

// hack lets a sender post a message with any capsule and any authenticated data,
// past its own client.
func (w *world) hack(d *Device, id ConversationID, sealed, ad []byte, text string) {
	w.Helper()
	c := d.convs[id]
	w.check(d.login(background))
	if sealed != nil {
		_, err := call(background, d, d.cfg.Delivery.PutCapsule, &api.PutCapsuleRequest{Capsule: sealed})
		w.check(err)
	}
	message, delta, err := c.group.Protect(ad, capsule.Content(c.group.Generation(), []byte(text)))
	w.check(err)
	w.check(d.save(c.space(), groupRecords(delta)))
	mid := mls.Record{Key: text}
	_, err = call(background, d, d.cfg.Delivery.Append, &api.AppendRequest{Conversation: id[:], Mid: append([]byte(mid.Key), make([]byte, 16)...)[:16], Message: message})
	w.check(err)
}

// wrong returns a capsule whose form and label are right and whose seal is not of the
// compartment's secret.
func (w *world) wrong(d *Device, id ConversationID) (capsule, hash []byte) {
	w.Helper()
	c := d.convs[id]
	p := place{c.group.Epoch(), c.group.OwnLeaf()}
	label, err := c.label(p)
	w.check(err)
	sealer, _, err := d.sealer(label.Charter, label.OpenedAt())
	w.check(err)
	ratchet, senderData, err := c.group.SenderSecrets(p.epoch, p.leaf)
	w.check(err)
	ratchet[0] ^= 1
	sealed, err := sealer.Seal(label, ratchet, senderData)
	w.check(err)
	h := sealed.Hash()
	return sealed.Bytes(), h[:]
}

func (w *world) capsules(d *Device, id ConversationID, p place) [][]byte {
	w.Helper()
	res, err := call(background, d, d.cfg.Delivery.GetCapsules, &api.GetCapsulesRequest{Conversation: id[:], Epoch: p.epoch, Leaf: uint32(p.leaf)})
	w.check(err)
	return res.Capsules
}

// R5: a capsule of a wrong key is held by every receiver, and repaired by any.
func TestWrongCapsuleIsHeldAndRepaired(t *testing.T) {
	w := newWorld(t)
	eve, anna, ben := w.device("e-bad", w.access), w.device("a-bad", w.access), w.device("b-bad", w.access)
	id := w.talk(eve, anna, ben)
	c := eve.convs[id]
	p := place{c.group.Epoch(), c.group.OwnLeaf()}
	right, err := c.seal(p)
	w.check(err)
	wrong, hash := w.wrong(eve, id)
	w.hack(eve, id, wrong, hash, "secret plans")
	w.hack(eve, id, nil, hash, "more secret plans")
	if got := w.capsules(eve, id, p); len(got) != 1 {
		t.Fatalf("%d capsules before", len(got))
	}
	held := "held e-bad: it was sealed with a wrong capsule; the right one has been deposited"
	for _, d := range []*Device{anna, ben} {
		w.sync(d)
		w.want(w.history(d, id, Message, Released, Held, Fault), held, held)
		if got := w.capsules(d, id, p); len(got) != 2 || !slices.ContainsFunc(got, func(b []byte) bool { return string(b) == string(right.Bytes()) }) {
			t.Fatalf("the right capsule is not among %d", len(got))
		}
	}
	again, err := Open(anna.cfg)
	w.check(err)
	w.sync(again)
	rightHash := right.Hash()
	w.hack(eve, id, nil, rightHash[:], "honest for once")
	w.sync(again, ben)
	w.want(w.history(again, id, Message, Released), "message e-bad: honest for once")
	w.want(w.history(ben, id, Message, Released), "message e-bad: honest for once")
	w.send(ben, id, "I don't hear you")
	w.sync(again)
	w.want(w.history(again, id, Held), held, held)
	if stored, err := again.cfg.Storage.Load(again.convs[id].space()); err != nil || strings.Contains(fmt.Sprint(stored), fmt.Sprint([]byte("secret plans"))) {
		t.Fatal("what was held for good is stored", err)
	}
}

// Delivery loses the capsule: whoever reads first deposits it, and the message is shown.
func TestMissingCapsuleIsDeposited(t *testing.T) {
	w := newWorld(t)
	var lost bool
	var put int
	forgetful := between(func(_ context.Context, procedure string, _ any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error) {
		res, err := send()
		if lost && procedure == "GetCapsules" && err == nil {
			res.Any().(*api.GetCapsulesResponse).Capsules = nil
		}
		if procedure == "PutCapsule" {
			put++
		}
		return res, err
	})
	anna, ben := w.device("a-mis", w.access), w.device("b-mis", w.access, forgetful)
	id := w.talk(anna, ben)
	w.send(anna, id, "hello")
	lost = true
	w.sync(ben)
	w.want(w.history(ben, id, Message, Held, Fault), "message a-mis: hello")
	if put != 1 {
		t.Fatalf("deposited %d times", put)
	}
}

// Delivery neither has the capsule nor takes it: the message is held, over a restart
// too, and released once it does. The conversation goes on meanwhile.
func TestHeldUntilDeposited(t *testing.T) {
	w := newWorld(t)
	refuse := true
	hostile := between(func(_ context.Context, procedure string, _ any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error) {
		if refuse && procedure == "PutCapsule" {
			return nil, connect.NewError(connect.CodePermissionDenied, errors.New("no"))
		}
		res, err := send()
		if refuse && procedure == "GetCapsules" && err == nil {
			res.Any().(*api.GetCapsulesResponse).Capsules = nil
		}
		return res, err
	})
	anna, ben, eve := w.device("a-hld", w.access), w.device("b-hld", w.access, hostile), w.device("e-hld", w.open)
	id := w.talk(anna, ben, eve)
	w.send(anna, id, "first")
	w.send(anna, id, "second")
	w.send(eve, id, "no capsule needed")
	w.sync(ben)
	got := w.history(ben, id, Message, Released, Held, Fault)
	if len(got) != 3 || !strings.HasPrefix(got[0], "held a-hld") || !strings.HasPrefix(got[1], "held a-hld") || got[2] != "message e-hld: no capsule needed" {
		t.Fatal(got)
	}
	again, err := Open(ben.cfg)
	w.check(err)
	w.sync(again)
	refuse = false
	w.sync(again)
	w.want(w.history(again, id, Message, Released, Fault),
		"message e-hld: no capsule needed", "released a-hld: first", "released a-hld: second")
	if n := len(again.convs[id].held); n != 0 {
		t.Fatalf("%d still held", n)
	}
}

// R4: a message with no capsule's hash where the sender's law demands one, or with
// that of another epoch, another sender or another conversation, is held.
func TestForeignCapsulesAreHeld(t *testing.T) {
	w := newWorld(t)
	eve, anna := w.device("e-wth", w.access), w.device("a-wth", w.access)
	hashOf := func(id ConversationID, p place) []byte {
		sealed, err := anna.convs[id].seal(p)
		w.check(err)
		h := sealed.Hash()
		return h[:]
	}
	id, elsewhere := w.talk(eve, anna), w.talk(eve, anna)
	other, past := hashOf(elsewhere, place{1, 0}), hashOf(id, place{1, 0})
	w.wait(25 * time.Hour)
	w.send(anna, id, "a new epoch")
	w.sync(eve)
	right, byAnna := hashOf(id, place{2, 0}), anna.convs[id].compartments[place{2, 1}].want
	for name, x := range map[string]struct {
		ad   []byte
		want string
	}{
		"none":               {nil, "without the capsule"},
		"other conversation": {other, "wrong capsule"},
		"past epoch":         {past, "wrong capsule"},
		"other sender":       {byAnna, "wrong capsule"},
		"cut":                {right[:31], "wrong capsule"},
	} {
		message, _, err := eve.convs[id].group.Protect(x.ad, capsule.Content(eve.convs[id].group.Generation(), []byte(name)))
		w.check(err)
		s, why, err := anna.convs[id].open(background, &received{seq: 99, epoch: 2, time: w.Now(), body: message})
		w.check(err)
		e := s.events[len(s.events)-1]
		if why != "" || e.Kind != Held || e.Text != "" || !strings.Contains(e.Reason, x.want) {
			t.Errorf("%s: %q %+v", name, why, e)
		}
	}
	message, _, err := eve.convs[id].group.Protect(right, capsule.Content(eve.convs[id].group.Generation(), []byte("right")))
	w.check(err)
	s, _, err := anna.convs[id].open(background, &received{seq: 99, epoch: 2, time: w.Now(), body: message})
	w.check(err)
	if e := s.events[len(s.events)-1]; e.Kind != Message {
		t.Errorf("the right one: %+v", e)
	}
}

// What a hostile delivery does to the order is found by counting, and told.
func TestDeliveryIsCounted(t *testing.T) {
	for name, x := range map[string]struct {
		change func(*api.ReadResponse)
		told   string
	}{
		"drops":     {func(r *api.ReadResponse) { r.Messages = r.Messages[1:] }, "is next"},
		"reorders":  {func(r *api.ReadResponse) { r.Messages[0], r.Messages[1] = r.Messages[1], r.Messages[0] }, "is next"},
		"repeats":   {func(r *api.ReadResponse) { r.Messages = append(r.Messages[:1], r.Messages...) }, "is next"},
		"withholds": {func(r *api.ReadResponse) { r.Messages = nil }, "withholds"},
		"forgets":   {func(r *api.ReadResponse) { r.Messages, r.LastSeq = nil, r.LastSeq-4 }, "its last message is"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			bad := false
			anna := w.device("a-cnt", w.access)
			ben := w.device("b-cnt", w.access, reads(func(r *api.ReadResponse) {
				if bad && len(r.Messages) > 1 {
					x.change(r)
				}
			}))
			id := w.talk(anna, ben)
			w.send(anna, id, "zero")
			w.sync(ben)
			for _, text := range []string{"one", "two", "three"} {
				w.send(anna, id, text)
			}
			bad = true
			if _, err := ben.Sync(background); !errors.Is(err, ErrDelivery) {
				t.Fatalf("not noticed: %v", err)
			}
			if f := w.history(ben, id, Fault); len(f) != 1 || !strings.Contains(f[0], x.told) {
				t.Fatalf("told %q", f)
			}
			if err := ben.Send(background, id, "x"); !errors.Is(err, ErrHalted) && !errors.Is(err, ErrDelivery) {
				t.Fatalf("goes on: %v", err)
			}
			bad = false
			w.sync(ben)
			w.want(w.history(ben, id, Message)[:4], "message a-cnt: zero", "message a-cnt: one", "message a-cnt: two", "message a-cnt: three")
		})
	}
}

// What it does to the content is found by MLS, by generations or by comparing with
// what was sent, and told; nothing wrong is shown.
func TestDeliveryIsCheckedByMLS(t *testing.T) {
	renumber := func(list []*api.Message) {
		for i, m := range list[1:] {
			m.Seq = list[0].Seq + uint64(i) + 1
		}
	}
	for name, x := range map[string]struct {
		change func(*api.ReadResponse)
		fault  string
		shown  int
	}{
		"drops and renumbers": {func(r *api.ReadResponse) {
			r.Messages[1].Seq = r.Messages[0].Seq
			r.Messages = r.Messages[1:]
			renumber(r.Messages)
			r.LastSeq--
		}, "are missing", 2},
		"reorders and renumbers": {func(r *api.ReadResponse) {
			r.Messages[0], r.Messages[1] = r.Messages[1], r.Messages[0]
			r.Messages[0].Seq--
			renumber(r.Messages)
		}, "are missing", 3},
		"plays again": {func(r *api.ReadResponse) { r.Messages[1].Body = r.Messages[0].Body }, "comes again", 2},
		"changes the ciphertext": {func(r *api.ReadResponse) {
			r.Messages[1].Body = slices.Clone(r.Messages[1].Body)
			r.Messages[1].Body[len(r.Messages[1].Body)-1] ^= 1
		}, "changed on its way", 2},
		"changes the capsule's hash": {func(r *api.ReadResponse) {
			b := slices.Clone(r.Messages[1].Body)
			envelope, _ := mls.Inspect(b)
			at := strings.Index(string(b), string(envelope.AuthenticatedData))
			b[at] ^= 1
			r.Messages[1].Body = b
		}, "changed on its way", 2},
		"sends rubbish": {func(r *api.ReadResponse) { r.Messages[1].Body = []byte("rubbish") }, "can't be read", 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			bad := false
			anna := w.device("a-mls", w.access)
			ben := w.device("b-mls", w.access, reads(func(r *api.ReadResponse) {
				if bad && len(r.Messages) > 1 {
					x.change(r)
				}
			}))
			id := w.talk(anna, ben)
			for _, text := range []string{"one", "two", "three"} {
				w.send(anna, id, text)
			}
			bad = true
			ben.Sync(background)
			faults := w.history(ben, id, Fault)
			if len(faults) == 0 || !strings.Contains(strings.Join(faults, "\n"), x.fault) {
				t.Fatalf("faults %q", faults)
			}
			shown := w.history(ben, id, Message, Released)
			if len(shown) != x.shown {
				t.Fatalf("shown %q", shown)
			}
			for _, s := range shown {
				if !slices.Contains([]string{"message a-mls: one", "message a-mls: two", "message a-mls: three"}, s) {
					t.Errorf("shown: %q", s)
				}
			}
		})
	}
}

// Delivery shows a device's own message changed, or again in another place.
func TestOwnMessagesAreCompared(t *testing.T) {
	w := newWorld(t)
	bad := false
	ben := w.device("b-own", w.access)
	anna := w.device("a-own", w.access, reads(func(r *api.ReadResponse) {
		for _, m := range r.Messages {
			if bad && m.Kind == api.Kind_KIND_APPLICATION {
				m.Mid = make([]byte, 16)
			}
		}
	}))
	id := w.talk(anna, ben)
	w.send(ben, id, "yours")
	bad = true
	if err := anna.Send(background, id, "mine"); !errors.Is(err, ErrDelivery) {
		t.Fatal(err)
	}
	if f := w.history(anna, id, Fault); len(f) != 1 || !strings.Contains(f[0], "under this device's own name") {
		t.Fatal(f)
	}
}

// A message of a past epoch is taken while its secrets are kept, and not after.
func TestLateMessage(t *testing.T) {
	for late := 1; late <= maxPastEpochs+1; late++ {
		w := newWorld(t)
		anna, ben := w.device("a-lat", w.access), w.device("b-lat", w.access)
		id := w.talk(anna, ben)
		c := anna.convs[id]
		p := place{c.group.Epoch(), c.group.OwnLeaf()}
		own, err := c.ownCapsule(&step{}, p, &item{})
		w.check(err)
		message, _, err := c.group.Protect(own.want, capsule.Content(0, []byte("late")))
		w.check(err)
		for range late {
			w.wait(time.Minute)
			ben.convs[id].renew = true
			w.send(ben, id, "next")
		}
		m := &received{seq: 99, epoch: p.epoch, time: w.Now(), body: message}
		s, why, err := ben.convs[id].open(background, m)
		w.check(err)
		want := Message
		if late > maxPastEpochs {
			want = Fault
		}
		if why != "" || len(s.events) != 1 || s.events[0].Kind != want {
			t.Fatalf("%d epochs late: %q %+v", late, why, s.events)
		}
	}
}

// A message that delivery took when its epoch was too old for the sender's law is held.
func TestOverAgeMessageIsHeld(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("a-ovr", w.access), w.device("b-ovr", w.access)
	id := w.talk(anna, ben)
	c := anna.convs[id]
	own, err := c.ownCapsule(&step{}, place{c.group.Epoch(), c.group.OwnLeaf()}, &item{})
	w.check(err)
	message, _, err := c.group.Protect(own.want, capsule.Content(0, []byte("old")))
	w.check(err)
	m := &received{seq: 99, epoch: c.group.Epoch(), time: w.Now().Add(25 * time.Hour), body: message}
	s, _, err := ben.convs[id].open(background, m)
	w.check(err)
	if len(s.events) != 1 || s.events[0].Kind != Held || !strings.Contains(s.events[0].Reason, "older than") {
		t.Fatalf("%+v", s.events)
	}
}

// R38: conversations are post-quantum by default, and nobody talks a device into
// less by a key package of a suite without ML-KEM, though all else in it is right.
// Custodians' and readers' keys are refused by charter and warrant.
func TestNoDowngradeR38(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("a-dgr", w.access), w.device("b-dgr", w.access)
	id := w.talk(anna, ben)
	for _, d := range []*Device{anna, ben} {
		if s := d.convs[id].group.Suite(); s != mls.XWING_CHACHA20POLY1305_SHA256_Ed25519 {
			t.Fatalf("suite %#04x", uint16(s))
		}
	}
	label, err := anna.convs[id].label(place{1, 0})
	w.check(err)
	if label.Suite != uint16(mls.XWING_CHACHA20POLY1305_SHA256_Ed25519) {
		t.Errorf("label of suite %#04x", label.Suite)
	}
	for suite, why := range map[mls.CipherSuite]string{
		mls.XWING_CHACHA20POLY1305_SHA256_Ed25519:  "",
		mls.X25519_AES128GCM_SHA256_Ed25519:        "suite 0x0001",
		mls.X25519_CHACHA20POLY1305_SHA256_Ed25519: "suite 0x0003",
	} {
		now, cleo := w.Now(), phone(fmt.Sprintf("c-dgr-%x", uint16(suite)))
		key, err := mls.GenerateSignatureKey(suite)
		w.check(err)
		w.check(put(w.directory, cleo.Account, key.Bytes()...))
		w.check(anna.safely(func() error { _, err := anna.lookUp(background, cleo.Account); return err }))
		kp, _, err := mls.Client{Credential: mls.Credential{Identity: cleo.Encode()}, Key: key, Extensions: ben.homeLaw(),
			Lifetime: mls.Lifetime{NotBefore: uint64(now.Unix()), NotAfter: uint64(now.Add(time.Hour).Unix())}}.NewKeyPackage(nil)
		w.check(err)
		_, err = anna.convs[id].keyPackage(cleo, kp.Bytes())
		if (err == nil) != (why == "") || err != nil && !strings.Contains(err.Error(), why) {
			t.Errorf("key package of suite %#04x: %v", uint16(suite), err)
		}
	}
}

// A member, or delivery itself, can make delivery follow a commit that no other member
// can: the tags are keyed with the group's secrets. The others stay where they were, are
// told by whom, and what they wrote is kept.
func TestCommitNobodyFollows(t *testing.T) {
	w := newWorld(t)
	spoil := false
	mallory := w.device("m-tag", w.access, between(func(_ context.Context, _ string, req any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error) {
		if c, ok := req.(*api.CommitRequest); ok && spoil {
			spoil = false                    // the call may come again
			c.Message[len(c.Message)-1] ^= 1 // in the membership tag, which the signature doesn't cover
		}
		return send()
	}))
	anna := w.device("a-tag", w.access)
	id := w.talk(anna, mallory)
	epoch := anna.convs[id].group.Epoch()
	spoil = true
	w.wait(25 * time.Hour)
	mallory.Send(background, id, "in an epoch of my own")
	events, err := anna.Sync(background)
	if err == nil || anna.convs[id].group.Epoch() != epoch {
		t.Fatalf("epoch %d, %v", anna.convs[id].group.Epoch(), err)
	}
	for _, e := range events {
		if e.Kind == Fault && strings.Contains(e.Reason, "m-tag") && strings.Contains(e.Reason, "new conversation") {
			return
		}
	}
	t.Errorf("nobody is told who: %v", events)
}

// A clock that is off is told once, not with every look at what it keeps from being read.
func TestWrongClockIsToldOnce(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("a-late", w.access), w.device("b-late", w.access)
	id := w.talk(anna, ben)
	ben.cfg.Now = func() time.Time { return w.Now().Add(-time.Hour) }
	w.check(anna.Renew(background, id))
	for range 5 {
		w.wait(time.Minute)
		if _, err := ben.Sync(background); !errors.Is(err, ErrClock) {
			t.Fatal(err)
		}
	}
	if told := w.history(ben, id, Fault); len(told) != 1 || !strings.Contains(told[0], "clock") {
		t.Errorf("told %q", told)
	}
}

// A leaf that is larger than any may be is refused, whatever delivery takes.
func TestLeafBounded(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("a-leaf", w.access), w.device("b-leaf", w.access)
	id := w.talk(anna, ben)
	c := anna.convs[id]
	made, err := c.group.Commit(mls.CommitOptions{LeafExtensions: append(anna.homeLaw(),
		mls.Extension{Type: capsule.PrivilegedExtension, Data: make([]byte, maxLeaf)}), AuthenticatedData: encodeTime(uint64(w.Now().Unix()))})
	w.check(err)
	b := ben.convs[id]
	if _, err := b.group.Stage(made.Message); err == nil || !strings.Contains(err.Error(), "a leaf of") {
		t.Errorf("staged: %v", err)
	}
}

// DEL-55: a proposal that this device can't accept when it comes, since its copy of the ledger lags,
// and that others do: the commit that names it is followed once it can be, also after a
// restart, and what was set aside is gone, as is what nobody can accept.
func TestProposalOfALaterLaw(t *testing.T) {
	w := newWorld(t)
	anna, carol := w.device("anna", w.access), w.device("carol", w.access)
	storage := NewMemory()
	ben, err := Open(w.config(storage))
	w.check(err)
	w.register(ben, phone("ben"), w.access)
	id := w.talk(anna, ben, carol)
	w.sync(anna, ben, carol)
	for n, spoil := range []byte{0, 1} {
		proposal, _, err := w.reloaded(anna, id).Propose(mls.Proposal{Update: true, LeafExtensions: []mls.Extension{{Type: charter.LeafExtensionType, Data: w.open[:]}}})
		w.check(err)
		proposal[len(proposal)-1] ^= spoil // in the membership tag, which delivery can't check
		_, err = call(background, anna, anna.cfg.Delivery.Propose, &api.ProposeRequest{Conversation: id[:], Mid: append(make([]byte, 15), byte(n)), Message: proposal})
		w.check(err)
	}

	ben.cfg.Laws = without{w.book, w.open}
	w.sync(ben, carol)
	if told := w.history(ben, id, Fault); len(told) != 2 || !strings.Contains(told[0], "proposal") {
		t.Fatalf("told %q", told)
	}
	w.check(carol.Renew(background, id))
	if _, err := ben.Sync(background); err == nil {
		t.Fatal("follows a commit whose proposal it does not accept")
	}
	ben, err = Open(w.config(storage))
	w.check(err)
	w.sync(ben)
	c := ben.convs[id]
	if n := carol.convs[id].group.Epoch(); c.group.Epoch() != n || len(c.aside) != 0 {
		t.Errorf("in epoch %d of %d, with %d proposals set aside", c.group.Epoch(), n, len(c.aside))
	}
	records, err := storage.Load(c.space())
	w.check(err)
	if slices.ContainsFunc(records, func(r mls.Record) bool { return strings.HasPrefix(r.Key, keyAside) }) {
		t.Error("what was set aside stays stored")
	}
}

// without is a copy of the ledger that lacks a law.
type without struct {
	Laws
	missing charter.Hash
}

func (l without) Charter(h charter.Hash) (*charter.Charter, bool) {
	if h == l.missing {
		return nil, false
	}
	return l.Laws.Charter(h)
}
