package notary

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/klog/v2"

	"writ/charter"
	"writ/follower"
	"writ/ledger"
)

const childEnv = "WRIT_TEST_NOTARY"

// childConfig is what the parent tells a notary that it is going to kill.
type childConfig struct {
	Dir, Signer, Policy string
	Witnesses           map[string]string
	First               charter.Hash
}

// TestMain runs a notary instead of the tests in a child of TestKill.
func TestMain(m *testing.M) {
	quiet := flag.NewFlagSet("klog", flag.PanicOnError)
	klog.InitFlags(quiet)
	quiet.Set("logtostderr", "false")
	klog.SetOutput(io.Discard)
	if c := os.Getenv(childEnv); c != "" {
		child(c)
	}
	os.Exit(m.Run())
}

func child(config string) {
	var c childConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		panic(err)
	}
	policy, err := ledger.ParsePolicy(c.Policy)
	if err != nil {
		panic(err)
	}
	s, err := New(context.Background(), Config{Dir: c.Dir, Signer: c.Signer, Policy: policy, Witnesses: c.Witnesses,
		FirstCharters: []charter.Hash{c.First}, Interval: 100 * time.Millisecond})
	if err != nil {
		panic(err)
	}
	fmt.Println(httptest.NewServer(s).URL)
	select {}
}

func (w *world) command() *exec.Cmd {
	w.t.Helper()
	config, err := json.Marshal(childConfig{w.dir, w.signer, w.policy.String(), w.urls, w.Charter.Hash()})
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), childEnv+"="+string(config)), os.Stderr
	return cmd
}

// spawn starts a notary and returns it and its URL.
func (w *world) spawn() (*exec.Cmd, string) {
	w.t.Helper()
	cmd := w.command()
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	var url string
	if _, err := fmt.Fscan(out, &url); err != nil {
		w.t.Fatal(err)
	}
	return cmd, url
}

// A notary that is killed while it makes its log can be started again.
func TestKillAtStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, wait := range []time.Duration{10, 20, 30, 40, 50, 60, 80} {
		cmd := w.command()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(wait * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
	}
	_, f := w.start()
	if at := w.add(f, w.charterEntry()); at != 0 {
		t.Errorf("first entry at %d", at)
	}
}

// A notary that is killed at any moment loses no entry that it acknowledged,
// gives none another index, and its log stays consistent with what readers and
// witnesses have seen.
func TestKill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var mu sync.Mutex
	acknowledged, last := map[int]uint64{}, []byte(nil)
	for round := range 8 {
		cmd, url := w.spawn()
		f, err := follower.New(follower.Config{URL: url, Policy: w.policy, Last: last})
		if err != nil {
			t.Fatal(err)
		}
		w.add(f, w.charterEntry())
		w.update(f)
		last = f.Last()
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for i := 0; ; i++ {
					n := round*4000 + worker*500 + i
					at, err := f.Add(ctx, w.warrant(n))
					if err != nil {
						return
					}
					mu.Lock()
					acknowledged[n] = at
					mu.Unlock()
				}
			}()
		}
		w.await(func() bool { mu.Lock(); defer mu.Unlock(); return len(acknowledged) > round })
		time.Sleep(time.Duration(37*round) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		cancel()
		wg.Wait()
	}
	_, f := w.start()
	w.update(f)
	for n, at := range acknowledged {
		if got, ok := w.book.Find(ledger.HashEntry(w.warrant(n))); !ok || got != at {
			t.Errorf("warrant %d: acknowledged at %d, found at %d, %v", n, at, got, ok)
		}
	}
	if len(w.book.Findings()) > 0 {
		t.Errorf("findings: %v", w.book.Findings())
	}
	t.Logf("%d entries acknowledged, %d on the log, 8 kills", len(acknowledged), w.book.Size())
}

// await waits until something is so, as long as a busy machine may need.
func (w *world) await(so func() bool) {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatal("nothing happens")
		}
	}
}

func (w *world) statusOf(witness string) string {
	resp, err := http.Get(w.urls[witness])
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return string(b)
}

// R14: a notary that shows witnesses a second history gets no cosignature for it,
// and the witnesses report it.
func TestForkRefusedByWitnessesR14(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, f := w.start()
	w.add(f, w.charterEntry())
	w.add(f, w.warrant(0))
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	earlier := logDir(t)
	if err := os.CopyFS(earlier, os.DirFS(w.dir)); err != nil {
		t.Fatal(err)
	}
	_, f = w.start()
	w.add(f, w.warrant(1))
	w.add(f, w.warrant(2))
	w.dir = earlier // the same key, an older disk
	s, _ = w.start()
	ctx, cancel := context.WithTimeout(context.Background(), 1500*time.Millisecond)
	defer cancel()
	if _, err := s.Add(ctx, mustParse(t, w.warrant(3))); err == nil {
		t.Fatal("the second history was witnessed")
	}
	ctx, cancel = context.WithTimeout(context.Background(), 1500*time.Millisecond)
	defer cancel()
	if _, err := s.Add(ctx, mustParse(t, w.warrant(4))); err == nil {
		t.Fatal("the second history was witnessed")
	}
	for _, name := range []string{"a", "b"} {
		if text := w.statusOf(name); !strings.Contains(text, "forks 1\n") || !strings.Contains(text, "contradicts size 4") {
			t.Errorf("witness %s reports\n%s", name, text)
		}
	}
}

// R14: where notary and witnesses lie together, the first reader who sees both
// histories reports it with evidence and stops.
func TestForkFoundByFollowerR14(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]int{"same size": 2, "larger": 5} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			_, f := w.start()
			w.add(f, w.charterEntry())
			w.add(f, w.warrant(0))
			w.add(f, w.warrant(1))
			w.update(f)
			last := f.Last()

			w.dir = logDir(t)
			for _, name := range []string{"a", "b"} {
				w.startWitness(name, w.policy.LogVKey()) // the same keys without memory
			}
			_, other := w.start()
			w.add(other, w.charterEntry())
			for i := range more {
				w.add(other, w.warrant(10+i))
			}
			reader, err := follower.New(follower.Config{URL: w.url, Policy: w.policy, Last: last})
			if err != nil {
				t.Fatal(err)
			}
			err = reader.Follow(context.Background(), w.book.Size(), time.Millisecond, w.book.Apply, func(err error) { t.Error(err) })
			var fork *follower.ForkError
			if !errors.As(err, &fork) || fork.Old.Size() != 3 || fork.New.Size() != uint64(1+more) {
				t.Fatalf("got %v", err)
			}
			for _, c := range []*ledger.Checkpoint{fork.Old, fork.New} {
				if _, err := w.policy.Checkpoint(c.Signed(), time.Now(), time.Minute); err != nil {
					t.Errorf("evidence: %v", err)
				}
			}
			if _, _, err := reader.Proof(context.Background(), 0); !errors.As(err, &fork) {
				t.Errorf("goes on after a fork: %v", err)
			}
		})
	}
}

// A log that shows less than before is not believed.
func TestRollback(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, f := w.start()
	w.add(f, w.charterEntry())
	w.add(f, w.warrant(0))
	w.update(f)
	last := f.Last()
	w.dir = logDir(t)
	for _, name := range []string{"a", "b"} {
		w.startWitness(name, w.policy.LogVKey())
	}
	_, other := w.start()
	w.add(other, w.charterEntry())
	reader, err := follower.New(follower.Config{URL: w.url, Policy: w.policy, Last: last})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Checkpoint(context.Background()); !errors.Is(err, follower.ErrRefused) {
		t.Errorf("got %v", err)
	}
}
