package witness

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// testLog is a log in memory; two with one signer are a fork.
type testLog struct {
	t      testing.TB
	signer note.Signer
	vkey   string
	hashes []tlog.Hash
	n      int64
}

func newTestLog(t testing.TB, name string) *testLog {
	skey, vkey, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	return logOf(t, skey, vkey)
}

func logOf(t testing.TB, skey, vkey string) *testLog {
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return &testLog{t: t, signer: signer, vkey: vkey}
}

func (l *testLog) ReadHashes(at []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(at))
	for i, x := range at {
		out[i] = l.hashes[x]
	}
	return out, nil
}

func (l *testLog) add(entries ...string) {
	for _, e := range entries {
		stored, err := tlog.StoredHashes(l.n, []byte(e), l)
		if err != nil {
			l.t.Fatal(err)
		}
		l.hashes, l.n = append(l.hashes, stored...), l.n+1
	}
}

func (l *testLog) fork() *testLog {
	f := *l
	f.hashes = append([]tlog.Hash(nil), l.hashes...)
	return &f
}

func (l *testLog) checkpoint() []byte {
	root, err := tlog.TreeHash(l.n, l)
	if err != nil {
		l.t.Fatal(err)
	}
	c := torchwood.Checkpoint{Origin: l.signer.Name(), Tree: tlog.Tree{N: l.n, Hash: root}}
	signed, err := note.Sign(&note.Note{Text: c.String()}, l.signer)
	if err != nil {
		l.t.Fatal(err)
	}
	return signed
}

// body returns an add-checkpoint request from an old size.
func (l *testLog) body(old int64) []byte {
	b := fmt.Appendf(nil, "old %d\n", old)
	if old > 0 && old <= l.n {
		proof, err := tlog.ProveTree(l.n, old, l)
		if err != nil {
			l.t.Fatal(err)
		}
		for _, h := range proof {
			b = fmt.Appendf(b, "%s\n", h)
		}
	}
	return append(append(b, '\n'), l.checkpoint()...)
}

type testWitness struct {
	*Witness
	t   testing.TB
	dir string
	key *Key
	log bytes.Buffer
}

