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
	return &outsider{w, key, Client{Credential: cred, Key: key}.leaf(enc.public), enc}
}

// join makes the commit from a member's GroupInfo, with more proposals, and the group
// that the outsider has when it is accepted.
func (o *outsider) join(info []byte, more ...*proposal) ([]byte, *Group) {
	w, s := o.w, o.key.suite
	g, err := parseGroupInfo(info)
	w.check(err)
	tree, err := g.verifiedTree(s, nil, acceptAll)
	w.check(err)
	st := newPublicState(s, g.context, tree, g.confirmationTag)
	data, _ := findExtension(g.extensions, ExtensionExternalPub)
	raw, err := parse(data, (*reader).opaque)
	w.check(err)
	public, err := s.kem.NewPublicKey(raw)
	w.check(err)
	kemOutput, hpkeSender, err := hpke.NewSender(public, s.kdf, s.aead, nil) // 8.3
	w.check(err)
	init, err := hpkeSender.Export(externalInitLabel, s.nh)
	w.check(err)

	from := sender{kind: senderNewMemberCommit}
	c := byValue(append([]*proposal{{kind: proposalExternalInit, kemOutput: kemOutput}}, more...)...)
	c.path = &updatePath{leaf: o.leaf}
	all, err := resolve(c, from, nil)
	w.check(err)
	t := st.transition(newProposalList(all), c, from)
	path, err := t.tree.newPath(t.committer)
	w.check(err)
	o.leaf.source, o.leaf.parentHash = sourceCommit, t.tree.setPath(t.committer, path.steps, path.publicKeys())
	w.check(o.leaf.sign(o.key, g.context.GroupID, t.committer))
	t.tree.set(t.committer.node(), treeNode{leaf: o.leaf})
	t.context.TreeHash = t.tree.rootHash()
	c.path.nodes, err = path.encrypt(t.tree, nil, t.context.Bytes())
	w.check(err)

	a := &authenticatedContent{format: wirePublicMessage, content: framedContent{
		groupID: g.context.GroupID, epoch: g.context.Epoch, sender: from, kind: contentCommit, commit: c}}
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
func (w *world) externallyAs(info []byte, c Client, o CommitOptions) LeafIndex {
	w.t.Helper()
	g, msg, err := c.JoinExternal(w.cfg, info, nil, o)
	w.check(err)
	w.deliver(msg)
	w.clients[g.OwnLeaf()] = &client{g, newStore(w.t, g), string(c.Credential.Identity)}
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
		i := w.externallyAs(info, Client{Credential: cred, Key: key, GREASE: true}, CommitOptions{AuthenticatedData: []byte("knock")})
		w.commit(i, CommitOptions{}, w.newcomer())
		w.clients[i].g = w.clients[i].store.load(cfg)
		old := w.clients[i].g
		info = must(w.clients[0].g.GroupInfo(nil, true))(t)
		again := w.externallyAs(info, Client{Credential: cred, Key: key}, CommitOptions{Remove: []LeafIndex{i}, PSKs: []PSK{{ID: []byte("external")}}})
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
		o    CommitOptions
		why  string
	}{
		{shut, key, CommitOptions{}, "without an external key"},
		{bare, key, CommitOptions{}, "no ratchet tree"},
		{info, other, CommitOptions{}, "group of suite"},
		{info, key, CommitOptions{Remove: []LeafIndex{gone}}, "blank leaf"},
		{broken, key, CommitOptions{}, "group info signature"},
		{info, key, CommitOptions{PSKs: []PSK{{ID: []byte("no such")}}}, "pre-shared key"},
		{info, key, CommitOptions{PSKs: []PSK{{GroupID: []byte("group"), Epoch: 1}}}, "pre-shared key"}, // only members have it
		{info, w.clients[1].g.now.signer, CommitOptions{}, "signature key"},
		{info, key, CommitOptions{ByReference: true}, "option for members"},
	} {
		if _, _, err := (Client{Credential: cred, Key: c.key}).JoinExternal(cfg, c.info, nil, c.o); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.why) {
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
	remove := func(i LeafIndex) *proposal { return &proposal{kind: proposalRemove, remove: i} }
	for why, more := range map[string][]*proposal{
		"2 ExternalInit proposals":             {{kind: proposalExternalInit, kemOutput: make([]byte, 32)}},
		"2 Remove proposals":                   {remove(2), remove(3)},
		"external commit with other proposals": {{kind: proposalAdd, add: w.newcomer().kp}},
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
	a := &authenticatedContent{format: wirePublicMessage, content: framedContent{groupID: g.ID(), epoch: g.Epoch(),
		sender: sender{kind: senderNewMemberCommit}, kind: contentCommit,
		commit: &commit{proposals: []proposalOrRef{{ref: []byte("ref")}}, path: &updatePath{leaf: o.leaf}}}}
	a.auth.confirmationTag = make([]byte, 32)
	w.check(a.sign(o.key, g.now.contextBytes))
	w.refused(t, marshal(g.now.suite.protectPublic(nil, a, nil)), ErrInvalid, "by reference")
	o = w.outsider()
	o.leaf.SignatureKey, o.key = w.clients[2].g.now.signer.public, w.clients[2].g.now.signer
	msg, _ = o.join(info)
	w.refused(t, msg, ErrInvalid, "signature key")
	o = w.outsider() // comes back in place of leaf 2, and its key with it
	o.leaf.EncryptionKey = w.public.Leaf(2).EncryptionKey
	msg, _ = o.join(info, remove(2))
	w.refused(t, msg, ErrInvalid, "keeps the encryption key")
}

// An external sender and a newcomer propose; a member commits what they ask for.
func TestExternalProposals(t *testing.T) {
	cfg := testConfig()
	cfg.ExternalProposals = true
	w := &world{t: t, cfg: cfg, suite: X25519_AES128GCM_SHA256_Ed25519, clients: make(map[LeafIndex]*client)}
	server, cred := w.identity()
	key, name := w.identity()
	senders := ExternalSenders([]ExternalSender{{key.Public(), name}, {server.Public(), cred}})
	g := must(Client{Credential: name, Key: key, Lifetime: testLifetime()}.NewGroup(cfg, []byte("group"), []Extension{senders}))(t)
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
	handle(Client{Key: server}.ProposeExternal(w.public.Context(), Proposal{Remove: &two}))
	handle(Client{Key: server}.ProposeExternal(w.public.Context(), Proposal{Add: n.kp}))
	handle(Client{Key: server}.ProposeExternal(w.public.Context(), Proposal{PSK: &PSK{ID: []byte("external")}}))
	handle(Client{Key: server}.ProposeExternal(w.public.Context(), Proposal{GroupContextExtensions: []Extension{senders}}))
	handle(Client{Key: self.key}.ProposeJoin(w.public.Context(), self.kp))
	p := w.commit2(1)
	if len(p.Staged.Added) != 2 || len(p.Staged.Removed) != 1 {
		t.Fatalf("%d added, %d removed", len(p.Staged.Added), len(p.Staged.Removed))
	}
	w.join(p.Welcome, n)
	w.join(p.Welcome, self)
	w.agree()
	w.say(3, "asked to be let in")
	if _, err := (Client{Key: self.key}).ProposeExternal(w.public.Context(), Proposal{Remove: &two}); !errors.Is(err, ErrRefused) {
		t.Errorf("unlisted sender: %v", err)
	}
	if _, err := (Client{Key: server}).ProposeJoin(w.public.Context(), self.kp); !errors.Is(err, ErrInvalid) {
		t.Errorf("another's key package: %v", err)
	}
	for _, p := range []Proposal{{}, {Remove: &two, Add: n.kp}, {Update: true}, {Remove: &two, Private: true}} {
		if _, err := (Client{Key: server}).ProposeExternal(w.public.Context(), p); !errors.Is(err, ErrInvalid) {
			t.Errorf("proposal %+v: %v", p, err)
		}
	}
}
