package mls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

// packages makes a new key package of every member but one, by name, for a suite.
func (w *world) packages(cs CipherSuite, but LeafIndex) (kps []*KeyPackage, all map[LeafIndex]newcomer) {
	all = make(map[LeafIndex]newcomer)
	for i, c := range w.clients {
		if i == but {
			continue
		}
		key, err := GenerateSignatureKey(cs)
		w.check(err)
		kp, secrets, err := Client{Credential: Credential{Identity: []byte(c.name)}, Key: key, Lifetime: testLifetime()}.NewKeyPackage(nil)
		w.check(err)
		kps, all[i] = append(kps, kp), newcomer{kp, secrets, key}
	}
	return kps, all
}

// A group ends by ReInit, by value or by reference, and goes on in another suite.
func TestReInit(t *testing.T) {
	for _, byReference := range []bool{false, true} {
		w := trio(t, testConfig())
		next := &ReInit{GroupID: []byte("next"), Suite: P256_AES128GCM_SHA256_P256, Extensions: []Extension{{ExtensionApplicationID, []byte("x")}}}
		if byReference {
			msg, d, err := w.clients[1].g.Propose(Proposal{ReInit: next})
			w.propose(1, msg, d, err)
			w.commit2(0)
		} else {
			w.commit(0, CommitOptions{ReInit: next})
		}
		w.agree()
		for _, i := range []LeafIndex{0, 1, 2} {
			w.clients[i].g = w.clients[i].store.load(w.cfg)
		}
		public, err := ParsePublicGroup(w.cfg, w.public.Marshal())
		w.check(err)
		g := w.clients[2].g
		if e := g.Ended(); e == nil || e.Suite != next.Suite || public.now.reInit == nil || !bytes.Equal(public.Marshal(), w.public.Marshal()) {
			t.Fatal("the ReInit is forgotten")
		}
		remove := LeafIndex(0)
		for what, err := range map[string]error{
			"Protect": second(g.Protect(nil, nil)),
			"Commit":  first(g.Commit(CommitOptions{})),
			"Propose": second(g.Propose(Proposal{Remove: &remove})),
			"Update":  second(g.Propose(Proposal{Update: true})),
			"Branch":  second(g.Branch(w.cfg, Client{Key: g.now.signer}, nil, nil, CommitOptions{})),
		} {
			if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "group was reinitialised") {
				t.Errorf("%s after ReInit: %v", what, err)
			}
		}
		late := w.seal(1, &commit{path: &updatePath{leaf: w.public.Leaf(1)}}, make([]byte, 32))
		w.refused(t, late, ErrInvalid, "after a ReInit")

		kps, all := w.packages(next.Suite, 2)
		key, err := GenerateSignatureKey(next.Suite)
		w.check(err)
		self := Client{Credential: g.Leaf(2).Credential, Key: key, Lifetime: testLifetime()}
		if _, _, err := g.Reinit(w.cfg, self, CommitOptions{Add: kps[:1]}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "successor lacks") {
			t.Errorf("without a member: %v", err)
		}
		successor, c, err := g.Reinit(w.cfg, self, CommitOptions{Add: kps})
		w.check(err)
		_, err = successor.Apply(c.Staged)
		w.check(err)
		for i, n := range all {
			if _, _, err := (Client{Key: n.key}).Join(w.cfg, c.Welcome, n.kp, n.secrets, nil); !errors.Is(err, ErrRefused) {
				t.Errorf("Join: %v", err)
			}
			joined, _, err := w.clients[i].g.JoinSuccessor(w.cfg, Client{Key: n.key}, c.Welcome, n.kp, n.secrets, nil)
			w.check(err)
			if !bytes.Equal(joined.EpochAuthenticator(), successor.EpochAuthenticator()) || string(joined.ID()) != "next" || joined.Suite() != next.Suite {
				t.Fatal("the successor is another group")
			}
		}
	}
}

