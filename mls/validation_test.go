package mls

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "25"); err != nil { // more from the command line
		panic(err)
	}
	flag.Parse()
	os.Exit(m.Run())
}

// seal lets a dishonest member sign and frame whatever content it likes, with a
// membership tag that is right.
func (w *world) seal(i LeafIndex, c *commit, tag []byte) []byte {
	g := w.clients[i].g
	a := g.frame(false, framedContent{kind: contentCommit, commit: c})
	w.check(a.sign(g.now.signer, g.now.contextBytes))
	a.auth.confirmationTag = tag
	return marshal(g.now.suite.protectPublic(g.now.secrets.membership, a, g.now.contextBytes))
}

// refused checks that members and the public group refuse msg, and for what reason.
func (w *world) refused(t *testing.T, msg []byte, kind error, why string) {
	t.Helper()
	_, public := w.public.Stage(msg)
	_, member := w.clients[1].g.Stage(msg)
	for _, err := range []error{public, member} {
		if !errors.Is(err, kind) || !strings.Contains(err.Error(), why) {
			t.Errorf("error %v, want %v with %q", err, kind, why)
		}
	}
}

func byValue(list ...*proposal) *commit {
	c := new(commit)
	for _, p := range list {
		c.proposals = append(c.proposals, proposalOrRef{proposal: p})
	}
	return c
}

