package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"writ/audit"
	"writ/directory"
	"writ/internal/testenv"
	"writ/internal/testlaw"
)

// keyLog serves the log of a directory, which holds what a test puts there.
type keyLog struct {
	t      *testing.T
	url    string
	policy string // a file
	w      *testenv.World

	mu    sync.Mutex
	log   *testenv.Log
	book  *directory.Book
	all   [][]byte  // its entries
	at    time.Time // of checkpoints; zero: now
	down  bool
	asked []string // tiles of entries
	lacks string   // the tile of entries that is not there
}

func newKeyLog(t *testing.T) *keyLog {
	w := testenv.New(t, testenv.Options{Shapes: testlaw.Small})
	k := &keyLog{t: t, w: w, policy: filepath.Join(t.TempDir(), "policy.txt")}
	w.Must(os.WriteFile(k.policy, []byte(w.Policy.String()), 0o600))
	k.begin(0)
	s := httptest.NewServer(k)
	t.Cleanup(s.Close)
	k.url = s.URL
	return k
}

func (k *keyLog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if strings.HasPrefix(r.URL.Path, "/tile/entries/") {
		k.asked = append(k.asked, r.URL.Path)
	}
	switch {
	case k.lacks != "" && strings.HasPrefix(r.URL.Path, k.lacks):
		http.NotFound(w, r)
	case k.down:
		w.WriteHeader(http.StatusServiceUnavailable)
	case r.URL.Path == "/checkpoint" && !k.at.IsZero():
		w.Write(k.log.Checkpoint(k.at, "a", "b"))
	default:
		k.log.ServeHTTP(w, r)
	}
}

func (k *keyLog) set(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

// begin puts a history of n leaves, with their roots, in the place of what there is.
func (k *keyLog) begin(n int) { k.become(nil, n) }

// become makes the log at once one of these entries and n leaves.
func (k *keyLog) become(entries [][]byte, n int) {
	next := &keyLog{log: k.w.LyingLog(), book: directory.NewBook()}
	next.log.Drop(int(next.log.Size()))
	for _, e := range entries {
		next.add(e)
	}
	next.leaves(n)
	k.set(func() { k.log, k.book, k.all = next.log, next.book, next.all })
}

func (k *keyLog) add(entry []byte) {
	k.set(func() {
		k.log.Add(entry)
		k.all = append(k.all, entry)
		k.book.Apply(entry)
	})
}

// leaves adds leaves of new accounts, and the roots that are due.
func (k *keyLog) leaves(n int) {
	for range n {
		at := k.book.Size()
		k.add(directory.Leaf{Label: directory.Label{byte(at), byte(at >> 8), byte(n)}, Commitment: [32]byte{9}}.Entry())
		if k.book.Due() {
			k.add(k.book.Root().Entry())
		}
	}
}

// lie adds a root that is not the tree's.
func (k *keyLog) lie() {
	r := k.book.Root()
	r.Hash[0] ^= 1
	k.add(r.Entry())
}

func (k *keyLog) args(more ...string) []string {
	return append([]string{"audit", k.url, "--directory", "--policy", k.policy, "--json"}, more...)
}

// once audits up to now.
func (k *keyLog) once(more ...string) (code int, r audit.DirectoryReport, errs string) {
	k.t.Helper()
	root, out, said := newRoot(), &bytes.Buffer{}, &bytes.Buffer{}
	root.SetOut(out)
	root.SetErr(said)
	code = run(context.Background(), root, k.args(more...))
	if out.Len() > 0 {
		k.w.Must(json.Unmarshal(out.Bytes(), &r))
	}
	return code, r, said.String()
}

// must audits up to now with a state, and wants that exit code.
func (k *keyLog) must(code int, state string) (r audit.DirectoryReport, errs string) {
	k.t.Helper()
	got, r, errs := k.once("--state", state)
	if got != code {
		k.t.Fatalf("exit code %d, want %d: %s", got, code, errs)
	}
	return r, errs
}

// keyWatch is an audit with --watch under way.
type keyWatch struct {
	t      *testing.T
	events chan event
	stop   context.CancelFunc
	code   chan int
	errs   bytes.Buffer
}

func (k *keyLog) watch(more ...string) *keyWatch {
	ctx, stop := context.WithCancel(context.Background())
	r, out := io.Pipe()
	w := &keyWatch{t: k.t, events: make(chan event), stop: stop, code: make(chan int, 1)}
	root := newRoot()
	root.SetOut(out)
	root.SetErr(&w.errs)
	go func() {
		code := run(ctx, root, k.args(append([]string{"--watch", "--every", "5ms"}, more...)...))
		out.Close()
		w.code <- code
	}()
	go func() {
		defer close(w.events)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			var e event
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				k.t.Errorf("%q: %v", lines.Text(), err)
			}
			w.events <- e
		}
	}()
	k.t.Cleanup(func() {
		stop()
		for range w.events {
		}
	})
	return w
}

