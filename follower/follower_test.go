package follower

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"writ/ledger"
)

// logServer serves a log from memory, cosigned by one witness at each request,
// and lies as it is told.
type logServer struct {
	t       *testing.T
	signer  note.Signer
	witness note.Signer
	policy  *ledger.Policy
	url     string

	mu         sync.Mutex
	entries    [][]byte
	hashes     []tlog.Hash
	tamper     func(path string, b []byte) []byte // of every answer
	checkpoint []byte                             // instead of the present one
	add        http.HandlerFunc
}

func newLogServer(t *testing.T) *logServer {
	skey, vkey, err := note.GenerateKey(rand.Reader, "log.example/writ")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	witness, err := torchwood.NewCosignatureSigner("a.example", key)
	if err != nil {
		t.Fatal(err)
	}
	l := &logServer{t: t, signer: signer, witness: witness}
	if l.policy, err = ledger.ParsePolicy(fmt.Sprintf("log %s\nwitness a %s\nquorum a\n", vkey, witness.Verifier())); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(l)
	t.Cleanup(srv.Close)
	l.url = srv.URL
	return l
}

func (l *logServer) ReadHashes(at []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(at))
	for i, x := range at {
		out[i] = l.hashes[x]
	}
	return out, nil
}

func (l *logServer) append(entries ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		stored, err := tlog.StoredHashes(int64(len(l.entries)), []byte(e), l)
		if err != nil {
			l.t.Fatal(err)
		}
		l.entries, l.hashes = append(l.entries, []byte(e)), append(l.hashes, stored...)
	}
}

func (l *logServer) lie(tamper func(path string, b []byte) []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tamper = tamper
}

func (l *logServer) signed() []byte {
	n := int64(len(l.entries))
	root, err := tlog.TreeHash(n, l)
	if err != nil {
		l.t.Error(err)
	}
	c := torchwood.Checkpoint{Origin: l.signer.Name(), Tree: tlog.Tree{N: n, Hash: root}}
	b, err := note.Sign(&note.Note{Text: c.String()}, l.signer, l.witness)
	if err != nil {
		l.t.Error(err)
	}
	return b
}

func (l *logServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/")
	var b []byte
	switch {
	case path == "add":
		l.add(w, r)
		return
	case path == "checkpoint" && l.checkpoint != nil:
		b = l.checkpoint
	case path == "checkpoint":
		b = l.signed()
	default:
		var err error
		if b, err = l.tile(path); err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
	}
	if l.tamper != nil {
		b = l.tamper(path, bytes.Clone(b))
	}
	w.Write(b)
}