// TestProposalListRules breaks the rules of RFC 9420 12.1, 12.2, 10.1 and 7.3 one by
// one, by a member (leaf 0) whose signatures and tags are right.
func TestProposalListRules(t *testing.T) {
	w := trio(t, testConfig())
	nonce := make([]byte, 32)
	psk := &proposal{kind: proposalPSK, psk: pskID{kind: pskExternal, id: []byte("external"), nonce: nonce}}
	gce := func(list ...Extension) *proposal {
		return &proposal{kind: proposalGroupContextExtensions, extensions: list}
	}
	remove := func(i LeafIndex) *proposal { return &proposal{kind: proposalRemove, remove: i} }
	add := func(change func(*newcomer)) *proposal {
		n := w.newcomer()
		change(&n)
		w.check(n.kp.Leaf.sign(n.key, nil, 0))
		var err error
		n.kp.signature, err = n.key.sign("KeyPackageTBS", n.kp.tbs())
		w.check(err)
		return &proposal{kind: proposalAdd, add: n.kp}
	}
	same := w.newcomer().kp
	member := &KeyPackage{Suite: w.suite, InitKey: w.newcomer().kp.InitKey, Leaf: w.public.Leaf(0)}
	signed := func(p *proposal, change func(*KeyPackage)) *proposal { change(p.add); return p }
	honest := func(*newcomer) {}

	for _, c := range []struct {
		name   string
		commit *commit
		why    string
	}{
		{"12.4 empty without path", byValue(), "needs a path"},
		{"12.4 remove without path", byValue(remove(2)), "needs a path"},
		{"12.4 extensions without path", byValue(gce()), "needs a path"},
		{"12.4.2 unknown reference", &commit{proposals: []proposalOrRef{{ref: nonce}}}, "not received"},
		{"12.2 committer removes itself", byValue(remove(0)), "committer updates or removes itself"},
		{"12.2 committer updates itself", byValue(&proposal{kind: proposalUpdate, update: w.public.Leaf(0)}), "committer updates or removes itself"},
		{"12.2 removed twice", byValue(remove(2), remove(2)), "updated or removed twice"},
		{"12.2 two GroupContextExtensions", byValue(gce(), gce()), "two GroupContextExtensions"},
		{"12.2 ExternalInit", byValue(&proposal{kind: proposalExternalInit, kemOutput: nonce}), "ExternalInit"},
		{"12.2 PSK twice", byValue(psk, psk), "PSK proposed twice"},
		{"12.2 ReInit beside others", byValue(psk, &proposal{kind: proposalReInit, reInit: reInit{version: 1}}), "ReInit beside"},
		{"12.1.5 version", byValue(&proposal{kind: proposalReInit, reInit: reInit{version: 0}}), "ReInit to version"},
		{"12.2 client twice", byValue(&proposal{kind: proposalAdd, add: same}, &proposal{kind: proposalAdd, add: same}), "occurs twice"},
		{"12.1.3 blank leaf", byValue(remove(3)), "blank leaf"},
		{"12.1.3 no leaf", byValue(remove(1 << 31)), "blank leaf"},
		{"8.4 nonce", byValue(&proposal{kind: proposalPSK, psk: pskID{kind: pskExternal, id: []byte("external"), nonce: nonce[1:]}}), "PSK nonce"},
		{"12.1.4 usage", byValue(&proposal{kind: proposalPSK, psk: pskID{kind: pskResumption, usage: usageBranch, nonce: nonce}}), "usage"},
		{"12.1.7 unsupported extension", &commit{proposals: byValue(gce(Extension{Type: 0xf123})).proposals, path: w.path(0)}, "lacks group extension"},
		{"11.1 required capability", &commit{proposals: byValue(gce(Capabilities{Extensions: []ExtensionType{0xf123}}.Required())).proposals, path: w.path(0)}, "required extension"},
		{"11.1 required proposal", &commit{proposals: byValue(gce(Capabilities{Proposals: []uint16{0xf123}}.Required())).proposals, path: w.path(0)}, "required proposal"},
		{"11.1 required credential", &commit{proposals: byValue(gce(Capabilities{Credentials: []uint16{0xf123}}.Required())).proposals, path: w.path(0)}, "required credential"},
		{"10.1 leaf source", byValue(&proposal{kind: proposalAdd, add: member}), "leaf node source"},
		{"10.1 suite", byValue(signed(add(honest), func(k *KeyPackage) { k.Suite = 1 })), "key package of suite"},
		{"10.1 signature", byValue(signed(add(honest), func(k *KeyPackage) { k.signature[0] ^= 1 })), "key package signature"},
		{"7.3 leaf signature", byValue(signed(add(honest), func(k *KeyPackage) { k.Leaf.signature[0] ^= 1 })), "leaf node signature"},
		{"10.1 init key", byValue(add(func(n *newcomer) { n.kp.InitKey = n.kp.Leaf.EncryptionKey })), "init key equals"},
		{"10.1 init key malformed", byValue(add(func(n *newcomer) { n.kp.InitKey = n.kp.InitKey[1:] })), "HPKE public key"},
		{"7.3 expired", byValue(add(func(n *newcomer) { n.kp.Leaf.Lifetime.NotAfter = uint64(testNow.Unix()) - 1 })), "lifetime"},
		{"7.3 not yet valid", byValue(add(func(n *newcomer) { n.kp.Leaf.Lifetime.NotBefore = uint64(testNow.Unix()) + 1 })), "lifetime"},
		{"7.2 suite not supported", byValue(add(func(n *newcomer) { n.kp.Leaf.Capabilities.Suites = nil })), "version or cipher suite"},
		{"7.2 version not supported", byValue(add(func(n *newcomer) { n.kp.Leaf.Capabilities.Versions = nil })), "version or cipher suite"},
		{"7.2 own credential", byValue(add(func(n *newcomer) { n.kp.Leaf.Capabilities.Credentials = []uint16{2} })), "own credential type"},
		{"7.3 others' credential", byValue(add(func(n *newcomer) {
			n.kp.Leaf.Credential = Credential{Certificates: [][]byte{{1}}}
			n.kp.Leaf.Capabilities.Credentials = []uint16{1, 2}
		})), "lacks credential type"},
		{"7.3 extension not listed", byValue(add(func(n *newcomer) { n.kp.Leaf.Extensions = []Extension{{Type: 0xf123}} })), "not in its capabilities"},
		{"7.3 signature key of a member", byValue(add(func(n *newcomer) {
			n.key = w.clients[2].g.now.signer
			n.kp.Leaf.SignatureKey = n.key.public
		})), "signature key of leaf"},
		{"7.3 encryption key of a member", byValue(add(func(n *newcomer) {
			n.kp.Leaf.EncryptionKey = w.public.Leaf(2).EncryptionKey
		})), "encryption key of node"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.refused(t, w.seal(0, c.commit, nonce), ErrInvalid, c.why)
		})
	}
}

// path makes an honest path of member i for a commit without proposals.
func (w *world) path(i LeafIndex) *updatePath {
	p, err := w.clients[i].g.Commit(CommitOptions{})
	w.check(err)
	w.clients[i].g.DropPending()
	return p.content.content.commit.path
}