// next is the next event, which must be of that kind.
func (w *keyWatch) next(kind string) event {
	w.t.Helper()
	select {
	case e, ok := <-w.events:
		if !ok || e.Event != kind {
			w.t.Fatalf("%+v comes where %q is expected: %s", e, kind, w.errs.String())
		}
		return e
	case <-time.After(20 * time.Second):
		w.t.Fatalf("no %q comes", kind)
		return event{}
	}
}

// ends wants no further event, and that exit code.
func (w *keyWatch) ends(code int) {
	w.t.Helper()
	select {
	case e, more := <-w.events:
		if more {
			w.t.Fatalf("%+v comes at the end", e)
		}
	case <-time.After(20 * time.Second):
		w.t.Fatal("it does not end")
	}
	if got := <-w.code; got != code {
		w.t.Errorf("exit code %d, want %d: %s", got, code, w.errs.String())
	}
}

func (e event) is(index uint64, kind, text string) bool {
	return e.Index != nil && *e.Index == index && e.Type == kind && strings.Contains(e.Text, text)
}

// files are what a state's directory holds.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range list {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[f.Name()] = string(b)
	}
	return all
}

// A directory's log is followed as a ledger is: entries, findings, a stale checkpoint, a
// log that is away. What came while nobody watched is told by the next watch, also if an
// audit in between has read it.
func TestDirectoryIsWatched(t *testing.T) {
	k, state := newKeyLog(t), t.TempDir()
	k.leaves(3)
	w := k.watch("--state", state, "--max-age", "1m")
	if e := w.next("started"); !strings.Contains(e.Text, "3 entries of ") {
		t.Errorf("it starts with %q", e.Text)
	}
	k.leaves(1)
	if e := w.next("entry"); !e.is(3, "leaf", "a statement of the account labelled 0300") || e.Seen == nil {
		t.Errorf("a leaf is told as %+v", e)
	}
	k.add([]byte("no entry"))
	if e := w.next("entry"); !e.is(4, "unknown", "") {
		t.Errorf("junk is told as %+v", e)
	}
	if e := w.next("finding"); !e.is(4, "unknown", "malformed") || e.Rule != "DIR-47" {
		t.Errorf("junk is found as %+v", e)
	}
	k.lie()
	if e := w.next("entry"); !e.is(5, "root", "of the tree over the first 5 entries") {
		t.Errorf("a root is told as %+v", e)
	}
	if e := w.next("finding"); !e.is(5, "root", "is not that of the first 5 entries") {
		t.Errorf("a wrong root is found as %+v", e)
	}
	k.set(func() { k.at = time.Now().Add(-time.Hour) })
	if e := w.next("finding"); !e.is(6, "checkpoint", "stale") || e.Rule != "AUD-3" {
		t.Errorf("a stale checkpoint is found as %+v", e)
	}
	k.set(func() { k.at = time.Time{} })
	w.next("settled")
	k.set(func() { k.down = true })
	w.next("unavailable")
	k.set(func() { k.down = false })
	w.next("available")
	w.stop()
	w.ends(int(codeFindings))

	k.leaves(1)
	if r, _ := k.must(int(codeFindings), state); r.Entries != 7 || r.Leaves != 5 || r.Roots != 1 || len(r.Findings) != 2 {
		t.Errorf("the report says %+v", r)
	}
	k.leaves(1)
	w = k.watch("--state", state)
	w.next("started")
	for i := range uint64(2) {
		if e := w.next("entry"); !e.is(6+i, "leaf", "") {
			t.Errorf("what came meanwhile is told as %+v", e)
		}
	}
	w.next("finding")
	w.next("finding")
	w.stop()
	w.ends(int(codeFindings))
}