// Some of a group begin one of their own, and may name an older epoch of the first.
func TestBranch(t *testing.T) {
	cfg := testConfig()
	cfg.MaxResumptionPSKs = 2
	w := trio(t, cfg)
	g := w.clients[1].g
	kps, all := w.packages(w.suite, 1)
	kps = slices.DeleteFunc(kps, func(k *KeyPackage) bool { return k == all[2].kp })
	key, err := GenerateSignatureKey(w.suite)
	w.check(err)
	self := Client{Credential: g.Leaf(1).Credential, Key: key, Lifetime: testLifetime()}
	branch, c, err := g.Branch(cfg, self, []byte("branch"), nil, CommitOptions{Add: kps})
	w.check(err)
	_, err = branch.Apply(c.Staged)
	w.check(err)
	w.commit(0, CommitOptions{}) // the first group goes on before the Welcome arrives
	n := all[0]
	joined, _, err := w.clients[0].g.JoinSuccessor(cfg, Client{Key: n.key}, c.Welcome, n.kp, n.secrets, nil)
	w.check(err)
	if !bytes.Equal(joined.EpochAuthenticator(), branch.EpochAuthenticator()) {
		t.Fatal("the branch is another group")
	}
	other := trio(t, cfg)
	if _, _, err := other.clients[0].g.JoinSuccessor(cfg, Client{Key: n.key}, c.Welcome, n.kp, n.secrets, nil); err == nil {
		t.Error("a branch of another group of the same name is joined")
	}
	if _, _, err := g.Branch(cfg, self, []byte("branch"), nil, CommitOptions{Add: []*KeyPackage{w.newcomer().kp}}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "not in this group") {
		t.Errorf("branch with a stranger: %v", err)
	}
	if _, _, err := g.Reinit(cfg, self, CommitOptions{Add: kps}); !errors.Is(err, ErrRefused) {
		t.Errorf("Reinit of a group that goes on: %v", err)
	}
}

// TestSuccessorRules breaks the rules of RFC 9420 11.2 and 11.3 about who joins what.
func TestSuccessorRules(t *testing.T) {
	w := trio(t, testConfig())
	g := w.clients[0].g
	plain := w.newcomer()
	p := w.commit(1, CommitOptions{}, plain)
	if _, _, err := g.JoinSuccessor(w.cfg, (Client{Key: plain.key}), p.Welcome, plain.kp, plain.secrets, nil); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "without the resumption PSK") {
		t.Errorf("a Welcome to this very group: %v", err)
	}
	good := GroupContext{Version: 1, Suite: w.suite, GroupID: []byte("next"), Epoch: 1}
	end := &reInit{[]byte("next"), 1, w.suite, nil}
	for _, c := range []struct {
		reInit *reInit
		change func(*GroupContext)
		why    string
	}{
		{nil, func(*GroupContext) {}, ""},
		{end, func(*GroupContext) {}, ""},
		{nil, func(c *GroupContext) { c.Epoch = 2 }, "successor in epoch"},
		{nil, func(c *GroupContext) { c.Suite = 1 }, "branch of suite"},
		{end, func(c *GroupContext) { c.Suite = 1 }, "not what the ReInit says"},
		{end, func(c *GroupContext) { c.GroupID = []byte("other") }, "not what the ReInit says"},
		{end, func(c *GroupContext) { c.Extensions = []Extension{{Type: 1}} }, "not what the ReInit says"},
		{end, func(c *GroupContext) { c.Version = 2 }, "not what the ReInit says"},
	} {
		context := good
		c.change(&context)
		g.now.reInit = c.reInit
		err := g.verifyContext(&context)
		if (c.why == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.why) {
			t.Errorf("error %v, want %q", err, c.why)
		}
	}
	g.now.reInit = nil
	cfg := w.cfg
	cfg.parent = g
	for _, id := range []pskID{
		{kind: pskResumption, usage: usageBranch, groupID: []byte("other"), epoch: 1},
		{kind: pskResumption, usage: usageReInit, groupID: g.ID(), epoch: g.Epoch()},
	} {
		if _, err := cfg.lookupPSK(id); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "another group or epoch") {
			t.Errorf("PSK %+v: %v", id, err)
		}
	}
}

