package registry

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"writ/api"
	"writ/directory"
	"writ/engine"
	"writ/follower"
	"writ/internal/wire"
	"writ/ledger"
	"writ/scribe"
	"writ/witness"
)

var background = context.Background()

// world is a registry's directory, its witnesses, and what a reader trusts.
type world struct {
	t      testing.TB
	config Config
	policy *ledger.Policy
	server *Server
	client api.DirectoryClient
	url    string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t}
	signer, vkey, err := note.GenerateKey(rand.Reader, "directory.test/writ")
	w.must(err)
	text, urls := "log "+vkey+"\n", map[string]string{}
	for _, name := range []string{"a", "b"} {
		k, err := witness.GenerateKey(name+".test", rand.Reader)
		w.must(err)
		key, err := witness.ParseKey(k)
		w.must(err)
		s, err := witness.New(witness.Config{Dir: t.TempDir(), Key: key, Logs: []string{vkey}})
		w.must(err)
		srv := httptest.NewServer(s)
		t.Cleanup(func() { srv.Close(); s.Close() })
		text, urls[name] = text+fmt.Sprintf("witness %s %s\n", name, s.VKey()), srv.URL
	}
	w.policy, err = ledger.ParsePolicy(text + "group q all a b\nquorum q\n")
	w.must(err)
	dir := t.TempDir()
	w.config = Config{Labels: directory.GenerateLabelSigner(), Store: engine.Config{Path: filepath.Join(dir, "statements.db")},
		Log: scribe.Config{Dir: filepath.Join(dir, "log"), Signer: signer, Policy: w.policy, Witnesses: urls,
			Interval: 100 * time.Millisecond, Republish: 300 * time.Millisecond}}
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// start opens the registry in this process.
func (w *world) start() {
	w.t.Helper()
	s, err := Open(background, w.config)
	w.must(err)
	srv := httptest.NewServer(s.Handler())
	w.t.Cleanup(func() { srv.Close(); w.stop() })
	w.server, w.client, w.url = s, api.NewDirectoryClient(http.DefaultClient, srv.URL), srv.URL
}

// stop ends the registry, if it runs.
func (w *world) stop() {
	w.t.Helper()
	if w.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(background, 5*time.Second)
	defer cancel()
	w.must(w.server.Close(ctx))
	w.server = nil
}

// person is an account with its keys.
type person struct {
	name     string
	recovery ed25519.PrivateKey
	devices  map[string]ed25519.PrivateKey
	chain    *directory.Chain
}

func newKey() ed25519.PrivateKey {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	return key
}

func public(k ed25519.PrivateKey) (out [32]byte) { return [32]byte(k.Public().(ed25519.PublicKey)) }

// newPerson is an account with the device "phone" and its first statement.
func (w *world) newPerson(name string) *person {
	w.t.Helper()
	p := &person{name: name, recovery: newKey(), devices: map[string]ed25519.PrivateKey{"phone": newKey()}}
	s := &directory.Statement{Account: name, Version: 1, Recovery: public(p.recovery)}
	s.Add("phone", public(p.devices["phone"]), uint64(time.Now().Unix()))
	s.SignAs("phone", directory.DeviceSigner(p.devices["phone"]))
	var err error
	p.chain, err = directory.NewChain(s)
	w.must(err)
	return p
}

// adds returns the statement by which the phone adds a device, and takes it for the newest.
func (w *world) adds(p *person, device string) *directory.Statement {
	w.t.Helper()
	s := p.chain.Draft()
	p.devices[device] = newKey()
	s.Add(device, public(p.devices[device]), uint64(time.Now().Unix()))
	s.SignAs("phone", directory.DeviceSigner(p.devices["phone"]))
	var err error
	p.chain, err = p.chain.Follow(s)
	w.must(err)
	return s
}

func (w *world) put(s *directory.Statement) error {
	_, err := w.client.PutStatement(background, &api.PutStatementRequest{Statement: s.Encode()})
	return err
}

// lookUp verifies what the registry answers, as a client does.
func (w *world) lookUp(accounts ...string) []*directory.Verified {
	w.t.Helper()
	r, err := w.client.LookUp(background, &api.LookUpRequest{Accounts: accounts})
	w.must(err)
	c, err := w.policy.Checkpoint(r.Checkpoint, time.Now(), time.Minute)
	w.must(err)
	at := directory.Facts{Size: c.Size(), Root: c.Tree().Hash, Time: c.Time(), MaxAge: time.Minute}
	var all []*directory.Verified
	for i, l := range r.Lookups {
		v, err := directory.Verify(l, accounts[i], w.config.Labels.Public(), at, time.Now())
		w.must(err)
		all = append(all, v)
	}
	return all
}

func code(err error) connect.Code { return connect.CodeOf(err) }

