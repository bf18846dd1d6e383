package mls

import (
	"bytes"
	"crypto/hpke"
	"errors"
	"slices"
	"strings"
	"testing"
)

// An outsider joins by an external commit (RFC 9420 12.4.3.2) made by hand here.
type outsider struct {
	w    *world
	key  *SignatureKey
	leaf *LeafNode
	enc  *hpkeKey
}

func (w *world) outsider() *outsider {
	key, cred := w.identity()
	s := key.suite
	enc, err := s.generateHPKEKey()
	w.check(err)
	return &outsider{w, key, newLeaf(s, cred, key, enc.public, leafOptions{}), enc}
}

// join makes the commit from a member's GroupInfo, with more proposals, and the group
// that the outsider has when it is accepted.
func (o *outsider) join(info []byte, more ...*proposal) ([]byte, *Group) {
	w, s := o.w, o.key.suite
	g, err := ParseGroupInfo(info)
	w.check(err)
	tree, err := g.verifiedTree(s, nil, acceptAll)
	w.check(err)
	st := newPublicState(s, g.Context, tree, g.confirmationTag)
	data, _ := FindExtension(g.Extensions, ExtensionExternalPub)
	raw, err := parse(data, (*reader).opaque)
	w.check(err)
	public, err := s.kem.NewPublicKey(raw)
	w.check(err)
	kemOutput, hpkeSender, err := hpke.NewSender(public, s.kdf, s.aead, nil) // 8.3
	w.check(err)
	init, err := hpkeSender.Export(externalInitLabel, s.nh)
	w.check(err)

	from := sender{kind: SenderNewMemberCommit}
	c := byValue(append([]*proposal{{kind: ProposalExternalInit, kemOutput: kemOutput}}, more...)...)
	c.path = &updatePath{leaf: o.leaf}
	all, err := resolve(c, from, nil)
	w.check(err)
	t := st.transition(newProposalList(all), c, from)
	path, err := t.tree.newPath(t.committer)
	w.check(err)
	o.leaf.source, o.leaf.parentHash = sourceCommit, t.tree.setPath(t.committer, path.steps, path.publicKeys())
	w.check(o.leaf.sign(o.key, g.Context.GroupID, t.committer))
	t.tree.set(t.committer.node(), treeNode{leaf: o.leaf})
	t.context.TreeHash = t.tree.rootHash()
	c.path.nodes, err = path.encrypt(t.tree, nil, t.context.Bytes())
	w.check(err)

	a := &authenticatedContent{format: WirePublicMessage, content: framedContent{
		groupID: g.Context.GroupID, epoch: g.Context.Epoch, sender: from, kind: ContentCommit, commit: c}}
	w.check(a.sign(o.key, st.contextBytes))
	next := st.finish(t, a)
	joiner := s.joinerSecret(init, path.commitSecret, next.contextBytes)
	secrets, encryption := s.deriveEpoch(s.epochSecret(joiner, s.pskSecret(nil, nil), next.contextBytes))
	a.auth.confirmationTag = s.mac(secrets.confirmation, next.context.ConfirmedTranscriptHash)
	keys := treeKeys{t.committer.node(): o.enc}
	for k, step := range path.steps {
		keys[step.node] = path.keys[k]
	}
	e := &epoch{publicState: st.finish(t, a), own: t.committer, signer: o.key, keys: keys, secrets: secrets,
		messages: newSecretTree(s, next.context.Epoch, next.tree.width(), encryption)}
	return marshal(s.protectPublic(nil, a, nil)), newGroup(w.cfg, e)
}

// externallyAs lets somebody in who has nothing but a GroupInfo, and everybody follows.
func (w *world) externallyAs(info []byte, key *SignatureKey, cred Credential, o ExternalJoinOptions) LeafIndex {
	w.t.Helper()
	g, msg, err := JoinExternal(w.cfg, info, nil, cred, key, o)
	w.check(err)
	w.deliver(msg)
	w.clients[g.OwnLeaf()] = &client{g, newStore(w.t, g), string(cred.Identity)}
	w.agree()
	w.say(g.OwnLeaf(), "let myself in")
	return g.OwnLeaf()
}