// An address is held to the age that devices hold it to, unless another is asked for.
func TestDirectoryFreshness(t *testing.T) {
	k := newKeyLog(t)
	k.begin(3)
	k.set(func() { k.at = time.Now().Add(-9 * time.Minute) })
	if code, _, errs := k.once(); code != 0 {
		t.Errorf("nine minutes: exit code %d: %s", code, errs)
	}
	k.set(func() { k.at = time.Now().Add(-11 * time.Minute) })
	if code, r, _ := k.once(); code != int(codeFindings) || len(r.Findings) != 1 || r.Findings[0].Rule != "AUD-3" {
		t.Errorf("eleven minutes: exit code %d: %+v", code, r.Findings)
	}
	if code, _, errs := k.once("--max-age", "0"); code != 0 {
		t.Errorf("any age: exit code %d: %s", code, errs)
	}
}

// A later run reads what is new, and says what one says that reads the whole log. While a
// watch goes on what was audited is stored now and then, not at each entry; at its end it is.
func TestDirectoryStateGrows(t *testing.T) {
	k, state := newKeyLog(t), t.TempDir()
	k.begin(600)
	k.must(0, state)
	first := files(t, state)
	w := k.watch("--state", state)
	w.next("started")
	k.leaves(1)
	for range 2 { // the second is told when the first is stored
		k.leaves(1)
		w.next("entry")
	}
	if now := files(t, state); now[auditedFile] != first[auditedFile] || now[checkpointFile] == first[checkpointFile] {
		t.Error("for one entry all is stored anew, or not its checkpoint")
	}
	w.next("entry")
	k.leaves(100)
	for range 100 + 3 {
		w.next("entry")
	}
	then := files(t, state)
	if then[auditedFile] == first[auditedFile] {
		t.Error("after a hundred entries nothing is stored")
	}
	k.leaves(1)
	w.next("entry")
	w.stop()
	w.ends(0)
	if now := files(t, state); now[auditedFile] == then[auditedFile] {
		t.Error("nothing is stored at the end")
	}
	k.leaves(40)
	k.set(func() { k.asked = nil })
	kept, _ := k.must(0, state)
	k.set(func() {
		if len(k.asked) != 1 || !strings.HasPrefix(k.asked[0], "/tile/entries/002") {
			t.Errorf("it reads %v", k.asked)
		}
	})
	_, whole, _ := k.once()
	whole.Now, whole.Log = kept.Now, kept.Log
	if fmt.Sprint(kept) != fmt.Sprint(whole) || kept.Leaves != 744 {
		t.Errorf("it says %+v, and one that reads all %+v", kept, whole)
	}

	k.leaves(1)
	k.must(0, state)
	now := files(t, state)
	k.w.Must(os.WriteFile(filepath.Join(state, auditedFile), []byte(first[auditedFile]), 0o600)) // a crash before it was stored
	k.w.Must(os.WriteFile(filepath.Join(state, ".new-1"), []byte("half of i"), 0o600))
	if r, _ := k.must(0, state); r.Leaves != 745 || files(t, state)[auditedFile] != now[auditedFile] {
		t.Error("after a crash it goes on otherwise")
	}
	k.set(func() { k.at = time.Now().Add(-time.Minute) })
	if k.must(0, state); files(t, state)[checkpointFile] != now[checkpointFile] {
		t.Error("a checkpoint of nothing new is stored")
	}
}