// DIR-40: what follows is logged once and shown; what does not is refused.
func TestPutAndLookUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	ann := w.newPerson("ann")
	if _, err := w.client.LookUp(background, &api.LookUpRequest{Accounts: []string{"ann"}}); code(err) != connect.CodeFailedPrecondition {
		t.Errorf("an empty log answers: %v", err)
	}
	w.must(w.put(ann.chain.Newest()))
	w.must(w.put(ann.chain.Newest())) // the same again
	if v := w.lookUp("ann")[0]; v.Chain().Version() != 1 || len(v.Leaves()) != 1 {
		t.Fatalf("ann has %d leaves", len(v.Leaves()))
	}
	stranger := w.newPerson("ann")
	if err := w.put(stranger.chain.Newest()); code(err) != connect.CodeFailedPrecondition {
		t.Errorf("a second first statement: %v", err)
	}
	second := w.adds(ann, "tablet")
	forged := *second
	forged.SignAs("phone", directory.DeviceSigner(newKey()))
	if err := w.put(&forged); code(err) != connect.CodeFailedPrecondition {
		t.Errorf("a forged statement: %v", err)
	}
	third := w.adds(ann, "laptop")
	if err := w.put(third); code(err) != connect.CodeFailedPrecondition {
		t.Errorf("version 3 before 2: %v", err)
	}
	w.must(w.put(second))
	w.must(w.put(third))
	all := w.lookUp("ann", "nobody")
	if v := all[0]; v.Chain().Newest().Hash() != third.Hash() {
		t.Error("the newest statement is not shown")
	}
	if all[1].Chain() != nil {
		t.Error("nobody has devices")
	}
	if _, err := w.client.PutStatement(background, &api.PutStatementRequest{Statement: []byte("junk")}); code(err) != connect.CodeInvalidArgument {
		t.Errorf("junk: %v", err)
	}
	if _, err := w.client.LookUp(background, &api.LookUpRequest{Accounts: []string{"No Name"}}); code(err) != connect.CodeInvalidArgument {
		t.Errorf("no name: %v", err)
	}
}

// DIR-41: however many statements come at once, every account can be looked up under
// every checkpoint, and the log is the one that a Book replays.
func TestRootsUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	const n = 600
	done := make(chan error, n)
	for i := range n {
		p := w.newPerson(fmt.Sprint("p", i))
		go func() { done <- w.put(p.chain.Newest()) }()
	}
	for i := range n {
		w.must(<-done)
		if i%50 == 0 {
			w.lookUp("p0", "p599", "nobody")
		}
	}
	for i := 0; i < n; i += 60 {
		if v := w.lookUp(fmt.Sprint("p", i))[0]; v.Chain() == nil {
			t.Errorf("p%d is not there", i)
		}
	}
	book := directory.NewBook()
	w.server.mu.Lock()
	head := w.server.head.Size()
	w.server.mu.Unlock()
	reader := w.follow(func(entry []byte) error { return book.Apply(entry) })
	if reader != head || head < n+n/directory.RootEvery {
		t.Errorf("%d entries on the log, the registry knows %d", reader, head)
	}
}

// An answer brings the proof that the reader's earlier log is the beginning of this one.
func TestConsistency(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.must(w.put(w.newPerson("ann").chain.Newest()))
	r, err := w.client.LookUp(background, &api.LookUpRequest{Accounts: []string{"ann"}})
	w.must(err)
	old, err := w.policy.Checkpoint(r.Checkpoint, time.Now(), time.Minute)
	w.must(err)
	for i := range 40 {
		w.must(w.put(w.newPerson(fmt.Sprint("p", i)).chain.Newest()))
		if i > 3 && i < 36 {
			continue
		}
		r, err = w.client.LookUp(background, &api.LookUpRequest{Accounts: []string{"ann"}, Size: old.Size()})
		w.must(err)
		c, err := w.policy.Checkpoint(r.Checkpoint, time.Now(), time.Minute)
		w.must(err)
		var proof tlog.TreeProof
		for _, h := range r.Consistency {
			proof = append(proof, tlog.Hash(h))
		}
		w.must(tlog.CheckTree(proof, int64(c.Size()), c.Tree().Hash, int64(old.Size()), old.Tree().Hash))
	}
}

// What was stored and not logged is logged at the next start, once.
func TestResume(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	ann := w.newPerson("ann")
	w.must(w.put(ann.chain.Newest()))
	label, _ := w.config.Labels.Prove("ann")
	second := w.adds(ann, "tablet")
	w.must(w.server.keep(background, label, directory.Opened{Statement: second, Salt: [32]byte{1}})) // and the process ends
	w.stop()
	for range 2 {
		w.start()
		v := w.lookUp("ann")[0]
		for end := time.Now().Add(20 * time.Second); len(v.Leaves()) < 2 && time.Now().Before(end); v = w.lookUp("ann")[0] {
			time.Sleep(50 * time.Millisecond) // nobody was told that it is there: the next checkpoint shows it
		}
		if v.Chain().Newest().Hash() != second.Hash() || len(v.Leaves()) != 2 {
			t.Errorf("%d leaves, version %d", len(v.Leaves()), v.Chain().Version())
		}
		w.must(w.put(second))
		w.stop()
	}
}

