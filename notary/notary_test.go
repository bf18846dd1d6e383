package notary

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"writ/charter"
	"writ/charter/chartertest"
	"writ/follower"
	"writ/ledger"
	"writ/notice/beacon"
	"writ/warrant"
	"writ/warrant/warranttest"
	"writ/witness"
)

// world is a charter, two witnesses and the keys of a log.
type world struct {
	*chartertest.World
	t      testing.TB
	dir    string
	signer string
	policy *ledger.Policy
	keys   map[string]string // of the witnesses
	urls   map[string]string
	gates  map[string]*gate
	book   *ledger.Book
	url    string // of the notary started last
}

// gate is a witness's server that can be shut.
type gate struct {
	http.Handler
	mu   sync.Mutex
	shut bool
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut {
		http.Error(w, "shut", http.StatusBadGateway)
		return
	}
	g.Handler.ServeHTTP(w, r)
}

func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
}

func newWorld(t testing.TB) *world {
	skey, vkey, err := note.GenerateKey(rand.Reader, "log.example/writ")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{World: chartertest.New("notary"), t: t, dir: logDir(t), signer: skey,
		keys: map[string]string{}, urls: map[string]string{}, gates: map[string]*gate{}}
	text := "log " + vkey + "\n"
	for _, name := range []string{"a", "b"} {
		if w.keys[name], err = witness.GenerateKey(name+".example", rand.Reader); err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf("witness %s %s\n", name, w.startWitness(name, vkey))
	}
	if w.policy, err = ledger.ParsePolicy(text + "group q all a b # both\nquorum q\n"); err != nil {
		t.Fatal(err)
	}
	w.Charter.Policy = w.policy.String()
	w.book = ledger.NewBook()
	return w
}

// logDir returns a directory for a log. Its storage has goroutines that end a
// little after their context, so the directory is removed with patience.
func logDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "notary")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 100 {
			if os.RemoveAll(dir) == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("%s stays", dir)
	})
	return dir
}

