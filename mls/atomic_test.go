package mls

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// unchanged runs f, which must fail, and compares the state before and after.
func unchanged(t *testing.T, g *Group, what string, k int, f func() error) {
	t.Helper()
	before, err := g.State()
	if err != nil {
		t.Fatal(err)
	}
	if f() == nil {
		t.Fatalf("%s: byte %d changed, and it is accepted", what, k)
	}
	after, err := g.State()
	if err != nil {
		t.Fatal(err)
	}
	if d := difference(before, after); len(d) != 0 {
		t.Fatalf("%s: byte %d changed, and so did record %q", what, k, d[0].Key)
	}
}

// A valid message with one byte changed is refused, and leaves the state as it was.
// Then the valid one is accepted all the same.
func TestErrorsChangeNothing(t *testing.T) {
	for _, private := range []bool{false, true} {
		w := trio(t, testConfig())
		c := w.clients[1]
		app := protect(t, w.clients[0], "x")
		proposal, d, err := w.clients[2].g.Propose(Proposal{Update: true, Private: private})
		w.check(err)
		w.clients[2].store.apply(d)
		d, err = w.clients[0].g.HandleProposal(proposal)
		w.check(err)
		w.clients[0].store.apply(d)
		n := w.newcomer()
		p, err := w.clients[0].g.Commit(CommitOptions{ByReference: true, Add: []*KeyPackage{n.kp}, Private: private})
		w.check(err)
		w.clients[0].store.apply(p.Delta)
		w.clients[0].store.same(w.clients[0].g)

		each := func(what string, msg []byte, f func([]byte) error) {
			t.Helper()
			for k := range msg {
				changed := bytes.Clone(msg)
				changed[k] ^= 1
				unchanged(t, c.g, what, k, func() error { return f(changed) })
			}
			unchanged(t, c.g, what+" cut", 0, func() error { return f(msg[:len(msg)-1]) })
		}
		unprotect := func(m []byte) error { _, _, err := c.g.Unprotect(m); return err }
		handle := func(m []byte) error { _, err := c.g.HandleProposal(m); return err }
		stage := func(m []byte) error { _, err := c.g.Stage(m); return err }
		each("application message", app, unprotect)
		each("proposal", proposal, handle)
		unchanged(t, c.g, "commit without its proposal", 0, func() error { return stage(p.Message) })
		d, err = c.g.HandleProposal(proposal)
		w.check(err)
		c.store.apply(d)
		each("commit", p.Message, stage)
		unchanged(t, c.g, "commit as a proposal", 0, func() error { return handle(p.Message) })
		unchanged(t, c.g, "commit as a message", 0, func() error { return unprotect(p.Message) })
		unchanged(t, c.g, "message as a commit", 0, func() error { return stage(app) })

		before, err := c.g.State()
		w.check(err)
		staged, err := c.g.Stage(p.Message)
		w.check(err)
		after, err := c.g.State()
		w.check(err)
		if len(difference(before, after)) != 0 {
			t.Fatal("Stage changed the state")
		}
		c.read(t, app, 0, "x")
		d, err = c.g.Apply(staged)
		w.check(err)
		c.store.apply(d)
		c.store.same(c.g)
		if _, err := c.g.Apply(staged); !errors.Is(err, ErrInvalid) {
			t.Fatalf("applied twice: %v", err)
		}
		for _, k := range []LeafIndex{0, 2} {
			o := w.clients[k]
			staged, err := o.g.Stage(p.Message)
			w.check(err)
			d, err := o.g.Apply(staged)
			w.check(err)
			o.store.apply(d)
			o.store.same(o.g)
			if !bytes.Equal(o.g.EpochAuthenticator(), c.g.EpochAuthenticator()) {
				t.Fatal("members disagree")
			}
		}
		g, _, err := Client{Key: n.key}.Join(w.cfg, p.Welcome, n.kp, n.secrets, nil)
		w.check(err)
		if !bytes.Equal(g.EpochAuthenticator(), c.g.EpochAuthenticator()) {
			t.Fatal("the new member disagrees")
		}
	}
}

// A Welcome with one byte changed lets nobody in.
func TestJoinRefusesChangedWelcome(t *testing.T) {
	w := trio(t, testConfig())
	n := w.newcomer()
	p, err := w.clients[0].g.Commit(CommitOptions{Add: []*KeyPackage{n.kp}})
	w.check(err)
	for k := range p.Welcome {
		changed := bytes.Clone(p.Welcome)
		changed[k] ^= 1
		if _, _, err := (Client{Key: n.key}).Join(w.cfg, changed, n.kp, n.secrets, nil); err == nil {
			t.Fatalf("Welcome with byte %d changed is accepted", k)
		}
	}
	other := w.newcomer()
	if _, _, err := (Client{Key: other.key}).Join(w.cfg, p.Welcome, other.kp, other.secrets, nil); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "Welcome for other key packages") {
		t.Fatalf("somebody else's Welcome: %v", err)
	}
	if _, _, err := (Client{Key: n.key}).Join(w.cfg, p.Welcome, n.kp, other.secrets, nil); !errors.Is(err, ErrInvalid) {
		t.Fatalf("somebody else's secrets: %v", err)
	}
}

// An own commit that was dropped leaves nothing; one that comes back is recognised.
func TestPendingCommit(t *testing.T) {
	w := trio(t, testConfig())
	c := w.clients[0]
	before, err := c.g.State()
	w.check(err)
	p, err := c.g.Commit(CommitOptions{})
	w.check(err)
	c.store.apply(p.Delta)
	if _, err := c.g.Commit(CommitOptions{}); !errors.Is(err, ErrRefused) {
		t.Fatalf("second pending commit: %v", err)
	}
	for _, s := range p.Staged.next.secrets.all() {
		defer func() {
			if !bytes.Equal(*s, make([]byte, len(*s))) {
				t.Error("secrets of a dropped commit stay in memory")
			}
		}()
	}
	c.store.apply(c.g.DropPending())
	after, err := c.g.State()
	w.check(err)
	if len(difference(before, after)) != 0 {
		t.Fatal("a dropped commit left something")
	}
	c.store.same(c.g)
	if _, err := c.g.Stage(p.Message); !errors.Is(err, ErrRefused) {
		t.Fatalf("own dropped commit: %v", err)
	}
	w.commit(0, CommitOptions{})
}