// A member changes its signature key and credential by a commit; Config.Replaces
// decides, and a restart in the middle changes nothing.
func TestNewSignatureKey(t *testing.T) {
	cfg := testConfig()
	cfg.ExternalCommits = true
	var replaced []string
	var refuse error
	cfg.Replaces = func(before, after *LeafNode) error {
		replaced = append(replaced, string(before.Credential.Identity)+">"+string(after.Credential.Identity))
		return refuse
	}
	w := trio(t, cfg)
	key, err := GenerateSignatureKey(w.suite)
	w.check(err)
	cred := Credential{Identity: []byte("renamed")}
	c := w.clients[2]
	p, err := c.g.Commit(CommitOptions{SignatureKey: key, Credential: &cred})
	w.check(err)
	c.store.apply(p.Delta)
	c.g = c.store.load(cfg)
	replaced, refuse = nil, errors.New("no such marriage")
	w.refused(t, p.Message, ErrInvalid, "successor of a leaf: no such marriage")
	refuse = nil
	c.name = "renamed"
	w.deliver(p.Message)
	w.agree()
	w.say(2, "under a new key")
	w.commit(2, CommitOptions{}, w.newcomer())
	if !slices.Contains(replaced, "client 3>renamed") {
		t.Fatalf("asked about %v", replaced)
	}
	msg, d, err := w.clients[1].g.Propose(Proposal{Update: true})
	refuse = errors.New("no update")
	w.check(err)
	if err := w.public.HandleProposal(msg); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "no update") {
		t.Errorf("update: %v", err)
	}
	refuse = nil
	w.propose(1, msg, d, nil)
	info := must(w.clients[0].g.GroupInfo(nil, true))(t)
	old := LeafIndex(1)
	refuse = errors.New("not the same person")
	stranger, name := w.identity()
	_, msg, err = Client{Credential: name, Key: stranger}.JoinExternal(testConfig(), info, nil, CommitOptions{Remove: []LeafIndex{old}})
	w.check(err)
	w.refused(t, msg, ErrInvalid, "not the same person")
	other, err := GenerateSignatureKey(P256_AES128GCM_SHA256_P256)
	w.check(err)
	if _, err := c.g.Commit(CommitOptions{SignatureKey: other}); !errors.Is(err, ErrInvalid) {
		t.Errorf("key of another suite: %v", err)
	}
}

// Own proposals come back from the delivery service and change nothing.
func TestOwnProposalsEchoed(t *testing.T) {
	for _, private := range []bool{false, true} {
		w := trio(t, testConfig())
		c := w.clients[0]
		msg, d, err := c.g.Propose(Proposal{Remove: new(LeafIndex(2)), Private: private})
		w.check(err)
		c.store.apply(d)
		for range 2 {
			d, err := c.g.HandleProposal(msg)
			w.check(err)
			c.store.apply(d)
			c.store.same(c.g)
		}
		if len(c.g.proposals) != 1 {
			t.Fatalf("%d proposals", len(c.g.proposals))
		}
	}
}

