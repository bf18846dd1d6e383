package mls

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// trio is a group of three in an ordinary epoch.
func trio(t tester, cfg Config) *world {
	w := newWorld(t, X25519_CHACHA20POLY1305_SHA256_Ed25519, cfg)
	w.commit(0, CommitOptions{}, w.newcomer(), w.newcomer())
	return w
}

func protect(t tester, c *client, text string) []byte {
	t.Helper()
	msg, d, err := c.g.Protect([]byte("ad"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c.store.apply(d)
	c.store.same(c.g)
	return msg
}

// Messages arrive in any order, some never, some twice; the reader restarts between.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := trio(t, testConfig())
		var msgs [][]byte
		for n := range rapid.IntRange(1, 20).Draw(t, "messages") {
			msgs = append(msgs, protect(t, w.clients[0], fmt.Sprint(n)))
		}
		read := make(map[int]bool)
		for _, n := range rapid.SliceOfN(rapid.IntRange(0, len(msgs)-1), 1, 30).Draw(t, "arrivals") {
			c := w.clients[1]
			if read[n] {
				if _, _, err := c.g.Unprotect(msgs[n]); !errors.Is(err, ErrConsumed) {
					t.Fatalf("second time: %v", err)
				}
				continue
			}
			c.read(t, msgs[n], 0, fmt.Sprint(n))
			read[n] = true
			if n%3 == 0 {
				c.g = c.store.load(w.cfg)
			}
		}
	})
}

func TestSkipIsBounded(t *testing.T) {
	cfg := testConfig()
	cfg.MaxSkip = 5
	w := trio(t, cfg)
	var msgs [][]byte
	for n := range 13 {
		msgs = append(msgs, protect(t, w.clients[0], fmt.Sprint(n)))
	}
	if _, _, err := w.clients[1].g.Unprotect(msgs[6]); !errors.Is(err, ErrRefused) {
		t.Fatalf("6 generations ahead: %v", err)
	}
	w.clients[1].store.same(w.clients[1].g)
	w.clients[1].read(t, msgs[5], 0, "5")
	w.clients[1].read(t, msgs[11], 0, "11")
	if _, _, err := w.clients[1].g.Unprotect(msgs[4]); !errors.Is(err, ErrConsumed) {
		t.Fatalf("skipped key beyond the bound: %v", err)
	}
	w.clients[1].read(t, msgs[6], 0, "6")
}

func TestPastEpochs(t *testing.T) {
	w := trio(t, testConfig()) // two past epochs
	var late [][]byte
	for n := range 4 {
		late = append(late, protect(t, w.clients[2], fmt.Sprint(n)))
		w.commit(0, CommitOptions{})
		w.clients[1].g = w.clients[1].store.load(w.cfg)
	}
	for n, msg := range late[:2] {
		if _, _, err := w.clients[1].g.Unprotect(msg); !errors.Is(err, ErrRefused) {
			t.Fatalf("epoch %d: %v", n, err)
		}
	}
	w.clients[1].read(t, late[2], 2, "2")
	w.commit(0, CommitOptions{Remove: []LeafIndex{2}})
	w.clients[1].g = w.clients[1].store.load(w.cfg)
	w.clients[1].read(t, late[3], 2, "3") // the sender is out by now, its leaf is known
}

func TestPadding(t *testing.T) {
	cfg := testConfig()
	cfg.Padding = 256
	w := trio(t, cfg)
	if a, b := protect(t, w.clients[0], "short"), protect(t, w.clients[0], "somewhat longer"); len(a) != len(b) {
		t.Fatalf("%d and %d bytes", len(a), len(b))
	}
	w.say(0, "read with padding")
}

// What a used key came from exists neither in memory nor in the records.
func TestConsumedSecretsVanish(t *testing.T) {
	w := trio(t, testConfig())
	c, id := w.clients[1], ratchetID{0, ratchetApplication}
	var watched []secretWatch
	watch := func(what string, b []byte) {
		watched = append(watched, secretWatch{what, b, bytes.Clone(b)})
	}
	check := func() {
		t.Helper()
		for _, s := range watched {
			s.check(t, c)
		}
	}
	watch("root of the secret tree", c.g.now.messages.nodes[c.g.now.tree.root()])
	c.read(t, protect(t, w.clients[0], "0"), 0, "0")
	check()
	watch("ratchet secret", c.g.now.messages.ratchets[id].secret)
	skipped := protect(t, w.clients[0], "1")
	c.read(t, protect(t, w.clients[0], "2"), 0, "2")
	check()
	watch("skipped key", c.g.now.messages.ratchets[id].skipped[1].key)
	watch("skipped nonce", c.g.now.messages.ratchets[id].skipped[1].nonce)
	c.read(t, skipped, 0, "1")
	check()
	for _, s := range c.g.now.secrets.all() {
		watch("epoch secret", *s)
	}
	watch("own leaf's private key", c.g.now.keys[c.g.OwnLeaf().node()].raw)
	past := c.g.now.secrets.senderData // stays for late messages
	w.commit(1, CommitOptions{})
	watched = slices.DeleteFunc(watched, func(s secretWatch) bool { return &s.alias[0] == &past[0] })
	check()
	for _, s := range c.g.now.messages.nodes {
		watch("secret tree of an epoch without messages", s)
	}
	for range 3 {
		w.commit(0, CommitOptions{})
	}
	check()
}

