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

// Members and the delivery service follow an external commit, and the new member
// talks and commits.
func TestExternalCommit(t *testing.T) {
	cfg := testConfig()
	cfg.ExternalCommits = true
	cfg, err := cfg.check()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, XWING_CHACHA20POLY1305_SHA256_Ed25519, cfg)
	w.commit(0, CommitOptions{}, w.newcomer(), w.newcomer())
	info, err := w.clients[1].g.GroupInfo(nil, true)
	w.check(err)
	o := w.outsider()
	msg, g := o.join(info)
	w.deliver(msg)
	w.clients[g.OwnLeaf()] = &client{g, newStore(t, g), string(o.leaf.Credential.Identity)}
	w.agree()
	w.say(g.OwnLeaf(), "let myself in")
	w.commit(g.OwnLeaf(), CommitOptions{}, w.newcomer())

	// The same person with a new leaf replaces the old one.
	info, err = w.clients[0].g.GroupInfo(nil, true)
	w.check(err)
	o.enc, err = o.key.suite.generateHPKEKey()
	w.check(err)
	o.leaf = newLeaf(o.key.suite, o.leaf.Credential, o.key, o.enc.public, leafOptions{})
	msg, again := o.join(info, &proposal{kind: ProposalRemove, remove: g.OwnLeaf()})
	w.deliver(msg)
	if !g.Removed() {
		t.Fatal("the old leaf is still in")
	}
	w.clients[again.OwnLeaf()] = &client{again, newStore(t, again), string(o.leaf.Credential.Identity)}
	w.agree()
	w.say(again.OwnLeaf(), "and again")
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
		"2 ExternalInit":  {{kind: ProposalExternalInit, kemOutput: make([]byte, 32)}},
		"2 Remove":        {remove(2), remove(3)},
		"other proposals": {{kind: ProposalAdd, add: w.newcomer().kp}},
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
