package system

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"writ/charter"
	"writ/client"
	"writ/custodian"
	"writ/setup"
)

// TestCustodianClock is R36: a custodian whose clock is two hours off releases
// nothing and says so, and an opening that needs it says who is missing.
func TestCustodianClock(t *testing.T) {
	w := newWorld(t, setup.WorldOptions{})
	people := w.people("anna", "ben")
	id, err := people[0].Create(ctx, "ben")
	must(t, err)
	must(t, people[0].Send(ctx, id, "hello"))
	time.Sleep(time.Second)
	w.order("case", "anna")
	const sub = "custodian/publication-1"
	w.kill(sub, "custodian/publication-2") // the office needs one of the two
	for _, off := range []time.Duration{-2 * time.Hour, 2 * time.Hour} {
		stop := w.custodianAt(sub, func() time.Time { return time.Now().Add(off) })
		status := w.writ("custodian", "status", "--dir", w.path(sub))
		if !strings.Contains(status, "NOT READY") {
			t.Errorf("%v off, its status:\n%s", off, status)
		}
		r := w.run("open", "case")
		if r.code != 3 && r.code != 5 || !strings.Contains(r.errors, "publication-1") {
			t.Errorf("%v off: exit code %d\n%s%s", off, r.code, r.out, r.errors)
		}
		for _, e := range w.entries() {
			if e.Release != nil && e.Release.Office == "publication" {
				t.Errorf("%v off: it released", off)
			}
		}
		stop()
	}
	w.start(sub)
	w.writ("open", "case")
}

// custodianAt runs a custodian's directory in this process under another clock.
func (w *world) custodianAt(sub string, now func() time.Time) (stop func()) {
	w.t.Helper()
	config, err := setup.LoadConfig[setup.Custodian](w.path(sub))
	must(w.t, err)
	phrase, err := os.ReadFile(w.path(sub, "passphrase"))
	must(w.t, err)
	c, cancel := context.WithCancel(ctx)
	s, err := custodian.Open(c, custodian.Config{Dir: w.path(sub), Passphrase: bytes.TrimSpace(phrase), WorkFactor: config.WorkFactor,
		Ledger: w.Deployment.Ledger, Charters: []charter.Hash{w.Signed.Hash()}, Policy: w.policy, MaxAge: time.Duration(config.Freshness),
		Poll: 200 * time.Millisecond, LogWait: 3 * time.Second, Now: now})
	must(w.t, err)
	ran := make(chan error, 1)
	go func() { ran <- s.Run(c) }()
	server := httptest.NewUnstartedServer(s.Handler())
	server.Listener.Close()
	server.Listener = listen(w.t, config.Listen)
	server.Start()
	return func() {
		server.Close()
		cancel()
		<-ran
		must(w.t, s.Close())
	}
}

// TestWitnessesAway is R36: without a quorum of witnesses nothing is logged and
// nothing opened; once they are back everything goes on by itself.
func TestWitnessesAway(t *testing.T) {
	w := newWorld(t, setup.WorldOptions{Freshness: 6 * time.Second})
	people := w.people("anna", "ben")
	id, err := people[0].Create(ctx, "ben")
	must(t, err)
	must(t, people[0].Send(ctx, id, "hello"))
	time.Sleep(time.Second)
	w.order("case", "anna")
	w.draft("later", "anna")
	w.writ("warrant", "draft", w.path("later.json"), "--case", "later")
	for _, who := range []string{"judge-1", "commissioner-1"} {
		w.writ("warrant", "approve", "latest", "--yes", "--deployment", w.path("deployment.json"), "--key", w.path("keys", who+".key"))
	}
	w.kill("witness/bar", "witness/university") // one of three is no majority
	time.Sleep(7 * time.Second)
	if r := w.run("custodian", "status", "--dir", w.path("custodian", "judicial-1")); !strings.Contains(r.out, "NOT READY") {
		t.Errorf("a custodian without fresh checkpoint says\n%s%s", r.out, r.errors)
	}
	size := w.size()
	if r := w.run("open", "case"); r.code != 3 && r.code != 5 || !strings.Contains(r.errors, "hint: ") {
		t.Errorf("open without witnesses: exit code %d\n%s%s", r.code, r.out, r.errors)
	}
	must(t, people[0].Send(ctx, id, "people go on talking"))
	if n := w.size(); n != size {
		t.Errorf("the ledger grew from %d to %d entries without witnesses", size, n)
	}
	w.start("witness/bar")
	eventually(t, 20*time.Second, func() error {
		if r := w.run("custodian", "status", "--dir", w.path("custodian", "judicial-1")); !strings.Contains(r.out, "ready: ") {
			return errors.New(r.out)
		}
		return nil
	})
	eventually(t, 20*time.Second, func() error {
		if r := w.run("warrant", "publish", "later"); r.code != 0 {
			return errors.New(r.errors)
		}
		return nil
	})
	w.writ("open", "case")
}

