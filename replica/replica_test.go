package replica_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"writ/charter"
	"writ/charter/chartertest"
	"writ/ledger"
	"writ/notary"
	"writ/replica"
	"writ/warrant"
	"writ/warrant/warranttest"
	"writ/witness"
)

var ctx = context.Background()

// world is a log key, two witness keys and a charter; logs are started from it.
type world struct {
	*chartertest.World
	t      testing.TB
	signer string
	vkey   string
	keys   map[string]*witness.Key
	policy *ledger.Policy
	shown  atomic.Pointer[notary.Server] // which log the URL shows
	url    string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{World: chartertest.New("replica"), t: t, keys: map[string]*witness.Key{}}
	var err error
	w.signer, w.vkey, err = note.GenerateKey(rand.Reader, "log.test/writ")
	w.must(err)
	text := "log " + w.vkey + "\n"
	for _, name := range []string{"a", "b"} {
		secret, err := witness.GenerateKey(name+".test", rand.Reader)
		w.must(err)
		w.keys[name], err = witness.ParseKey(secret)
		w.must(err)
		s, err := witness.New(witness.Config{Dir: t.TempDir(), Key: w.keys[name], Logs: []string{w.vkey}})
		w.must(err)
		text += fmt.Sprintf("witness %s %s\n", name, s.VKey())
		w.must(s.Close())
	}
	w.Charter.Policy = text + "group q all a b\nquorum q\n"
	w.policy, err = ledger.ParsePolicy(w.Charter.Policy)
	w.must(err)
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.shown.Load().ServeHTTP(rw, r) }))
	t.Cleanup(srv.Close)
	w.url = srv.URL
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// show starts a log with witnesses that have seen nothing yet, and shows it.
// A second one with the same keys is a fork.
func (w *world) show() {
	w.t.Helper()
	urls := map[string]string{}
	for name, key := range w.keys {
		s, err := witness.New(witness.Config{Dir: w.t.TempDir(), Key: key, Logs: []string{w.vkey}})
		w.must(err)
		srv := httptest.NewServer(s)
		w.t.Cleanup(func() { srv.Close(); s.Close() })
		urls[name] = srv.URL
	}
	s, err := notary.New(ctx, notary.Config{Dir: w.t.TempDir(), Signer: w.signer, Policy: w.policy, Witnesses: urls,
		FirstCharters: []charter.Hash{w.Charter.Hash()}, Interval: 100 * time.Millisecond, Republish: 200 * time.Millisecond})
	w.must(err)
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		s.Close(ctx)
	})
	w.shown.Store(s)
}

func (w *world) open(path string) *replica.Replica {
	w.t.Helper()
	r, err := replica.Open(ctx, replica.Config{Path: path, URL: w.url, Policy: w.policy,
		Charters: []charter.Hash{w.Charter.Hash()}, MaxAge: time.Minute, Every: 50 * time.Millisecond})
	w.must(err)
	w.t.Cleanup(func() { r.Close() })
	return r
}

// TestAgeIsRequired is R36: a copy that no checkpoint is too old for would go on
// when the ledger stands still.
func TestAgeIsRequired(t *testing.T) {
	r, err := replica.Open(ctx, replica.Config{Path: filepath.Join(t.TempDir(), "ledger.db"), Policy: new(ledger.Policy)})
	if err == nil {
		r.Close()
		t.Fatal("opened without MaxAge")
	}
}

func (w *world) add(r *replica.Replica, entry []byte) uint64 {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	in, proof, err := r.Add(ctx, entry)
	w.must(err)
	if again, err := w.policy.Include(entry, proof, time.Now(), time.Minute); err != nil || again.Index() != in.Index() {
		w.t.Fatalf("proof: %v", err)
	}
	return in.Index()
}

// warrant returns an entry that counts, a different one for each n.
func (w *world) warrant(n byte) []byte { return w.warrantOf([32]byte{n}) }

func (w *world) warrantOf(commitment [32]byte) []byte {
	now := uint64(chartertest.Now.Unix())
	x := &ledger.Warrant{Public: warrant.Public{Commitment: commitment, Charter: w.Charter.Hash(), Action: warrant.Disclose,
		CaseType: w.Charter.CaseTypes[0], Offices: []string{"judicial", "oversight"}, Window: 60, NotBefore: now, NotAfter: now + 60, Readers: [][32]byte{{1}}}}
	x.Approvals = warranttest.Approvals(w.World, x.Public)
	x.Sign(ledger.DocketSigner(w.Docket))
	return x.Entry()
}

