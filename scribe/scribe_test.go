package scribe

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/tessera"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"writ/ledger"
	"writ/witness"
)

// newConfig is a log with one real witness.
func newConfig(t *testing.T) Config {
	t.Helper()
	signer, vkey, err := note.GenerateKey(rand.Reader, "log.test/scribe")
	must(t, err)
	c := Config{Dir: t.TempDir(), Signer: signer, Interval: minInterval, Republish: minInterval}
	watch(t, &c, vkey)
	return c
}

// watch gives a log a new witness, who alone counts.
func watch(t *testing.T, c *Config, vkey string) {
	t.Helper()
	text, err := witness.GenerateKey("w.test", rand.Reader)
	must(t, err)
	key, err := witness.ParseKey(text)
	must(t, err)
	w, err := witness.New(witness.Config{Dir: t.TempDir(), Key: key, Logs: []string{vkey}})
	must(t, err)
	srv := httptest.NewServer(w)
	t.Cleanup(func() { srv.Close(); w.Close() })
	policy, err := ledger.ParsePolicy(fmt.Sprintf("log %s\nwitness w %s\nquorum w\n", vkey, w.VKey()))
	must(t, err)
	c.Policy, c.Witnesses = policy, map[string]string{"w": srv.URL}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, c Config) (*Log, []string) {
	t.Helper()
	var had []string
	c.Replay = func(index uint64, entry []byte) error {
		if index != uint64(len(had)) {
			t.Errorf("entry %d replayed as %d", len(had), index)
		}
		had = append(had, string(entry))
		return nil
	}
	l, err := Open(context.Background(), c)
	must(t, err)
	return l, had
}

func closeNow(l *Log) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	l.Close(ctx)
}

func TestAppendAwaitReplay(t *testing.T) {
	t.Parallel()
	c := newConfig(t)
	l, had := open(t, c)
	if len(had) > 0 {
		t.Errorf("a new log holds %q", had)
	}
	var last uint64
	for i := range 300 {
		index, err := l.Append(fmt.Append(nil, "entry ", i))
		must(t, err)
		if index != uint64(i) {
			t.Fatalf("entry %d at %d", i, index)
		}
		last = index
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	checkpoint, err := l.Await(ctx, last)
	must(t, err)
	root, err := tlog.TreeHash(300, l.Hashes(ctx, checkpoint.Size()))
	if err != nil || checkpoint.Size() != 300 || root != checkpoint.Tree().Hash {
		t.Errorf("%d entries, root %v, %v", checkpoint.Size(), root, err)
	}
	if _, err := l.Await(ctx, 300); err == nil {
		t.Error("an entry that nobody admitted is published")
	}
	must(t, l.Close(ctx))
	if _, err := l.Append([]byte("late")); err == nil {
		t.Error("admitted after its end")
	}
	l, had = open(t, c)
	defer closeNow(l)
	if len(had) != 300 || had[299] != "entry 299" {
		t.Errorf("%d entries replayed", len(had))
	}
}

// TestOtherWitness: opened under a policy of other witnesses, a log answers with what
// these cosigned, not with the last checkpoint of before.
func TestOtherWitness(t *testing.T) {
	t.Parallel()
	c := newConfig(t)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	l, _ := open(t, c)
	index, err := l.Append([]byte("entry"))
	must(t, err)
	_, err = l.Await(ctx, index)
	must(t, err)
	must(t, l.Close(ctx))
	watch(t, &c, c.Policy.LogVKey())
	l, _ = open(t, c)
	defer closeNow(l)
	if got, err := l.Await(ctx, index); err != nil || got.Size() != 1 {
		t.Errorf("under the new policy: %v, %v", got, err)
	}
	if got, err := l.Published(ctx); err != nil || got.Size() != 1 {
		t.Errorf("published: %v, %v", got, err)
	}
}

// Who asks for an entry after the storage failed to take it is told so, and does not wait
// for a checkpoint that never comes.
func TestAwaitWhatFailed(t *testing.T) {
	t.Parallel()
	c := newConfig(t)
	l, _ := open(t, c)
	defer closeNow(l)
	must(t, os.WriteFile(filepath.Join(c.Dir, "tile"), nil, 0o600))
	index, err := l.Append([]byte("entry"))
	must(t, err)
	<-l.stored
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if c, err := l.Await(ctx, index); err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("got %v, %v", c, err)
	}
}

// When the storage gives an entry another index than it was admitted with, the log
// stops before anything is acknowledged.
func TestAnotherWriter(t *testing.T) {
	t.Parallel()
	c := newConfig(t)
	fatal := make(chan error, 1)
	c.Fatal = func(err error) { fatal <- err }
	l, _ := open(t, c)
	defer closeNow(l)
	if _, err := l.appender.Add(l.ctx, tessera.NewEntry([]byte("by another hand")))(); err != nil {
		t.Fatal(err)
	}
	index, err := l.Append([]byte("ours"))
	must(t, err)
	if _, err := l.Await(context.Background(), index); err == nil || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("got %v", err)
	}
	if _, err := l.Append([]byte("more")); err == nil || <-fatal == nil {
		t.Errorf("goes on: %v", err)
	}
}
