package directory

import (
	"bytes"
	"crypto/sha512"
	"fmt"
	"math/big"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The bytes in testdata/vectors.txt are those of format 1: a change here is a
// change of what stands on every log and of every number people compared.
func TestGolden(t *testing.T) {
	s := town(t)
	ann := s.mustVerify("ann")
	var got bytes.Buffer
	label, proof := s.key.Prove("ann")
	fmt.Fprintf(&got, "label key %x\nlabel %x\nlabel proof %x\n", s.key.Public().Bytes(), label, proof)
	for _, o := range s.known["ann"] {
		h := o.Statement.Hash()
		fmt.Fprintf(&got, "statement %x\nhash %x\nsalt %x\nentry %x\n", o.Statement.Encode(), h, o.Salt, NewLeaf(label, o.Statement, o.Salt).Entry())
	}
	fmt.Fprintf(&got, "root entry %x\ntree proof %x\n", s.log.entries[6], s.book.tree.Prove(label).Encode())
	fmt.Fprintf(&got, "log root %x\nlookup %x\n", s.log.facts().Root, s.lookup("ann").Encode())
	fmt.Fprintf(&got, "safety number %s\n", SafetyNumber(ann.Chain(), s.mustVerify("bob").Chain()))
	want, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got\n%s", &got)
	}
}

// safetyPlain is the number written down once more from its definition.
func safetyPlain(a, b *Chain) string {
	var halves []string
	for _, c := range []*Chain{a, b} {
		h := c.Newest().Hash()
		name := append([]byte{byte(len(c.Account()))}, c.Account()...)
		content := append(name, h[:]...)
		input := slices.Concat([]byte("\x15writ/v1 safety number"), []byte{byte(len(content))}, content)
		d := sha512.Sum512(input)
		for i := 1; i < 5200; i++ {
			d = sha512.Sum512(slices.Concat(d[:], input))
		}
		half := ""
		for i := range 6 {
			n := new(big.Int).SetBytes(d[5*i : 5*i+5])
			half += fmt.Sprintf(" %05d", n.Mod(n, big.NewInt(100000)))
		}
		halves = append(halves, half[1:])
	}
	slices.Sort(halves)
	return strings.Join(halves, " ")
}

func TestSafetyNumber(t *testing.T) {
	ann := history(t)
	older, _ := NewChain(ann.Statement(1))
	seen := map[string]bool{}
	form := regexp.MustCompile(`^\d{5}( \d{5}){11}$`)
	rapid.Check(t, func(t *rapid.T) {
		bob, err := NewChain(first(rapid.StringMatching(`[a-z]{1,8}`).Draw(t, "account")))
		if err != nil {
			t.Fatal(err)
		}
		n := SafetyNumber(ann, bob)
		if n != SafetyNumber(bob, ann) || n != safetyPlain(bob, ann) || !form.MatchString(n) {
			t.Fatalf("%q", n)
		}
		if n == SafetyNumber(older, bob) {
			t.Fatal("the same after devices changed")
		}
		seen[n] = true
	})
	if len(seen) < 2 {
		t.Error("all accounts have one number")
	}
}