func counted(r *replica.Replica, entry []byte) (ok bool) {
	r.View(func(b *ledger.Book) { _, ok = b.Find(ledger.HashEntry(entry)) })
	return ok
}

// What was read is there after a restart, without the log; an entry is added
// once however often it is asked for; what would not count is not sent.
func TestAddAndRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.show()
	path := filepath.Join(t.TempDir(), "ledger.db")
	r := w.open(path)
	if err := r.Fresh(); !errors.Is(err, ledger.ErrRefused) {
		t.Errorf("fresh before the first checkpoint: %v", err)
	}
	if _, _, err := r.Add(ctx, w.warrant(1)); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("a warrant before its charter: %v", err)
	}
	law := ledger.CharterEntry(w.Sign(w.Charter))
	if w.add(r, law) != 0 || w.add(r, w.warrant(1)) != 1 || w.add(r, w.warrant(1)) != 1 {
		t.Error("entries stand elsewhere")
	}
	if err := r.Fresh(); err != nil {
		t.Error(err)
	}
	w.must(r.Close())
	r = w.open(path)
	if size, at := r.Head(); size != 2 || at.IsZero() || !counted(r, w.warrant(1)) || !counted(r, law) {
		t.Errorf("after a restart: %d entries, checkpoint of %v", size, at)
	}
	if w.add(r, w.warrant(1)) != 1 || w.add(r, w.warrant(2)) != 2 {
		t.Error("a restart forgets entries")
	}
	late := filepath.Join(t.TempDir(), "ledger.db")
	copied := w.open(late)
	w.must(copied.Refresh(ctx)) // reads three entries at once
	w.must(copied.Close())
	copied = w.open(late)
	if size, _ := copied.Head(); size != 3 || !counted(copied, w.warrant(2)) {
		t.Errorf("a late copy has %d entries after a restart", size)
	}
	var findings int
	r.View(func(b *ledger.Book) { findings = len(b.Findings()) })
	if findings > 0 {
		t.Errorf("%d findings", findings)
	}
}

// An entry is read from the copy, and the log only for what the copy lacks.
func TestEntry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.show()
	law := ledger.CharterEntry(w.Sign(w.Charter))
	behind, ahead := w.open(filepath.Join(t.TempDir(), "a.db")), w.open(filepath.Join(t.TempDir(), "b.db"))
	w.add(behind, law)
	w.add(ahead, w.warrant(1))
	for index, want := range [][]byte{law, w.warrant(1)} {
		if got, err := behind.Entry(ctx, uint64(index)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("entry %d: %x, %v", index, got, err)
		}
	}
	if b, err := behind.Entry(ctx, 2); !errors.Is(err, ledger.ErrRefused) {
		t.Errorf("an entry that nobody logged: %x, %v", b, err)
	}
	w.shown.Store(nil) // whoever asks the log now panics
	if got, err := behind.Entry(ctx, 1); err != nil || !bytes.Equal(got, w.warrant(1)) {
		t.Errorf("without the log: %x, %v", got, err)
	}
}

// R14: a second history, signed by the log and by the same witnesses' keys, stops the
// copy, and a restart does not forget it.
func TestForkStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.show()
	path := filepath.Join(t.TempDir(), "ledger.db")
	r := w.open(path)
	law := ledger.CharterEntry(w.Sign(w.Charter))
	w.add(r, law)
	w.add(r, w.warrant(1))
	first := w.shown.Load()

	w.show() // another history of the same length
	forger := w.open(filepath.Join(t.TempDir(), "ledger.db"))
	w.add(forger, law)
	w.add(forger, w.warrant(2))
	if err := r.Refresh(ctx); !errors.Is(err, replica.ErrForked) {
		t.Fatalf("a second history: %v", err)
	}
	if err := r.Run(ctx); !errors.Is(err, replica.ErrForked) {
		t.Errorf("Run goes on: %v", err)
	}
	w.shown.Store(first) // it shows the first again: no way back
	for _, what := range []string{"at once", "after a restart"} {
		if err := r.Refresh(ctx); !errors.Is(err, replica.ErrForked) {
			t.Errorf("%s: %v", what, err)
		}
		if _, _, err := r.Add(ctx, w.warrant(3)); !errors.Is(err, replica.ErrForked) {
			t.Errorf("%s: added: %v", what, err)
		}
		if err := r.Fresh(); !errors.Is(err, replica.ErrForked) {
			t.Errorf("%s: fresh: %v", what, err)
		}
		if counted(r, w.warrant(2)) {
			t.Errorf("%s: counts the second history", what)
		}
		w.must(r.Close())
		r = w.open(path)
	}
}

