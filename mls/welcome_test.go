package mls

import (
	"errors"
	"strings"
	"testing"
)

// TestWelcomeRules breaks what only a dishonest inviter could break, between the steps
// of joining (RFC 9420 12.4.3.1).
func TestWelcomeRules(t *testing.T) {
	w := trio(t, testConfig())
	n := w.newcomer()
	p, err := w.clients[0].g.Commit(CommitOptions{Add: []*KeyPackage{n.kp}})
	w.check(err)
	m := must(parse(p.Welcome, decodeMessage))(t)
	psk := pskID{kind: pskExternal, id: []byte("external"), nonce: make([]byte, 32)}
	short, branch := psk, pskID{kind: pskResumption, usage: usageBranch, nonce: psk.nonce}
	older := branch
	short.nonce, older.epoch = psk.nonce[1:], 7
	for _, c := range []struct {
		change func(*joining)
		kind   error
		why    string
	}{
		{func(j *joining) { j.info.confirmationTag = make([]byte, 32) }, ErrInvalid, "confirmation tag of the group info"},
		{func(j *joining) { j.group.pathSecret = make([]byte, 32) }, ErrInvalid, "path secret doesn't match"},
		{func(j *joining) { j.info.signer = j.own }, ErrInvalid, "path secret for no node"},
		{func(j *joining) { j.group.joiner = make([]byte, 32) }, ErrInvalid, "confirmation tag"},
		{func(j *joining) { j.group.psks = []pskID{short} }, ErrInvalid, "PSK of a Welcome"},
		{func(j *joining) { j.group.psks = []pskID{psk, psk} }, ErrInvalid, "PSK twice in a Welcome"},
		{func(j *joining) { j.group.psks = []pskID{branch} }, ErrRefused, "branched"},
		{func(j *joining) { j.group.psks = []pskID{branch, older} }, ErrInvalid, "two PSKs for a ReInit or branch"},
		{func(*joining) {}, nil, ""},
	} {
		cfg := must(w.cfg.check())(t)
		j := &joining{cfg: cfg, suite: n.key.suite, kp: n.kp, secrets: n.private(t), signer: n.key}
		w.check(j.openSecrets(m.welcome))
		w.check(j.openTree(nil))
		c.change(j)
		_, err := j.pskSecret()
		if err == nil {
			_, err = j.enter()
		}
		if c.kind == nil && err == nil {
			continue
		}
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("error %v, want %q", err, c.why)
		}
	}
	for _, msg := range [][]byte{p.Message, n.kp.Bytes()} {
		if _, _, err := (Client{Key: n.key}).Join(w.cfg, msg, n.kp, n.secrets, nil); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "not a Welcome") {
			t.Errorf("Join by another message: %v", err)
		}
	}
	if _, err := parseGroupInfo(p.Welcome); !errors.Is(err, ErrInvalid) {
		t.Errorf("ParseGroupInfo of a Welcome: %v", err)
	}
	bare := must(w.clients[0].g.GroupInfo(nil, false))(t)
	if _, err := NewPublicGroup(w.cfg, bare, nil); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "no ratchet tree") {
		t.Errorf("group info without a tree: %v", err)
	}
}

// A committer that encrypts another path secret than the one of its public keys is
// found out by who gets it (RFC 9420 12.4.2).
func TestPathSecretMustMatch(t *testing.T) {
	w := trio(t, testConfig())
	g := w.clients[0].g
	path := w.path(0)
	tr := g.now.transition(newProposalList(nil), &commit{path: path}, sender{senderMember, 0})
	tr.merge(path)
	tr.context.TreeHash = tr.tree.rootHash()
	for k, step := range tr.steps {
		for j, x := range tr.tree.recipients(step, nil) {
			c, err := g.now.suite.encryptWithLabel(tr.tree.node(x).encryptionKey(), "UpdatePathNode", tr.context.Bytes(), make([]byte, 32))
			w.check(err)
			path.nodes[k].secrets[j] = c
		}
	}
	msg := w.seal(0, &commit{path: path}, make([]byte, 32))
	if _, err := w.clients[1].g.Stage(msg); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "path secret doesn't match") {
		t.Fatal(err)
	}
}

// A SenderOpener is bounded, and takes secrets of the suite only.
func TestSenderOpenerBounds(t *testing.T) {
	w := trio(t, testConfig())
	g := w.clients[0].g
	ratchet, data, err := g.SenderSecrets(1, 2)
	w.check(err)
	context, key := g.Context().Bytes(), g.Leaf(2).SignatureKey
	for why, f := range map[string]func() (*SenderOpener, error){
		"of suite":   func() (*SenderOpener, error) { return NewSenderOpener(1, ratchet, data, 2, context, key) },
		"secrets of": func() (*SenderOpener, error) { return NewSenderOpener(w.suite, ratchet[1:], data, 2, context, key) },
	} {
		if _, err := f(); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, want %q", err, why)
		}
	}
	a := g.frame(true, framedContent{kind: contentApplication, application: []byte("x")})
	w.check(a.sign(g.now.signer, g.now.contextBytes))
	far := senderData{leaf: 2, generation: maxOpenerGenerations}
	m := g.now.suite.sealPrivate(a, g.now.suite.ratchetKey(ratchet, 0), far, data, 0)
	if _, err := openSender(w.suite, ratchet, data, 2, context, key, marshal(m)); !errors.Is(err, ErrRefused) {
		t.Errorf("generation 2^16: %v", err)
	}
}