// Members and the delivery service follow an external commit, in every suite, and the
// new member talks, commits, adds others, and comes back in place of its old leaf.
func TestExternalCommit(t *testing.T) {
	cfg := testConfig()
	cfg.ExternalCommits = true
	for _, cs := range CipherSuites() {
		w := newWorld(t, cs, cfg)
		w.commit(0, CommitOptions{}, w.newcomer(), w.newcomer())
		info := must(w.clients[1].g.GroupInfo(nil, true))(t)
		key, cred := w.identity()
		i := w.externallyAs(info, key, cred, ExternalJoinOptions{AuthenticatedData: []byte("knock"), GREASE: true})
		w.commit(i, CommitOptions{}, w.newcomer())
		w.clients[i].g = w.clients[i].store.load(cfg)
		old := w.clients[i].g
		info = must(w.clients[0].g.GroupInfo(nil, true))(t)
		again := w.externallyAs(info, key, cred, ExternalJoinOptions{Replace: &i, PSKs: []PSK{{ID: []byte("external")}}})
		if !old.Removed() || again != i {
			t.Fatal("the old leaf is still in")
		}
	}
}

// What JoinExternal refuses.
func TestJoinExternalRefuses(t *testing.T) {
	cfg := testConfig()
	cfg.ExternalCommits = true
	w := newWorld(t, X25519_AES128GCM_SHA256_Ed25519, cfg)
	w.commit(0, CommitOptions{}, w.newcomer())
	info := must(w.clients[0].g.GroupInfo(nil, true))(t)
	bare := must(w.clients[0].g.GroupInfo(nil, false))(t)
	w.clients[0].g.cfg.ExternalCommits = false
	shut := must(w.clients[0].g.GroupInfo(nil, true))(t)
	key, cred := w.identity()
	other, err := GenerateSignatureKey(X25519_CHACHA20POLY1305_SHA256_Ed25519)
	w.check(err)
	gone := LeafIndex(9)
	broken := bytes.Clone(info)
	broken[len(broken)-1] ^= 1
	for _, c := range []struct {
		info []byte
		key  *SignatureKey
		o    ExternalJoinOptions
		why  string
	}{
		{shut, key, ExternalJoinOptions{}, "without an external key"},
		{bare, key, ExternalJoinOptions{}, "no ratchet tree"},
		{info, other, ExternalJoinOptions{}, "group of suite"},
		{info, key, ExternalJoinOptions{Replace: &gone}, "blank leaf"},
		{broken, key, ExternalJoinOptions{}, "group info signature"},
		{info, key, ExternalJoinOptions{PSKs: []PSK{{ID: []byte("no such")}}}, "pre-shared key"},
		{info, key, ExternalJoinOptions{PSKs: []PSK{{GroupID: []byte("group"), Epoch: 1}}}, "pre-shared key"}, // only members have it
		{info, w.clients[1].g.now.signer, ExternalJoinOptions{}, "signature key"},
	} {
		if _, _, err := JoinExternal(cfg, c.info, nil, cred, c.key, c.o); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("error %v, want %q", err, c.why)
		}
	}
}