// What is stored is audited up to a checkpoint, also when the log breaks off before it.
func TestDirectoryStateIsWhole(t *testing.T) {
	k, state := newKeyLog(t), t.TempDir()
	k.begin(3)
	k.set(func() { k.lacks = "/tile/entries/002" }) // which is read when the two before it are applied
	w := k.watch("--state", state)
	w.next("started")
	k.become(k.all, 600)
	w.next("unavailable")
	first := files(t, state)
	w.stop()
	w.ends(0)
	if !maps.Equal(files(t, state), first) {
		t.Error("half of what is new is stored")
	}
	k.set(func() { k.lacks = "" })
	w = k.watch("--state", state)
	w.next("started")
	for i := range uint64(600 + 19) {
		if e := w.next("entry"); *e.Index != 3+i {
			t.Fatalf("%d is told in the place of %d", *e.Index, 3+i)
		}
	}
	w.stop()
	w.ends(0)
}

// Nothing is said of what is not stored.
func TestDirectoryStateComesFirst(t *testing.T) {
	k := newKeyLog(t)
	k.begin(3)
	state := filepath.Join(t.TempDir(), "state")
	w := k.watch("--state", state)
	w.next("started")
	k.set(func() { k.at = time.Now().Add(-time.Hour) })
	w.next("finding") // the look before this one is over
	k.w.Must(os.RemoveAll(state))
	k.leaves(1)
	w.next("unavailable")
	k.w.Must(os.Mkdir(state, 0o700))
	w.next("available")
	w.next("entry")
	w.stop()
	w.ends(int(codeFindings))
}

// Another history is found out live and after a restart, both checkpoints are kept, and
// nothing is audited until somebody has looked. A shorter log is told.
func TestDirectoryForkIsFound(t *testing.T) {
	k, live, resting, bare := newKeyLog(t), t.TempDir(), t.TempDir(), t.TempDir()
	k.begin(70)
	w := k.watch("--state", live)
	w.next("started")
	k.must(0, resting)
	k.must(0, bare)
	k.w.Must(os.Remove(filepath.Join(bare, auditedFile)))
	all := k.all
	k.away(w, func() { k.become(all[:67], 0) })
	w.next("rollback")
	if _, errs := k.must(int(codeInvalid), resting); !strings.Contains(errs, "backwards") {
		t.Errorf("a shorter log: %s", errs)
	}
	k.away(w, func() { k.become(all, 0) })
	w.next("available")
	k.away(w, func() { k.begin(80) })
	fork := w.next("fork")
	w.ends(int(codeInvalid))
	for _, dir := range []string{live, resting, bare} {
		if dir != live {
			if _, errs := k.must(int(codeInvalid), dir); !strings.Contains(errs, "has forked") {
				t.Errorf("after a restart: %s", errs)
			}
		}
		kept := files(t, dir)
		old, err := k.w.Policy.Checkpoint([]byte(kept[forkOld]), time.Now(), 0)
		k.w.Must(err)
		other, err := k.w.Policy.Checkpoint([]byte(kept[forkNew]), time.Now(), 0)
		k.w.Must(err)
		if old.Tree() == other.Tree() || dir == live && (kept[forkOld] != fork.Old || kept[forkNew] != fork.New) {
			t.Error("what is kept is no evidence")
		}
		if _, errs := k.must(int(codeInvalid), dir); !strings.Contains(errs, "contradict each other") {
			t.Errorf("it goes on after a fork: %s", errs)
		}
	}
	if code, _, errs := k.once(); code != 0 {
		t.Errorf("without memory: exit code %d: %s", code, errs)
	}
}

// away changes the log while it is away, so that no look sees half of it before and half
// after.
func (k *keyLog) away(w *keyWatch, change func()) {
	k.set(func() { k.down = true })
	w.next("unavailable")
	change()
	k.set(func() { k.down = false })
}

