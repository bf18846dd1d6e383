package directory

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"writ/internal/wire"
)

func TestIdentity(t *testing.T) {
	id := Identity{Account: "ann@example.org", Device: "phone"}
	got, err := ParseIdentity(id.Encode())
	if err != nil || got != id || got.String() != "ann@example.org/phone" {
		t.Fatalf("got %v, %v", got, err)
	}
	for name, b := range map[string][]byte{
		"trailing": append(id.Encode(), 0),
		"cut":      id.Encode()[:3],
		"slash":    Identity{"a/b", "c"}.Encode(),
		"empty":    Identity{"ann", ""}.Encode(),
	} {
		if got, err := ParseIdentity(b); !errors.Is(err, wire.ErrMalformed) || got != (Identity{}) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

// The tree of RFC 6962 section 2.1, written out by hand for three leaves.
func TestRosterRoot(t *testing.T) {
	leaf := func(s string) []byte { h := sha256.Sum256([]byte("\x00" + s)); return h[:] }
	node := func(l, r []byte) []byte { h := sha256.Sum256(slices.Concat([]byte{1}, l, r)); return h[:] }
	head := node(node(leaf("ann"), leaf("bob")), leaf("eve"))
	want := wire.Hash("roster", []byte{0, 0, 0, 0, 0, 0, 0, 3}, head)
	if got := RosterRoot([]string{"eve", "ann", "bob", "ann"}); got != want {
		t.Errorf("root %x, want %x", got, want)
	}
}

func TestRosterProofs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 70).Draw(t, "n")
		var accounts []string
		for i := range n {
			accounts = append(accounts, fmt.Sprintf("a%d", i))
		}
		root := RosterRoot(accounts)
		who := rapid.SampledFrom(accounts).Draw(t, "who")
		proof, err := ProveRoster(accounts, who)
		if err != nil || VerifyRoster(root, who, proof) != nil {
			t.Fatalf("proof of %s: %v, %v", who, err, VerifyRoster(root, who, proof))
		}
		if err := VerifyRoster(root, who+"x", proof); !errors.Is(err, ErrNotMember) {
			t.Fatalf("another account: %v", err)
		}
		if err := VerifyRoster(RosterRoot(append(accounts, "zoe")), who, proof); err == nil {
			t.Fatal("accepted under another root")
		}
		proof[rapid.IntRange(0, len(proof)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if VerifyRoster(root, who, proof) == nil {
			t.Fatal("changed proof accepted")
		}
	})
	if p, err := ProveRoster([]string{"ann"}, "bob"); err == nil || p != nil {
		t.Error("proved an absent account")
	}
}

func FuzzParseIdentity(f *testing.F) {
	f.Add(Identity{"ann", "phone"}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, err := ParseIdentity(b); err == nil && !bytes.Equal(id.Encode(), b) {
			t.Fatalf("%x encodes as %x", b, id.Encode())
		}
	})
}

func FuzzVerifyRoster(f *testing.F) {
	accounts := []string{"ann", "bob", "eve"}
	for _, a := range accounts {
		p, _ := ProveRoster(accounts, a)
		f.Add(a, p)
	}
	root := RosterRoot(accounts)
	f.Fuzz(func(t *testing.T, account string, proof []byte) {
		if VerifyRoster(root, account, proof) == nil && !slices.Contains(accounts, account) {
			t.Fatalf("%q proven by %x", account, proof)
		}
	})
}
