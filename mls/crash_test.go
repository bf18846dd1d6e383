package mls

import (
	"bytes"
	"fmt"
	"testing"
)

// A crashing member loses its memory at one of its writes: either before, when neither
// the delta is stored nor anything left the machine, or after, when the delta is stored
// and what came with it has not left yet.
type crashing struct {
	*world
	who    LeafIndex
	at     int // the write to crash at
	before bool
	writes int
}

// step does op and stores its delta, with a crash in the place that is due.
func (c *crashing) step(op func(g *Group) ([]Record, error)) {
	c.t.Helper()
	m := c.clients[c.who]
	d, err := op(m.g)
	c.check(err)
	c.writes++
	due := c.writes-1 == c.at
	if due && c.before {
		m.g = m.store.load(c.cfg)
		d, err = op(m.g) // the application does it again
		c.check(err)
	}
	m.store.apply(d)
	m.store.same(m.g)
	if due && !c.before {
		m.g = m.store.load(c.cfg)
	}
}

// follow lets the crashing member take a commit of somebody, and the others too.
func (c *crashing) follow(msg []byte) {
	c.t.Helper()
	me := c.clients[c.who]
	c.step(func(g *Group) ([]Record, error) {
		s, err := g.Stage(msg)
		if err != nil {
			return nil, err
		}
		return g.Apply(s)
	})
	delete(c.clients, c.who)
	c.deliver(msg)
	c.clients[c.who] = me
}

// tell brings a proposal to the delivery service and to the members beside the
// crashing one; to its author it comes back.
func (c *crashing) tell(msg []byte) {
	c.t.Helper()
	c.check(c.public.HandleProposal(msg))
	for i, o := range c.clients {
		if i != c.who {
			d, err := o.g.HandleProposal(msg)
			c.check(err)
			o.store.apply(d)
			o.store.same(o.g)
		}
	}
}

// story is everything a member does, write by write.
func (c *crashing) story() {
	var msg []byte
	say := func() {
		c.step(func(g *Group) (d []Record, err error) {
			msg, d, err = g.Protect([]byte("ad"), []byte("hello"))
			return d, err
		})
		for i, o := range c.clients {
			if i != c.who {
				o.read(c.t, msg, c.who, "hello")
			}
		}
	}
	hear := func(text string, msg []byte) {
		c.step(func(g *Group) ([]Record, error) {
			m, d, err := g.Unprotect(msg)
			if err == nil && string(m.Data) != text {
				err = fmt.Errorf("heard %q", m.Data)
			}
			return d, err
		})
	}
	other := c.clients[(c.who+1)%3]
	say()
	say()
	late := protect(c.t, other, "late")
	hear("early", protect(c.t, other, "early"))
	hear("late", late)

	// An own commit, which the delivery service takes.
	n := c.newcomer()
	c.step(func(g *Group) ([]Record, error) {
		if g.PendingCommit() != nil {
			return nil, nil
		}
		p, err := g.Commit(CommitOptions{Add: []*KeyPackage{n.kp}})
		if err != nil {
			return nil, err
		}
		return p.Delta, nil
	})
	p := c.clients[c.who].g.PendingCommit()
	c.follow(p.Message)
	c.join(p.Welcome, n)
	c.agree()
	say()

	// Proposals, own and of another, and the other's commit of both.
	c.step(func(g *Group) (d []Record, err error) {
		msg, d, err = g.Propose(Proposal{Update: true})
		return d, err
	})
	c.tell(msg)
	remove, d, err := other.g.Propose(Proposal{Remove: new(LeafIndex(3))})
	c.check(err)
	other.store.apply(d)
	c.tell(remove)
	c.step(func(g *Group) ([]Record, error) { return g.HandleProposal(remove) })
	delete(c.clients, 3) // goes without hearing of it
	theirs, err := other.g.Commit(CommitOptions{ByReference: true})
	c.check(err)
	other.store.apply(theirs.Delta)
	late = protect(c.t, other, "before the commit")
	c.follow(theirs.Message)
	c.agree()
	hear("before the commit", late)
	say()

	// A commit that loses, is dropped, and made again with another key.
	c.step(func(g *Group) ([]Record, error) {
		p, err := g.Commit(CommitOptions{})
		if err != nil {
			return nil, err
		}
		return p.Delta, nil
	})
	c.step(func(g *Group) ([]Record, error) { return g.DropPending(), nil })
	key, cred := c.identity()
	c.clients[c.who].name = string(cred.Identity)
	c.step(func(g *Group) ([]Record, error) {
		p, err := g.Commit(CommitOptions{SignatureKey: key, Credential: &cred})
		if err != nil {
			return nil, err
		}
		return p.Delta, nil
	})
	c.follow(c.clients[c.who].g.PendingCommit().Message)
	c.agree()
	say()
}

// A crash at any write of the story leaves a member that goes on as if nothing had
// been.
func TestCrashAtEveryWrite(t *testing.T) {
	for _, before := range []bool{false, true} {
		for at := 0; ; at++ {
			cfg := testConfig()
			c := &crashing{world: trio(t, cfg), who: 1, at: at, before: before}
			c.story()
			if !bytes.Equal(c.clients[1].g.EpochAuthenticator(), c.clients[0].g.EpochAuthenticator()) {
				t.Fatal("members disagree")
			}
			if at >= c.writes {
				if c.writes < 15 {
					t.Fatalf("a story of %d writes", c.writes)
				}
				break
			}
		}
	}
}