// TestPathRules breaks the rules of RFC 9420 7.5, 7.9 and 12.4.2 about paths.
func TestPathRules(t *testing.T) {
	w := grown(t)
	g := w.clients[0].g
	resign := func(p *updatePath) { w.check(p.leaf.sign(g.now.signer, g.ID(), 0)) }
	for _, c := range []struct {
		name   string
		change func(*updatePath)
		why    string
	}{
		{"7.6 node missing", func(p *updatePath) { p.nodes = p.nodes[1:] }, "path of"},
		{"7.6 node too many", func(p *updatePath) { p.nodes = append(p.nodes, p.nodes[0]) }, "path of"},
		{"7.6 ciphertext missing", func(p *updatePath) { p.nodes[0].secrets = nil }, "ciphertexts"},
		{"7.6 ciphertext too many", func(p *updatePath) { p.nodes[1].secrets = append(p.nodes[1].secrets, hpkeCiphertext{}) }, "ciphertexts"},
		{"12.4.2 node key in use", func(p *updatePath) { p.nodes[1].encryptionKey = w.public.Leaf(4).EncryptionKey }, "key of path node"},
		{"12.4.2 leaf key kept", func(p *updatePath) { p.leaf.EncryptionKey = w.public.Leaf(0).EncryptionKey; resign(p) }, "leaf key of the path is in use"},
		{"7.9.2 parent hash", func(p *updatePath) { p.leaf.parentHash[0] ^= 1; resign(p) }, "parent hash of the path"},
		{"7.9.2 other node key", func(p *updatePath) { p.nodes[0].encryptionKey = w.newcomer().kp.InitKey }, "parent hash"},
		{"7.3 signature", func(p *updatePath) { p.leaf.signature[0] ^= 1 }, "leaf node signature"},
		{"7.3 signed for another leaf", func(p *updatePath) { w.check(p.leaf.sign(g.now.signer, g.ID(), 1)) }, "leaf node signature"},
		{"7.3 signed for another group", func(p *updatePath) { w.check(p.leaf.sign(g.now.signer, []byte("other"), 0)) }, "leaf node signature"},
		{"12.4.2 source", func(p *updatePath) { p.leaf.source = sourceUpdate; resign(p) }, "leaf node source"},
		{"9180 node key malformed", func(p *updatePath) { p.nodes[0].encryptionKey = []byte{1} }, "HPKE public key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := w.path(0)
			c.change(path)
			w.refused(t, w.seal(0, &commit{path: path}, make([]byte, 32)), ErrInvalid, c.why)
		})
	}
	for _, c := range []struct {
		name   string
		change func(*updatePath)
		why    string
	}{
		{"12.4.2 wrong confirmation tag", func(*updatePath) {}, "confirmation tag"},
		{"12.4.2 path secret of another key", func(p *updatePath) {
			for k, n := range p.nodes {
				for j := range n.secrets {
					p.nodes[k].secrets[j] = hpkeCiphertext{make([]byte, 32), make([]byte, 48)}
				}
			}
		}, "HPKE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := w.path(0)
			c.change(path)
			msg := w.seal(0, &commit{path: path}, make([]byte, 32))
			if _, err := w.clients[1].g.Stage(msg); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.why) {
				t.Fatalf("error %v, want %q", err, c.why)
			}
		})
	}
}

// TestUpdateRules breaks the rules of RFC 9420 12.1.2 and 7.3 about Update proposals.
func TestUpdateRules(t *testing.T) {
	w := trio(t, testConfig())
	g := w.clients[2].g
	for _, c := range []struct {
		name   string
		change func(*LeafNode)
		why    string
	}{
		{"7.3 key kept", func(l *LeafNode) { l.EncryptionKey = w.public.Leaf(2).EncryptionKey }, "keeps the encryption key"},
		{"12.1.2 source", func(l *LeafNode) { l.source = sourceCommit }, "leaf node source"},
		{"7.2 version", func(l *LeafNode) { l.Capabilities.Versions = []uint16{2} }, "version or cipher suite"},
	} {
		t.Run(c.name, func(t *testing.T) {
			leaf := g.Leaf(2).renewed(sourceUpdate, w.newcomer().kp.InitKey, nil)
			c.change(leaf)
			w.check(leaf.sign(g.now.signer, g.ID(), 2))
			a := g.frame(false, framedContent{kind: contentProposal, proposal: &proposal{kind: proposalUpdate, update: leaf}})
			w.check(a.sign(g.now.signer, g.now.contextBytes))
			msg := marshal(g.now.suite.protectPublic(g.now.secrets.membership, a, g.now.contextBytes))
			_, member := w.clients[1].g.HandleProposal(msg)
			for _, err := range []error{member, w.public.HandleProposal(msg)} {
				if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.why) {
					t.Errorf("error %v, want %q", err, c.why)
				}
			}
		})
	}
}