func startWitness(t testing.TB, dir string, key *Key, logs ...*testLog) *testWitness {
	t.Helper()
	w := &testWitness{t: t, dir: dir, key: key}
	c := Config{Dir: dir, Key: key, Log: slog.New(slog.NewTextHandler(&w.log, nil))}
	for _, l := range logs {
		c.Logs = append(c.Logs, l.vkey)
	}
	var err error
	if w.Witness, err = New(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func newKey(t testing.TB, name string) *Key {
	text, err := GenerateKey(name, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (w *testWitness) post(body []byte) (int, string) {
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, httptest.NewRequest("POST", "/add-checkpoint", bytes.NewReader(body)))
	if rec.Code == http.StatusConflict && strings.TrimSpace(rec.Body.String()) == "" {
		w.t.Error("a conflict without a size")
	}
	return rec.Code, rec.Body.String()
}

func (w *testWitness) want(code int, body []byte) string {
	w.t.Helper()
	got, answer := w.post(body)
	if got != code {
		w.t.Fatalf("got %d %q, want %d", got, answer, code)
	}
	return answer
}

func (w *testWitness) status() string {
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	return rec.Body.String()
}

// Torchwood accepts the cosignature.
func TestCosign(t *testing.T) {
	l := newTestLog(t, "log.example/writ")
	w := startWitness(t, t.TempDir(), newKey(t, "a.example"), l)
	verifier, err := torchwood.NewCosignatureVerifier(w.VKey())
	if err != nil {
		t.Fatal(err)
	}
	var old int64
	for _, n := range []int{0, 1, 2, 0, 300} {
		for i := range n {
			l.add(fmt.Sprint(i))
		}
		before := time.Now().Unix()
		lines := w.want(200, l.body(old))
		opened, err := note.Open(append(l.checkpoint(), lines...), note.VerifierList(verifier))
		if err != nil {
			t.Fatal(err)
		}
		at, err := torchwood.CosignatureTimestamp(opened.Sigs[0])
		if err != nil || at < before || at > time.Now().Unix() {
			t.Fatalf("time %d, %v", at, err)
		}
		old = l.n
	}
}

func TestAnswers(t *testing.T) {
	l, other := newTestLog(t, "log.example/writ"), newTestLog(t, "other.example")
	impostor := newTestLog(t, "log.example/writ")
	w := startWitness(t, t.TempDir(), newKey(t, "a.example"), l)
	l.add("0", "1", "2", "3", "4")
	impostor.add("0", "1", "2", "3", "4")
	w.want(200, l.body(0))
	if size := w.want(409, l.body(0)); size != "5\n" {
		t.Errorf("conflict says %q", size)
	}
	w.want(409, l.body(3))
	w.want(200, l.body(5))
	w.want(404, other.body(0))
	w.want(403, impostor.body(5))
	small := newTestLog(t, "x")
	small.signer = l.signer
	small.add("0", "1")
	w.want(400, small.body(5))
	good := l.body(5)
	l.add("5", "6")
	wrong := l.body(5)
	wrong[len("old 5\n")] ^= 1
	if code, _ := w.post(wrong); code != 422 && code != 400 {
		t.Errorf("wrong proof: %d", code)
	}
	w.want(422, append([]byte("old 5\n\n"), l.checkpoint()...))
	for _, body := range []string{"", "old 5", "old 5\n\n", "old -1\n\nx\n", "old 05\n\nx\n", "new 5\n\nx\n",
		"old 5\nnothash\n\nx\n", "old 5\n" + strings.Repeat("f+7CoKgXKE/tNys9TTXcr/ad6U/K3xvznmzew9y6SP0=\n", 64) + "\nx\n",
		"old 0\n" + strings.Repeat("a", maxBody)} {
		w.want(400, []byte(body))
	}
	w.want(422, append([]byte("old 5\nf+7CoKgXKE/tNys9TTXcr/ad6U/K3xvznmzew9y6SP0=\n"), good[len("old 5\n"):]...))
	w.want(200, l.body(5))
	if s := w.status(); !strings.Contains(s, "log log.example/writ\nsize 7\n") || !strings.Contains(s, "forks 0\n") {
		t.Errorf("status:\n%s", s)
	}
}

// A cosignature vouches for the whole text, so nothing is in it but a tree.
func TestOddCheckpoints(t *testing.T) {
	l := newTestLog(t, "log.example/writ")
	w := startWitness(t, t.TempDir(), newKey(t, "a.example"), l)
	body := func(text string) []byte {
		signed, err := note.Sign(&note.Note{Text: text}, l.signer)
		if err != nil {
			t.Fatal(err)
		}
		return append([]byte("old 0\n\n"), signed...)
	}
	const hash = "f+7CoKgXKE/tNys9TTXcr/ad6U/K3xvznmzew9y6SP0=\n"
	w.want(400, body("log.example/writ\n0\n"+hash))
	w.want(400, body("log.example/writ\n5\n"+hash+"and more\n"))
	w.want(400, body("log.example/writ\n05\n"+hash))
	w.want(400, body("log.example/writ\n-5\n"+hash))
	l.add("0")
	w.want(400, append([]byte("old 0\n"+hash+"\n"), l.checkpoint()...))
	w.want(200, l.body(0))
}

// R14: of two views only one is cosigned; the other is refused, logged, shown
// and, if it proves a fork, kept as evidence over a restart.
func TestTwoViewsR14(t *testing.T) {
	l := newTestLog(t, "log.example/writ")
	dir, key := t.TempDir(), newKey(t, "a.example")
	w := startWitness(t, dir, key, l)
	l.add("0", "1", "2")
	w.want(200, l.body(0))
	two := l.fork()
	l.add("3", "4")
	two.add("3'", "4'")
	w.want(200, l.body(3))
	w.want(409, two.body(3))
	w.want(409, two.body(5))
	two.add("5'")
	w.want(422, two.body(5))
	for _, part := range []string{"forks 1\n", "refused 3\n", "contradicts size 5"} {
		if s := w.status(); !strings.Contains(s, part) {
			t.Errorf("status lacks %q:\n%s", part, s)
		}
	}
	if n := strings.Count(w.log.String(), "level=ERROR"); n != 3 {
		t.Errorf("%d lines for 3 contradictions:\n%s", n, w.log.String())
	}
	w.Close()
	again := startWitness(t, dir, key, l)
	if !strings.Contains(again.status(), "forks 1\n") {
		t.Error("a restart forgets the fork")
	}
	two = l.fork()
	two.n, two.hashes = 0, nil
	two.add("0", "1", "2", "3'", "4'")
	again.want(409, two.body(5))
	again.want(200, l.body(5))
}

func TestStart(t *testing.T) {
	l := newTestLog(t, "log.example/writ")
	dir, key := t.TempDir(), newKey(t, "a.example")
	w := startWitness(t, dir, key, l)
	l.add("0")
	w.want(200, l.body(0))
	if _, err := New(Config{Dir: dir, Key: key, Logs: []string{l.vkey}}); err == nil {
		t.Error("two processes on one directory")
	}
	w.Close()
	if _, err := New(Config{Dir: dir, Key: key, Logs: []string{l.vkey, l.vkey}}); err == nil {
		t.Error("two keys for a log")
	}
	name := w.store.path(l.signer.Name()) + ".checkpoint"
	state, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	state[len(l.signer.Name())+1]++
	if err := os.WriteFile(name, state, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Dir: dir, Key: key, Logs: []string{l.vkey}}); err == nil {
		t.Error("a changed state is taken")
	}
	for _, text := range []string{"", "PRIVATE+KEY+a+00000000+AAAA", "PRIVATE+KEY+a"} {
		if _, err := ParseKey(text); err == nil {
			t.Errorf("key %q", text)
		}
	}
}

// A failing disk stops the witness: it does not sign what it can't remember.
func TestDiskFails(t *testing.T) {
	l := newTestLog(t, "log.example/writ")
	w := startWitness(t, t.TempDir(), newKey(t, "a.example"), l)
	l.add("0")
	w.want(200, l.body(0))
	var fatal error
	w.fatal = func(err error) { fatal = err }
	w.store.dir += "/gone"
	l.add("1")
	if answer := w.want(500, l.body(1)); strings.Contains(answer, w.dir) {
		t.Errorf("the answer names the directory: %s", answer)
	}
	if fatal == nil || !strings.Contains(w.status(), "\nstopped ") {
		t.Errorf("fatal %v; status:\n%s", fatal, w.status())
	}
	w.store.dir = strings.TrimSuffix(w.store.dir, "/gone")
	w.want(500, l.body(1)) // a later success would prove nothing
}

const childEnv = "WRIT_TEST_WITNESS"

// TestMain runs a witness instead of the tests in a child of TestKill.
func TestMain(m *testing.M) {
	if args := strings.Fields(os.Getenv(childEnv)); len(args) == 3 {
		child(args[0], args[1], args[2])
		return
	}
	os.Exit(m.Run())
}

func child(dir, key, vkey string) {
	k, err := ParseKey(key)
	if err != nil {
		panic(err)
	}
	w, err := New(Config{Dir: dir, Key: k, Logs: []string{vkey}})
	if err != nil {
		panic(err)
	}
	s := httptest.NewServer(w)
	fmt.Println(s.URL)
	select {}
}

// Killed at any moment, a witness still knows every checkpoint it cosigned.
func TestKill(t *testing.T) {
	l := newTestLog(t, "log.example/writ")
	keyText, err := GenerateKey("a.example", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	dir, cosigned := t.TempDir(), int64(0)
	for round := range 6 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+dir+" "+keyText+" "+l.vkey)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var url string
		if _, err := fmt.Fscan(out, &url); err != nil {
			t.Fatal(err)
		}
		known := sizeOf(t, url, l)
		if known < cosigned || known > l.n {
			t.Fatalf("round %d: cosigned %d, knows %d of %d", round, cosigned, known, l.n)
		}
		timer := time.AfterFunc(time.Duration(20+13*round)*time.Millisecond, func() { cmd.Process.Kill() })
		cosigned = load(url, l, known)
		timer.Stop()
		cmd.Process.Kill()
		cmd.Wait()
	}
	if cosigned == 0 {
		t.Error("nothing was cosigned between kills")
	}
}

// sizeOf asks for the size the witness knows, as clients do.
func sizeOf(t *testing.T, url string, l *testLog) (n int64) {
	t.Helper()
	l.add("probe")
	resp, err := http.Post(url+"/add-checkpoint", "", bytes.NewReader(l.body(0)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if resp.StatusCode == 200 {
		return l.n
	}
	if _, err := fmt.Sscan(string(b), &n); err != nil {
		t.Fatalf("%d %q", resp.StatusCode, b)
	}
	return n
}

// load has checkpoint after checkpoint cosigned until the witness is gone, and
// returns the last size that was.
func load(url string, l *testLog, known int64) int64 {
	for {
		l.add("load")
		resp, err := http.Post(url+"/add-checkpoint", "", bytes.NewReader(l.body(known)))
		if err != nil {
			return known
		}
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 {
			return known
		}
		known = l.n
	}
}

func FuzzAddCheckpoint(f *testing.F) {
	l := newTestLog(f, "log.example/writ")
	w := startWitness(f, f.TempDir(), newKey(f, "a.example"), l)
	l.add("0", "1", "2")
	w.want(200, l.body(0))
	f.Add(l.body(3))
	f.Add(l.body(0))
	f.Add([]byte("old 3\n\nlog.example/writ\n4\n\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		lines, err := w.add(body)
		if (lines == nil) == (err == nil) {
			t.Fatalf("%q and %v", lines, err)
		}
		if w.logs[l.signer.Name()].tree.N != 3 {
			t.Fatalf("the view moved without the log's key: %q", body)
		}
	})
}
