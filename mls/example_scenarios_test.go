package mls_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log"
	"math/big"
	"time"

	"writ/mls"
)

// What the examples below share: a suite, a clock, an authentication service that
// accepts everybody, and somebody with a signature key and a key package.

const exampleSuite = mls.X25519_CHACHA20POLY1305_SHA256_Ed25519

var exampleNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func exampleConfig() mls.Config {
	return mls.Config{
		Now:          func() time.Time { return exampleNow },
		Authenticate: func(*mls.LeafNode) error { return nil }, // a real one looks names up
	}
}

// somebody is a client who has published a key package.
type somebody struct {
	mls.Client
	kp      *mls.KeyPackage
	secrets []byte
}

func newClient(name string, suite mls.CipherSuite) somebody {
	key, err := mls.GenerateSignatureKey(suite)
	must(err)
	now := uint64(exampleNow.Unix())
	return published(mls.Client{
		Credential: mls.Credential{Identity: []byte(name)},
		Key:        key,
		Lifetime:   mls.Lifetime{NotBefore: now - 3600, NotAfter: now + 86400},
		GREASE:     true,
	})
}

func published(c mls.Client) somebody {
	kp, secrets, err := c.NewKeyPackage(nil)
	must(err)
	return somebody{c, kp, secrets}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// couple is a group of Alice and Bob in epoch 1.
func couple(config mls.Config, extensions ...mls.Extension) (alice, bob *mls.Group) {
	a, b := newClient("alice", exampleSuite), newClient("bob", exampleSuite)
	alice, err := a.NewGroup(config, []byte("group"), extensions)
	must(err)
	commit, err := alice.Commit(mls.CommitOptions{Add: []*mls.KeyPackage{b.kp}})
	must(err)
	_, err = alice.Apply(commit.Staged)
	must(err)
	bob, _, err = b.Join(config, commit.Welcome, b.kp, b.secrets, nil)
	must(err)
	return alice, bob
}

// follow stages a commit and applies it.
func follow(g *mls.Group, commit []byte) {
	staged, err := g.Stage(commit)
	must(err)
	_, err = g.Apply(staged)
	must(err)
}

// Carol lets herself in, with nothing but a GroupInfo that a member published.
func ExampleClient_JoinExternal() {
	config := exampleConfig()
	config.ExternalCommits = true
	alice, bob := couple(config)
	info, err := alice.GroupInfo(nil, true)
	must(err)

	c := newClient("carol", exampleSuite)
	carol, commit, err := c.JoinExternal(config, info, nil, mls.CommitOptions{})
	must(err)
	follow(alice, commit)
	follow(bob, commit)
	fmt.Printf("carol is leaf %d in epoch %d\n", carol.OwnLeaf(), bob.Epoch())

	// Having lost her state, she comes back in place of her old leaf.
	info, err = bob.GroupInfo(nil, true)
	must(err)
	old := carol.OwnLeaf()
	carol, commit, err = c.JoinExternal(config, info, nil, mls.CommitOptions{Remove: []mls.LeafIndex{old}})
	must(err)
	follow(bob, commit)
	fmt.Printf("and again in epoch %d\n", carol.Epoch())

	// Output:
	// carol is leaf 2 in epoch 2
	// and again in epoch 3
}

// A server that the group lists as external sender proposes to remove Bob, and Carol
// proposes to add herself. Alice commits both.
func ExampleClient_ProposeExternal() {
	config := exampleConfig()
	config.ExternalProposals = true
	server, c := newClient("server", exampleSuite), newClient("carol", exampleSuite)
	alice, _ := couple(config, mls.ExternalSenders([]mls.ExternalSender{{Key: server.Key.Public(), Credential: server.Credential}}))

	bob := mls.LeafIndex(1)
	remove, err := server.ProposeExternal(alice.Context(), mls.Proposal{Remove: &bob})
	must(err)
	join, err := c.ProposeJoin(alice.Context(), c.kp)
	must(err)
	for _, proposal := range [][]byte{remove, join} {
		_, err := alice.HandleProposal(proposal)
		must(err)
	}
	commit, err := alice.Commit(mls.CommitOptions{ByReference: true})
	must(err)
	for _, m := range commit.Staged.Removed {
		fmt.Printf("removed %s\n", m.Leaf.Credential.Identity)
	}
	for _, m := range commit.Staged.Added {
		fmt.Printf("added %s\n", m.Leaf.Credential.Identity)
	}

	// Output:
	// removed bob
	// added carol
}

// Bob proposes new keys for himself; Alice's commit carries them.
func ExampleGroup_Propose() {
	alice, bob := couple(exampleConfig())
	proposal, _, err := bob.Propose(mls.Proposal{Update: true, Private: true})
	must(err)
	_, err = alice.HandleProposal(proposal)
	must(err)
	commit, err := alice.Commit(mls.CommitOptions{ByReference: true, Private: true})
	must(err)
	_, err = alice.Apply(commit.Staged)
	must(err)
	staged, err := bob.Stage(commit.Message)
	must(err)
	fmt.Printf("%d leaves are new in epoch %d\n", len(staged.Updated), staged.Epoch)

	// Output: 2 leaves are new in epoch 2
}

// One commit removes a member, changes the group's extensions, and gives its author
// another signature key.
func ExampleGroup_Commit() {
	config := exampleConfig()
	config.Replaces = func(before, after *mls.LeafNode) error {
		if !bytes.Equal(before.Credential.Identity, after.Credential.Identity) {
			return errors.New("another person")
		}
		return nil
	}
	alice, bob := couple(config)
	key, err := mls.GenerateSignatureKey(exampleSuite)
	must(err)
	commit, err := bob.Commit(mls.CommitOptions{
		Remove:                 []mls.LeafIndex{0},
		GroupContextExtensions: []mls.Extension{mls.Capabilities{Credentials: []uint16{1}}.Required()},
		SignatureKey:           key,
	})
	must(err)
	staged, err := alice.Stage(commit.Message)
	must(err)
	_, err = alice.Apply(staged)
	must(err)
	fmt.Println("alice removed:", staged.SelfRemoved && alice.Removed())

	// Output: alice removed: true
}

// A pre-shared key, known by other means, is mixed into the next epoch.
func ExamplePSK() {
	config := exampleConfig()
	config.PSK = func(psk mls.PSK) ([]byte, error) {
		if string(psk.ID) != "from the paper" {
			return nil, errors.New("no such key")
		}
		return []byte("twelve words"), nil
	}
	alice, bob := couple(config)
	commit, err := alice.Commit(mls.CommitOptions{PSKs: []mls.PSK{{ID: []byte("from the paper")}}})
	must(err)
	_, err = alice.Apply(commit.Staged)
	must(err)
	follow(bob, commit.Message)
	fmt.Println(bytes.Equal(alice.EpochAuthenticator(), bob.EpochAuthenticator()))

	// Output: true
}

// A commit that names a resumption PSK of an earlier epoch keeps out who wasn't a member
// then, though they hold all keys of today.
func ExamplePSK_resumption() {
	config := exampleConfig()
	config.MaxResumptionPSKs = 1
	alice, bob := couple(config)
	commit, err := alice.Commit(mls.CommitOptions{})
	must(err)
	_, err = alice.Apply(commit.Staged)
	must(err)
	follow(bob, commit.Message)

	first := mls.PSK{GroupID: alice.ID(), Epoch: 1}
	commit, err = alice.Commit(mls.CommitOptions{PSKs: []mls.PSK{first}})
	must(err)
	_, err = alice.Apply(commit.Staged)
	must(err)
	follow(bob, commit.Message)
	fmt.Println("together since", first.Epoch, "in epoch", bob.Epoch())

	first.Epoch = 0 // before Bob came
	_, err = bob.Commit(mls.CommitOptions{PSKs: []mls.PSK{first}})
	fmt.Println(err)

	// Output:
	// together since 1 in epoch 3
	// mls: refused: no pre-shared keys
}

// Credentials are X.509 chains. The library hands them to Authenticate, which verifies the
// chain and that the certificate is of the leaf's key.
func ExampleCredential_x509() {
	authority := newAuthority()
	roots := x509.NewCertPool()
	roots.AddCert(authority.certificate)
	config := exampleConfig()
	config.Authenticate = func(leaf *mls.LeafNode) error {
		if leaf.Credential.Certificates == nil {
			return errors.New("not a certificate")
		}
		c, err := x509.ParseCertificate(leaf.Credential.Certificates[0])
		if err != nil {
			return err
		}
		if key, ok := c.PublicKey.(ed25519.PublicKey); !ok || !bytes.Equal(key, leaf.SignatureKey) {
			return errors.New("the certificate is of another key")
		}
		_, err = c.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: exampleNow})
		return err
	}
	certified := func(name string, by authorityKey) somebody {
		c := newClient(name, exampleSuite).Client
		c.Credential = mls.Credential{Certificates: [][]byte{by.issue(name, ed25519.PublicKey(c.Key.Public()))}}
		return published(c)
	}
	alice, err := certified("alice", authority).NewGroup(config, []byte("group"), nil)
	must(err)
	bob, eve := certified("bob", authority), certified("bob", newAuthority())
	commit, err := alice.Commit(mls.CommitOptions{Add: []*mls.KeyPackage{bob.kp}})
	must(err)
	joined, _, err := bob.Join(config, commit.Welcome, bob.kp, bob.secrets, nil)
	must(err)
	fmt.Println("bob is in epoch", joined.Epoch())
	alice.DropPending()
	_, err = alice.Commit(mls.CommitOptions{Add: []*mls.KeyPackage{eve.kp}})
	fmt.Println("eve:", errors.Is(err, mls.ErrInvalid))

	// Output:
	// bob is in epoch 1
	// eve: true
}