// TestExternalCommitRules breaks the rules of RFC 9420 12.2 for external commits.
func TestExternalCommitRules(t *testing.T) {
	cfg := testConfig()
	cfg.ExternalCommits = true
	w := newWorld(t, X25519_AES128GCM_SHA256_Ed25519, cfg)
	w.commit(0, CommitOptions{}, w.newcomer(), w.newcomer(), w.newcomer())
	info, err := w.clients[1].g.GroupInfo(nil, true)
	w.check(err)
	remove := func(i LeafIndex) *proposal { return &proposal{kind: ProposalRemove, remove: i} }
	for why, more := range map[string][]*proposal{
		"2 ExternalInit proposals":             {{kind: ProposalExternalInit, kemOutput: make([]byte, 32)}},
		"2 Remove proposals":                   {remove(2), remove(3)},
		"external commit with other proposals": {{kind: ProposalAdd, add: w.newcomer().kp}},
	} {
		msg, _ := w.outsider().join(info, more...)
		w.refused(t, msg, ErrInvalid, why)
	}
	msg, _ := w.outsider().join(info)
	for what, change := range map[string]func(*framedContent){
		"signature":          func(c *framedContent) { c.authenticatedData = []byte("x") },
		"commit with a path": func(c *framedContent) { c.commit.path = nil },
	} {
		m := must(parse(slices.Clone(msg), decodeMessage))(t)
		change(&m.public.content)
		w.refused(t, marshal(m), ErrInvalid, what)
	}
	m := must(parse(bytes.Clone(msg), decodeMessage))(t)
	m.public.auth.confirmationTag[0] ^= 1
	if _, err := w.clients[1].g.Stage(marshal(m)); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "confirmation tag") {
		t.Fatalf("confirmation tag: %v", err)
	}
	o := w.outsider()
	g := w.clients[0].g
	a := &authenticatedContent{format: WirePublicMessage, content: framedContent{groupID: g.ID(), epoch: g.Epoch(),
		sender: sender{kind: SenderNewMemberCommit}, kind: ContentCommit,
		commit: &commit{proposals: []proposalOrRef{{ref: []byte("ref")}}, path: &updatePath{leaf: o.leaf}}}}
	a.auth.confirmationTag = make([]byte, 32)
	w.check(a.sign(o.key, g.now.contextBytes))
	w.refused(t, marshal(g.now.suite.protectPublic(nil, a, nil)), ErrInvalid, "by reference")
	o = w.outsider()
	o.leaf.SignatureKey, o.key = w.clients[2].g.now.signer.public, w.clients[2].g.now.signer
	msg, _ = o.join(info)
	w.refused(t, msg, ErrInvalid, "signature key")
}

// An external sender and a newcomer propose; a member commits what they ask for.
func TestExternalProposals(t *testing.T) {
	cfg := testConfig()
	cfg.ExternalProposals = true
	w := &world{t: t, cfg: cfg, suite: X25519_AES128GCM_SHA256_Ed25519, clients: make(map[LeafIndex]*client)}
	server, cred := w.identity()
	key, name := w.identity()
	senders := ExternalSenders([]ExternalSender{{key.Public(), name}, {server.Public(), cred}})
	g := must(NewGroup(cfg, w.suite, []byte("group"), name, key, GroupOptions{GroupContextExtensions: []Extension{senders}, Lifetime: testLifetime()}))(t)
	w.clients[0] = &client{g, newStore(t, g), string(name.Identity)}
	w.public = must(NewPublicGroup(cfg, must(g.GroupInfo(nil, true))(t), nil))(t)
	w.commit(0, CommitOptions{}, w.newcomer(), w.newcomer())
	handle := func(msg []byte, err error) {
		t.Helper()
		w.check(err)
		w.check(w.public.HandleProposal(msg))
		for _, c := range w.clients {
			d, err := c.g.HandleProposal(msg)
			w.check(err)
			c.store.apply(d)
			c.store.same(c.g)
		}
	}
	two := LeafIndex(2)
	n, self := w.newcomer(), w.newcomer()
	handle(ProposeExternal(w.public.Context(), server, Proposal{Remove: &two}))
	handle(ProposeExternal(w.public.Context(), server, Proposal{Add: n.kp}))
	handle(ProposeExternal(w.public.Context(), server, Proposal{PSK: &PSK{ID: []byte("external")}}))
	handle(ProposeExternal(w.public.Context(), server, Proposal{GroupContextExtensions: []Extension{senders}}))
	handle(ProposeJoin(w.public.Context(), self.kp, self.key))
	p := w.commit2(1)
	if len(p.Staged.Added) != 2 || len(p.Staged.Removed) != 1 {
		t.Fatalf("%d added, %d removed", len(p.Staged.Added), len(p.Staged.Removed))
	}
	w.join(p.Welcome, n)
	w.join(p.Welcome, self)
	w.agree()
	w.say(3, "asked to be let in")
	if _, err := ProposeExternal(w.public.Context(), self.key, Proposal{Remove: &two}); !errors.Is(err, ErrRefused) {
		t.Errorf("unlisted sender: %v", err)
	}
	if _, err := ProposeJoin(w.public.Context(), self.kp, server); !errors.Is(err, ErrInvalid) {
		t.Errorf("another's key package: %v", err)
	}
	for _, p := range []Proposal{{}, {Remove: &two, Add: n.kp}} {
		if _, err := ProposeExternal(w.public.Context(), server, p); !errors.Is(err, ErrInvalid) {
			t.Errorf("proposal %+v: %v", p, err)
		}
	}
}