// startWitness starts a witness with an empty memory.
func (w *world) startWitness(name, logKey string) (vkey string) {
	key, err := witness.ParseKey(w.keys[name])
	if err != nil {
		w.t.Fatal(err)
	}
	wit, err := witness.New(witness.Config{Dir: w.t.TempDir(), Key: key, Logs: []string{logKey}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.gates[name] = &gate{Handler: wit}
	srv := httptest.NewServer(w.gates[name])
	w.t.Cleanup(func() { srv.Close(); wit.Close() })
	w.urls[name] = srv.URL
	return wit.VKey()
}

func (w *world) config() Config {
	return Config{Dir: w.dir, Signer: w.signer, Policy: w.policy, Witnesses: w.urls,
		FirstCharters: []charter.Hash{w.Charter.Hash()}, Interval: 100 * time.Millisecond, Republish: 100 * time.Millisecond}
}

func (w *world) start() (*Server, *follower.Follower) {
	w.t.Helper()
	return w.startWith(w.config())
}

func (w *world) startWith(c Config) (*Server, *follower.Follower) {
	w.t.Helper()
	s, err := New(context.Background(), c)
	if err != nil {
		w.t.Fatal(err)
	}
	srv := httptest.NewServer(s)
	w.t.Cleanup(func() { srv.Close(); s.Close(ended()) })
	w.url = srv.URL
	return s, w.follow(srv.URL)
}

func (w *world) follow(url string) *follower.Follower {
	w.t.Helper()
	f, err := follower.New(follower.Config{URL: url, Policy: w.policy, MaxAge: time.Minute})
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

func (w *world) charterEntry() []byte { return ledger.CharterEntry(w.Sign(w.Charter)) }

// warrant returns an entry that counts, a different one for each n.
func (w *world) warrant(n int) []byte {
	x := &ledger.Warrant{Public: warrant.Public{Commitment: [32]byte{byte(n >> 8), byte(n), 1}, Charter: w.Charter.Hash(),
		Action: warrant.Disclose, CaseType: "serious-crime", Offices: []string{"judicial", "oversight"}, Window: 3600,
		NotBefore: uint64(chartertest.Now.Unix()), NotAfter: uint64(chartertest.Now.Unix()) + 60, Readers: [][32]byte{{1}}}}
	x.Approvals = warranttest.Approvals(w.World, x.Public)
	x.Sign(ledger.DocketSigner(w.Docket))
	return x.Entry()
}

func (w *world) add(f *follower.Follower, entry []byte) uint64 {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	index, err := f.Add(ctx, entry)
	if err != nil {
		w.t.Fatal(err)
	}
	return index
}

// update brings the world's book up to the log.
func (w *world) update(f *follower.Follower) {
	w.t.Helper()
	if _, err := f.Update(context.Background(), w.book.Size(), w.book.Apply); err != nil {
		w.t.Fatal(err)
	}
}

func TestAddProveFollow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, f := w.start()
	ctx := context.Background()
	if at := w.add(f, w.charterEntry()); at != 0 {
		t.Fatalf("charter at %d", at)
	}
	var wg sync.WaitGroup
	seen := make([]bool, 301)
	var mu sync.Mutex
	for n := range 300 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			at, err := f.Add(ctx, w.warrant(n))
			mu.Lock()
			defer mu.Unlock()
			if err != nil || at == 0 || at > 300 || seen[at] {
				t.Errorf("warrant %d at %d: %v", n, at, err)
				return
			}
			seen[at] = true
		}()
	}
	wg.Wait()
	w.update(f)
	if len(w.book.Findings()) > 0 || w.book.Size() != 301 {
		t.Fatalf("%d entries, findings %v", w.book.Size(), w.book.Findings())
	}
	for _, n := range []int{0, 150, 299} {
		entry := w.warrant(n)
		at := w.add(f, entry) // again: the same index
		if known, ok := w.book.Find(ledger.HashEntry(entry)); !ok || known != at {
			t.Errorf("warrant %d at %d, then %d", n, known, at)
		}
		got, proof, err := f.Proof(ctx, at)
		if err != nil || !bytes.Equal(got, entry) {
			t.Fatalf("proof of %d: %v", at, err)
		}
		in, err := w.policy.Include(entry, proof, time.Now(), time.Minute)
		if err != nil || in.Index() != at {
			t.Errorf("proof of %d: %v", at, err)
		}
		theirs, err := torchwood.ParsePolicy([]byte(w.policy.String()))
		if err != nil {
			t.Fatal(err)
		}
		if err := torchwood.VerifyProof(theirs, tlog.RecordHash(entry), proof); err != nil {
			t.Error(err)
		}
	}
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
	if _, err := s.Add(ctx, mustParse(t, w.warrant(301))); err == nil {
		t.Error("added after the end")
	}
	if _, f = w.start(); w.add(f, w.warrant(301)) != 301 {
		t.Error("a restart loses count")
	}
	w.update(f)
}