// authorityKey signs certificates.
type authorityKey struct {
	certificate *x509.Certificate
	key         ed25519.PrivateKey
}

func newAuthority() authorityKey {
	public, key, err := ed25519.GenerateKey(nil)
	must(err)
	a := authorityKey{&x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, SerialNumber: big.NewInt(1),
		NotBefore: exampleNow, NotAfter: exampleNow.AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true}, key}
	der, err := x509.CreateCertificate(nil, a.certificate, a.certificate, public, key)
	must(err)
	a.certificate, err = x509.ParseCertificate(der)
	must(err)
	return a
}

func (a authorityKey) issue(name string, key ed25519.PublicKey) []byte {
	der, err := x509.CreateCertificate(nil, &x509.Certificate{Subject: pkix.Name{CommonName: name}, SerialNumber: big.NewInt(2),
		NotBefore: exampleNow, NotAfter: exampleNow.AddDate(0, 1, 0), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, a.certificate, key, a.key)
	must(err)
	return der
}

// A group moves to a suite that stands against quantum computers.
func ExampleGroup_Reinit() {
	const next = mls.XWING_CHACHA20POLY1305_SHA256_Ed25519
	config := exampleConfig()
	alice, bob := couple(config)
	commit, err := alice.Commit(mls.CommitOptions{ReInit: &mls.ReInit{GroupID: []byte("group, part two"), Suite: next}})
	must(err)
	_, err = alice.Apply(commit.Staged)
	must(err)
	follow(bob, commit.Message)

	// Both publish key packages of the new suite. Either may begin the new group.
	a, b := newClient("alice", next), newClient("bob", next)
	newAlice, commit, err := alice.Reinit(config, a.Client, mls.CommitOptions{Add: []*mls.KeyPackage{b.kp}})
	must(err)
	_, err = newAlice.Apply(commit.Staged)
	must(err)
	newBob, _, err := bob.JoinSuccessor(config, b.Client, commit.Welcome, b.kp, b.secrets, nil)
	must(err)
	fmt.Printf("%s, suite %#04x\n", newBob.ID(), uint16(newBob.Suite()))
	_, _, err = bob.Protect(nil, []byte("too late"))
	fmt.Println(err)

	// Output:
	// group, part two, suite 0xf001
	// mls: refused: the group was reinitialised
}

// Alice and Bob leave the others for a group of their own.
func ExampleGroup_Branch() {
	config := exampleConfig()
	alice, bob := couple(config)
	a, b := newClient("alice", exampleSuite), newClient("bob", exampleSuite)
	aside, commit, err := alice.Branch(config, a.Client, []byte("aside"), nil, mls.CommitOptions{Add: []*mls.KeyPackage{b.kp}})
	must(err)
	_, err = aside.Apply(commit.Staged)
	must(err)
	joined, _, err := bob.JoinSuccessor(config, b.Client, commit.Welcome, b.kp, b.secrets, nil)
	must(err)
	fmt.Printf("%s, epoch %d\n", joined.ID(), joined.Epoch())

	// Output: aside, epoch 1
}

// A program stops after it stored a delta, and goes on from the records.
func ExampleLoadGroup() {
	config := exampleConfig()
	alice, bob := couple(config)
	records := make(map[string][]byte)
	apply := func(d []mls.Record) { // as one, and durably
		for _, r := range d {
			if r.Value == nil {
				delete(records, r.Key)
			} else {
				records[r.Key] = bytes.Clone(r.Value)
			}
		}
	}
	state, err := alice.State()
	must(err)
	apply(state)
	commit, err := alice.Commit(mls.CommitOptions{})
	must(err)
	apply(commit.Delta)

	var list []mls.Record
	for k, v := range records {
		list = append(list, mls.Record{Key: k, Value: v})
	}
	alice, err = mls.LoadGroup(config, list)
	must(err)
	pending := alice.PendingCommit()
	follow(bob, pending.Message)
	delta, err := alice.Apply(pending.Staged)
	must(err)
	apply(delta)
	fmt.Println(alice.Epoch(), bob.Epoch())

	// Output: 2 2
}

// A member gives away what opens one sender's messages of one epoch, and nothing else.
func ExampleSenderOpener() {
	alice, bob := couple(exampleConfig())
	ratchet, senderData, err := alice.SenderSecrets(1, bob.OwnLeaf())
	must(err)
	message, _, err := bob.Protect(nil, []byte("for the record"))
	must(err)
	opener, err := mls.NewSenderOpener(exampleSuite, ratchet, senderData, bob.OwnLeaf(), alice.Context().Bytes(), alice.Leaf(bob.OwnLeaf()).SignatureKey)
	must(err)
	defer opener.Erase()
	opened, err := opener.Open(message)
	must(err)
	fmt.Printf("%s\n", opened.Data)

	// Output: for the record
}

// The libraries of others have other numbers for the suites with X-Wing.
func ExampleCipherSuite_AssignCodePoint() {
	const theirs mls.CipherSuite = 0xF0F0
	must(mls.XWING_AES256GCM_SHA512_Ed25519.AssignCodePoint(theirs))
	a := newClient("alice", theirs)
	g, err := a.NewGroup(exampleConfig(), []byte("group"), nil)
	must(err)
	fmt.Printf("%#04x\n", uint16(g.Suite()))

	// Output: 0xf0f0
}
