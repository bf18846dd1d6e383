package replica_test

import (
	"bytes"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"writ/charter"
	"writ/ledger"
	"writ/replica"
)

// asked counts what is asked of a log.
type asked struct {
	mu    sync.Mutex
	paths map[string]int
}

func (a *asked) RoundTrip(q *http.Request) (*http.Response, error) {
	a.mu.Lock()
	a.paths[q.URL.Path]++
	a.mu.Unlock()
	return http.DefaultTransport.RoundTrip(q)
}

// Many entries are proven in one pass: the log is asked for one checkpoint, for no tile
// twice and for no entry. A wrong one among them proves none.
func TestProveAllAsksOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.show()
	a := &asked{paths: map[string]int{}}
	r, err := replica.Open(ctx, replica.Config{Path: filepath.Join(t.TempDir(), "ledger.db"), URL: w.url, Policy: w.policy,
		Charters: []charter.Hash{w.Charter.Hash()}, MaxAge: time.Minute, HTTP: &http.Client{Transport: a}})
	w.must(err)
	defer r.Close()
	list := []replica.Standing{{Entry: ledger.CharterEntry(w.Sign(w.Charter))}}
	for n := range byte(5) {
		list = append(list, replica.Standing{Entry: w.warrant(n + 1)})
	}
	for i := range list {
		list[i].Index = w.add(r, list[i].Entry)
	}
	w.must(r.Refresh(ctx))
	a.mu.Lock()
	clear(a.paths)
	a.mu.Unlock()
	proven, err := r.ProveAll(ctx, list)
	w.must(err)
	for i, p := range proven {
		if p.Index() != list[i].Index || !bytes.Equal(p.Entry().Bytes(), list[i].Entry) || len(p.Proof) == 0 {
			t.Errorf("entry %d: proven at %d", i, p.Index())
		}
	}
	for path, n := range a.paths {
		if n > 1 || bytes.Contains([]byte(path), []byte("entries")) {
			t.Errorf("%d entries: %s asked for %d times", len(list), path, n)
		}
	}
	list[3].Entry = list[2].Entry
	if _, err := r.ProveAll(ctx, list); err == nil {
		t.Error("an entry is proven in the place of another")
	}
}
