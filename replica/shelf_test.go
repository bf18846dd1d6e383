package replica_test

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"writ/charter"
	"writ/engine"
	"writ/ledger"
	"writ/replica"
)

// change opens a copy's file, of which nobody else knows.
func (w *world) change(path string, f func(*engine.Records)) {
	w.t.Helper()
	records, err := engine.OpenRecords(engine.Config{Path: path})
	w.must(err)
	defer func() { w.must(records.Close()) }()
	f(records)
}

// store puts entries into a copy's file as if they had been read now, and no row of the book.
func (w *world) store(path string, first uint64, list ...[]byte) {
	w.t.Helper()
	w.change(path, func(r *engine.Records) {
		writes := make([]engine.Write, len(list))
		for i, entry := range list {
			seen := binary.BigEndian.AppendUint64(nil, uint64(time.Now().Unix()))
			writes[i] = engine.Put("entries", binary.BigEndian.AppendUint64(nil, first+uint64(i)), append(seen, entry...))
		}
		w.must(r.Apply(ctx, writes...))
	})
}

func findings(r *replica.Replica) (n int) {
	r.View(func(b *ledger.Book) { n = len(b.Findings()) })
	return n
}

// A start counts the entries that came since the last, and no other. To show it the first
// warrant's entry is damaged while nobody looks: who replays it finds that out.
func TestStartCountsWhatIsNew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "ledger.db")
	w.store(path, 0, ledger.CharterEntry(w.Sign(w.Charter)), w.warrant(1), w.warrant(2))
	w.must(w.open(path).Close())
	w.store(path, 1, []byte("no entry"))
	w.store(path, 3, w.warrant(3))
	for range 2 {
		r := w.open(path)
		if size, _ := r.Head(); size != 4 || !counted(r, w.warrant(1)) || !counted(r, w.warrant(3)) || findings(r) != 0 {
			t.Fatalf("%d entries, %d findings", size, findings(r))
		}
		w.must(r.Close())
	}
	for what, damage := range map[string]func(*engine.Records){
		"made by another version": func(r *engine.Records) {
			w.must(r.Apply(ctx, engine.Put("state", []byte("book made by"), []byte("v0"))))
		},
		"damaged": func(r *engine.Records) {
			list, err := r.Scan(ctx, "book", nil, 1)
			w.must(err)
			w.must(r.Apply(ctx, engine.Put("book", list[0].Key, []byte("{"))))
		},
	} {
		w.store(path, 1, w.warrant(1))
		w.change(path, damage)
		w.must(w.open(path).Close())
		w.store(path, 1, []byte("no entry"))
		w.change(path, damage)
		r := w.open(path)
		if size, _ := r.Head(); size != 4 || counted(r, w.warrant(1)) || !counted(r, w.warrant(3)) || findings(r) != 1 {
			t.Errorf("%s: it was not replayed: %d entries, %d findings", what, size, findings(r))
		}
		w.must(r.Close())
	}
}

// What counted with one first charter need not count with another.
func TestOtherFirstCharterReplays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "ledger.db")
	w.store(path, 0, ledger.CharterEntry(w.Sign(w.Charter)), w.warrant(1))
	w.must(w.open(path).Close())
	r, err := replica.Open(ctx, replica.Config{Path: path, URL: w.url, Policy: w.policy, Charters: []charter.Hash{{1}}, MaxAge: time.Minute})
	w.must(err)
	defer r.Close()
	if counted(r, w.warrant(1)) || findings(r) != 2 {
		t.Error("a law that nobody named is still counted")
	}
}

// A crash between an entry and its rows, or an error of storing them, loses neither.
func TestRowsThatWereNotStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.show()
	path := filepath.Join(t.TempDir(), "ledger.db")
	r := w.open(path)
	w.add(r, ledger.CharterEntry(w.Sign(w.Charter)))
	w.must(r.Close())
	var before []engine.Record
	w.change(path, func(r *engine.Records) {
		var err error
		before, err = r.Scan(ctx, "book", nil, 1000)
		w.must(err)
	})
	r = w.open(path)
	w.add(r, w.warrant(1))
	w.must(r.Close())
	w.change(path, func(r *engine.Records) {
		writes := []engine.Write{engine.Clear("book")}
		for _, row := range before {
			writes = append(writes, engine.Put("book", row.Key, row.Value))
		}
		w.must(r.Apply(ctx, writes...))
	})
	r = w.open(path)
	if size, _ := r.Head(); size != 2 || !counted(r, w.warrant(1)) {
		t.Errorf("%d entries, and the warrant is lost", size)
	}
	if w.add(r, w.warrant(2)) != 2 || findings(r) != 0 {
		t.Error("it does not go on")
	}
}