// size counts the entries under the newest checkpoint, however old.
func (w *world) size() int {
	w.t.Helper()
	var a struct{ Entries int }
	r := w.run("audit", w.Deployment.Ledger, "--policy", w.path("policy.txt"), "--json")
	if r.code != 0 && r.code != 6 { // a finding is that witnesses are away
		w.t.Fatalf("audit: exit code %d\n%s", r.code, r.errors)
	}
	must(w.t, json.Unmarshal([]byte(r.out), &a))
	return a.Entries
}

// TestClientClock: a person whose clock is off is told, and nothing is sent
// under a wrong time.
func TestClientClock(t *testing.T) {
	w := newWorld(t, setup.WorldOptions{})
	people := w.people("anna", "ben")
	for _, off := range []time.Duration{-2 * time.Hour, 2 * time.Hour} {
		d, err := w.device("late"+strconv.Itoa(int(off/time.Hour)+2), w.Deployment.Delivery, func() time.Time { return time.Now().Add(off) })
		var id client.ConversationID
		if err == nil {
			if id, err = d.Create(ctx, "ben"); err == nil {
				err = d.Send(ctx, id, "what time is it?")
			}
		}
		if !errors.Is(err, client.ErrClock) {
			t.Errorf("%v off: %v", off, err)
		}
	}
	if _, err := people[1].Sync(ctx); err != nil {
		t.Fatal(err)
	}
	for _, id := range people[1].Conversations() {
		if texts := people[1].texts(t, id); len(texts) > 0 {
			t.Errorf("ben reads %q", texts)
		}
	}
}

// TestCommitsRace: devices that renew and speak at the same time all get through.
func TestCommitsRace(t *testing.T) {
	w := newWorld(t, setup.WorldOptions{})
	people := w.people("anna", "ben", "chloe")
	id, err := people[0].Create(ctx, "ben", "chloe")
	must(t, err)
	for _, p := range people {
		_, err := p.Sync(ctx)
		must(t, err)
	}
	const rounds = 5
	var both sync.WaitGroup
	for round := range rounds {
		start := make(chan struct{})
		for _, p := range people {
			both.Go(func() {
				<-start
				if err := p.Renew(ctx, id); err != nil && !transient(err) {
					t.Errorf("%s renews: %v", p.name, err)
				}
				if err := p.Send(ctx, id, p.name+strconv.Itoa(round)); err != nil {
					t.Errorf("%s speaks: %v", p.name, err)
				}
			})
		}
		close(start)
		both.Wait()
	}
	for _, p := range people {
		_, err := p.Sync(ctx)
		must(t, err)
		texts := p.texts(t, id)
		if len(texts) != rounds*len(people) || len(slices.Compact(sorted(texts))) != len(texts) {
			t.Errorf("%s reads %q", p.name, texts)
		}
	}
}

// TestSameTraffic is R7 beside a real opening: what the binary of a person under a
// warrant asks of delivery, before and after the opening, is what that of another
// person asks, in kind, order and size.
func TestSameTraffic(t *testing.T) {
	w := newWorld(t, setup.WorldOptions{})
	log := &recorder{}
	homes := map[string]string{"anna1": "with1", "anna2": "with2"}
	deployment := log.before(t, w)
	for person, other := range homes {
		for _, name := range []string{person, other} {
			log.under(name)
			w.writ("register", name, "--deployment", deployment, "--home", w.path("homes", name))
		}
		log.under(person)
		w.writ("conversations", "new", other, "--home", w.path("homes", person))
	}
	talk := func(text string) {
		for person, other := range homes {
			log.under(person)
			w.writ("send", "-", text, "--home", w.path("homes", person))
			w.writ("read", "--home", w.path("homes", person))
			log.under(other)
			w.writ("read", "--home", w.path("homes", other))
			w.writ("send", "-", "answer", "--home", w.path("homes", other))
			log.under(person)
			w.writ("read", "--home", w.path("homes", person))
		}
	}
	talk("before the warrant")
	time.Sleep(time.Second)
	log.under("the law")
	w.order("case", "anna1")
	talk("while it is published")
	log.under("the law")
	w.writ("open", "case")
	talk("after it was opened")
	for _, pair := range [][2]string{{"anna1", "anna2"}, {"with1", "with2"}} {
		a, b := log.asked[pair[0]], log.asked[pair[1]]
		if len(a) < 10 || !slices.Equal(a, b) {
			t.Errorf("%s and %s differ, of %d and %d requests: %s", pair[0], pair[1], len(a), len(b), difference(a, b))
		}
	}
}