// A state that was damaged, or is of something else, is refused with a word on what to do,
// and stays as it was.
func TestDirectoryStateIsRefused(t *testing.T) {
	k, state := newKeyLog(t), t.TempDir()
	k.begin(70)
	w := k.watch("--state", state)
	w.next("started")
	w.stop()
	w.ends(0)
	good, other := files(t, state), newKeyLog(t)
	older := t.TempDir()
	all := k.all
	k.become(all[:67], 0)
	k.must(0, older)
	k.become(all, 0)
	flipped := []byte(good[auditedFile])
	flipped[len(flipped)/2] ^= 4
	for name, c := range map[string]struct {
		file, text string // to be without it if it is ""
		code       code
		says, hint string
	}{
		"audited, damaged":   {auditedFile, string(flipped), codeFailed, "damaged", "checkpoint stays"},
		"audited, cut":       {auditedFile, good[auditedFile][:500], codeFailed, "cut short", "checkpoint stays"},
		"audited, longer":    {auditedFile, good[auditedFile] + "x", codeFailed, "damaged", "checkpoint stays"},
		"audited, empty":     {auditedFile, "\n", codeFailed, "damaged", "checkpoint stays"},
		"checkpoint gone":    {checkpointFile, "", codeFailed, "is gone", "another --state"},
		"checkpoint cut":     {checkpointFile, good[checkpointFile][:80], codeInvalid, "refused", "or damaged"},
		"checkpoint longer":  {checkpointFile, good[checkpointFile] + "x", codeInvalid, "refused", "or damaged"},
		"checkpoint endless": {checkpointFile, strings.Repeat("x", 1<<20), codeFailed, "more than 32768 bytes", "another --state"},
		"checkpoint older":   {checkpointFile, files(t, older)[checkpointFile], codeFailed, "where 72 were audited", "another --state"},
		"told of no number":  {toldFile, "72 \n", codeFailed, "no number", "remove it"},
		"told, cut":          {toldFile, "7", codeFailed, "no number", "remove it"},
		"of a ledger":        {journalFile, "\n", codeUsage, "of the audit of a ledger", "of its own"},
	} {
		dir := t.TempDir()
		had := maps.Clone(good)
		if had[c.file] = c.text; c.text == "" {
			delete(had, c.file)
		}
		for name, text := range had {
			k.w.Must(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		}
		w := k.watch("--state", dir)
		w.ends(int(c.code))
		if says := w.errs.String(); !strings.Contains(says, c.says) || !strings.Contains(says, "hint: ") || !strings.Contains(says, c.hint) {
			t.Errorf("%s: %s", name, says)
		}
		if !maps.Equal(files(t, dir), had) {
			t.Errorf("%s: the state was changed", name)
		}
	}
	k.w.Must(os.Remove(filepath.Join(state, auditedFile)))
	if r, _ := k.must(0, state); r.Leaves != 70 || files(t, state)[auditedFile] != good[auditedFile] {
		t.Error("without what was audited the log is not read anew")
	}
	root, errs := newRoot(), &bytes.Buffer{}
	root.SetErr(errs)
	args := slices.DeleteFunc(k.args("--state", state), func(a string) bool { return a == "--directory" })
	if code := run(context.Background(), root, args); code != int(codeUsage) || !strings.Contains(errs.String(), "of the audit of a directory") {
		t.Errorf("for a ledger: exit code %d: %s", code, errs)
	}
	if code, _, errs := other.once("--state", state); code != int(codeInvalid) || !strings.Contains(errs, "of another log") {
		t.Errorf("for another directory: exit code %d: %s", code, errs)
	}
	s, err := openAuditState(state)
	k.w.Must(err)
	defer s.lock.Close()
	if _, errs := k.must(int(codeFailed), state); !strings.Contains(errs, "only one may") {
		t.Errorf("two at once: %s", errs)
	}
}
