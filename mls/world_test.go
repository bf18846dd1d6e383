package mls

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func testLifetime() Lifetime {
	return Lifetime{uint64(testNow.Add(-time.Hour).Unix()), uint64(testNow.Add(24 * time.Hour).Unix())}
}

func testConfig() Config {
	return Config{
		Authenticate:  acceptAll,
		Now:           func() time.Time { return testNow },
		MaxPastEpochs: 2,
		PSK: func(p PSK) ([]byte, error) {
			if p.GroupID == nil && string(p.ID) == "external" {
				return []byte("shared by other means"), nil
			}
			return nil, errors.New("unknown")
		},
	}
}

// A client is one member with its storage.
type client struct {
	g     *Group
	store *store
	name  string
}

// A world is a group with all its members and a delivery service that follows it.
type world struct {
	t       tester
	cfg     Config
	suite   CipherSuite
	clients map[LeafIndex]*client
	public  *PublicGroup
	born    int
}

func newWorld(t tester, cs CipherSuite, cfg Config) *world {
	w := &world{t: t, cfg: cfg, suite: cs, clients: make(map[LeafIndex]*client)}
	key, cred := w.identity()
	g := must2(t)(Client{Credential: cred, Key: key, Lifetime: testLifetime()}.NewGroup(cfg, []byte("group"), nil))
	w.clients[0] = &client{g, newStore(t, g), string(cred.Identity)}
	info, err := g.GroupInfo(nil, true)
	if err != nil {
		t.Fatal(err)
	}
	if w.public, err = NewPublicGroup(cfg, info, nil); err != nil {
		t.Fatal(err)
	}
	return w
}

func must2(t tester) func(*Group, error) *Group {
	return func(g *Group, err error) *Group {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) identity() (*SignatureKey, Credential) {
	w.born++
	key, err := GenerateSignatureKey(w.suite)
	w.check(err)
	return key, Credential{Identity: fmt.Appendf(nil, "client %d", w.born)}
}

// A newcomer has published a key package.
type newcomer struct {
	kp      *KeyPackage
	secrets []byte
	key     *SignatureKey
}

func (w *world) newcomer() newcomer {
	key, cred := w.identity()
	kp, secrets, err := Client{Credential: cred, Key: key, Lifetime: testLifetime()}.NewKeyPackage(nil)
	w.check(err)
	return newcomer{kp, secrets, key}
}

// private are the secrets as a joiner has them.
func (n newcomer) private(t *testing.T) *keyPackageSecrets {
	return must(n.kp.parseSecrets(n.key.suite, n.secrets))(t)
}

// commit lets member i commit and everybody follow; newcomers join by the Welcome.
func (w *world) commit(i LeafIndex, o CommitOptions, joining ...newcomer) *PendingCommit {
	w.t.Helper()
	for _, n := range joining {
		o.Add = append(o.Add, n.kp)
	}
	c := w.clients[i]
	p, err := c.g.Commit(o)
	w.check(err)
	c.store.apply(p.Delta)
	c.store.same(c.g)
	w.deliver(p.Message)
	for _, n := range joining {
		w.join(p.Welcome, n)
	}
	w.agree()
	return p
}

// deliver brings a commit to the delivery service and to all members.
func (w *world) deliver(msg []byte) {
	w.t.Helper()
	if e, err := Inspect(msg); err != nil {
		w.t.Fatal(err)
	} else if !e.Private {
		staged, err := w.public.Stage(msg)
		w.check(err)
		w.check(w.public.Apply(staged))
	}
	for j, c := range w.clients {
		staged, err := c.g.Stage(msg)
		w.check(err)
		d, err := c.g.Apply(staged)
		w.check(err)
		c.store.apply(d)
		c.store.same(c.g)
		if staged.SelfRemoved {
			if len(c.store.records) != 0 || !c.g.Removed() {
				w.t.Fatal("removed member keeps records")
			}
			delete(w.clients, j)
		}
	}
}

func (w *world) join(welcome []byte, n newcomer) *client {
	w.t.Helper()
	g, _, err := Client{Key: n.key}.Join(w.cfg, welcome, n.kp, n.secrets, w.public.RatchetTree())
	w.check(err)
	c := &client{g, newStore(w.t, g), string(n.kp.Leaf.Credential.Identity)}
	w.clients[g.OwnLeaf()] = c
	return c
}

// propose brings a proposal of member i to everybody.
func (w *world) propose(i LeafIndex, msg []byte, d delta, err error) {
	w.t.Helper()
	w.check(err)
	w.clients[i].store.apply(d)
	w.check(w.public.HandleProposal(msg))
	for j, c := range w.clients {
		if j != i {
			d, err := c.g.HandleProposal(msg)
			w.check(err)
			c.store.apply(d)
		}
		c.store.same(c.g)
	}
}

// agree checks that all members and the delivery service are in the same epoch.
func (w *world) agree() {
	w.t.Helper()
	var secret []byte
	for i, c := range w.clients {
		if !c.g.Context().Equal(w.public.Context()) {
			w.t.Fatalf("context of member %d differs from the public group's", i)
		}
		if secret == nil {
			secret = c.g.EpochAuthenticator()
		} else if !bytes.Equal(secret, c.g.EpochAuthenticator()) {
			w.t.Fatalf("secrets of member %d differ", i)
		}
		if string(c.g.Leaf(c.g.OwnLeaf()).Credential.Identity) != c.name {
			w.t.Fatalf("member %d is in the wrong leaf", i)
		}
	}
	w.check(w.public.now.tree.verify(&w.public.now.context, acceptAll))
	for i := range w.public.Members() {
		if w.clients[i] == nil {
			w.t.Fatalf("leaf %d has no client", i)
		}
	}
}

// say sends one message from i and lets the others read it.
func (w *world) say(i LeafIndex, text string) {
	w.t.Helper()
	msg, d, err := w.clients[i].g.Protect([]byte("ad"), []byte(text))
	w.check(err)
	w.clients[i].store.apply(d)
	w.clients[i].store.same(w.clients[i].g)
	for j, c := range w.clients {
		if j != i {
			c.read(w.t, msg, i, text)
		}
	}
}

func (c *client) read(t tester, msg []byte, from LeafIndex, text string) {
	t.Helper()
	m, d, err := c.g.Unprotect(msg)
	if err != nil {
		t.Fatal(err)
	}
	if m.Sender != from || string(m.Data) != text || string(m.AuthenticatedData) != "ad" {
		t.Fatalf("read %+v", m)
	}
	c.store.apply(d)
	c.store.same(c.g)
}

// member draws one of the members.
func (w *world) member(t *rapid.T, label string) LeafIndex {
	var list []LeafIndex
	for i := range w.public.Members() {
		list = append(list, i)
	}
	return rapid.SampledFrom(list).Draw(t, label)
}

// others draws some members beside i.
func (w *world) others(t *rapid.T, i LeafIndex) []LeafIndex {
	var list []LeafIndex
	for j := range w.public.Members() {
		if j != i && rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
			list = append(list, j)
		}
	}
	return list
}

