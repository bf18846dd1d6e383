package mls

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
)

// bounded runs f on hostile input of size bytes and bounds its time and memory: by so
// much for each byte, with a lot of room for a busy machine.
func bounded(t *testing.T, what string, size int, f func() error, why string) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	err := f()
	d := time.Since(start)
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("%s: error %v, want %q", what, err, why)
	}
	if limit := time.Duration(size) * 20 * time.Microsecond; d > limit {
		t.Errorf("%s: %d bytes took %v, more than %v", what, size, d, limit)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > uint64(size)*400+1<<20 {
		t.Errorf("%s: %d bytes took %d bytes of memory", what, size, used)
	}
	t.Logf("%s: %d bytes, %v, %d bytes allocated", what, size, d.Round(time.Millisecond), after.TotalAlloc-before.TotalAlloc)
}

// Trees that are deep, huge, full of duplicates or of unmerged leaves cost no more than
// their size warrants, and are refused.
func TestHostileTrees(t *testing.T) {
	s, err := X25519_AES128GCM_SHA256_Ed25519.params()
	if err != nil {
		t.Fatal(err)
	}
	verify := func(tree []byte) func() error {
		return func() error {
			parsed, err := parseTree(s, tree)
			if err != nil {
				return err
			}
			return parsed.verify(&GroupContext{TreeHash: parsed.rootHash()}, acceptAll)
		}
	}
	encode := func(nodes []treeNode) []byte {
		var w writer
		encodeAll(&w, nodes)
		return w.buf
	}
	leaf := newWarmGroup(t, s.id, 1).tree.leaf(0)
	const n = 1 << 13

	deep := make([]treeNode, 2*n*8-1) // one byte a node
	deep[0], deep[len(deep)-1] = treeNode{leaf: leaf}, treeNode{leaf: leaf}
	tree := encode(deep)
	bounded(t, "nearly all blank", len(tree), verify(tree), "leaf node signature")

	same := make([]treeNode, 2*n-1)
	for x := 0; x < len(same); x += 2 {
		same[x] = treeNode{leaf: leaf}
	}
	tree = encode(same)
	bounded(t, "one leaf many times", len(tree), verify(tree), "leaf node signature")

	// Each parent has all leaves below it unmerged: n log n of them.
	all := make([]LeafIndex, n)
	for i := range all {
		all[i] = LeafIndex(i)
	}
	for x := nodeIndex(1); int(x) < len(same); x += 2 {
		same[x] = treeNode{parent: &parentNode{leaf.EncryptionKey, nil, x.below(all)}}
	}
	tree = encode(same)
	bounded(t, "everybody unmerged everywhere", len(tree), verify(tree), "parent-hash")

	// Each parent lists all leaves, which are not below it.
	for x := nodeIndex(1); int(x) < 200; x += 2 {
		same[x] = treeNode{parent: &parentNode{leaf.EncryptionKey, nil, all}}
	}
	tree = encode(same)
	bounded(t, "unmerged elsewhere", len(tree), verify(tree), "is not a member below node")

	same[1] = treeNode{leaf: leaf}
	tree = encode(same)
	bounded(t, "leaves among the parents", len(tree), verify(tree), "wrong type")

	var w writer
	w.uint32(0xbfffffff) // a vector of 2^30-1 bytes, of which none are there
	if _, err := parseTree(s, w.buf); !errors.Is(err, ErrMalformed) {
		t.Errorf("announced length: %v", err)
	}
}

// A tree in which keys occur twice for a moment, between the proposals of one commit,
// is searched and found in order; one in which they stay is not.
func TestKeysTwiceForAMoment(t *testing.T) {
	g := newWarmGroup(t, X25519_AES128GCM_SHA256_Ed25519, 8)
	tree := g.tree.clone()
	twin := *tree.leaf(3)
	twin.EncryptionKey, twin.SignatureKey = tree.leaf(5).EncryptionKey, tree.leaf(5).SignatureKey
	tree.updateLeaf(3, &twin)
	if err := tree.verifyMembers(nil, false); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "occurs twice") {
		t.Fatalf("twins: %v", err)
	}
	tree = g.tree.clone()
	tree.updateLeaf(3, &twin)
	tree.removeLeaf(5)
	if !tree.inUse(twin.EncryptionKey, nil, 0) {
		t.Error("the key of the twin that stays is not found")
	}
	if tree.inUse(g.tree.leaf(3).EncryptionKey, nil, 0) {
		t.Error("a key that is gone is found")
	}
	if err := tree.verifyMembers(nil, false); err != nil {
		t.Errorf("one of the twins is gone: %v", err)
	}
	if tree.encryption.ambiguous || !tree.inUse(twin.EncryptionKey, nil, 0) {
		t.Error("the keys were not listed again")
	}
	if g.tree.encryption.ambiguous {
		t.Error("the tree before is touched")
	}
}

// A commit with very many PSKs or references costs no square of them.
func TestHostileCommits(t *testing.T) {
	w := trio(t, testConfig())
	var psks []*proposal
	for k := range 20000 {
		psks = append(psks, &proposal{kind: proposalPSK, psk: pskID{kind: pskExternal, id: []byte{byte(k), byte(k >> 8)}, nonce: make([]byte, 32)}})
	}
	msg := w.seal(0, byValue(append(psks, psks[0])...), make([]byte, 32))
	bounded(t, "20,000 PSKs", len(msg), func() error { _, err := w.clients[1].g.Stage(msg); return err }, "PSK proposed twice")
}