func mustParse(t *testing.T, b []byte) *ledger.Entry {
	e, err := ledger.ParseEntry(b)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Deny by default: what would not count is not admitted.
func TestRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, f := w.start()
	ctx := context.Background()
	refused := func(name, want string, entry []byte) {
		t.Helper()
		if _, err := f.Add(ctx, entry); !errors.Is(err, follower.ErrRefused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	refused("warrant without a charter", "unknown charter", w.warrant(1))
	other := chartertest.New("another").Charter
	other.Policy = w.policy.String()
	refused("unnamed first charter", "nobody named", ledger.CharterEntry(chartertest.New("another").Sign(other)))
	w.add(f, w.charterEntry())
	forged := w.warrant(1)
	forged[len(forged)-1] ^= 1
	refused("forged", "signed", forged)
	refused("junk", "malformed", []byte("junk"))
	refused("long", "too large", make([]byte, ledger.MaxEntry+1))
	w.add(f, w.warrant(1))
	w.update(f)
	if w.book.Size() != 2 {
		t.Errorf("%d entries", w.book.Size())
	}
}

// More than can wait is turned away, to come again.
func TestTooMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, f := w.start()
	for range maxPending {
		s.pending <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := f.Add(ctx, w.charterEntry()); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "waiting") {
		t.Errorf("got %v", err)
	}
	<-s.pending
	w.add(f, w.charterEntry())
}

// Entries that come slowly take no place from others.
func TestSlowSenders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, f := w.start()
	for range maxPending - 1 {
		s.pending <- struct{}{}
	}
	slow, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	fmt.Fprint(slow, "POST /add HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
	time.Sleep(100 * time.Millisecond)
	w.add(f, w.charterEntry()) // in the last place
}

// A stolen docket key can't fill the log; other signers go on.
func TestQuota(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.config()
	c.PerHour = 3
	s, f := w.startWith(c)
	w.add(f, w.charterEntry())
	for n := range 3 {
		w.add(f, w.warrant(n))
	}
	if _, err := s.Add(context.Background(), mustParse(t, w.warrant(3))); !errors.Is(err, errQuota) {
		t.Errorf("a fourth: %v", err)
	}
	w.add(f, w.warrant(2)) // again
	answer, err := http.Post(w.url+"/add", "", bytes.NewReader(w.warrant(3)))
	if err != nil || answer.StatusCode != http.StatusTooManyRequests || answer.Header.Get("Retry-After") == "" {
		t.Errorf("over HTTP: %v, %v", answer, err)
	}
	x := &ledger.Refusal{Office: "judicial", Custodian: "judicial-1", Reason: 1}
	x.Sign(ledger.CustodianSigner(w.Custodians["judicial-1"]))
	w.add(f, x.Entry())
	s.mu.Lock()
	s.quotas.begun = s.quotas.begun.Add(-time.Hour)
	s.mu.Unlock()
	w.add(f, w.warrant(3))
}

// What one signer logs takes nothing from what another may.
func TestQuotaIsOneSigners(t *testing.T) {
	w, s := chartertest.New("quota"), &Server{book: ledger.NewBook()}
	x := ledger.Release{Office: "judicial", Custodian: "judicial-1"}
	judge := warrant.Approval{Office: "judicial", Approver: "judge-1"}
	seen := map[string]string{}
	for who, entries := range map[string][]*ledger.Entry{
		"custodian": {{Release: &x}, {Preservation: &ledger.Preservation{Release: x}}, {HoldEnd: &ledger.HoldEnd{Office: "judicial", Custodian: "judicial-1"}},
			{Refusal: &ledger.Refusal{Office: "judicial", Custodian: "judicial-1"}}},
		"another custodian": {{Preservation: &ledger.Preservation{Release: ledger.Release{Office: "judicial", Custodian: "judicial-2"}}}},
		"approver": {{Cancellation: &ledger.Cancellation{Approval: judge}}, {Error: &ledger.Error{Approval: judge}},
			{Review: &ledger.Review{Approvals: []warrant.Approval{judge}}}},
		"another approver": {{Cancellation: &ledger.Cancellation{Approval: warrant.Approval{Office: "judicial", Approver: "judge-2"}}}},
		"docket":           {{Warrant: &ledger.Warrant{}}},
		"reader":           {{Reading: &ledger.Reading{}}},
		"nobody":           {{Round: &ledger.Round{}}},
		"the law":          {{Charter: w.Sign(w.Charter)}},
	} {
		for _, e := range entries {
			name := s.signerOf(e)
			if other := seen[name]; other != "" && other != who {
				t.Errorf("%s and %s share the quota of %q", who, other, name)
			}
			seen[name] = who
		}
	}
	if len(seen) != 8 {
		t.Errorf("quotas %v", seen)
	}
}

// Nor does it take from who bears the same name under another law of the log: custodians are
// called alike, and one law's must not keep another's from stating that it releases.
func TestQuotaIsOneLaws(t *testing.T) {
	one := newWorld(t)
	other := &world{World: chartertest.New("other law"), t: t}
	other.Charter.Name, other.Charter.Policy = "other-law", one.Charter.Policy
	for i, k := range other.Charter.Keys {
		other.Charter.Keys[i] = other.Statement(k.Office, k.Custodian, k.Period)
	}
	s := &Server{book: ledger.NewBook()}
	names := map[string]string{}
	apply := func(who string, entry []byte) (at uint64) {
		t.Helper()
		e, at := mustParse(t, entry), s.book.Size()
		if err := s.book.Check(e); err != nil {
			t.Fatal(err)
		}
		name := s.signerOf(e)
		if was := names[name]; was != "" && was != who || name == nobody {
			t.Errorf("%s and %s share the quota of %q", who, was, name)
		}
		names[name] = who
		if err := s.book.Apply(at, entry, chartertest.Now); err != nil {
			t.Fatal(err)
		}
		return at
	}
	for n, w := range []*world{one, other} {
		law := w.Charter.Name
		key := ledger.CustodianSigner(w.Custodians["judicial-1"])
		judge, err := warrant.ParseApproverKey(w.Approvers["judicial-approver-1"].Seed())
		if err != nil {
			t.Fatal(err)
		}
		apply(law+"'s law", w.charterEntry())
		at := apply(law+"'s docket", w.warrant(n))
		logged, _ := s.book.Warrant(at)
		request := &ledger.Request{WarrantIndex: at, Warrant: logged.Hash, Round: 5, Timelock: make([]byte, beacon.TimelockSize), Leaves: [][32]byte{{1}}}
		request.Sign(ledger.DocketSigner(w.Docket))
		asked, hash := apply(law+"'s docket", request.Entry()), ledger.HashEntry(request.Entry())
		for _, unknown := range []ledger.EntryHash{hash, {1}} {
			refusal := &ledger.Refusal{Request: unknown, Office: "judicial", Custodian: "judicial-1", Reason: 1}
			refusal.Sign(key)
			apply(law+"'s custodian", refusal.Entry())
		}
		release := &ledger.Release{RequestIndex: asked, Request: hash, Office: "judicial", Custodian: "judicial-1", Count: 1, Root: request.Root()}
		release.Sign(key)
		apply(law+"'s custodian", release.Entry())
		cancel := &ledger.Cancellation{WarrantIndex: at, Warrant: logged.Hash}
		cancel.Approval = judge.Approve(cancel.Hash(), "judicial", "judicial-approver-1")
		apply(law+"'s approver", cancel.Entry())
	}
	if len(names) != 8 {
		t.Errorf("quotas %v", names)
	}
}

// Rounds are no more than the requests that wait for them, and nobody's quota holds a notice back.
func TestRoundsHaveNoQuota(t *testing.T) {
	q := quotas{perHour: 1}
	round := (&Server{book: ledger.NewBook()}).signerOf(&ledger.Entry{Round: &ledger.Round{}})
	for range 3 {
		if !q.allow(round, time.Now()) {
			t.Fatal("a round is kept back")
		}
	}
}

// A notary for which no first charter is named admits none.
func TestNoFirstCharter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.config()
	c.FirstCharters = nil
	s, err := New(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add(context.Background(), mustParse(t, w.charterEntry())); !errors.Is(err, errNotAdmitted) {
		t.Errorf("got %v", err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// Without a quorum of witnesses nothing is acknowledged, and readers who want
// fresh checkpoints stop; when the witnesses are back, all goes on.
func TestWitnessGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, f := w.start()
	w.add(f, w.charterEntry())
	w.gates["b"].set(true)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := f.Add(ctx, w.warrant(1)); err == nil {
		t.Fatal("acknowledged without a witness")
	}
	strict, err := follower.New(follower.Config{URL: w.url, Policy: w.policy, MaxAge: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := strict.Checkpoint(context.Background()); !errors.Is(err, ledger.ErrRefused) || !strings.Contains(err.Error(), "stale") {
		t.Errorf("stale checkpoint: %v", err)
	}
	w.gates["b"].set(false)
	if at := w.add(f, w.warrant(1)); at != 1 {
		t.Errorf("warrant at %d", at)
	}
}

// A resting log's checkpoint is cosigned again and again.
func TestRepublish(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, f := w.start()
	w.add(f, w.charterEntry())
	first, err := f.Checkpoint(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		time.Sleep(100 * time.Millisecond)
		c, err := f.Checkpoint(context.Background())
		if err != nil || c.Size() != 1 {
			t.Fatal(c, err)
		}
		if c.Time().After(first.Time()) {
			return
		}
	}
	t.Error("the checkpoint grows old")
}

func TestServesOnlyTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, f := w.start()
	w.add(f, w.charterEntry())
	for path, want := range map[string]int{
		"/checkpoint": 200, "/tile/0/000.p/1": 200, "/tile/entries/000.p/1": 200, "/": 200,
		"/tile/0/000": 404, "/tile/../lock": 404, "/lock": 404, "/.state/treeState": 404, "/tile/": 404, "/tile/0/": 404, "/add": 405,
	} {
		resp, err := http.Get(w.url + path)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, f := w.start()
	w.add(f, w.charterEntry())
	w.add(f, w.warrant(1))
	refused := func(name, want string, change func(*Config)) {
		t.Helper()
		c := w.config()
		change(&c)
		if s, err := New(context.Background(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
			if s != nil {
				s.Close(context.Background())
			}
		}
	}
	refused("second process", "in use", func(*Config) {})
	refused("another key", "is not the log", func(c *Config) { c.Signer, _, _ = note.GenerateKey(rand.Reader, "log.example/writ") })
	refused("no URL", "no URL", func(c *Config) { c.Witnesses = nil })
	refused("one URL", "two witnesses", func(c *Config) { c.Witnesses = map[string]string{"a": w.urls["a"], "b": w.urls["a"] + "/"} })
	refused("interval", "interval", func(c *Config) { c.Interval = time.Millisecond })
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	flip := func(name string) func(*Config) {
		return func(*Config) {
			b, err := os.ReadFile(filepath.Join(w.dir, name))
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)-1] ^= 1
			if err := os.WriteFile(filepath.Join(w.dir, name), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	refused("changed tile", "not that of its checkpoint", flip("tile/0/000.p/2"))
	flip("tile/0/000.p/2")(nil)
	refused("changed entry", "hash mismatch", flip("tile/entries/000.p/2"))
	flip("tile/entries/000.p/2")(nil)
	w.start()
}

// When the log's storage fails, nothing more is admitted: book and log could differ.
func TestStorageFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, fatal := w.config(), make(chan error, 1)
	c.Fatal = func(err error) { fatal <- err }
	s, f := w.startWith(c)
	w.add(f, w.charterEntry())
	tiles := filepath.Join(w.dir, "tile")
	if err := errors.Join(os.Rename(tiles, tiles+".away"), os.WriteFile(tiles, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add(context.Background(), mustParse(t, w.warrant(1))); err == nil {
		t.Fatal("acknowledged without storage")
	}
	if err := <-fatal; err == nil {
		t.Error("no reason to end")
	}
	if err := errors.Join(os.Remove(tiles), os.Rename(tiles+".away", tiles)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add(context.Background(), mustParse(t, w.warrant(2))); err == nil || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("goes on: %v", err)
	}
	if c, err := f.Checkpoint(context.Background()); err != nil || c.Size() != 1 {
		t.Errorf("log has %v entries, %v: the book doesn't know which", c, err)
	}
}

// Each worker waits for a witnessed checkpoint before its next entry.
func BenchmarkAdd(b *testing.B) {
	w := newWorld(b)
	w.Charter.Limits.CapSubjects = 1_000_000
	c := w.config()
	c.PerHour = b.N
	s, f := w.startWith(c)
	w.add(f, w.charterEntry())
	entries := make([]*ledger.Entry, b.N)
	for n := range entries {
		entries[n], _ = ledger.ParseEntry(w.warrant(n))
	}
	next := make(chan *ledger.Entry)
	var wg sync.WaitGroup
	b.ResetTimer()
	for range 1000 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for e := range next {
				if _, err := s.Add(context.Background(), e); err != nil {
					b.Error(err)
				}
			}
		}()
	}
	for _, e := range entries {
		next <- e
	}
	close(next)
	wg.Wait()
}

// ended is a context that has ended: who closes with it waits for nothing.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
