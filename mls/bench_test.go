package mls

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hpke"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"
)

// Every figure is beside that of its bare primitives, the standard library's, measured
// in the same run: the metric x-bare. Groups are warm (every member has committed),
// but for those called fresh, which nobody but the founder has ever committed in.

// benchSuites are the suite of the targets and the default one.
var benchSuites = map[string]CipherSuite{
	"suite1": X25519_AES128GCM_SHA256_Ed25519,
	"xwing":  XWING_CHACHA20POLY1305_SHA256_Ed25519,
}

var benchGroups = make(map[string]*warmGroup)

// warm makes a group once for all benchmarks.
func warm(t tester, suite string, n int) *warmGroup {
	name := fmt.Sprint(suite, n)
	if benchGroups[name] == nil {
		benchGroups[name] = newWarmGroup(t, benchSuites[suite], n)
	}
	return benchGroups[name]
}

// sides runs f over suites and sizes.
func sides(b *testing.B, sizes []int, f func(b *testing.B, suite string, n int)) {
	for _, suite := range []string{"suite1", "xwing"} {
		for _, n := range sizes {
			b.Run(fmt.Sprintf("%s/n=%d", suite, n), func(b *testing.B) { f(b, suite, n) })
		}
	}
}

// versus reports the time of op as a multiple of bare's: of each the first quartile,
// which a busy machine disturbs less than the mean. Both take turns, so that what else
// the machine does hits both. What prepares op is not in the time.
func versus(b *testing.B, op, bare func(), prepare ...func()) {
	var ours, theirs []time.Duration
	for b.Loop() {
		for _, f := range prepare {
			f()
		}
		start := time.Now()
		op()
		middle := time.Now()
		bare()
		ours, theirs = append(ours, middle.Sub(start)), append(theirs, time.Since(middle))
	}
	own, primitives := quartile(ours), quartile(theirs)
	b.ReportMetric(own, "ns/own")
	b.ReportMetric(primitives, "ns/bare")
	b.ReportMetric(own/primitives, "x-bare")
}

// quartile is the first quartile, in nanoseconds.
func quartile(list []time.Duration) float64 {
	slices.Sort(list)
	return float64(list[len(list)/4])
}

