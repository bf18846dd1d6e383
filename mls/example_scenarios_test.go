package mls_test

import (
	"bytes"
	"errors"
	"fmt"
	"log"
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

type person struct {
	credential mls.Credential
	key        *mls.SignatureKey
	kp         *mls.KeyPackage
	secrets    *mls.KeyPackageSecrets
}

func somebody(name string, suite mls.CipherSuite) person {
	p := person{credential: mls.BasicCredential([]byte(name))}
	var err error
	p.key, err = mls.GenerateSignatureKey(suite)
	must(err)
	now := uint64(exampleNow.Unix())
	p.kp, p.secrets, err = mls.NewKeyPackage(suite, p.credential, p.key, mls.KeyPackageOptions{
		Lifetime: mls.Lifetime{NotBefore: now - 3600, NotAfter: now + 86400},
		GREASE:   true,
	})
	must(err)
	return p
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// couple is a group of Alice and Bob in epoch 1.
func couple(config mls.Config, o mls.GroupOptions) (alice, bob *mls.Group) {
	a, b := somebody("alice", exampleSuite), somebody("bob", exampleSuite)
	alice, err := mls.NewGroup(config, exampleSuite, []byte("group"), a.credential, a.key, o)
	must(err)
	commit, err := alice.Commit(mls.CommitOptions{Add: []*mls.KeyPackage{b.kp}})
	must(err)
	_, err = alice.Apply(commit.Staged)
	must(err)
	bob, _, err = mls.Join(config, commit.Welcome, b.kp, b.secrets, b.key, nil)
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
func ExampleJoinExternal() {
	config := exampleConfig()
	config.ExternalCommits = true
	alice, bob := couple(config, mls.GroupOptions{})
	info, err := alice.GroupInfo(nil, true)
	must(err)

	c := somebody("carol", exampleSuite)
	carol, commit, err := mls.JoinExternal(config, info, nil, c.credential, c.key, mls.ExternalJoinOptions{})
	must(err)
	follow(alice, commit)
	follow(bob, commit)
	fmt.Printf("carol is leaf %d in epoch %d\n", carol.OwnLeaf(), bob.Epoch())

	// Having lost her state, she comes back in place of her old leaf.
	info, err = bob.GroupInfo(nil, true)
	must(err)
	old := carol.OwnLeaf()
	carol, commit, err = mls.JoinExternal(config, info, nil, c.credential, c.key, mls.ExternalJoinOptions{Replace: &old})
	must(err)
	follow(bob, commit)
	fmt.Printf("and again in epoch %d\n", carol.Epoch())

	// Output:
	// carol is leaf 2 in epoch 2
	// and again in epoch 3
}

// A server that the group lists as external sender proposes to remove Bob, and Carol
// proposes to add herself. Alice commits both.
func ExampleProposeExternal() {
	config := exampleConfig()
	config.ExternalProposals = true
	server, c := somebody("server", exampleSuite), somebody("carol", exampleSuite)
	alice, _ := couple(config, mls.GroupOptions{GroupContextExtensions: []mls.Extension{
		mls.ExternalSenders([]mls.ExternalSender{{Key: server.key.Public(), Credential: server.credential}}),
	}})

	bob := mls.LeafIndex(1)
	remove, err := mls.ProposeExternal(alice.Context(), server.key, mls.Proposal{Remove: &bob})
	must(err)
	join, err := mls.ProposeJoin(alice.Context(), c.kp, c.key)
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
func ExampleGroup_ProposeUpdate() {
	alice, bob := couple(exampleConfig(), mls.GroupOptions{})
	proposal, _, err := bob.ProposeUpdate(nil, mls.ProposeOptions{Private: true})
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
	alice, bob := couple(config, mls.GroupOptions{})
	key, err := mls.GenerateSignatureKey(exampleSuite)
	must(err)
	commit, err := bob.Commit(mls.CommitOptions{
		Remove:                 []mls.LeafIndex{0},
		GroupContextExtensions: []mls.Extension{mls.RequiredCapabilities{Credentials: []mls.CredentialType{mls.CredentialBasic}}.Extension()},
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
	alice, bob := couple(config, mls.GroupOptions{})
	commit, err := alice.Commit(mls.CommitOptions{PSKs: []mls.PSK{{ID: []byte("from the paper")}}})
	must(err)
	_, err = alice.Apply(commit.Staged)
	must(err)
	follow(bob, commit.Message)
	fmt.Println(bytes.Equal(alice.EpochAuthenticator(), bob.EpochAuthenticator()))

	// Output: true
}

// A group moves to a suite that stands against quantum computers.
func ExampleGroup_Reinit() {
	const next = mls.XWING_CHACHA20POLY1305_SHA256_Ed25519
	config := exampleConfig()
	alice, bob := couple(config, mls.GroupOptions{})
	commit, err := alice.Commit(mls.CommitOptions{ReInit: &mls.ReInit{GroupID: []byte("group, part two"), Suite: next}})
	must(err)
	_, err = alice.Apply(commit.Staged)
	must(err)
	follow(bob, commit.Message)

	// Both publish key packages of the new suite. Either may begin the new group.
	a, b := somebody("alice", next), somebody("bob", next)
	newAlice, commit, err := alice.Reinit(config, a.key, []*mls.KeyPackage{b.kp}, mls.GroupOptions{})
	must(err)
	_, err = newAlice.Apply(commit.Staged)
	must(err)
	newBob, _, err := bob.JoinSuccessor(config, commit.Welcome, b.kp, b.secrets, b.key, nil)
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
	alice, bob := couple(config, mls.GroupOptions{})
	a, b := somebody("alice", exampleSuite), somebody("bob", exampleSuite)
	aside, commit, err := alice.Branch(config, []byte("aside"), a.key, []*mls.KeyPackage{b.kp}, mls.GroupOptions{})
	must(err)
	_, err = aside.Apply(commit.Staged)
	must(err)
	joined, _, err := bob.JoinSuccessor(config, commit.Welcome, b.kp, b.secrets, b.key, nil)
	must(err)
	fmt.Printf("%s, epoch %d\n", joined.ID(), joined.Epoch())

	// Output: aside, epoch 1
}

// A program stops after it stored a delta, and goes on from the records.
func ExampleLoadGroup() {
	config := exampleConfig()
	alice, bob := couple(config, mls.GroupOptions{})
	records := make(map[string][]byte)
	apply := func(d mls.Delta) { // as one, and durably
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
	alice, bob := couple(exampleConfig(), mls.GroupOptions{})
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
func ExampleAssignCodePoint() {
	const theirs mls.CipherSuite = 0xF0F0
	must(mls.AssignCodePoint(theirs, mls.XWING_AES256GCM_SHA512_Ed25519))
	a := somebody("alice", theirs)
	g, err := mls.NewGroup(exampleConfig(), theirs, []byte("group"), a.credential, a.key, mls.GroupOptions{})
	must(err)
	fmt.Printf("%#04x\n", uint16(g.Suite()))

	// Output: 0xf0f0
}