type secretWatch struct {
	what   string
	alias  []byte
	copied []byte
}

func (s secretWatch) check(t *testing.T, c *client) {
	t.Helper()
	if !bytes.Equal(s.alias, make([]byte, len(s.alias))) {
		t.Fatalf("%s is still in memory", s.what)
	}
	for _, key := range slices.Sorted(maps.Keys(c.store.records)) {
		if bytes.Contains(c.store.records[key], s.copied) {
			t.Fatalf("%s is still in record %q", s.what, key)
		}
	}
}

// A message's delta doesn't grow with the group.
func TestMessageDeltaIsSmall(t *testing.T) {
	for _, n := range []int{2, 64} {
		from, to := pair(t, X25519_CHACHA20POLY1305_SHA256_Ed25519, n)
		for k := range 3 {
			msg, sent, err := from.Protect(nil, []byte("x"))
			if err != nil {
				t.Fatal(err)
			}
			_, received, err := to.Unprotect(msg)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range []delta{sent, received} {
				if k > 0 && len(d) != 1 {
					t.Fatalf("message %d of %d members: %d records", k, n, len(d))
				}
				if k == 0 && len(d) > 9 {
					t.Fatalf("first message of %d members: %d records", n, len(d))
				}
			}
		}
	}
}

func TestSenderSecrets(t *testing.T) {
	w := trio(t, testConfig())
	for _, c := range w.clients {
		before, err := c.g.State()
		w.check(err)
		r0, d0, err := w.clients[0].g.SenderSecrets(1, 2)
		w.check(err)
		r1, d1, err := c.g.SenderSecrets(1, 2)
		w.check(err)
		if !bytes.Equal(r0, r1) || !bytes.Equal(d0, d1) {
			t.Fatal("members disagree")
		}
		after, err := c.g.State()
		w.check(err)
		if d := difference(before, after); len(d) != 0 {
			t.Fatalf("SenderSecrets changed %q", d[0].Key)
		}
	}
	msg := protect(t, w.clients[2], "0")
	if _, _, err := w.clients[2].g.SenderSecrets(1, 2); !errors.Is(err, ErrConsumed) {
		t.Fatalf("sender, after its first message: %v", err)
	}
	h, err := w.clients[1].g.Peek(msg)
	w.check(err)
	if h.Epoch != 1 || h.Sender != 2 || h.Generation != 0 || string(h.AuthenticatedData) != "ad" {
		t.Fatalf("Peek: %+v", h)
	}
	if _, _, err := w.clients[1].g.SenderSecrets(h.Epoch, h.Sender); err != nil {
		t.Fatalf("after Peek: %v", err)
	}
	w.clients[1].read(t, msg, 2, "0")
	if _, _, err := w.clients[1].g.SenderSecrets(1, 2); !errors.Is(err, ErrConsumed) {
		t.Fatalf("reader, after the first message: %v", err)
	}
	if _, _, err := w.clients[1].g.SenderSecrets(1, 0); err != nil {
		t.Fatalf("another leaf: %v", err)
	}
	if _, _, err := w.clients[1].g.SenderSecrets(1, 3); !errors.Is(err, ErrInvalid) {
		t.Fatalf("blank leaf: %v", err)
	}
}

func TestSenderOpener(t *testing.T) {
	w := trio(t, testConfig())
	reader := w.clients[1].g
	ratchet, senderData, err := reader.SenderSecrets(1, 2)
	w.check(err)
	context, key := reader.Context().Bytes(), reader.Leaf(2).SignatureKey
	o, err := NewSenderOpener(w.suite, ratchet, senderData, 2, context, key)
	w.check(err)
	var msgs [][]byte
	for n := range 6 {
		msgs = append(msgs, protect(t, w.clients[2], fmt.Sprint(n)))
	}
	for _, n := range []int{4, 0, 5, 4} {
		got, err := o.Open(msgs[n])
		w.check(err)
		one, err := openSender(w.suite, ratchet, senderData, 2, context, key, msgs[n])
		w.check(err)
		if fmt.Sprint(got) != fmt.Sprint(one) || string(got.Data) != fmt.Sprint(n) || got.Generation != uint32(n) {
			t.Fatalf("opened %+v and %+v", got, one)
		}
	}
	want, d, err := reader.Unprotect(msgs[3])
	w.check(err)
	w.clients[1].store.apply(d)
	if got, err := o.Open(msgs[3]); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("opened %+v, members read %+v", got, want)
	}
	refuse := func(what string, o *SenderOpener, msg []byte) {
		t.Helper()
		if m, err := o.Open(msg); err == nil {
			t.Fatalf("%s: opened %+v", what, m)
		}
	}
	refuse("another leaf's message", o, protect(t, w.clients[0], "x"))
	other, _, err := reader.SenderSecrets(1, 0)
	w.check(err)
	open := func(ratchet, senderData []byte, leaf LeafIndex, context []byte, key SignaturePublicKey) *SenderOpener {
		o, err := NewSenderOpener(w.suite, ratchet, senderData, leaf, context, key)
		w.check(err)
		return o
	}
	refuse("another leaf's ratchet", open(other, senderData, 2, context, key), msgs[0])
	refuse("another leaf", open(ratchet, senderData, 1, context, key), msgs[0])
	refuse("another leaf's signature key", open(ratchet, senderData, 2, context, reader.Leaf(0).SignatureKey), msgs[0])
	w.commit(0, CommitOptions{})
	late, lateData, err := w.clients[1].g.SenderSecrets(2, 2)
	w.check(err)
	next := w.clients[1].g.Context().Bytes()
	refuse("another epoch's secrets", open(late, lateData, 2, context, key), msgs[0])
	refuse("another epoch's ratchet", open(late, senderData, 2, context, key), msgs[0])
	refuse("another epoch's context", open(ratchet, senderData, 2, next, key), msgs[0])
	refuse("another epoch's message", o, protect(t, w.clients[2], "x"))
	o.Erase()
	refuse("after Erase", o, msgs[0])
}