func (l *logServer) tile(path string) (b []byte, err error) {
	t, err := torchwood.ParseTilePath(path)
	if err != nil {
		return nil, err
	}
	if t.L >= 0 {
		return tlog.ReadTileData(t, l)
	}
	for i := range t.W {
		if b, err = torchwood.AppendTileEntry(b, l.entries[int(t.N)*256+i]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (l *logServer) follower(change func(*Config)) *Follower {
	l.t.Helper()
	c := Config{URL: l.url, Policy: l.policy, MaxAge: time.Minute}
	if change != nil {
		change(&c)
	}
	f, err := New(c)
	if err != nil {
		l.t.Fatal(err)
	}
	return f
}

func numbers(from, to int) (s []string) {
	for i := from; i < to; i++ {
		s = append(s, fmt.Sprint("entry ", i))
	}
	return s
}

// collector checks that entries come once, in order.
type collector struct {
	t    *testing.T
	got  []string
	stop int // apply fails at this index
}

var errStop = errors.New("stop")

func (c *collector) apply(index uint64, entry []byte, seen time.Time) error {
	if c.stop > 0 && int(index) == c.stop {
		return errStop
	}
	if int(index) != len(c.got) || string(entry) != fmt.Sprint("entry ", index) || time.Since(seen) > time.Minute {
		c.t.Errorf("entry %d is %q after %d, seen %v", index, entry, len(c.got), seen)
	}
	c.got = append(c.got, string(entry))
	return nil
}

func TestUpdate(t *testing.T) {
	l := newLogServer(t)
	c := &collector{t: t}
	f, next := l.follower(nil), uint64(0)
	for _, size := range []int{0, 1, 2, 255, 256, 257, 700} {
		l.append(numbers(len(l.entries), size)...)
		var err error
		if next, err = f.Update(context.Background(), next, c.apply); err != nil || int(next) != size || len(c.got) != size {
			t.Fatalf("at %d of %d: %v", next, size, err)
		}
	}
	again := l.follower(func(c *Config) { c.Last = f.Last() })
	if next, err := again.Update(context.Background(), next, c.apply); err != nil || next != 700 {
		t.Error(next, err)
	}
	if next, err := again.Update(context.Background(), 701, c.apply); err == nil || next != 701 {
		t.Error("the future was read")
	}
	c.stop = 800
	l.append(numbers(700, 900)...)
	if next, err := f.Update(context.Background(), next, c.apply); !errors.Is(err, errStop) || next != 800 {
		t.Errorf("apply failed at 800, stopped at %d: %v", next, err)
	}
	err := f.Follow(context.Background(), 800, time.Millisecond, c.apply, func(error) {})
	if !errors.Is(err, errStop) {
		t.Errorf("Follow goes on: %v", err)
	}
}

func TestProof(t *testing.T) {
	l := newLogServer(t)
	refusal := (&ledger.Refusal{Office: "judicial", Custodian: "judicial-1"}).Entry()
	l.append(numbers(0, 300)...)
	l.append(string(refusal))
	f := l.follower(nil)
	entry, proof, err := f.Proof(context.Background(), 300)
	if err != nil {
		t.Fatal(err)
	}
	if in, err := l.policy.Include(entry, proof, time.Now(), time.Minute); err != nil || in.Index() != 300 {
		t.Error(in, err)
	}
	if _, _, err := f.Proof(context.Background(), 301); !errors.Is(err, ErrRefused) {
		t.Errorf("proof of what is not there: %v", err)
	}
}

// Whatever a server changes, no changed entry gets through.
func TestTampering(t *testing.T) {
	for name, tamper := range map[string]func(path string, b []byte) []byte{
		"entry":       func(p string, b []byte) []byte { return flip(p, "tile/entries/", b) },
		"hash":        func(p string, b []byte) []byte { return flip(p, "tile/0/", b) },
		"checkpoint":  func(p string, b []byte) []byte { return flip(p, "checkpoint", b) },
		"no entries":  func(p string, b []byte) []byte { return b[:len(b)*bit(!strings.HasPrefix(p, "tile/entries"))] },
		"more":        func(p string, b []byte) []byte { return append(b, 0, 1, 'x') },
		"endless":     func(p string, b []byte) []byte { return append(b, make([]byte, maxResponse)...) },
		"old":         nil,
		"unwitnessed": nil,
		"not there":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			l := newLogServer(t)
			l.append(numbers(0, 300)...)
			f := l.follower(func(c *Config) { c.Now = time.Now })
			switch name {
			case "old":
				f = l.follower(func(c *Config) { c.Now = func() time.Time { return time.Now().Add(2 * time.Minute) } })
			case "unwitnessed":
				l.checkpoint = l.signed()[:bytes.LastIndex(l.signed(), []byte("— a.example"))]
			case "not there":
				f = l.follower(func(c *Config) { c.URL = l.url + "/nowhere" })
			}
			l.lie(tamper)
			c := &collector{t: t}
			if next, err := f.Update(context.Background(), 0, c.apply); err == nil || int(next) != len(c.got) {
				t.Errorf("%d entries, next %d, error %v", len(c.got), next, err)
			}
			if name != "entry" && name != "no entries" && len(c.got) > 0 {
				t.Errorf("%d entries got through", len(c.got))
			}
		})
	}
}

func flip(path, prefix string, b []byte) []byte {
	if strings.HasPrefix(path, prefix) {
		b[len(b)-3] ^= 1
	}
	return b
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A fork is told apart from a server that merely breaks.
func TestForkIsNotBreakage(t *testing.T) {
	l := newLogServer(t)
	l.append(numbers(0, 10)...)
	f := l.follower(nil)
	if _, err := f.Checkpoint(context.Background()); err != nil {
		t.Fatal(err)
	}
	l.append("entry 10")
	l.lie(func(p string, b []byte) []byte { return flip(p, "tile/", b) })
	var fork *ForkError
	if _, err := f.Checkpoint(context.Background()); err == nil || errors.As(err, &fork) {
		t.Fatalf("a broken tile: %v", err)
	}
	l.lie(nil)
	if _, err := f.Checkpoint(context.Background()); err != nil {
		t.Fatalf("after the server is repaired: %v", err)
	}
	swap := func(entries ...string) {
		l.mu.Lock()
		l.entries, l.hashes = nil, nil
		l.mu.Unlock()
		l.append(entries...)
	}
	swap(numbers(1, 14)...)
	if _, err := f.Checkpoint(context.Background()); !errors.As(err, &fork) {
		t.Fatalf("a fork: %v", err)
	}
	swap(numbers(0, 20)...)
	if _, err := f.Checkpoint(context.Background()); !errors.As(err, &fork) {
		t.Fatalf("a fork is forgiven: %v", err)
	}
}

func TestAdd(t *testing.T) {
	l := newLogServer(t)
	f := l.follower(nil)
	tries := 0
	l.add = func(w http.ResponseWriter, r *http.Request) {
		if tries++; tries < 3 {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, `{"index":7}`)
	}
	if at, err := f.Add(context.Background(), []byte("x")); err != nil || at != 7 || tries != 3 {
		t.Errorf("index %d after %d tries: %v", at, tries, err)
	}
	for answer, code := range map[string]int{"law says no": 403, "junk": 400, "{}": 200, "null": 200} {
		l.add = func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(code)
			fmt.Fprint(w, answer)
		}
		if _, err := f.Add(context.Background(), []byte("x")); !errors.Is(err, ErrRefused) {
			t.Errorf("%d %s: %v", code, answer, err)
		}
	}
	l.add = func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) }
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := f.Add(ctx, []byte("x")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a notary that never answers: %v", err)
	}
}