// The application's word keeps a leaf out, wherever it would enter a tree.
func TestAuthenticatorDecides(t *testing.T) {
	var banned string
	cfg := testConfig()
	cfg.Authenticate = func(l *LeafNode) error {
		if string(l.Credential.Identity) == banned {
			return errors.New("banned")
		}
		return nil
	}
	w := newWorld(t, X25519_CHACHA20POLY1305_SHA256_Ed25519, cfg)
	w.commit(0, CommitOptions{}, w.newcomer(), w.newcomer())
	n := w.newcomer()
	add, err := w.clients[0].g.Commit(CommitOptions{Add: []*KeyPackage{n.kp}})
	w.check(err)
	w.clients[0].g.DropPending()
	update, _, err := w.clients[2].g.Propose(Proposal{Update: true})
	w.check(err)
	path := w.seal(2, &commit{path: w.path(2)}, make([]byte, 32))
	info, err := w.clients[0].g.GroupInfo(nil, true)
	w.check(err)

	banned = string(n.kp.Leaf.Credential.Identity)
	w.refused(t, add.Message, ErrInvalid, "banned")
	if _, err := w.clients[0].g.Commit(CommitOptions{Add: []*KeyPackage{n.kp}}); !errors.Is(err, ErrInvalid) {
		t.Fatalf("own commit: %v", err)
	}
	banned = w.clients[2].name
	w.refused(t, path, ErrInvalid, "banned")
	if _, err := w.clients[1].g.HandleProposal(update); !errors.Is(err, ErrInvalid) {
		t.Fatalf("update: %v", err)
	}
	if _, _, err := (Client{Key: n.key}).Join(cfg, add.Welcome, n.kp, n.secrets, nil); !errors.Is(err, ErrInvalid) {
		t.Fatalf("join: %v", err)
	}
	if _, err := NewPublicGroup(cfg, info, nil); !errors.Is(err, ErrInvalid) {
		t.Fatalf("public group: %v", err)
	}
	for _, cfg := range []Config{{Now: cfg.Now}, {Authenticate: acceptAll}} {
		if _, err := (Client{Credential: Credential{}, Key: n.key}).NewGroup(cfg, nil, nil); !errors.Is(err, ErrRefused) {
			t.Fatalf("incomplete Config: %v", err)
		}
	}
}

// Proposals and commits from outside are refused unless Config asks for them.
func TestOutsidersAreRefused(t *testing.T) {
	outsider := must(GenerateSignatureKey(X25519_CHACHA20POLY1305_SHA256_Ed25519))(t)
	listed := []Extension{ExternalSenders([]ExternalSender{{outsider.Public(), Credential{Identity: []byte("server")}}})}
	for _, allowed := range []bool{false, true} {
		cfg := testConfig()
		cfg.ExternalProposals, cfg.ExternalCommits = allowed, allowed
		w := &world{t: t, cfg: cfg, suite: outsider.Suite(), clients: make(map[LeafIndex]*client)}
		key, cred := w.identity()
		g := must(Client{Credential: cred, Key: key}.NewGroup(cfg, []byte("group"), listed))(t)
		n := w.newcomer()
		send := func(from sender, key *SignatureKey, c framedContent) error {
			c.groupID, c.epoch, c.sender = g.ID(), g.Epoch(), from
			a := &authenticatedContent{format: wirePublicMessage, content: c}
			w.check(a.sign(key, g.now.contextBytes))
			msg := marshal(g.now.suite.protectPublic(nil, a, nil))
			if c.kind == contentCommit {
				_, err := g.Stage(msg)
				return err
			}
			_, err := g.HandleProposal(msg)
			return err
		}
		add := framedContent{kind: contentProposal, proposal: &proposal{kind: proposalAdd, add: n.kp}}
		for _, err := range []error{
			send(sender{senderExternal, 0}, outsider, add),
			send(sender{kind: senderNewMemberProposal}, n.key, add),
		} {
			if allowed && err != nil || !allowed && !errors.Is(err, ErrRefused) {
				t.Errorf("proposal, allowed %v: %v", allowed, err)
			}
		}
		c := &commit{path: &updatePath{leaf: n.kp.Leaf}}
		err := send(sender{kind: senderNewMemberCommit}, n.key, framedContent{kind: contentCommit, commit: c})
		if want := map[bool]error{false: ErrRefused, true: ErrInvalid}[allowed]; !errors.Is(err, want) {
			t.Errorf("external commit, allowed %v: %v", allowed, err)
		}
		if !allowed {
			continue
		}
		for why, err := range map[string]error{
			"external sender 1 is not listed":                      send(sender{senderExternal, 1}, outsider, add),
			"message signature":                                    send(sender{senderExternal, 0}, n.key, add),
			"external sender proposes type":                        send(sender{senderExternal, 0}, outsider, framedContent{kind: contentProposal, proposal: &proposal{kind: proposalExternalInit}}),
			"external sender sends something else than a proposal": send(sender{senderExternal, 0}, outsider, framedContent{kind: contentCommit, commit: c}),
			"new member sends something else than Add":             send(sender{kind: senderNewMemberProposal}, n.key, framedContent{kind: contentProposal, proposal: &proposal{kind: proposalRemove}}),
		} {
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), why) {
				t.Errorf("error %v, want %q", err, why)
			}
		}
	}
}