// A row that can't be read is no answer: the process ends, and the next start replays the log.
func TestUnreadableRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "ledger.db")
	w.store(path, 0, ledger.CharterEntry(w.Sign(w.Charter)), w.warrant(1), w.warrant(1)) // once more: a finding
	w.must(w.open(path).Close())
	w.damage(path)
	var fatal error
	r, err := replica.Open(ctx, replica.Config{Path: path, URL: w.url, Policy: w.policy, Charters: []charter.Hash{w.Charter.Hash()},
		MaxAge: time.Minute, Fatal: func(err error) { fatal = err }})
	w.must(err)
	answers := func() (panicked any) {
		defer func() { panicked = recover() }()
		findings(r)
		return nil
	}
	if answers() == nil || !errors.Is(fatal, engine.ErrCorrupt) {
		t.Errorf("it goes on: %v", fatal)
	}
	fatal = nil
	w.must(r.Close())
	if answers() == nil || fatal != nil {
		t.Errorf("of a closed copy: %v", fatal)
	}
	if r = w.open(path); findings(r) != 1 || !counted(r, w.warrant(1)) {
		t.Error("the next start does not replay the log")
	}
}

// Nor is an entry that can't be read: the next start would replay it, and is refused.
func TestUnreadableEntry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "ledger.db")
	w.store(path, 0, ledger.CharterEntry(w.Sign(w.Charter)), w.warrant(1))
	w.must(w.open(path).Close())
	w.alter(path, `UPDATE records SET value=value||x'00' WHERE bucket='entries' AND key=x'0000000000000001'`)
	r := w.open(path)
	defer func() {
		if recover() == nil {
			t.Error("it answers")
		}
		w.must(r.Close())
		r, err := replica.Open(ctx, replica.Config{Path: path, URL: w.url, Policy: w.policy, Charters: []charter.Hash{w.Charter.Hash()}, MaxAge: time.Minute})
		if !errors.Is(err, engine.ErrCorrupt) {
			t.Errorf("opened again: %v, %v", r, err)
		}
	}()
	r.View(func(b *ledger.Book) { b.Warrant(1) })
}

// damage changes what says that there is a finding, as a bad disk does.
func (w *world) damage(path string) {
	w.t.Helper()
	w.alter(path, `UPDATE records SET value='x' WHERE bucket='book' AND CAST(value AS TEXT) LIKE '%same entry%'`)
}

// alter changes one record and not its hash.
func (w *world) alter(path, query string) {
	w.t.Helper()
	db, err := sql.Open("sqlite", path)
	w.must(err)
	defer db.Close()
	done, err := db.ExecContext(ctx, query)
	w.must(err)
	if n, err := done.RowsAffected(); err != nil || n != 1 {
		w.t.Fatalf("%d records changed: %v", n, err)
	}
}

// BenchmarkOpen measures a start with a log of 1,000 and of 20,000 entries. Beside it stand the first
// start, which stores the book, and the replay in memory that each start was before the book was
// kept.
func BenchmarkOpen(b *testing.B) {
	w := newWorld(b)
	for _, n := range []int{1_000, 20_000} {
		path := filepath.Join(b.TempDir(), "ledger.db")
		list := [][]byte{ledger.CharterEntry(w.Sign(w.Charter))}
		for i := range n - 1 {
			var c [32]byte
			binary.BigEndian.PutUint64(c[:], uint64(i))
			list = append(list, w.warrantOf(c))
		}
		w.store(path, 0, list...)
		first := took(func() { w.must(w.open(path).Close()) })
		replay := took(func() {
			book := ledger.NewBook(w.Charter.Hash())
			for i, entry := range list {
				w.must(book.Apply(uint64(i), entry, time.Now()))
			}
		})
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				w.must(w.open(path).Close())
			}
			b.ReportMetric(first, "first-ms")
			b.ReportMetric(replay, "replay-ms")
		})
	}
}

func took(f func()) (ms float64) {
	start := time.Now()
	f()
	return time.Since(start).Seconds() * 1000
}