// A log server that redirects doesn't get this role's requests into other networks, and
// what a notary says doesn't flood or forge log lines.
func TestHostileAnswers(t *testing.T) {
	var reached atomic.Bool
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	defer inside.Close()
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inside.URL, http.StatusTemporaryRedirect)
	}))
	defer away.Close()
	l := newLogServer(t)
	f, err := New(Config{URL: away.URL, Policy: l.policy, MaxAge: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Checkpoint(context.Background()); err == nil {
		t.Error("a checkpoint from elsewhere")
	}
	if _, err := f.Add(context.Background(), []byte("x")); !errors.Is(err, ErrRefused) {
		t.Errorf("add: %v", err)
	}
	if reached.Load() {
		t.Error("a redirect was followed")
	}
	l.add = func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no\nlevel=INFO msg=\"all is well\" "+strings.Repeat("x", 1<<20), http.StatusForbidden)
	}
	if f, err = New(Config{URL: l.url, Policy: l.policy, MaxAge: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Add(context.Background(), []byte("x")); err == nil || len(err.Error()) > 2*maxSaid || strings.Contains(err.Error(), "\n") {
		t.Errorf("reason of %d bytes", len(err.Error()))
	}
}

// A smaller tree than before is refused, and is a fork if it begins otherwise.
func TestBackwards(t *testing.T) {
	l := newLogServer(t)
	l.append(numbers(0, 300)...)
	f := l.follower(nil)
	if _, err := f.Checkpoint(context.Background()); err != nil {
		t.Fatal(err)
	}
	old := &logServer{t: t, signer: l.signer, witness: l.witness}
	old.append(numbers(0, 100)...)
	l.checkpoint = old.signed()
	var fork *ForkError
	if _, err := f.Checkpoint(context.Background()); !errors.Is(err, ErrRollback) || errors.As(err, &fork) {
		t.Fatalf("an old checkpoint: %v", err)
	}
	other := &logServer{t: t, signer: l.signer, witness: l.witness}
	other.append(numbers(1, 100)...)
	l.checkpoint = other.signed()
	if _, err := f.Checkpoint(context.Background()); !errors.As(err, &fork) || fork.New.Size() != 99 {
		t.Fatalf("another beginning: %v", err)
	}
}

// Who waits for a log that does not answer keeps nobody from what is known, or from adopting
// a policy, by which the answer is then judged; and others wait no longer than they want to.
func TestSilentLog(t *testing.T) {
	l := newLogServer(t)
	l.append(numbers(0, 3)...)
	f := l.follower(nil)
	if _, err := f.Checkpoint(context.Background()); err != nil {
		t.Fatal(err)
	}
	known := f.Last()
	asked, answer := make(chan struct{}), make(chan struct{})
	l.lie(func(path string, b []byte) []byte {
		if path == "checkpoint" {
			asked <- struct{}{}
			<-answer
		}
		return b
	})
	l.append(numbers(3, 5)...)
	first := make(chan error)
	go func() { _, err := f.Checkpoint(context.Background()); first <- err }()
	<-asked
	free := make(chan struct{})
	go func() {
		defer close(free)
		if !bytes.Equal(f.Last(), known) {
			t.Error("what is known changed before there was an answer")
		}
		f.Adopt(newLogServer(t).policy)
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := f.Checkpoint(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("a second one: %v", err)
		}
	}()
	select {
	case <-free:
	case <-time.After(5 * time.Second):
		t.Error("everything waits for the log")
	}
	close(answer)
	if err := <-first; err == nil {
		t.Error("accepts what the policy of now does not")
	}
	<-free
	if !bytes.Equal(f.Last(), known) {
		t.Error("keeps what the policy of now does not accept")
	}
}
