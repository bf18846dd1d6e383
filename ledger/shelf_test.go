package ledger

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// memory is a shelf of maps.
type memory struct {
	rows    map[string][]byte
	entries [][]byte
	reads   int // of rows and entries
	fails   int // the read that can't be done; 0: all can
}

func newMemory() *memory { return &memory{rows: map[string][]byte{}} }

func (m *memory) read() {
	if m.reads++; m.reads == m.fails {
		panic("the disk failed")
	}
}

func (m *memory) Get(key []byte) []byte {
	m.read()
	return m.rows[string(key)]
}

func (m *memory) Scan(prefix []byte, visit func(key, value []byte)) {
	for _, key := range slices.Sorted(maps.Keys(m.rows)) {
		if strings.HasPrefix(key, string(prefix)) {
			m.read()
			visit([]byte(key), m.rows[key])
		}
	}
}

func (m *memory) Entry(index uint64) []byte {
	m.read()
	return m.entries[index]
}

func (m *memory) take(rows []Row) {
	for _, row := range rows {
		if row.Value == nil {
			delete(m.rows, string(row.Key))
		} else {
			m.rows[string(row.Key)] = bytes.Clone(row.Value)
		}
	}
}

// shelved opens a book anew after each entry, and holds it against one in memory.
type shelved struct {
	t      testing.TB
	memory *memory
	twin   *Book
}

func isBench(t testing.TB) bool { _, is := t.(*testing.B); return is }

func newShelved(t testing.TB) *shelved { return &shelved{t, newMemory(), NewBook()} }