// TestRandomHistory makes random histories of a group. After each step all members and
// the delivery service agree, and each member's deltas add up to its state.
func TestRandomHistory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		suites := []CipherSuite{X25519_CHACHA20POLY1305_SHA256_Ed25519, X25519_AES128GCM_SHA256_Ed25519, XWING_CHACHA20POLY1305_SHA256_Ed25519}
		cfg := testConfig()
		cfg.ExternalCommits, cfg.ExternalProposals = true, true
		w := newWorld(t, rapid.SampledFrom(suites).Draw(t, "suite"), cfg)
		t.Repeat(map[string]func(*rapid.T){
			"commit": func(t *rapid.T) { w.randomCommit(t) },
			"add by reference": func(t *rapid.T) {
				i, n := w.member(t, "proposer"), w.newcomer()
				msg, d, err := w.clients[i].g.Propose(Proposal{Add: n.kp})
				w.propose(i, msg, d, err)
				p := w.commit2(w.member(t, "committer"))
				w.join(p.Welcome, n)
				w.agree()
			},
			"update by reference": func(t *rapid.T) {
				i := w.member(t, "updater")
				msg, d, err := w.clients[i].g.Propose(Proposal{Update: true})
				w.propose(i, msg, d, err)
				w.commit2(w.member(t, "committer"))
				w.agree()
			},
			"remove by reference": func(t *rapid.T) {
				i := w.member(t, "proposer")
				msg, d, err := w.clients[i].g.Propose(Proposal{Remove: new(LeafIndex(w.member(t, "removed")))})
				w.propose(i, msg, d, err)
				w.commit2(w.member(t, "committer"))
				w.agree()
			},
			"say": func(t *rapid.T) { w.say(w.member(t, "sender"), rapid.String().Draw(t, "text")) },
			"restart": func(t *rapid.T) {
				c := w.clients[w.member(t, "member")]
				c.g = c.store.load(w.cfg)
				public, err := ParsePublicGroup(w.cfg, w.public.Marshal())
				w.check(err)
				w.public = public
			},
			"race":     func(t *rapid.T) { w.race(t) },
			"external": func(t *rapid.T) { w.randomEntry(t) },
			"new key":  func(t *rapid.T) { w.randomKey(t) },
			"outside":  func(t *rapid.T) { w.randomOutsider(t) },
			"psk": func(t *rapid.T) {
				i := w.member(t, "sender")
				msg, d, err := w.clients[i].g.Propose(Proposal{PSK: &PSK{ID: []byte("external")}})
				w.propose(i, msg, d, err)
				w.commit2(w.member(t, "committer"))
				w.agree()
			},
		})
	})
}

