package mls

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"
)

const (
	leafExtension  ExtensionType = 0xf101
	groupExtension ExtensionType = 0xf102
	infoExtension  ExtensionType = 0xf103
)

// Every suite: create, add, update, remove, talk, restart.
func TestEverySuite(t *testing.T) {
	for _, cs := range CipherSuites() {
		w := newWorld(t, cs, testConfig())
		w.commit(0, CommitOptions{}, w.newcomer(), w.newcomer(), w.newcomer())
		w.say(3, "hello")
		msg, d, err := w.clients[2].g.Propose(Proposal{Update: true})
		w.propose(2, msg, d, err)
		w.commit2(1)
		w.agree()
		w.commit(3, CommitOptions{Remove: []LeafIndex{0}})
		w.clients[2].g = w.clients[2].store.load(w.cfg)
		w.say(2, "still here")
		if w.clients[2].g.Suite() != cs || !cs.Supported() {
			t.Fatal("suite")
		}
	}
	if CipherSuite(4).Supported() {
		t.Fatal("suite 4 is not implemented")
	}
}

// Extensions of leaf, group and group info arrive where they belong, and the leaf's
// and the group's change by commit.
func TestExtensions(t *testing.T) {
	const cs = X25519_CHACHA20POLY1305_SHA256_Ed25519
	w := &world{t: t, cfg: testConfig(), suite: cs, clients: make(map[LeafIndex]*client)}
	key, cred := w.identity()
	law := func(s string) []Extension { return []Extension{{leafExtension, []byte(s)}} }
	types := []ExtensionType{groupExtension, leafExtension}
	alice := Client{Credential: cred, Key: key, Extensions: law("alice's law"), Lifetime: testLifetime()}
	g := must(alice.NewGroup(w.cfg, []byte("group"), []Extension{{groupExtension, []byte("group")}}))(t)
	w.clients[0] = &client{g, newStore(t, g), string(cred.Identity)}
	w.public = must(NewPublicGroup(w.cfg, must(g.GroupInfo(nil, true))(t), nil))(t)

	plain := w.newcomer()
	if _, err := g.Commit(CommitOptions{Add: []*KeyPackage{plain.kp}}); !errors.Is(err, ErrInvalid) {
		t.Fatalf("a client without the group's extension is added: %v", err)
	}
	key, cred = w.identity()
	kp, secrets, err := Client{Credential: cred, Key: key, Extensions: law("bob's law"), ExtensionTypes: types, Lifetime: testLifetime()}.NewKeyPackage(nil)
	w.check(err)
	if k, _, err := (Client{Key: key}).NewKeyPackage(law("in the package")); err != nil || !slices.Contains(k.Leaf.Capabilities.Extensions, leafExtension) {
		t.Fatalf("a key package's extension is not in its capabilities: %v", err)
	}
	p, err := g.Commit(CommitOptions{Add: []*KeyPackage{kp}, GroupInfoExtensions: []Extension{{infoExtension, []byte("opened at nine")}}})
	w.check(err)
	w.clients[0].store.apply(p.Delta)
	w.deliver(p.Message)
	bob, info, err := Client{Key: key}.Join(w.cfg, p.Welcome, must(ParseKeyPackage(kp.Bytes()))(t), secrets, nil)
	w.check(err)
	clear(secrets)
	w.clients[1] = &client{bob, newStore(t, bob), string(cred.Identity)}
	w.agree()
	is := func(what string, want string) func([]byte, bool) {
		return func(data []byte, ok bool) {
			t.Helper()
			if !ok || string(data) != want {
				t.Fatalf("%s: %q, %v", what, data, ok)
			}
		}
	}
	is("group info", "opened at nine")(findExtension(info.Extensions, infoExtension))
	is("leaf", "alice's law")(bob.Leaf(0).Extension(leafExtension))
	is("leaf", "bob's law")(bob.Leaf(1).Extension(leafExtension))
	is("group", "group")(findExtension(bob.Context().Extensions, groupExtension))
	if info.Signer != 0 {
		t.Fatal("signer")
	}

	w.commit(1, CommitOptions{LeafExtensions: law("new law"), GroupContextExtensions: []Extension{{groupExtension, []byte("renamed")}}})
	is("leaf", "new law")(g.Leaf(1).Extension(leafExtension))
	is("group", "renamed")(findExtension(g.Context().Extensions, groupExtension))
	msg, d, err := g.Propose(Proposal{Update: true, LeafExtensions: law("newer law")})
	w.propose(0, msg, d, err)
	w.commit2(1)
	w.agree()
	is("leaf", "newer law")(bob.Leaf(0).Extension(leafExtension))
	w.say(1, "after secrets of the key package are erased")
}

func TestExport(t *testing.T) {
	w := trio(t, testConfig())
	a := must(w.clients[0].g.Export("label", []byte("context"), 40))(t)
	b := must(w.clients[2].g.Export("label", []byte("context"), 40))(t)
	if len(a) != 40 || !bytes.Equal(a, b) {
		t.Fatal("members export different secrets")
	}
	for _, o := range [][]byte{
		must(w.clients[0].g.Export("other", []byte("context"), 40))(t),
		must(w.clients[0].g.Export("label", []byte("other"), 40))(t),
	} {
		if bytes.Equal(a, o) {
			t.Fatal("label or context doesn't matter")
		}
	}
	if _, err := w.clients[0].g.Export("label", nil, 255*32+1); !errors.Is(err, ErrInvalid) {
		t.Fatalf("too long: %v", err)
	}
}