// X.509 chains go to the application as they are, which verifies them.
func TestX509(t *testing.T) {
	root := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: testNow.Add(-time.Hour), NotAfter: testNow.Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	rootDER := must(x509.CreateCertificate(rand.Reader, authority, authority, &root.PublicKey, root))(t)
	pool := x509.NewCertPool()
	pool.AddCert(must(x509.ParseCertificate(rootDER))(t))
	issue := func(name string, key *SignatureKey, by *ecdsa.PrivateKey) Credential {
		leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: authority.NotBefore, NotAfter: authority.NotAfter}
		return Credential{Certificates: [][]byte{must(x509.CreateCertificate(rand.Reader, leaf, authority, &key.ec.PublicKey, by))(t), rootDER}}
	}
	cfg := testConfig()
	cfg.Authenticate = func(l *LeafNode) error {
		if len(l.Credential.Certificates) == 0 {
			return errors.New("no certificate")
		}
		c, err := x509.ParseCertificate(l.Credential.Certificates[0])
		if err != nil {
			return err
		}
		public, err := c.PublicKey.(*ecdsa.PublicKey).Bytes()
		if err != nil || !bytes.Equal(public, l.SignatureKey) {
			return errors.New("certificate of another key")
		}
		_, err = c.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: testNow, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		return err
	}
	const cs = P256_AES128GCM_SHA256_P256
	w := &world{t: t, suite: cs}
	alice, _ := w.identity()
	bob, _ := w.identity()
	eve, _ := w.identity()
	g := must(Client{Credential: issue("alice", alice, root), Key: alice, Lifetime: testLifetime()}.NewGroup(cfg, []byte("x509"), nil))(t)
	kp, secrets, err := Client{Credential: issue("bob", bob, root), Key: bob, Lifetime: testLifetime()}.NewKeyPackage(nil)
	w.check(err)
	p := must(g.Commit(CommitOptions{Add: []*KeyPackage{kp}}))(t)
	joined, _, err := Client{Key: bob}.Join(cfg, p.Welcome, kp, secrets, nil)
	w.check(err)
	if !bytes.Equal(joined.EpochAuthenticator(), p.Staged.next.secrets.authentication) {
		t.Fatal("members disagree")
	}
	g.DropPending()
	for what, cred := range map[string]Credential{
		"self-made":   issue("eve", eve, eve.ec),
		"another key": issue("bob", bob, root),
		"basic":       Credential{Identity: []byte("bob")},
	} {
		kp, _, err := Client{Credential: cred, Key: eve, Lifetime: testLifetime()}.NewKeyPackage(nil)
		w.check(err)
		if _, err := g.Commit(CommitOptions{Add: []*KeyPackage{kp}}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A chain without a certificate is no credential, and must not be taken for a basic one.
func TestX509NeedsACertificate(t *testing.T) {
	var w writer
	w.uint16(credentialX509)
	w.opaque(nil)
	if c, err := parse(w.buf, decodeCredential); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "without a certificate") {
		t.Fatalf("%+v, %v", c, err)
	}
}

// GREASE goes out when asked for, and does not disturb anybody.
func TestGREASE(t *testing.T) {
	w := newWorld(t, X25519_AES128GCM_SHA256_Ed25519, testConfig())
	key, cred := w.identity()
	kp, secrets, err := Client{Credential: cred, Key: key, Lifetime: testLifetime(), GREASE: true}.NewKeyPackage(nil)
	w.check(err)
	c := kp.Leaf.Capabilities
	if !slices.ContainsFunc(c.Suites, CipherSuite.isGREASE) || len(c.Proposals) != 1 || len(c.Credentials) != 2 || len(c.Extensions) != 1 || len(kp.Leaf.Extensions) != 1 {
		t.Fatalf("capabilities %+v", c)
	}
	w.commit(0, CommitOptions{}, newcomer{kp, secrets, key})
	w.commit(1, CommitOptions{}, w.newcomer())
	w.say(1, "with GREASE")
	for v := range 1 << 16 {
		if want := v>>8 == v&0xff && v&0xf == 0xa && v>>12 < 0xf; isGREASE(uint16(v)) != want {
			t.Fatalf("%#04x", v)
		}
	}
	for range 100 {
		if !isGREASE(randomGREASE()) {
			t.Fatal("random GREASE is none")
		}
	}
}

// A peer's code point for a suite of this package.
func TestAssignCodePoint(t *testing.T) {
	const code CipherSuite = 0xF7F1
	if code.Supported() {
		t.Fatal("supported before it is assigned")
	}
	for range 2 {
		if err := XWING_AES256GCM_SHA512_Ed25519.AssignCodePoint(code); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t, code, testConfig())
	w.commit(0, CommitOptions{}, w.newcomer())
	w.say(1, "under another number")
	w.clients[1].g = w.clients[1].store.load(w.cfg)
	if w.clients[1].g.Suite() != code {
		t.Fatal("suite")
	}
	for _, c := range []struct {
		code, cs CipherSuite
		err      error
	}{
		{code, XWING_CHACHA20POLY1305_SHA512_Ed25519, ErrRefused},
		{6, XWING_AES256GCM_SHA512_Ed25519, ErrRefused},
		{MLKEM768_AES256GCM_SHA384_P256, XWING_AES256GCM_SHA512_Ed25519, ErrRefused},
		{0x1a1a, XWING_AES256GCM_SHA512_Ed25519, ErrRefused},
		{0xF7F2, 0xF7F3, ErrUnsupported},
	} {
		if err := c.cs.AssignCodePoint(c.code); !errors.Is(err, c.err) {
			t.Errorf("%#04x for %#04x: %v", uint16(c.code), uint16(c.cs), err)
		}
	}
}