func open(t testing.TB, m *memory) *Book {
	t.Helper()
	b, err := OpenBook(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *shelved) open() *Book { s.t.Helper(); return open(s.t, s.memory) }

func (s *shelved) after(b *Book, entry []byte, seen time.Time) *Book {
	s.t.Helper()
	if err := s.twin.Apply(s.twin.Size(), entry, seen); err != nil {
		s.t.Fatal(err)
	}
	s.memory.entries = append(s.memory.entries, entry)
	s.memory.take(b.Changes())
	b.Kept()
	s.same()
	return s.open()
}

// same compares all that lies on the shelf with all that the twin remembers.
func (s *shelved) same() {
	s.t.Helper()
	want := s.twin.dump(s.t)
	for key, row := range s.memory.rows {
		if !bytes.Equal(want[key], row) {
			s.t.Fatalf("after %d entries the row %q is on the shelf: %s, want %s", s.twin.Size(), key, row, want[key])
		}
	}
	if len(s.memory.rows) != len(want) {
		s.t.Fatalf("%d rows after %d entries, want %d", len(s.memory.rows), s.twin.Size(), len(want))
	}
}

// forget takes an entry out of those that were counted.
func (s *shelved) forget(entry []byte) *Book {
	s.t.Helper()
	h := HashEntry(entry)
	delete(s.twin.counted.rows, h)
	delete(s.memory.rows, string(s.twin.counted.place(h)))
	return s.open()
}

// dump returns a book's rows as they look on a shelf.
func (b *Book) dump(t testing.TB) map[string][]byte {
	t.Helper()
	b.head.put(none{}, head{b.size, b.statistics})
	rows, tables := map[string][]byte{}, byte(0)
	for _, x := range []interface {
		dump(map[string][]byte) byte
	}{b.head, b.enacted, b.used, b.standing, b.unreviewed, b.waiting, b.running, b.counted, b.keys, b.gone, b.halves,
		b.warrants, b.commitments, b.requests, b.releases, b.refusals, b.holds, b.readings, b.answers, b.errors,
		b.reviews, b.clocks, b.told, b.findings, b.lives, b.lengths, b.places} {
		tables += x.dump(rows)
	}
	if tables != b.pages.tags {
		t.Fatalf("%d tables are compared, of %d", tables, b.pages.tags)
	}
	return rows
}

func (t *table[K, V]) dump(rows map[string][]byte) byte {
	for k, v := range t.rows {
		rows[string(t.place(k))] = must(t.form.marshal(v))
	}
	return 1
}

func (l *list[K, V]) dump(rows map[string][]byte) byte {
	return l.lengths.dump(rows) + l.elements.dump(rows)
}

// Opening a book reads as much of a long log as of a short one.
func TestOpenBookReadsNoLog(t *testing.T) {
	w := newWorld(t)
	w.all()
	at := w.mustApply(w.warrant(40, nil).Entry())
	w.mustApply(w.request(at, 1).Entry())
	w.mustApply(w.round(5))
	reads := func() int {
		w.shelf.memory.reads = 0
		w.shelf.open()
		return w.shelf.memory.reads
	}
	short := reads()
	for i := range byte(40) {
		at := w.mustApply(w.warrant(50+i, nil).Entry())
		w.mustApply(w.request(at, i).Entry())
		w.apply(w.round(5)) // a finding
	}
	if long := reads(); long != short {
		t.Errorf("%d reads of %d entries, %d of few", long, w.book.Size(), short)
	}
}

// What was not said to be kept comes again.
func TestChangesComeUntilKept(t *testing.T) {
	w := newWorld(t)
	at := w.mustApply(w.warrant(1, nil).Entry())
	b, m := w.shelf.open(), w.shelf.memory
	apply := func(entry []byte) {
		t.Helper()
		if err := b.Apply(b.Size(), entry, lawTime); err != nil {
			t.Fatal(err)
		}
		m.entries = append(m.entries, entry)
	}
	request := w.request(at, 1)
	apply(request.Entry())
	lost := b.Changes()
	apply(w.cancel(at).Entry())
	b.RankUnder(at, w.Charter.Hash())
	rows := b.Changes()
	if len(lost) == 0 || len(rows) < len(lost) {
		t.Fatalf("%d rows, then %d", len(lost), len(rows))
	}
	m.take(rows)
	b.Kept()
	if again := b.Changes(); again != nil {
		t.Errorf("%d rows come again", len(again))
	}
	late := w.warrant(2, nil)
	apply(late.Entry())
	if next := b.Changes(); slices.ContainsFunc(next, func(r Row) bool { return bytes.Equal(r.Key, b.warrants.place(at)) }) {
		t.Errorf("what was kept comes again: %q", next)
	}
	b = open(t, m)
	if _, ok := b.Request(HashEntry(request.Entry())); !ok || b.Size() != 4 {
		t.Error("the request is lost")
	}
	if cancelled, _ := b.Warrant(at); !cancelled.Cancelled {
		t.Error("the cancellation is lost")
	}
}

// What a reader makes the book remember between Changes and Kept is not lost.
func TestChangesKeepWhatReadersRemember(t *testing.T) {
	w := newWorld(t)
	at := w.mustApply(w.warrant(1, nil).Entry())
	b, m := w.shelf.open(), w.shelf.memory
	apply := func(entry []byte) {
		if err := b.Apply(b.Size(), entry, lawTime); err != nil {
			t.Fatal(err)
		}
		m.entries = append(m.entries, entry)
	}
	key := tallyKey{w.Charter.Name, false, false}
	apply(w.request(at, 1).Entry())
	rows := b.Changes()
	b.measure(key, 77)
	m.take(rows)
	b.Kept()
	apply(w.request(at, 2).Entry())
	m.take(b.Changes())
	b.Kept()
	if b = open(t, m); b.rank(key, 0, 77) != 1 {
		t.Error("a rank is lost")
	}
}

// A shelf that can't be read gives no book, and none of its answers.
func TestOpenBookRefusesDamage(t *testing.T) {
	w := newWorld(t)
	w.all()
	m := w.shelf.memory
	for key, row := range m.rows {
		loaded := key[0] <= w.book.running.tag
		m.rows[key] = []byte("{")
		b, err := OpenBook(m)
		if loaded && (err == nil || b != nil) {
			t.Errorf("opened with the damaged row %q", key)
		}
		m.rows[key] = row
	}
	m.entries[0] = m.entries[1]
	if _, err := OpenBook(m); err == nil {
		t.Error("opened with another entry in a law's place")
	}
}

func TestDamagedRowGivesNoAnswer(t *testing.T) {
	w := newWorld(t)
	at := w.mustApply(w.warrant(1, nil).Entry())
	w.mustApply(w.cancel(at).Entry())
	b, m := w.shelf.open(), w.shelf.memory
	m.rows[string(b.warrants.place(at))] = []byte("damaged")
	defer func() {
		if recover() == nil {
			t.Error("it answers")
		}
	}()
	b.Warrant(at)
}

func panics(f func()) (panicked bool) {
	defer func() { panicked = recover() != nil }()
	f()
	return false
}

// Whatever read fails in the middle of an entry, and whoever goes on as if it had not: nothing
// of that entry comes on the shelf, and no answer from a book that counted half of it.
func TestBookThatFailedIsSilent(t *testing.T) {
	w := newWorld(t)
	w.mustApply(w.warrant(1, nil).Entry())
	entry, failed := w.warrant(2, nil).Entry(), 0
	for at := 1; ; at++ {
		b := w.shelf.open()
		m := w.shelf.memory
		m.reads, m.fails = 0, at
		broke := panics(func() { b.Apply(b.Size(), entry, lawTime) })
		m.fails = 0
		if !broke {
			break
		}
		failed++
		if !panics(func() { b.Changes() }) || !panics(func() { b.Warrant(1) }) || !panics(func() { b.Apply(b.Size(), entry, lawTime) }) {
			t.Errorf("after read %d failed the book goes on", at)
		}
	}
	if failed < 5 {
		t.Errorf("the entry takes %d reads", failed)
	}
}

// The same of a reader who makes the book remember something, and of an entry that can't be counted
// for any other reason.
func TestBookThatFailedElsewhereIsSilent(t *testing.T) {
	w := newWorld(t)
	_, request := w.asked(1, nil)
	b, m := w.shelf.open(), w.shelf.memory
	if err := b.Apply(b.Size(), w.warrant(2, nil).Entry(), lawTime); err != nil {
		t.Fatal(err)
	}
	m.reads, m.fails = 0, 2
	if !panics(func() { b.measure(tallyKey{w.Charter.Name, false, true}, 77) }) || !panics(func() { b.Changes() }) {
		t.Error("after a reader failed the book goes on")
	}
	m.fails = 0
	b = w.shelf.open()
	never := time.Date(20_000, 1, 1, 0, 0, 0, 0, time.UTC) // stands in no row
	if !panics(func() { b.Apply(b.Size(), w.mistake(request, WrongPerson).Entry(), never) }) || !panics(func() { b.Changes() }) {
		t.Error("after an entry failed the book goes on")
	}
}

// A row holds one thing, so that nothing is stored again for each entry of its kind: custodians
// without end may state a key for one period, of about 1.3 kB.
func TestRowsStaySmall(t *testing.T) {
	w := newWorld(t)
	period := w.Charter.Period(lawTime) + 5
	for _, id := range []string{"judicial-1", "judicial-2", "judicial-3"} {
		w.mustApply(CustodianKeyEntry(w.Statement("judicial", id, period)))
	}
	for key, row := range w.shelf.memory.rows {
		if key[0] != w.book.head.tag && len(row) > 3_000 {
			t.Errorf("the row %q has %d bytes", key, len(row))
		}
	}
	if keys := w.book.Keys(w.Charter.Name, period); len(keys) != 3 || keys[2].Custodian != "judicial-3" {
		t.Errorf("%d keys", len(keys))
	}
}
