package interop

import (
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
	"time"

	"writ/mls"
)

// BenchmarkSideBySide measures both libraries in one group in one run. Everybody came
// in by an external commit, so that every member has committed: the group is warm. Its
// last four are the ones measured, two of each side. Times of ts-mls are taken in its
// own process, without the way there and back.
//
//	go test ./mls/interop -run '^$' -bench . -benchtime 1x
func BenchmarkSideBySide(b *testing.B) {
	for _, n := range []int{4, 100, 1000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			for b.Loop() {
				sideBySide(b, n)
			}
		})
	}
}

const (
	benchSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519"
	rounds     = 10
)

// clock keeps what each operation took.
type clock struct {
	b    *testing.B
	took map[string][]time.Duration
}

func (c *clock) add(what string, d time.Duration) { c.took[what] = append(c.took[what], d) }

func (c *clock) time(what string, f func()) {
	start := time.Now()
	f()
	c.add(what, time.Since(start))
}

// report gives the first quartile of each, which a busy machine disturbs less than the mean.
func (c *clock) report() {
	for what, list := range c.took {
		slices.Sort(list)
		c.b.ReportMetric(float64(list[len(list)/4].Microseconds()), what+"-µs")
	}
}

func sideBySide(b *testing.B, n int) {
	w := newWorld(b, benchSuite, true)
	w.grow(w.crowd(seat(0, n-2)), n-2)
	for _, name := range []string{"js1", "js2"} {
		var info []byte
		for _, g := range w.ours {
			var err error
			info, err = g.GroupInfo(nil, true)
			check(b, err)
		}
		w.keyPackage(name)
		out := w.peer.do("joinExternal", name, args{"message": info})
		w.deliver(w.peer.bytes(out.Message), name)
		w.theirs[name] = true
	}
	w.agree()
	c := &clock{b, make(map[string][]time.Duration)}
	for range rounds {
		w.measure(c)
	}
	w.measureJoin(c)
	c.report()
}

// seat is the name of the k-th of n members: the last two are go1 and go2.
func seat(k, n int) string {
	if k >= n-2 {
		return fmt.Sprintf("go%d", k-n+3)
	}
	return fmt.Sprintf("member %d", k)
}

// crowd begins a group of one of ours.
func (w *world) crowd(name string) *mls.Group {
	key, err := mls.GenerateSignatureKey(w.suite)
	check(w.t, err)
	g, err := mls.Client{Credential: mls.Credential{Identity: []byte(name)}, Key: key, Lifetime: lifetime()}.NewGroup(w.cfg, []byte("crowd"), nil)
	check(w.t, err)
	return g
}

// grow lets members in from outside until there are n, of whom the last two are kept.
func (w *world) grow(last *mls.Group, n int) {
	for k := 1; k < n; k++ {
		info, err := last.GroupInfo(nil, true)
		check(w.t, err)
		key, err := mls.GenerateSignatureKey(w.suite)
		check(w.t, err)
		g, msg, err := mls.Client{Credential: mls.Credential{Identity: []byte(seat(k, n))}, Key: key}.JoinExternal(w.cfg, info, nil, mls.CommitOptions{})
		check(w.t, err)
		if k == n-1 {
			staged, err := last.Stage(msg)
			check(w.t, err)
			_, err = last.Apply(staged)
			check(w.t, err)
			w.ours["go1"], w.ours["go2"] = last, g
		}
		last = g
	}
}

// timed asks the peer and counts what it says it took.
func (w *world) timed(c *clock, what, op, name string, a args) answer {
	out := w.peer.do(op, name, a)
	c.add(what, time.Duration(out.Micros*float64(time.Microsecond)))
	return out
}

// measure does each thing once on each side; all four follow.
func (w *world) measure(c *clock) {
	t, go1, go2 := w.t, w.ours["go1"], w.ours["go2"]
	text := string(make([]byte, 100))
	var msg []byte
	c.time("go:encrypt", func() { var err error; msg, _, err = go1.Protect(nil, []byte(text)); check(t, err) })
	c.time("go:decrypt", func() { _, _, err := go2.Unprotect(msg); check(t, err) })
	w.timed(c, "ts:decrypt", "process", "js2", args{"message": msg})
	msg = w.peer.bytes(w.timed(c, "ts:encrypt", "send", "js1", args{"text": text}).Message)
	_, _, err := go2.Unprotect(msg)
	check(t, err)

	var p *mls.PendingCommit
	c.time("go:commit", func() {
		p, err = go1.Commit(mls.CommitOptions{})
		check(t, err)
		_, err = go1.Apply(p.Staged)
		check(t, err)
	})
	follow := func(g *mls.Group, msg []byte) {
		s, err := g.Stage(msg)
		check(t, err)
		_, err = g.Apply(s)
		check(t, err)
	}
	c.time("go:process", func() { follow(go2, p.Message) })
	w.timed(c, "ts:process", "process", "js1", args{"message": p.Message})
	w.timed(c, "ts:process", "process", "js2", args{"message": p.Message})
	out := w.timed(c, "ts:commit", "commit", "js1", args{"publicly": true})
	follow(go1, w.peer.bytes(out.Message))
	follow(go2, w.peer.bytes(out.Message))
	w.timed(c, "ts:process", "process", "js2", args{"message": out.Message})
}

// measureJoin lets each side take a Welcome with the whole tree.
func (w *world) measureJoin(c *clock) {
	t := w.t
	id := w.identity("go3")
	p, err := w.ours["go1"].Commit(mls.CommitOptions{Add: []*mls.KeyPackage{id.kp, w.parse(w.keyPackage("js3"))}})
	check(t, err)
	c.time("go:join", func() {
		_, _, err := mls.Client{Key: id.key}.Join(w.cfg, p.Welcome, id.kp, id.secrets, nil)
		check(t, err)
	})
	w.timed(c, "ts:join", "join", "js3", args{"message": hex.EncodeToString(p.Welcome)})
}