// TestTreeRules breaks the rules of RFC 9420 12.4.3.1 about a whole tree.
func TestTreeRules(t *testing.T) {
	w := grown(t)
	good := w.public.now.tree
	var parents, unmerged []nodeIndex
	for x := range good.size() {
		n := good.node(nodeIndex(x))
		if n.parent != nil {
			parents = append(parents, nodeIndex(x))
			if len(n.parent.unmerged) > 0 {
				unmerged = append(unmerged, nodeIndex(x))
			}
		}
	}
	if len(parents) < 3 || len(unmerged) == 0 {
		t.Fatalf("a poor tree: parents %v, unmerged %v", parents, unmerged)
	}
	parent := func(x nodeIndex, change func(*parentNode)) func(*ratchetTree) {
		return func(t *ratchetTree) {
			p := *t.node(x).parent
			p.unmerged, p.parentHash = slices.Clone(p.unmerged), bytes.Clone(p.parentHash)
			change(&p)
			t.set(x, treeNode{parent: &p})
		}
	}
	for _, c := range []struct {
		name   string
		change func(*ratchetTree)
		why    string
	}{
		{"7.9.2 parent key", parent(parents[0], func(p *parentNode) { p.encryptionKey = w.newcomer().kp.InitKey }), "parent-hash"},
		{"7.9.2 parent hash", parent(parents[0], func(p *parentNode) { p.parentHash = make([]byte, 32) }), "parent-hash"},
		{"7.9.2 unmerged leaf hidden", parent(unmerged[0], func(p *parentNode) { p.unmerged = nil }), ""},
		{"7.1 unmerged not ascending", parent(unmerged[0], func(p *parentNode) { p.unmerged = append(p.unmerged, p.unmerged[0]) }), "ascending"},
		{"12.4.3.1 unmerged elsewhere", parent(parents[0], func(p *parentNode) { p.unmerged = []LeafIndex{8} }), "is not a member below node"},
		{"12.4.3.1 unmerged blank", parent(good.root(), func(p *parentNode) { p.unmerged = []LeafIndex{6} }), "unmerged leaf 6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := good.clone()
			c.change(tree)
			context := w.public.Context()
			context.TreeHash = tree.rootHash()
			err := tree.verify(&context, acceptAll)
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.why) {
				t.Errorf("error %v, want %q", err, c.why)
			}
		})
	}
	leaf := *good.leaf(0)
	leaf.signature = make([]byte, 64)
	alone := newTree(good.suite, &leaf)
	context := w.public.Context()
	context.TreeHash = alone.rootHash()
	if err := alone.verify(&context, acceptAll); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "leaf node signature") {
		t.Errorf("leaf signature: %v", err)
	}
	context.TreeHash = make([]byte, 32)
	if err := good.verify(&context, acceptAll); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "tree hash differs") {
		t.Errorf("another tree hash: %v", err)
	}
	blank, leafNode := treeNode{}, treeNode{leaf: good.leaf(0)}
	for why, nodes := range map[string][]treeNode{
		"ends in a blank node": {leafNode, blank},
		"has the wrong type":   {leafNode, leafNode},
	} {
		var w writer
		encodeAll(&w, nodes)
		if _, err := parseTree(good.suite, w.buf); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), why) {
			t.Errorf("error %v, want %q", err, why)
		}
	}
}

