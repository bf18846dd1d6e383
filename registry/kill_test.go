package registry

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"k8s.io/klog/v2"

	"writ/api"
	"writ/directory"
	"writ/engine"
	"writ/ledger"
	"writ/scribe"
)

const childEnv = "WRIT_TEST_REGISTRY"

// childConfig is what the parent tells a registry that it is going to kill.
type childConfig struct {
	Dir, Store, Signer, Policy string
	Witnesses                  map[string]string
	Labels                     []byte
}

// TestMain runs a registry instead of the tests in a child of TestKill.
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
	check := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	check(json.Unmarshal([]byte(config), &c))
	policy, err := ledger.ParsePolicy(c.Policy)
	check(err)
	labels, err := directory.NewLabelSigner(c.Labels)
	check(err)
	s, err := Open(context.Background(), Config{Labels: labels, Store: engine.Config{Path: c.Store},
		Log: scribe.Config{Dir: c.Dir, Signer: c.Signer, Policy: policy, Witnesses: c.Witnesses, Interval: 100 * time.Millisecond}})
	check(err)
	fmt.Println(httptest.NewServer(s.Handler()).URL)
	select {}
}

func (w *world) spawn() *exec.Cmd {
	w.t.Helper()
	l := w.config.Log
	config, err := json.Marshal(childConfig{l.Dir, w.config.Store.Path, l.Signer, w.policy.String(), l.Witnesses, w.config.Labels.Bytes()})
	w.must(err)
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), childEnv+"="+string(config)), os.Stderr
	out, err := cmd.StdoutPipe()
	w.must(err)
	w.must(cmd.Start())
	if _, err := fmt.Fscan(out, &w.url); err != nil {
		w.t.Fatal(err)
	}
	w.client = api.NewDirectoryClient(http.DefaultClient, w.url)
	return cmd
}

// A registry that is killed at any moment loses no statement that it answered, logs
// none twice, and every account it knows verifies.
func TestKill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var mu sync.Mutex
	answered, tried := map[string]*person{}, []*person{}
	for round := range 6 {
		cmd, client := w.spawn(), w.client
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				for i := 0; ; i++ {
					p := w.newPerson(fmt.Sprintf("p%d-%d-%d", round, worker, i))
					mu.Lock()
					tried = append(tried, p)
					mu.Unlock()
					if _, err := client.PutStatement(background, &api.PutStatementRequest{Statement: p.chain.Newest().Encode()}); err != nil {
						return
					}
					mu.Lock()
					answered[p.name] = p
					mu.Unlock()
				}
			})
		}
		w.await(func() bool { mu.Lock(); defer mu.Unlock(); return len(answered) > round })
		time.Sleep(time.Duration(45*round) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		wg.Wait()
	}
	w.start()
	for _, p := range tried {
		v := w.lookUp(p.name)[0]
		switch {
		case v.Chain() == nil && answered[p.name] != nil:
			t.Errorf("%s was answered and is gone", p.name)
		case v.Chain() != nil && (len(v.Leaves()) != 1 || v.Chain().Newest().Hash() != p.chain.Newest().Hash()):
			t.Errorf("%s has %d leaves", p.name, len(v.Leaves()))
		case v.Chain() == nil:
			w.must(w.put(p.chain.Newest()))
		}
	}
	t.Logf("%d statements answered of %d sent, 6 kills", len(answered), len(tried))
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