// The context is under the signature: the same keys with another tree hash don't open.
func TestSenderOpenerChecksContext(t *testing.T) {
	w := trio(t, testConfig())
	ratchet, senderData, err := w.clients[1].g.SenderSecrets(1, 2)
	w.check(err)
	c := w.clients[1].g.Context()
	msg := protect(t, w.clients[2], "x")
	c.TreeHash = bytes.Clone(c.TreeHash)
	c.TreeHash[0] ^= 1
	if _, err := openSender(w.suite, ratchet, senderData, 2, c.Bytes(), w.public.Leaf(2).SignatureKey, msg); !errors.Is(err, ErrInvalid) {
		t.Fatalf("another tree hash: %v", err)
	}
}

// A dishonest member knows all keys, but can't speak for others or from nowhere.
func TestDishonestSender(t *testing.T) {
	w := trio(t, testConfig())
	g := w.clients[0].g
	s := g.now.suite
	forge := func(leaf LeafIndex, change func(plain []byte) []byte) []byte {
		a := g.frame(true, framedContent{kind: contentApplication, application: []byte("x")})
		a.content.sender.index = uint32(leaf)
		w.check(a.sign(g.now.signer, g.now.contextBytes))
		use := must(g.now.messages.find(ratchetID{leaf, ratchetApplication}, 0, 0))(t)
		d := senderData{leaf: leaf}
		m := s.sealPrivate(a, use.key, d, g.now.secrets.senderData, 64).private
		plain := must(s.openAEAD(use.key.key, use.key.guarded(d.guard), m.contentAAD(), m.ciphertext))(t)
		m.ciphertext = s.sealAEAD(use.key.key, use.key.guarded(d.guard), m.contentAAD(), change(plain))
		k := s.senderDataKey(g.now.secrets.senderData, m.ciphertext)
		m.senderData = s.sealAEAD(k.key, k.nonce, m.senderAAD(), marshal(d))
		return marshal(&message{format: wirePrivateMessage, private: m})
	}
	same := func(plain []byte) []byte { return plain }
	for _, c := range []struct {
		what string
		msg  []byte
		err  error
	}{
		{"message signature", forge(2, same), ErrInvalid},
		{"sender 3 is no member", forge(3, same), ErrInvalid},
		{"padding is not zero", forge(0, func(p []byte) []byte { p[len(p)-1] = 1; return p }), ErrMalformed},
		{"truncated", forge(0, func(p []byte) []byte { return p[:1] }), ErrMalformed},
	} {
		unchanged(t, w.clients[1].g, c.what, 0, func() error {
			_, _, err := w.clients[1].g.Unprotect(c.msg)
			if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.what) {
				t.Fatalf("%s: %v", c.what, err)
			}
			return err
		})
	}
	w.clients[1].store.same(w.clients[1].g)
	if _, _, err := w.clients[1].g.Unprotect(forge(0, same)); err != nil {
		t.Fatalf("the forger's own message: %v", err)
	}
	if _, err := w.clients[1].g.Peek(forge(3, same)); !errors.Is(err, ErrInvalid) {
		t.Fatalf("Peek at a blank leaf: %v", err)
	}
	info := must(g.GroupInfo(nil, false))(t)
	if _, err := w.clients[1].g.Peek(info); !errors.Is(err, ErrInvalid) {
		t.Fatalf("Peek at a GroupInfo: %v", err)
	}
	if _, _, err := w.clients[1].g.Unprotect(info); !errors.Is(err, ErrInvalid) {
		t.Fatalf("Unprotect a GroupInfo: %v", err)
	}
}

// openSender opens one message with an opener of its own.
func openSender(cs CipherSuite, ratchet, senderData []byte, leaf LeafIndex, context []byte, key SignaturePublicKey, msg []byte) (*ApplicationMessage, error) {
	o, err := NewSenderOpener(cs, ratchet, senderData, leaf, context, key)
	if err != nil {
		return nil, err
	}
	defer o.Erase()
	return o.Open(msg)
}