// randomCommit is a commit with random adds, removes and keys.
func (w *world) randomCommit(t *rapid.T) {
	i := w.member(t, "committer")
	var o CommitOptions
	if len(w.clients) > 2 {
		o.Remove = w.others(t, i)
	}
	var joining []newcomer
	for range rapid.IntRange(0, max(0, min(3, 7-len(w.clients)))).Draw(t, "adds") {
		joining = append(joining, w.newcomer())
	}
	if rapid.Bool().Draw(t, "psk") {
		o.PSKs = []PSK{{ID: []byte("external")}}
	}
	o.WithoutTree = rapid.Bool().Draw(t, "without tree")
	w.commit(i, o, joining...)
}

// randomEntry lets somebody in from outside, or a member back in place of itself.
func (w *world) randomEntry(t *rapid.T) {
	info, err := w.clients[w.member(t, "introducer")].g.GroupInfo(nil, true)
	w.check(err)
	key, cred := w.identity()
	var o CommitOptions
	if len(w.clients) > 6 || rapid.Bool().Draw(t, "again") {
		old := w.member(t, "again")
		o.Remove = []LeafIndex{old}
		key, cred = w.clients[old].g.now.signer, w.clients[old].g.Leaf(old).Credential
	}
	w.externallyAs(info, Client{Credential: cred, Key: key}, o)
}

// randomKey lets a member commit a new signature key and name.
func (w *world) randomKey(t *rapid.T) {
	i := w.member(t, "member")
	key, cred := w.identity()
	c := w.clients[i]
	p, err := c.g.Commit(CommitOptions{SignatureKey: key, Credential: &cred})
	w.check(err)
	c.store.apply(p.Delta)
	c.store.same(c.g)
	c.name = string(cred.Identity)
	if rapid.Bool().Draw(t, "crash") {
		c.g = c.store.load(w.cfg)
	}
	w.deliver(p.Message)
	w.agree()
}

// randomOutsider asks to be let in, and is.
func (w *world) randomOutsider(t *rapid.T) {
	n := w.newcomer()
	msg, err := Client{Key: n.key}.ProposeJoin(w.public.Context(), n.kp)
	w.check(err)
	w.check(w.public.HandleProposal(msg))
	for _, c := range w.clients {
		d, err := c.g.HandleProposal(msg)
		w.check(err)
		c.store.apply(d)
		c.store.same(c.g)
	}
	w.join(w.commit2(w.member(t, "committer")).Welcome, n)
	w.agree()
}

// commit2 commits what was proposed.
func (w *world) commit2(i LeafIndex) *PendingCommit {
	w.t.Helper()
	p, err := w.clients[i].g.Commit(CommitOptions{ByReference: true})
	w.check(err)
	w.clients[i].store.apply(p.Delta)
	w.deliver(p.Message)
	return p
}

// race lets two members commit at once: the first wins, the second does it again.
// Both crash before they hear the result.
func (w *world) race(t *rapid.T) {
	i, j := w.member(t, "winner"), w.member(t, "loser")
	if i == j {
		return
	}
	var commits []*PendingCommit
	for _, k := range []LeafIndex{i, j} {
		c := w.clients[k]
		p, err := c.g.Commit(CommitOptions{})
		w.check(err)
		c.store.apply(p.Delta)
		c.g = c.store.load(w.cfg)
		if !bytes.Equal(c.g.PendingCommit().Message, p.Message) {
			w.t.Fatal("pending commit lost in a crash")
		}
		commits = append(commits, p)
	}
	w.deliver(commits[0].Message)
	if w.clients[j].g.PendingCommit() != nil {
		w.t.Fatal("the lost commit is still pending")
	}
	if _, err := w.clients[i].g.Stage(commits[1].Message); !errors.Is(err, ErrInvalid) {
		w.t.Fatalf("late commit: %v", err)
	}
	w.agree()
	w.commit(j, CommitOptions{})
}

// pair makes a group of n members and returns two of them that can talk. The others
// are leaves only: their key packages' secrets are thrown away.
func pair(t tester, cs CipherSuite, n int) (sender, receiver *Group) {
	w := newWorld(t, cs, testConfig())
	o := CommitOptions{}
	last := w.newcomer()
	for range n - 2 {
		o.Add = append(o.Add, w.newcomer().kp)
	}
	o.Add = append(o.Add, last.kp)
	sender = w.clients[0].g
	p, err := sender.Commit(o)
	w.check(err)
	_, err = sender.Apply(p.Staged)
	w.check(err)
	receiver, _, err = Client{Key: last.key}.Join(w.cfg, p.Welcome, last.kp, last.secrets, nil)
	w.check(err)
	return sender, receiver
}