// A store that is older than the log is found out, and answers nothing about accounts
// that it does not know whole.
func TestOldStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	ann := w.newPerson("ann")
	w.must(w.put(ann.chain.Newest()))
	w.stop()
	w.config.Store.Path = filepath.Join(t.TempDir(), "empty.db")
	w.start()
	if _, err := w.client.LookUp(background, &api.LookUpRequest{Accounts: []string{"ann"}}); code(err) != connect.CodeUnavailable {
		t.Errorf("answers: %v", err)
	}
	if err := w.put(ann.chain.Newest()); code(err) != connect.CodeUnavailable {
		t.Errorf("logs a second leaf: %v", err)
	}
}

func TestQuota(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.PerHour = 2
	w.start()
	ann := w.newPerson("ann")
	w.must(w.put(ann.chain.Newest()))
	w.must(w.put(w.adds(ann, "tablet")))
	if err := w.put(w.adds(ann, "laptop")); code(err) != connect.CodeResourceExhausted {
		t.Errorf("a third statement: %v", err)
	}
	w.must(w.put(w.newPerson("ben").chain.Newest()))
}

// Whoever does not hold a key of the account costs no look at its history: what follows
// nothing is refused by the newest statement alone, whatever became of those before it.
func TestBogusStatementIsCheap(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	ann, mallory := w.newPerson("ann"), w.newPerson("ann")
	w.must(w.put(ann.chain.Newest()))
	w.must(w.put(w.adds(ann, "tablet")))
	w.must(w.put(w.adds(ann, "laptop")))
	label, _ := w.config.Labels.Prove("ann")
	w.must(w.server.store.Apply(background, engine.Delete(statements, recordKey(label, 1))))
	forged := ann.chain.Draft()
	forged.Add("mine", public(newKey()), uint64(time.Now().Unix()))
	forged.SignAs("phone", directory.DeviceSigner(mallory.devices["phone"]))
	for what, s := range map[string]*directory.Statement{"of another key": forged, "of an old version": w.adds(mallory, "tablet")} {
		if err := w.put(s); code(err) != connect.CodeFailedPrecondition {
			t.Errorf("a statement %s: %v", what, err)
		}
	}
	if err := w.put(w.adds(ann, "watch")); code(err) != connect.CodeUnavailable {
		t.Errorf("goes on without the whole history: %v", err)
	}
}

// Who holds a key of the account can make the registry check the whole history: as often
// as the account may make statements, and what others send does not count.
func TestRefusedStatementsCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.PerHour = 4
	w.start()
	ann := w.newPerson("ann")
	w.must(w.put(ann.chain.Newest()))
	w.must(w.put(w.adds(ann, "tablet")))
	draft := func(change func(*directory.Statement), key ed25519.PrivateKey) *directory.Statement {
		s := ann.chain.Draft()
		change(s)
		s.SignAs("phone", directory.DeviceSigner(key))
		return s
	}
	dropped := draft(func(s *directory.Statement) { s.Drop("tablet") }, ann.devices["phone"])
	w.must(w.put(dropped))
	var err error
	ann.chain, err = ann.chain.Follow(dropped)
	w.must(err)
	again := func(s *directory.Statement) { s.Add("tablet", public(newKey()), uint64(time.Now().Unix())) }
	for range 5 {
		if err := w.put(draft(again, newKey())); code(err) != connect.CodeFailedPrecondition {
			t.Fatalf("by a stranger: %v", err)
		}
	}
	if err := w.put(draft(again, ann.devices["phone"])); code(err) != connect.CodeFailedPrecondition {
		t.Errorf("a name that was dropped: %v", err)
	}
	if err := w.put(draft(again, ann.devices["phone"])); code(err) != connect.CodeResourceExhausted {
		t.Errorf("and again: %v", err)
	}
}

// Who sends more than any request may have is turned away unread, packed or not: nobody
// here has to log in.
func TestRequestsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	long := strings.Repeat("a", 64<<10)
	for _, c := range []api.DirectoryClient{w.client, api.NewDirectoryClient(http.DefaultClient, w.url, connect.WithSendGzip())} {
		_, err := c.PutStatement(background, &api.PutStatementRequest{Statement: []byte(long)})
		if got := code(err); got != connect.CodeResourceExhausted {
			t.Errorf("a long statement: %v", err)
		}
		_, err = c.LookUp(background, &api.LookUpRequest{Accounts: []string{long}})
		if got := code(err); got != connect.CodeResourceExhausted {
			t.Errorf("a long account: %v", err)
		}
	}
	var most []string
	for i := range maxAccounts {
		most = append(most, fmt.Sprintf("%s%02d", long[:wire.MaxName-2], i))
	}
	w.must(w.put(w.newPerson("ann").chain.Newest()))
	if _, err := w.client.LookUp(background, &api.LookUpRequest{Accounts: most, Size: 1}); err != nil {
		t.Error(err)
	}
}

// follow reads the whole log over HTTP as an auditor does, and returns its size.
func (w *world) follow(apply func(entry []byte) error) uint64 {
	w.t.Helper()
	f, err := follower.New(follower.Config{URL: w.url, Policy: w.policy, MaxAge: time.Minute})
	w.must(err)
	next, err := f.Update(background, 0, func(_ uint64, entry []byte, _ time.Time) error { return apply(entry) })
	w.must(err)
	return next
}