// recorder is a proxy before delivery that writes down who asks what.
type recorder struct {
	mu    sync.Mutex
	who   string
	asked map[string][]string
}

func (r *recorder) under(who string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.who = who
}

// before puts the recorder where the deployment says that delivery is.
func (r *recorder) before(t *testing.T, w *world) (deployment string) {
	r.asked = map[string][]string{}
	target, err := url.Parse(w.Deployment.Delivery)
	must(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		r.asked[r.who] = append(r.asked[r.who], q.Method+" "+q.URL.Path+" "+strconv.FormatInt(q.ContentLength, 10))
		r.mu.Unlock()
		proxy.ServeHTTP(rw, q)
	}))
	t.Cleanup(server.Close)
	d := *w.Deployment
	d.Delivery = server.URL
	must(t, d.Save(w.path("deployment.json"))) // logins are signed for the address that is public
	w.kill("delivery")
	w.start("delivery")
	return w.path("deployment.json")
}

// TestStolenDisks is R29 and R30 for the whole system: the directories of all
// services hold no word that was said, no ground of a warrant, and no private key
// but each service's own key file.
//
// In clear by design, each mode 0600 in its owner's directory: notary.key,
// witness.key, docket.key, delivery.key, agency.key, reader.key, the approvers'
// keys. In clear in a world for trying things out only: the custodians'
// passphrases. A device's directory is the device: its secrets are in clear.
func TestStolenDisks(t *testing.T) {
	w := newWorld(t, setup.WorldOptions{})
	people := w.people("anna", "ben")
	id, err := people[0].Create(ctx, "ben")
	must(t, err)
	const said, answer = "the parcel is behind the mill", "nobody will look there"
	must(t, people[0].Send(ctx, id, said))
	_, err = people[1].Sync(ctx)
	must(t, err)
	must(t, people[1].Send(ctx, id, answer))
	time.Sleep(time.Second)
	w.order("case", "anna")
	w.writ("open", "case")

	secrets := map[string][]byte{"a message": []byte(said), "an answer": []byte(answer), "the grounds": []byte(grounds), "the reference": []byte("file 77/")}
	own := map[string]string{}
	for name, path := range w.keyFiles() {
		var k setup.KeyFile
		b, err := os.ReadFile(path)
		must(t, err)
		must(t, json.Unmarshal(b, &k))
		for kind, secret := range map[string][]byte{"signing": k.Signing, "mail": k.Mail, "reader": k.Reader, "note": []byte(k.Note)} {
			if len(secret) > 0 {
				secrets[kind+" key of "+name] = secret
				own[kind+" key of "+name] = path
			}
		}
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
	}
	read := 0
	for _, service := range []string{"delivery", "directory", "docket", "notary", "witness", "custodian"} {
		must(t, filepath.WalkDir(w.path(service), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			read += len(b)
			for what, secret := range secrets {
				if own[what] != path && holds(b, secret) {
					t.Errorf("%s is in %s", what, path)
				}
			}
			if service == "docket" && holds(b, []byte("anna")) {
				t.Errorf("the subject is in %s", path)
			}
			if filepath.Ext(path) == ".age" && !bytes.HasPrefix(b, []byte("age-encryption.org/v1\n-> scrypt ")) {
				t.Errorf("%s is not under a passphrase", path)
			}
			return err
		}))
	}
	b, err := os.ReadFile(w.path("test-people", "anna", "device", "lock"))
	if read < 1<<18 || err != nil || len(b) > 0 {
		t.Errorf("%d bytes searched", read)
	}
	if !w.findsWhatIsThere() {
		t.Error("the search finds nothing that is there")
	}
}

// findsWhatIsThere searches for what delivery does know.
func (w *world) findsWhatIsThere() bool {
	names, _ := filepath.Glob(w.path("delivery", "delivery.db*"))
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil && holds(b, []byte("anna")) {
			return true
		}
	}
	return false
}

// holds reports whether bytes hold a secret raw, in base64 or in hexadecimal.
func holds(b, secret []byte) bool {
	return bytes.Contains(b, secret) || bytes.Contains(b, []byte(hex.EncodeToString(secret))) ||
		bytes.Contains(b, []byte(base64.StdEncoding.EncodeToString(secret)))
}

// keyFiles are the key files of a world.
func (w *world) keyFiles() map[string]string {
	files := map[string]string{}
	for _, pattern := range []string{"*/*.key", "*/*/*.key"} {
		names, err := filepath.Glob(w.path(pattern))
		must(w.t, err)
		for _, name := range names {
			rel, err := filepath.Rel(w.Dir, name)
			must(w.t, err)
			files[rel] = name
		}
	}
	return files
}