func try(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// bare holds keys for the primitives alone.
type bare struct {
	suite  *suite
	signer ed25519.PrivateKey
	public ed25519.PublicKey
	sig    []byte
	key    *hpkeKey
	enc    hpkeCiphertext
	text   []byte
}

const benchText = 100

func newBare(b *testing.B, suite string) *bare {
	s, err := benchSuites[suite].params()
	try(b, err)
	p := &bare{suite: s, text: make([]byte, benchText)}
	p.public, p.signer, err = ed25519.GenerateKey(nil)
	try(b, err)
	p.sig = ed25519.Sign(p.signer, p.text)
	p.key, err = s.generateHPKEKey()
	try(b, err)
	p.enc.kemOutput, p.enc.ciphertext, err = p.seal()
	try(b, err)
	return p
}

// seal is one HPKE seal of a path secret, open its opening: as the standard library has them.
func (p *bare) seal() ([]byte, []byte, error) {
	pk, err := p.suite.kem.NewPublicKey(p.key.public)
	if err != nil {
		return nil, nil, err
	}
	enc, sender, err := hpke.NewSender(pk, p.suite.kdf, p.suite.aead, nil)
	if err != nil {
		return nil, nil, err
	}
	ct, err := sender.Seal(nil, p.text[:p.suite.nh])
	return enc, ct, err
}

func (p *bare) open(b *testing.B) {
	r, err := hpke.NewRecipient(p.enc.kemOutput, p.key.parsed, p.suite.kdf, p.suite.aead, nil)
	try(b, err)
	_, err = r.Open(nil, p.enc.ciphertext)
	try(b, err)
}

func (p *bare) verify(b *testing.B) {
	if !ed25519.Verify(p.public, p.text, p.sig) {
		b.Fatal("signature")
	}
}

func (p *bare) aead(b *testing.B) interface {
	Seal(dst, nonce, plaintext, aad []byte) []byte
	Open(dst, nonce, ciphertext, aad []byte) ([]byte, error)
} {
	a, err := p.suite.newAEAD(make([]byte, p.suite.nk))
	try(b, err)
	return a
}

func BenchmarkProtect(b *testing.B) {
	sides(b, []int{2, 1000, 10000}, func(b *testing.B, suite string, n int) {
		g, p := warm(b, suite, n).member(b, 0), newBare(b, suite)
		aead, nonce := p.aead(b), make([]byte, nonceSize)
		versus(b, func() {
			_, _, err := g.Protect(nil, p.text)
			try(b, err)
		}, func() {
			aead.Seal(nil, nonce, append(ed25519.Sign(p.signer, p.text), p.text...), nil)
		})
	})
}

func BenchmarkUnprotect(b *testing.B) {
	sides(b, []int{2, 1000, 10000}, func(b *testing.B, suite string, n int) {
		w, p := warm(b, suite, n), newBare(b, suite)
		from, to := w.member(b, 0), w.member(b, LeafIndex(n-1))
		aead, nonce := p.aead(b), make([]byte, nonceSize)
		sealed := aead.Seal(nil, nonce, append(p.sig, p.text...), nil)
		var msg []byte
		versus(b, func() {
			_, _, err := to.Unprotect(msg)
			try(b, err)
		}, func() {
			p.verify(b)
			_, err := aead.Open(nil, nonce, sealed, nil)
			try(b, err)
		}, func() {
			var err error
			msg, _, err = from.Protect(nil, p.text)
			try(b, err)
		})
	})
}

// BenchmarkCommit is an update commit, made and applied.
func BenchmarkCommit(b *testing.B) {
	sides(b, []int{2, 100, 1000, 10000}, func(b *testing.B, suite string, n int) {
		benchCommit(b, warm(b, suite, n).member(b, LeafIndex(n/2)), newBare(b, suite))
	})
}

// BenchmarkFreshCommit is the worst case: the first commit after n members were added.
func BenchmarkFreshCommit(b *testing.B) {
	sides(b, []int{1000}, func(b *testing.B, suite string, n int) {
		w := warm(b, suite, n)
		e := w.epoch(0)
		tree := emptyTree(e.suite, w.tree.width())
		for i, l := range w.tree.members() {
			tree.set(i.node(), treeNode{leaf: l})
		}
		e.tree, e.keys = tree, treeKeys{0: e.keys[0]}
		cfg, err := testConfig().check()
		try(b, err)
		g := newGroup(cfg, e)
		p := newBare(b, suite)
		seals := 0
		versus(b, func() {
			c, err := g.Commit(CommitOptions{})
			try(b, err)
			seals = c.seals()
			b.ReportMetric(float64(len(c.Message)), "message-B")
			g.DropPending()
		}, func() { p.seals(b, seals) })
		b.ReportMetric(float64(seals), "seals")
	})
}

func (c *PendingCommit) seals() (n int) {
	for _, node := range c.content.content.commit.path.nodes {
		n += len(node.secrets)
	}
	return n
}

func (p *bare) seals(b *testing.B, n int) {
	for range n {
		_, _, err := p.seal()
		try(b, err)
	}
}

func benchCommit(b *testing.B, g *Group, p *bare) {
	var size, delta, seals int
	versus(b, func() {
		c, err := g.Commit(CommitOptions{})
		try(b, err)
		d, err := g.Apply(c.Staged)
		try(b, err)
		size, delta, seals = len(c.Message), 0, c.seals()
		for _, r := range d {
			delta += len(r.Value)
		}
	}, func() { p.seals(b, seals) })
	b.ReportMetric(float64(size), "message-B")
	b.ReportMetric(float64(delta), "delta-B")
	b.ReportMetric(float64(seals), "seals")
}

// BenchmarkProcess is a member's work on the update commit of the member in the other
// half of the tree: stage and apply.
func BenchmarkProcess(b *testing.B) {
	sides(b, []int{2, 100, 1000, 10000}, func(b *testing.B, suite string, n int) {
		w, p := warm(b, suite, n), newBare(b, suite)
		from, to := w.member(b, 0), w.member(b, LeafIndex(n-1))
		var msg []byte
		versus(b, func() {
			s, err := to.Stage(msg)
			try(b, err)
			_, err = to.Apply(s)
			try(b, err)
		}, func() {
			p.open(b)
			p.verify(b) // of the message
			p.verify(b) // of the leaf
		}, func() {
			c, err := from.Commit(CommitOptions{})
			try(b, err)
			_, err = from.Apply(c.Staged)
			try(b, err)
			msg = c.Message
		})
	})
}

// BenchmarkJoin takes a Welcome with the tree in it; the bare primitives are as many
// signature verifications as there are members, spread over the cores.
func BenchmarkJoin(b *testing.B) {
	sides(b, []int{2, 1000}, func(b *testing.B, suite string, n int) {
		g, p := warm(b, suite, n).member(b, 0), newBare(b, suite)
		key, err := GenerateSignatureKey(g.Suite())
		try(b, err)
		kp, secrets, err := Client{Credential: Credential{Identity: []byte("new")}, Key: key, Lifetime: testLifetime()}.NewKeyPackage(nil)
		try(b, err)
		c, err := g.Commit(CommitOptions{Add: []*KeyPackage{kp}})
		try(b, err)
		cfg := testConfig()
		versus(b, func() {
			_, _, err := Client{Key: key}.Join(cfg, c.Welcome, kp, secrets, nil)
			try(b, err)
		}, func() {
			try(b, parallel(n+1, func(int) error { p.verify(b); return nil }))
		})
		b.ReportMetric(float64(len(c.Welcome)), "welcome-B")
	})
}

// BenchmarkAdd is a commit that adds one member, with its Welcome.
func BenchmarkAdd(b *testing.B) {
	sides(b, []int{1000}, func(b *testing.B, suite string, n int) {
		g := warm(b, suite, n).member(b, 0)
		key, err := GenerateSignatureKey(g.Suite())
		try(b, err)
		kp, _, err := Client{Credential: Credential{Identity: []byte("new")}, Key: key, Lifetime: testLifetime()}.NewKeyPackage(nil)
		try(b, err)
		for b.Loop() {
			_, err := g.Commit(CommitOptions{Add: []*KeyPackage{kp}})
			try(b, err)
			g.DropPending()
		}
	})
}

// BenchmarkMemory prints what a member keeps of a group, by the garbage collector's
// account: all of it, and what one more member takes.
func BenchmarkMemory(b *testing.B) {
	sides(b, []int{1000}, func(b *testing.B, suite string, n int) {
		welcome := func() []byte { return marshal(warm(b, suite, n).tree) }()
		s, err := benchSuites[suite].params()
		try(b, err)
		var kept []*ratchetTree
		before := heap()
		for b.Loop() {
			t, err := parseTree(s, bytes.Clone(welcome))
			try(b, err)
			t.rootHash()
			kept = append(kept, t)
		}
		size := float64(heap()-before) / float64(len(kept))
		b.ReportMetric(size, "group-B")
		b.ReportMetric(size/float64(n), "member-B")
		runtime.KeepAlive(kept)
	})
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // what had to be cleaned up after the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkFound begins a group and adds n-1 members by its first commit; the bare
// primitives are two signature verifications and one HPKE seal for each, the Welcome's,
// spread over the cores.
func BenchmarkFound(b *testing.B) {
	sides(b, []int{1000}, func(b *testing.B, suite string, n int) {
		cs, p := benchSuites[suite], newBare(b, suite)
		kps := make([]*KeyPackage, n-1)
		try(b, parallel(n-1, func(k int) error {
			key, err := GenerateSignatureKey(cs)
			if err != nil {
				return err
			}
			kps[k], _, err = Client{Credential: Credential{Identity: fmt.Appendf(nil, "member %d", k)}, Key: key, Lifetime: testLifetime()}.NewKeyPackage(nil)
			return err
		}))
		key, err := GenerateSignatureKey(cs)
		try(b, err)
		var commit, welcome int
		versus(b, func() {
			g, err := Client{Credential: Credential{Identity: []byte("founder")}, Key: key, Lifetime: testLifetime()}.NewGroup(testConfig(), []byte("group"), nil)
			try(b, err)
			c, err := g.Commit(CommitOptions{Add: kps, WithoutTree: true})
			try(b, err)
			_, err = g.Apply(c.Staged)
			try(b, err)
			commit, welcome = len(c.Message), len(c.Welcome)
		}, func() {
			try(b, parallel(n-1, func(int) error {
				p.verify(b)
				p.verify(b)
				_, _, err := p.seal()
				return err
			}))
		})
		b.ReportMetric(float64(commit), "message-B")
		b.ReportMetric(float64(welcome), "welcome-B")
	})
}