// R14: a fork that only a proof showed is not forgotten by a restart either.
func TestForkSeenByProof(t *testing.T) {
	w := newWorld(t)
	w.show()
	path := filepath.Join(t.TempDir(), "ledger.db")
	r := w.open(path)
	law := ledger.CharterEntry(w.Sign(w.Charter))
	w.add(r, law)
	w.add(r, w.warrant(1))
	first := w.shown.Load()
	w.show()
	forger := w.open(filepath.Join(t.TempDir(), "ledger.db"))
	w.add(forger, law)
	w.add(forger, w.warrant(2))
	_, _, err := r.Prove(ctx, law, 0)
	if !errors.Is(err, replica.ErrForked) {
		t.Errorf("proof on the fork: %v", err)
	}
	w.must(r.Close()) // killed here
	w.shown.Store(first)
	r = w.open(path)
	if err := r.Refresh(ctx); err == nil {
		t.Error("after a restart the fork is forgotten: the copy goes on")
	}
}

// A checkpoint on which a proof rested is remembered: a history that contradicts it
// is found out after a restart.
func TestProofsCheckpointIsKept(t *testing.T) {
	w := newWorld(t)
	w.show()
	path := filepath.Join(t.TempDir(), "ledger.db")
	r := w.open(path)
	law := ledger.CharterEntry(w.Sign(w.Charter))
	w.add(r, law)
	other := w.open(filepath.Join(t.TempDir(), "ledger.db"))
	w.add(other, w.warrant(1))
	if _, _, err := r.Prove(ctx, w.warrant(1), 1); err != nil { // under a checkpoint of size 2
		t.Fatal(err)
	}
	w.must(r.Close()) // killed here
	w.show()
	forger := w.open(filepath.Join(t.TempDir(), "ledger.db"))
	w.add(forger, law)
	w.add(forger, w.warrant(2))
	r = w.open(path)
	if err := r.Refresh(ctx); err == nil {
		t.Error("a history that contradicts a checkpoint that was relied on is accepted")
	}
}

// A copy that has a part of the entries is not fresh, however new its checkpoint: what it
// lacks could be the warrant, the cap's last place, the law.
func TestPartIsNotFresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.show()
	const n = 300 // more than a full tile
	add := func(entry []byte) error {
		e, err := ledger.ParseEntry(entry)
		w.must(err)
		_, err = w.shown.Load().Add(ctx, e)
		return err
	}
	w.must(add(ledger.CharterEntry(w.Sign(w.Charter))))
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- add(w.warrantOf([32]byte{byte(i), byte(i >> 8), 1})) }()
	}
	for range n {
		w.must(<-errs)
	}
	var withhold atomic.Bool
	withhold.Store(true)
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if withhold.Load() && strings.HasPrefix(r.URL.Path, "/tile/entries/001") {
			http.NotFound(rw, r)
			return
		}
		w.shown.Load().ServeHTTP(rw, r)
	}))
	defer srv.Close()
	w.url = srv.URL
	path := filepath.Join(t.TempDir(), "ledger.db")
	r := w.open(path)
	for range 2 {
		if err := r.Refresh(ctx); err == nil {
			t.Fatal("refreshed without all entries")
		}
		if size, at := r.Head(); size != 256 || !at.IsZero() || r.Fresh() == nil {
			t.Errorf("%d entries, at %v, fresh %v", size, at, r.Fresh())
		}
		w.must(r.Close())
		r = w.open(path)
	}
	withhold.Store(false)
	w.must(r.Refresh(ctx))
	if size, at := r.Head(); size != n+1 || at.IsZero() || r.Fresh() != nil {
		t.Errorf("%d entries, at %v, fresh %v", size, at, r.Fresh())
	}
	_, before := r.Head()
	w.must(r.Close())
	if size, at := w.open(path).Head(); size != n+1 || !at.Equal(before) {
		t.Errorf("after a restart %d entries, at %v", size, at)
	}
}