// A leaf that is unmerged at a node is unmerged at those below it too, down to itself.
func TestUnmergedAllTheWay(t *testing.T) {
	g := newWarmGroup(t, X25519_AES128GCM_SHA256_Ed25519, 7)
	tree := g.tree.clone()
	key := must(GenerateSignatureKey(tree.suite.id))(t)
	leaf := Client{Credential: Credential{Identity: []byte("x")}, Key: key}.leaf(must(tree.suite.generateHPKEKey())(t).public)
	must(0, leaf.sign(key, nil, 0))(t)
	if i := tree.addLeaf(leaf); i != 7 {
		t.Fatal(i)
	}
	context := g.epoch(0).context
	context.TreeHash = tree.rootHash()
	must(0, tree.verify(&context, acceptAll))(t)
	middle := LeafIndex(7).node().parent().parent()
	p := *tree.node(middle).parent
	p.unmerged = nil
	tree.set(middle, treeNode{parent: &p})
	context.TreeHash = tree.rootHash()
	if err := tree.verify(&context, acceptAll); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "but not below it") {
		t.Error(err)
	}
}

func TestLifetime(t *testing.T) {
	l := Lifetime{10, 20}
	for s, want := range map[int64]bool{-1: false, 9: false, 10: true, 20: true, 21: false} {
		if l.contains(time.Unix(s, 0)) != want {
			t.Errorf("%d seconds: %v", s, !want)
		}
	}
}

// Messages of another group are told apart before any key is tried.
func TestOtherGroup(t *testing.T) {
	w, other := trio(t, testConfig()), trio(t, testConfig())
	context := other.clients[0].g.now.context
	context.GroupID = []byte("other")
	other.clients[0].g.now.context = context
	msg := other.seal(0, &commit{path: other.path(0)}, make([]byte, 32))
	w.refused(t, msg, ErrInvalid, "message of another group")
	if _, _, err := w.clients[1].g.Unprotect(protect(t, other.clients[0], "x")); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "another group") {
		t.Fatalf("message: %v", err)
	}
}

// An Update stands for its sender's leaf, so its sender must have one (RFC 9420 12.1.2).
func TestUpdateNeedsAMember(t *testing.T) {
	w := trio(t, testConfig())
	leaf := w.public.Leaf(2).renewed(sourceUpdate, w.newcomer().kp.InitKey, nil)
	for _, from := range []sender{{senderExternal, 2}, {senderMember, 3}, {kind: senderNewMemberCommit}} {
		err := w.public.now.verifyProposal(&w.cfg, queuedProposal{proposal: &proposal{kind: proposalUpdate, update: leaf}, sender: from})
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "no member") {
			t.Errorf("Update from %v: %v", from, err)
		}
	}
}

// What a member may not send at all, though its signature and tag are right.
func TestMessagesOfTheWrongKind(t *testing.T) {
	w := trio(t, testConfig())
	g := w.clients[0].g
	for _, c := range []struct {
		content framedContent
		why     string
	}{
		{framedContent{kind: contentApplication, application: []byte("in the clear")}, "application data in a PublicMessage"}, // 6.2
		{framedContent{kind: contentProposal, proposal: &proposal{kind: proposalExternalInit}}, "ExternalInit by reference"},  // 12.2
	} {
		a := g.frame(false, c.content)
		w.check(a.sign(g.now.signer, g.now.contextBytes))
		msg := marshal(g.now.suite.protectPublic(g.now.secrets.membership, a, g.now.contextBytes))
		_, member := w.clients[1].g.HandleProposal(msg)
		for _, err := range []error{member, w.public.HandleProposal(msg)} {
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.why) {
				t.Errorf("error %v, want %q", err, c.why)
			}
		}
		if _, _, err := w.clients[1].g.Unprotect(msg); !errors.Is(err, ErrInvalid) {
			t.Errorf("Unprotect: %v", err)
		}
	}
}