func TestResumptionPSK(t *testing.T) {
	cfg := testConfig()
	cfg.MaxResumptionPSKs = 2
	w := trio(t, cfg)
	for range 3 {
		w.commit(0, CommitOptions{})
	}
	w.clients[1].g = w.clients[1].store.load(cfg)
	w.commit(1, CommitOptions{PSKs: []PSK{{GroupID: []byte("group"), Epoch: 2}}}) // epoch 4
	if _, err := w.clients[1].g.Commit(CommitOptions{PSKs: []PSK{{GroupID: []byte("group"), Epoch: 2}}}); !errors.Is(err, ErrInvalid) {
		t.Fatalf("resumption PSK beyond the bound: %v", err)
	}
	if _, err := w.clients[1].g.Commit(CommitOptions{PSKs: []PSK{{ID: []byte("no such")}}}); !errors.Is(err, ErrInvalid) {
		t.Fatalf("unknown PSK: %v", err)
	}
}

// A removed member has nothing left, can do nothing, and can't read what follows.
func TestRemoved(t *testing.T) {
	w := trio(t, testConfig())
	out, stolen := w.clients[2], maps.Clone(w.clients[2].store.records)
	p := w.commit(0, CommitOptions{Remove: []LeafIndex{2}})
	for what, err := range map[string]error{
		"Protect":   second(out.g.Protect(nil, nil)),
		"Unprotect": second(out.g.Unprotect(protect(t, w.clients[0], "x"))),
		"Commit":    first(out.g.Commit(CommitOptions{})),
		"Stage":     first(out.g.Stage(p.Message)),
		"Propose":   second(out.g.Propose(Proposal{Remove: new(LeafIndex(0))})),
		"Handle":    first(out.g.HandleProposal(p.Message)),
		"Export":    first(out.g.Export("", nil, 1)),
		"Secrets":   second(out.g.SenderSecrets(1, 0)),
		"Peek":      first(out.g.Peek(protect(t, w.clients[0], "x"))),
		"GroupInfo": first(out.g.GroupInfo(nil, true)),
	} {
		if !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if d, err := out.g.State(); err != nil || len(d) != 0 {
		t.Fatalf("state of %d records, %v", len(d), err)
	}
	// With all it had stored, the removed member can't follow.
	ghost := (&store{t, stolen}).load(w.cfg)
	staged, err := ghost.Stage(p.Message)
	w.check(err)
	if !staged.SelfRemoved || staged.next != nil {
		t.Fatal("a removed member gets into the next epoch")
	}
	if _, _, err := ghost.Unprotect(protect(t, w.clients[0], "x")); !errors.Is(err, ErrRefused) {
		t.Fatalf("message of the next epoch: %v", err)
	}
}

func first[T any](_ T, err error) error          { return err }
func second[T, U any](_ T, _ U, err error) error { return err }

// A commit's delta doesn't hold the whole tree.
func TestCommitDeltaIsSmall(t *testing.T) {
	from, to := pair(t, X25519_CHACHA20POLY1305_SHA256_Ed25519, 64)
	stored := newStore(t, to)
	for range 2 {
		p, err := from.Commit(CommitOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := from.Apply(p.Staged); err != nil {
			t.Fatal(err)
		}
		staged, err := to.Stage(p.Message)
		if err != nil {
			t.Fatal(err)
		}
		d, err := to.Apply(staged)
		if err != nil {
			t.Fatal(err)
		}
		stored.apply(d)
		stored.same(to)
		if len(d) > 30 {
			t.Fatalf("%d records of %d", len(d), len(stored.records))
		}
	}
}

// Two proposals that exclude each other are never in one commit.
func TestConflictingProposals(t *testing.T) {
	w := trio(t, testConfig())
	n := w.newcomer()
	for _, i := range []LeafIndex{0, 1} {
		msg, d, err := w.clients[i].g.Propose(Proposal{Add: n.kp})
		w.propose(i, msg, d, err)
		msg, d, err = w.clients[i].g.Propose(Proposal{Remove: new(LeafIndex(2))})
		w.propose(i, msg, d, err)
	}
	msg, d, err := w.clients[2].g.Propose(Proposal{Update: true})
	w.propose(2, msg, d, err)
	msg, d, err = w.clients[1].g.Propose(Proposal{Remove: new(LeafIndex(0))})
	w.propose(1, msg, d, err)
	p := w.commit2(0)
	if c := p.Staged; len(c.Added) != 1 || len(c.Removed) != 1 || c.Removed[0].Index != 2 {
		t.Fatalf("added %v, removed %v", c.Added, c.Removed)
	}
	w.join(p.Welcome, n)
	w.agree()
	if got := slices.Collect(maps.Keys(w.clients)); len(got) != 3 {
		t.Fatalf("members %v", got)
	}
}
