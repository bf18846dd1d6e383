package delivery

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"writ/api"
	"writ/charter/chartertest"
	"writ/engine"
	"writ/mls"
)

// childDatabase makes this test binary a delivery service on that file.
const childDatabase = "WRIT_TEST_DELIVERY_DATABASE"

func TestMain(m *testing.M) {
	if path := os.Getenv(childDatabase); path != "" {
		serve(path)
		return
	}
	os.Exit(m.Run())
}

// serve runs a service and prints its address.
func serve(path string) {
	s, err := Open(Config{
		Store:   engine.Config{Path: path, Fatal: func(err error) { panic(err) }},
		Laws:    FixedLaws(chartertest.New("delivery").Charter),
		Address: address,
		Now:     func() time.Time { return chartertest.Now },
	})
	if err != nil {
		panic(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Printf("http://%s\n", l.Addr())
	panic(http.Serve(l, s.Handler()))
}

// child is a service in a process of its own.
func (w *world) child(path string) *exec.Cmd {
	w.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childDatabase+"="+path)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		w.Fatal(err)
	}
	if err := c.Start(); err != nil {
		w.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		w.Fatal(err)
	}
	w.url = strings.TrimSpace(line)
	return c
}

// kill ends the process as a power cut would, as far as a process can tell.
func kill(t testing.TB, c *exec.Cmd) {
	t.Helper()
	if err := c.Process.Kill(); err != nil { // SIGKILL
		t.Fatal(err)
	}
	c.Wait()
}

// load is what one phone wants stored: messages, each with its own mid.
type load struct {
	p    *phone
	conv string
	todo []*api.AppendRequest
	seqs map[string]uint64 // of acknowledged mids
}

// run sends what is not acknowledged until something fails or all is sent. Every
// acknowledgement must agree with the ones before.
func (l *load) run(acknowledged func()) {
	for _, r := range l.todo {
		if l.seqs[string(r.Mid)] != 0 {
			continue
		}
		answer, err := l.p.api().Append(context.Background(), r)
		if err != nil {
			return
		}
		l.seqs[string(r.Mid)] = answer.Seq
		acknowledged()
	}
}

// check compares what is stored with what was acknowledged.
func (l *load) check(t *testing.T) {
	t.Helper()
	stored := map[string]uint64{}
	for _, m := range l.p.read(l.conv) { // read checks that seq is dense
		if stored[string(m.Mid)] != 0 {
			t.Errorf("mid %x is stored twice", m.Mid)
		}
		stored[string(m.Mid)] = m.Seq
	}
	for mid, seq := range l.seqs {
		if stored[mid] != seq {
			t.Errorf("acknowledged seq %d of mid %x is %d after the kill", seq, mid, stored[mid])
		}
	}
}

// A service that is killed under load has lost nothing that it acknowledged, and the
// same mids again complete the rest without doubles.
func TestKill(t *testing.T) {
	law := chartertest.New("delivery")
	w := &world{TB: t, law: law, clock: &clock{t: chartertest.Now}, client: &http.Client{}, config: Config{Address: address}}
	path := filepath.Join(t.TempDir(), "delivery.db")
	process := w.child(path)
	t.Cleanup(func() { kill(t, process) })
	const writers, each, kills = 12, 60, 3
	var loads []*load
	for i := range writers {
		p := w.phone(fmt.Sprint("p", i), "phone", nil)
		conv := p.create()
		p.commit(conv, mls.CommitOptions{})
		hash := p.deposit(conv)
		l := &load{p: p, conv: conv, seqs: map[string]uint64{}}
		for _, text := range texts(each, "m") {
			l.todo = append(l.todo, p.protect(conv, hash, text))
		}
		loads = append(loads, l)
	}
	for round := range kills + 1 {
		var group sync.WaitGroup
		acknowledged := make(chan bool, writers*each)
		for _, l := range loads {
			group.Go(func() { l.run(func() { acknowledged <- true }) })
		}
		if round < kills {
			for range writers * each / (kills + 2) {
				<-acknowledged
			}
			kill(t, process)
			group.Wait()
			process = w.child(path)
		}
		group.Wait()
		for _, l := range loads {
			l.p.login()
			l.check(t)
		}
	}
	for _, l := range loads {
		if len(l.seqs) != each || len(l.p.read(l.conv)) != each+1 {
			t.Errorf("%d messages acknowledged, %d stored, of %d and a commit", len(l.seqs), len(l.p.read(l.conv)), each)
		}
	}
}

