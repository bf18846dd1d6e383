package mls

import (
	"flag"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

var large = flag.String("large", "10000", "sizes of groups to measure, as 10000,50000")

// BenchmarkLargeGroups prints what groups of a size cost in which nobody else's figures
// are known to us, once and for minutes. Every member of the group has committed before.
// Each line is a row of doc/mls-benchmarks.md.
//
//	go test ./mls -run '^$' -bench LargeGroups -benchtime 1x -large 10000,50000
func BenchmarkLargeGroups(b *testing.B) {
	for _, size := range strings.Split(*large, ",") {
		n, err := strconv.Atoi(size)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			measureLarge(b, X25519_AES128GCM_SHA256_Ed25519, n)
			if n <= 10000 {
				measureLarge(b, XWING_CHACHA20POLY1305_SHA256_Ed25519, n)
			}
		}
	}
}

// took is the best of some rounds, each with what f did.
func took(rounds int, f func()) time.Duration {
	best := time.Duration(1 << 62)
	for range rounds {
		start := time.Now()
		f()
		best = min(best, time.Since(start))
	}
	return best
}

func measureLarge(t testing.TB, cs CipherSuite, n int) {
	start := time.Now()
	w := newWarmGroup(t, cs, n)
	fmt.Printf("suite %#04x, %d members, warm after %v\n", uint16(cs), n, time.Since(start).Round(time.Second))
	row := func(what string, d time.Duration, bytes int) {
		fmt.Printf("| %s | %v | %d |\n", what, d.Round(time.Microsecond), bytes)
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	tree := marshal(w.tree)
	a, b := w.member(t, 0), w.member(t, LeafIndex(n-1))
	w.keys = nil

	var msg []byte
	var delta []Record
	size := func() (sum int) {
		for _, r := range delta {
			sum += len(r.Value)
		}
		return sum
	}
	d := took(5, func() { var err error; msg, delta, err = a.Protect(nil, make([]byte, benchText)); check(err) })
	row("encrypt 100 bytes", d, len(msg))
	d = took(1, func() { var err error; _, delta, err = b.Unprotect(msg); check(err) })
	row("decrypt the first of a sender", d, size())
	msgs := [][]byte{}
	for range 5 {
		msg, _, err := a.Protect(nil, make([]byte, benchText))
		check(err)
		msgs = append(msgs, msg)
	}
	d = took(5, func() { _, _, err := b.Unprotect(msgs[0]); check(err); msgs = msgs[1:] })
	row("decrypt the next", d, len(msg))

	var c *PendingCommit
	follow := func(what string, o CommitOptions) {
		t.Helper()
		best, process := time.Duration(1<<62), time.Duration(1<<62)
		for range 3 {
			best = min(best, took(1, func() { var err error; c, err = a.Commit(o); check(err) }))
			process = min(process, took(1, func() { _, err := b.Stage(c.Message); check(err) }))
			if what != "update" {
				a.DropPending()
			} else {
				_, err := a.Apply(c.Staged)
				check(err)
				s, err := b.Stage(c.Message)
				check(err)
				delta, err = b.Apply(s)
				check(err)
			}
		}
		row(what+": commit", best, len(c.Message))
		row(what+": process", process, len(c.Message))
	}
	follow("update", CommitOptions{})
	row("update: what a member stores", 0, size())
	key, err := GenerateSignatureKey(cs)
	check(err)
	kp, secrets, err := Client{Credential: Credential{Identity: []byte("new")}, Key: key, Lifetime: testLifetime()}.NewKeyPackage(nil)
	check(err)
	follow("remove", CommitOptions{Remove: []LeafIndex{LeafIndex(n / 2)}})
	follow("add", CommitOptions{Add: []*KeyPackage{kp}, WithoutTree: true})
	row("add: Welcome without the tree", 0, len(c.Welcome))
	row("the tree", 0, len(tree))
	c, err = a.Commit(CommitOptions{Add: []*KeyPackage{kp}, WithoutTree: true})
	check(err)
	_, err = a.Apply(c.Staged)
	check(err)
	withNew := a.RatchetTree()
	d = took(2, func() { _, _, err := Client{Key: key}.Join(a.cfg, c.Welcome, kp, secrets, withNew); check(err) })
	row("join", d, len(withNew)+len(c.Welcome))
	bareKey := newBareSignature(t)
	d = took(1, func() { check(parallel(n, func(int) error { bareKey(); return nil })) })
	row("bare: so many Ed25519 verifications on all cores", d, 0)

	before := heap()
	s, err := cs.params()
	check(err)
	kept, err := parseTree(s, withNew)
	check(err)
	kept.rootHash()
	row("memory of a group", 0, int(heap()-before))
	row("memory for each member", 0, int(heap()-before)/n)
	for _, v := range []any{kept, w, a, b, c, tree, withNew, secrets, msgs, delta} { // so that nothing else goes in between
		runtime.KeepAlive(v)
	}
}

func newBareSignature(t testing.TB) func() {
	key, err := GenerateSignatureKey(X25519_AES128GCM_SHA256_Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := key.sign("", nil)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if !key.suite.verifySignature(key.public, "", nil, sig) {
			panic("signature")
		}
	}
}
