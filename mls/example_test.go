package mls_test

import (
	"errors"
	"fmt"
	"log"
	"time"

	"writ/mls"
)

// Alice creates a group, adds Bob, and they talk.
func Example() {
	const suite = mls.XWING_CHACHA20POLY1305_SHA256_Ed25519
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	today := mls.Lifetime{NotBefore: uint64(now.Unix()) - 3600, NotAfter: uint64(now.Unix()) + 86400}
	config := mls.Config{
		Now: func() time.Time { return now },
		Authenticate: func(leaf *mls.LeafNode) error {
			if name := string(leaf.Credential.Identity); name != "alice" && name != "bob" {
				return errors.New("never heard of " + name)
			}
			return nil
		},
	}
	check := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}

	// Bob publishes a key package.
	bobKey, err := mls.GenerateSignatureKey(suite)
	check(err)
	bobClient := mls.Client{Credential: mls.Credential{Identity: []byte("bob")}, Key: bobKey, Lifetime: today}
	bobPackage, bobSecrets, err := bobClient.NewKeyPackage(nil)
	check(err)

	// Alice creates a group and adds him.
	aliceKey, err := mls.GenerateSignatureKey(suite)
	check(err)
	aliceClient := mls.Client{Credential: mls.Credential{Identity: []byte("alice")}, Key: aliceKey, Lifetime: today}
	alice, err := aliceClient.NewGroup(config, []byte("lunch"), nil)
	check(err)
	commit, err := alice.Commit(mls.CommitOptions{Add: []*mls.KeyPackage{bobPackage}})
	check(err)
	// Here commit.Delta is stored and commit.Message goes to the delivery service.
	_, err = alice.Apply(commit.Staged)
	check(err)

	// Bob joins by the Welcome.
	bob, _, err := bobClient.Join(config, commit.Welcome, bobPackage, bobSecrets, nil)
	check(err)

	// They talk. Each delta is stored before the message is sent or shown.
	message, _, err := alice.Protect(nil, []byte("noon?"))
	check(err)
	heard, _, err := bob.Unprotect(message)
	check(err)
	fmt.Printf("epoch %d, from %s: %s\n", heard.Epoch, bob.Leaf(heard.Sender).Credential.Identity, heard.Data)

	// A message opens once.
	_, _, err = bob.Unprotect(message)
	fmt.Println(err)

	// Bob renews his keys; Alice looks at the commit before she follows.
	commit, err = bob.Commit(mls.CommitOptions{})
	check(err)
	_, err = bob.Apply(commit.Staged)
	check(err)
	staged, err := alice.Stage(commit.Message)
	check(err)
	_, err = alice.Apply(staged)
	check(err)
	fmt.Printf("epoch %d by leaf %d\n", alice.Epoch(), staged.Sender)

	// Output:
	// epoch 1, from alice: noon?
	// mls: key already consumed
	// epoch 2 by leaf 1
}

// A delivery service follows a group without its secrets, and proves a member's leaf
// to somebody who knows the tree hash only.
func ExamplePublicGroup() {
	const suite = mls.X25519_CHACHA20POLY1305_SHA256_Ed25519
	config := mls.Config{
		Now:          func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) },
		Authenticate: func(*mls.LeafNode) error { return nil }, // a real one looks names up
	}
	check := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	key, err := mls.GenerateSignatureKey(suite)
	check(err)
	alice, err := mls.Client{Credential: mls.Credential{Identity: []byte("alice")}, Key: key}.NewGroup(config, []byte("lunch"), nil)
	check(err)

	// The creator hands over a GroupInfo, once. After that, every commit goes by.
	info, err := alice.GroupInfo(nil, true)
	check(err)
	service, err := mls.NewPublicGroup(config, info, nil)
	check(err)
	commit, err := alice.Commit(mls.CommitOptions{AuthenticatedData: []byte("at noon")})
	check(err)
	staged, err := service.Stage(commit.Message)
	check(err)
	fmt.Printf("leaf %d begins epoch %d %s\n", staged.Sender, staged.Epoch, staged.AuthenticatedData)
	check(service.Apply(staged))

	proof, err := service.ProveLeaf(0)
	check(err)
	leaf, err := mls.VerifyLeafProof(suite, service.Context().TreeHash, 0, proof)
	check(err)
	fmt.Printf("leaf 0 is %s\n", leaf.Credential.Identity)

	// Output:
	// leaf 0 begins epoch 1 at noon
	// leaf 0 is alice
}