// A kill leaves a commit with its welcome, roster and capsules' epoch, or nothing of it. The
// same commit again settles which; whom it adds is welcomed once, and talks.
func TestKillCommits(t *testing.T) {
	law := chartertest.New("delivery")
	w := &world{TB: t, law: law, clock: &clock{t: chartertest.Now}, client: &http.Client{}, config: Config{Address: address}}
	path := filepath.Join(t.TempDir(), "delivery.db")
	process := w.child(path)
	t.Cleanup(func() { kill(t, process) })
	const rounds, each = 3, 8
	alice, bob := w.phone("alice", "phone", nil), w.phone("bob", "phone", nil)
	before := 0
	for round := range rounds {
		bob.stock(each)
		requests, pending := map[string]*api.CommitRequest{}, map[string]*mls.PendingCommit{}
		for range each {
			conv := alice.create()
			pending[conv], requests[conv] = alice.prepare(conv, mls.CommitOptions{Add: alice.take("bob")})
		}
		answers := make(chan *api.CommitResponse, each)
		var group sync.WaitGroup
		for _, r := range requests {
			group.Go(func() {
				if a, err := alice.api().Commit(context.Background(), r); err == nil {
					answers <- a
				}
			})
		}
		for range 2 * round { // in the first round none is waited for
			<-answers
			before++
		}
		kill(t, process)
		group.Wait()
		process = w.child(path)
		alice.login()
		bob.login()
		for conv, r := range requests {
			for range 2 {
				if a, err := alice.api().Commit(context.Background(), r); err != nil || a.Epoch != 1 || a.Seq != 1 {
					t.Fatalf("the same commit again: %v, %v", a, err)
				}
			}
			if _, err := alice.groups[conv].Apply(pending[conv].Staged); err != nil {
				t.Fatal(err)
			}
		}
		bob.join()
		for conv := range requests {
			if bob.groups[conv] == nil {
				t.Fatal("bob was not welcomed")
			}
			bob.say(conv, bob.deposit(conv), "here")
			if list := alice.read(conv); len(list) != 2 {
				t.Errorf("%d messages, want the commit and one", len(list))
			}
		}
	}
	t.Logf("%d commits, %d answered before the kill", rounds*each, before)
}

// R29: who steals the database has no plaintext and no key. The search finds what is
// there: ciphertext and metadata.
func TestStolenDatabaseR29(t *testing.T) {
	w := newWorld(t)
	alice, bob, conv := w.pair()
	ratchet, senderData, err := alice.groups[conv].SenderSecrets(1, 0)
	if err != nil {
		t.Fatal(err)
	}
	exported, err := alice.groups[conv].Export("test", nil, 32)
	if err != nil {
		t.Fatal(err)
	}
	hash := alice.deposit(conv)
	const plaintext = "meet me at the old lighthouse at nine"
	r := alice.protect(conv, hash, plaintext)
	if _, err := alice.api().Append(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	secrets := map[string][]byte{
		"plaintext": []byte(plaintext), "part of the plaintext": []byte("lighthouse"),
		"ratchet secret": ratchet, "sender data secret": senderData, "exported secret": exported,
		"epoch authenticator": alice.groups[conv].EpochAuthenticator(),
		"alice's key":         alice.key.Bytes(), "bob's key": bob.key.Bytes(),
		"alice's token": []byte(alice.token), "count key": w.law.Delivery.Seed(),
	}
	for _, state := range bob.secrets {
		for i, part := range chunks(state) {
			secrets[fmt.Sprint("bob's key package secret ", i)] = part
		}
	}
	for name, k := range w.law.Mail {
		if secrets["mail key of "+name], err = k.Bytes(); err != nil {
			t.Fatal(err)
		}
	}
	var dump []byte
	files, _ := filepath.Glob(w.config.Store.Path + "*")
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		dump = append(dump, b...)
	}
	for _, there := range [][]byte{r.Message, hash, []byte("alice"), alice.key.Public()} {
		if !bytes.Contains(dump, there[:min(len(there), 200)]) {
			t.Fatal("the search does not find what is stored")
		}
	}
	for name, secret := range secrets {
		for form, b := range map[string][]byte{"raw": secret, "hex": []byte(hex.EncodeToString(secret)),
			"base64": []byte(strings.TrimRight(base64.StdEncoding.EncodeToString(secret), "="))} {
			if bytes.Contains(dump, b) {
				t.Errorf("the database holds %s (%s)", name, form)
			}
		}
	}
}

// chunks cuts encoded secrets into pieces of 24 bytes, each telling enough.
func chunks(b []byte) (list [][]byte) {
	for part := range slices.Chunk(b, 24) {
		if len(part) == 24 {
			list = append(list, part)
		}
	}
	return list
}

// What is in memory is a copy: with room for one conversation and after a restart
// the same calls give the same answers.
func TestSmallMemory(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Conversations = 1 })
	alice, bob, first := w.pair()
	var convs []string
	for range 3 {
		conv := alice.create()
		alice.commit(conv, mls.CommitOptions{Add: alice.take("bob")})
		convs = append(convs, conv)
	}
	bob.join()
	for round := range 20 { // beyond a snapshot
		for _, conv := range append(convs, first) {
			p := []*phone{alice, bob}[round%2]
			p.follow(conv)
			p.commit(conv, mls.CommitOptions{})
			p.say(conv, p.deposit(conv), "x")
		}
		if round == 17 {
			w.service.Close()
			w.start()
			alice.login()
			bob.login()
		}
	}
	for _, conv := range append(convs, first) {
		if n := len(alice.read(conv)); n != 41 {
			t.Errorf("%d messages, want 41", n)
		}
	}
	used, done := w.service.use([]byte(first))
	for _, conv := range convs {
		_, done := w.service.use([]byte(conv))
		done()
	}
	again, doneAgain := w.service.use([]byte(first))
	if used != again {
		t.Error("a copy in use was dropped, so that there are two")
	}
	done()
	doneAgain()
	w.service.use(randomBytes(16))
	w.service.mu.Lock()
	defer w.service.mu.Unlock()
	if n := len(w.service.conversations); n > 1 {
		t.Errorf("%d conversations in memory", n)
	}
}
