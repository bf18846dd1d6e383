package engine

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func openTestDelivery(t testing.TB, c Config, committed func(*Message)) *Delivery {
	t.Helper()
	if c.Path == "" {
		c.Path = filepath.Join(t.TempDir(), "delivery.db")
	}
	s, err := OpenDelivery(c, committed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// newConversation stores a conversation of one member, alice/phone.
func newConversation(t testing.TB, s *Delivery) []byte {
	t.Helper()
	conv := random(16)
	err := s.PutConversation(t.Context(), conv, conv, Epoch{Context: []byte("context 0")},
		Member{Leaf: 0, Account: "alice", Device: "phone"}, []byte("snapshot 0"))
	if err != nil {
		t.Fatal(err)
	}
	return conv
}

func TestAppendIsDenseAndPushedInOrder(t *testing.T) {
	var mu sync.Mutex
	pushed := map[string]uint64{}
	s := openTestDelivery(t, Config{}, func(m *Message) {
		mu.Lock()
		defer mu.Unlock()
		if pushed[string(m.Conversation)]+1 != m.Seq {
			t.Errorf("pushed seq %d after %d", m.Seq, pushed[string(m.Conversation)])
		}
		pushed[string(m.Conversation)] = m.Seq
	})
	convs := [][]byte{newConversation(t, s), newConversation(t, s), newConversation(t, s)}
	const writers, each = 32, 20
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				m := &Message{Conversation: convs[w%3], Mid: random(16), Kind: Application, Body: []byte(fmt.Sprint(w, i))}
				if err := s.Append(t.Context(), m); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	total := 0
	for _, conv := range convs {
		list, err := s.Read(t.Context(), Range{Conversation: conv, MaxCount: 1000, MaxBytes: 1 << 20}, "alice", "phone")
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range list {
			if m.Seq != uint64(i+1) {
				t.Fatalf("message %d has seq %d", i, m.Seq)
			}
		}
		total += len(list)
	}
	if total != writers*each {
		t.Errorf("%d messages stored, %d answered", total, writers*each)
	}
}

func TestRepeatedMid(t *testing.T) {
	s := openTestDelivery(t, Config{}, nil)
	conv := newConversation(t, s)
	first := &Message{Conversation: conv, Mid: random(16), Kind: Application, Body: []byte("a")}
	if err := s.Append(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	again := &Message{Conversation: conv, Mid: first.Mid, Kind: Application, Body: []byte("a")}
	if err := s.Append(t.Context(), again); err != nil || again.Seq != first.Seq {
		t.Errorf("again: seq %d, %v; want %d", again.Seq, err, first.Seq)
	}
	other := &Message{Conversation: conv, Mid: first.Mid, Kind: Application, Body: []byte("b")}
	if err := s.Append(t.Context(), other); !errors.Is(err, ErrExists) {
		t.Errorf("another body: %v, want ErrExists", err)
	}
	if last, _ := s.LastSeq(t.Context(), conv); last != 1 {
		t.Errorf("last seq %d, want 1", last)
	}
}

// transition is the commit that ends an epoch and adds bob.
func transition(conv []byte, epoch uint64) *Transition {
	return &Transition{
		Message:  &Message{Conversation: conv, Mid: random(16), Epoch: epoch, Kind: Commit, Body: random(40)},
		Next:     Epoch{Epoch: epoch + 1, Opened: 5, Context: []byte("context")},
		Joined:   []Member{{Leaf: uint32(epoch + 1), Account: "bob", Device: fmt.Sprint("d", epoch), FromEpoch: epoch + 1}},
		Welcomed: []Addition{{"bob", fmt.Sprint("d", epoch), fmt.Append(nil, conv, epoch)}},
		Welcome:  []byte("welcome"),
	}
}

func TestOneCommitPerEpochWins(t *testing.T) {
	s := openTestDelivery(t, Config{}, nil)
	conv := newConversation(t, s)
	const racers = 16
	var group sync.WaitGroup
	var mu sync.Mutex
	var won []*Transition
	seqs := map[uint64]int{}
	for range racers {
		group.Go(func() {
			c := transition(conv, 0)
			winner, err := s.CommitEpoch(t.Context(), c)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, c)
			} else if errors.Is(err, ErrConflict) {
				seqs[winner]++
			} else {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if len(won) != 1 || seqs[won[0].Message.Seq] != racers-1 {
		t.Fatalf("%d commits won, losers were told %v", len(won), seqs)
	}
	if epoch, _ := s.CurrentEpoch(t.Context(), conv); epoch != 1 {
		t.Errorf("epoch %d, want 1", epoch)
	}
	again := *won[0]
	again.Message = &Message{Conversation: conv, Mid: won[0].Message.Mid, Kind: Commit, Body: won[0].Message.Body}
	if _, err := s.CommitEpoch(t.Context(), &again); err != nil || again.Message.Seq != won[0].Message.Seq {
		t.Errorf("repeated winner: seq %d, %v", again.Message.Seq, err)
	}
	if w, err := s.Welcomes(t.Context(), "bob", "d0", 999); err != nil || len(w) != 1 || string(w[0].Body) != "welcome" {
		t.Errorf("welcomes %v, %v", w, err)
	}
}

func TestReadSeesOnlyTheStay(t *testing.T) {
	s := openTestDelivery(t, Config{}, nil)
	conv := newConversation(t, s)
	say := func(epoch uint64) {
		t.Helper()
		if err := s.Append(t.Context(), &Message{Conversation: conv, Mid: random(16), Epoch: epoch, Kind: Application, Body: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	say(0)                      // 1
	join := transition(conv, 0) // 2
	if _, err := s.CommitEpoch(t.Context(), join); err != nil {
		t.Fatal(err)
	}
	say(1)                                                                                                                                                          // 3
	leave := &Transition{Message: &Message{Conversation: conv, Mid: random(16), Epoch: 1, Kind: Commit, Body: random(9)}, Next: Epoch{Epoch: 2}, Left: []uint32{1}} // 4
	if _, err := s.CommitEpoch(t.Context(), leave); err != nil {
		t.Fatal(err)
	}
	say(2) // 5
	list, err := s.Read(t.Context(), Range{Conversation: conv, MaxCount: 9, MaxBytes: 9999}, "bob", "d0")
	if err != nil || len(list) != 3 || list[0].Seq != 2 || list[2].Seq != 4 {
		t.Errorf("bob reads %d messages, %v; want 2 to 4", len(list), err)
	}
	if list, _ := s.Read(t.Context(), Range{Conversation: conv, MaxCount: 9, MaxBytes: 9999}, "eve", "d0"); len(list) != 0 {
		t.Errorf("eve reads %d messages", len(list))
	}
	in1, _ := s.Members(t.Context(), conv, 1)
	in2, _ := s.Members(t.Context(), conv, 2)
	if len(in1) != 2 || len(in2) != 1 {
		t.Errorf("%d members in epoch 1, %d in epoch 2; want 2, 1", len(in1), len(in2))
	}
}

func TestKeyPackageIsHandedOutOnce(t *testing.T) {
	s := openTestDelivery(t, Config{}, nil)
	if err := s.PutDevice(t.Context(), Device{"bob", "phone", []byte("k")}, "", 8); err != nil {
		t.Fatal(err)
	}
	const stock = 20
	var list []KeyPackage
	for range stock {
		list = append(list, KeyPackage{"phone", 1, random(20)})
	}
	if n, err := s.PutKeyPackages(t.Context(), "bob", "phone", list, stock, 1); n != stock || err != nil {
		t.Fatal(n, err)
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	seen := map[string]int{}
	for range stock + 5 {
		group.Go(func() {
			request := random(16)
			taken, missing, err := s.TakeKeyPackages(t.Context(), "bob", 1, request, 2)
			if err != nil || len(taken)+len(missing) != 1 {
				t.Error(taken, missing, err)
			}
			again, _, err := s.TakeKeyPackages(t.Context(), "bob", 1, request, 3)
			if err != nil || len(again) != len(taken) || len(taken) == 1 && string(again[0].Body) != string(taken[0].Body) {
				t.Error("a repeated take gave another package", err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, k := range taken {
				seen[string(k.Body)]++
			}
		})
	}
	group.Wait()
	if len(seen) != stock {
		t.Errorf("%d packages handed out, want %d", len(seen), stock)
	}
	for _, n := range seen {
		if n != 1 {
			t.Errorf("a package was handed out %d times", n)
		}
	}
}

func TestDeviceNeedsSponsor(t *testing.T) {
	s := openTestDelivery(t, Config{}, nil)
	for _, c := range []struct {
		device, key, sponsor string
		want                 error
	}{
		{"phone", "k1", "laptop", ErrConflict},
		{"phone", "k1", "", nil},
		{"phone", "k1", "", nil},
		{"phone", "k2", "", ErrExists},
		{"laptop", "k3", "", ErrConflict},
		{"laptop", "k3", "fridge", ErrConflict},
		{"laptop", "k3", "phone", nil},
		{"tablet", "k4", "phone", ErrFull},
	} {
		if err := s.PutDevice(t.Context(), Device{"alice", c.device, []byte(c.key)}, c.sponsor, 2); !errors.Is(err, c.want) {
			t.Errorf("%v: got %v", c, err)
		}
	}
}

func TestCapsulesAreWriteOnceAndBounded(t *testing.T) {
	s := openTestDelivery(t, Config{}, nil)
	c := Compartment{random(16), 3, 1}
	name := random(32)
	for _, body := range []string{"first", "second"} {
		if err := s.PutCapsule(t.Context(), &Deposit{c, name, "alice/phone", []byte(body), 2}); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := s.Capsules(t.Context(), c); err != nil || len(list) != 1 || string(list[0]) != "first" {
		t.Errorf("capsules %q, %v", list, err)
	}
	if err := s.PutCapsule(t.Context(), &Deposit{c, random(32), "alice/phone", nil, 2}); err != nil {
		t.Error(err)
	}
	if err := s.PutCapsule(t.Context(), &Deposit{c, random(32), "alice/phone", nil, 2}); !errors.Is(err, ErrFull) {
		t.Errorf("a third: %v, want ErrFull", err)
	}
	if err := s.PutCapsule(t.Context(), &Deposit{c, random(32), "bob/phone", nil, 2}); err != nil {
		t.Errorf("another depositor: %v", err)
	}
}

func TestCorruptBodyIsNoticed(t *testing.T) {
	s := openTestDelivery(t, Config{}, nil)
	conv := newConversation(t, s)
	if err := s.Append(t.Context(), &Message{Conversation: conv, Mid: random(16), Kind: Application, Body: []byte("a")}); err != nil {
		t.Fatal(err)
	}
	err := s.db.submit(t.Context(), func(t *tx) error { t.exec("UPDATE messages SET body='b'"); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(t.Context(), Range{Conversation: conv, MaxCount: 1}, "alice", "phone"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
}

// The log begins again at its bound, while writers go on and readers look on.
// A damaged key package fails its taker; the store goes on for everybody else.
func TestCorruptKeyPackage(t *testing.T) {
	s := openTestDelivery(t, Config{}, nil)
	if err := s.PutDevice(t.Context(), Device{"bob", "phone", []byte("key")}, "", 1); err != nil {
		t.Fatal(err)
	}
	list := []KeyPackage{{Suite: 1, Body: []byte("a")}, {Suite: 1, Body: []byte("b")}}
	if _, err := s.PutKeyPackages(t.Context(), "bob", "phone", list, 9, 1); err != nil {
		t.Fatal(err)
	}
	err := s.db.submit(t.Context(), func(t *tx) error { t.exec("UPDATE key_packages SET body='x' WHERE body=?", []byte("a")); return nil })
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, _, err := s.TakeKeyPackages(t.Context(), "bob", 1, []byte("r1"), 1); !errors.Is(err, ErrCorrupt) {
			t.Errorf("got %v, want ErrCorrupt", err)
		}
	}
	if taken, _, err := s.TakeKeyPackages(t.Context(), "bob", 1, []byte("r2"), 1); err != nil || len(taken) != 1 || string(taken[0].Body) != "b" {
		t.Errorf("the next: %v, %v", taken, err)
	}
}

func TestLogIsBounded(t *testing.T) {
	s := openTestDelivery(t, Config{}, nil)
	const bound = 256 // pages: 1 MB
	s.db.submit(t.Context(), func(*tx) error { s.db.wal.bound = bound; return nil })
	conv := newConversation(t, s)
	for i := range 2000 {
		if err := s.Append(t.Context(), &Message{Conversation: conv, Mid: random(16), Kind: Application, Body: random(8 << 10)}); err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			if _, err := s.LastSeq(t.Context(), conv); err != nil {
				t.Fatal(err)
			}
		}
	}
	info, err := os.Stat(s.db.config.Path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if pages := info.Size() / 4096; pages > 4*bound {
		t.Errorf("the log has %d pages after 16 MB, its bound is %d", pages, bound)
	}
}

// An application message is taken until the third epoch after its own ends.
func TestLateEpochs(t *testing.T) {
	s := openTestDelivery(t, Config{}, nil)
	conv := newConversation(t, s)
	late := func() error {
		return s.Append(t.Context(), &Message{Conversation: conv, Mid: random(16), Kind: Application, Body: []byte("x")})
	}
	for epoch := range uint64(LateEpochs) {
		if _, err := s.CommitEpoch(t.Context(), transition(conv, epoch)); err != nil {
			t.Fatal(err)
		}
		if err := late(); err != nil {
			t.Errorf("in epoch %d: %v", epoch+1, err)
		}
	}
	proposal := &Message{Conversation: conv, Mid: random(16), Epoch: LateEpochs - 1, Kind: Proposal}
	if err := s.Append(t.Context(), proposal); !errors.Is(err, ErrConflict) {
		t.Errorf("late proposal: %v", err)
	}
	if _, err := s.CommitEpoch(t.Context(), transition(conv, LateEpochs)); err != nil {
		t.Fatal(err)
	}
	early := &Message{Conversation: conv, Mid: random(16), Epoch: LateEpochs + 2, Kind: Application}
	for name, err := range map[string]error{"too late": late(), "too early": s.Append(t.Context(), early)} {
		if !errors.Is(err, ErrConflict) {
			t.Errorf("%s: %v, want ErrConflict", name, err)
		}
	}
}

// A disk that takes no more breaks the store: nothing of the batch is
// acknowledged, and nothing works afterwards.
func TestFullDiskBreaks(t *testing.T) {
	fatal := make(chan error, 1)
	s := openTestDelivery(t, Config{Fatal: func(err error) { fatal <- err }}, nil)
	conv := newConversation(t, s)
	var page int
	s.db.submit(t.Context(), func(t *tx) error { t.row("PRAGMA max_page_count=60", nil, &page); return nil })
	var acknowledged int
	for {
		err := s.Append(t.Context(), &Message{Conversation: conv, Mid: random(16), Kind: Application, Body: random(4000)})
		if errors.Is(err, ErrBroken) {
			if !strings.Contains(err.Error(), "full") {
				t.Errorf("the write that broke it was told %v", err)
			}
			break
		}
		if err != nil || acknowledged > 1000 {
			t.Fatal(err)
		}
		acknowledged++
	}
	if err := <-fatal; !strings.Contains(err.Error(), "full") {
		t.Errorf("fatal was told %v", err)
	}
	if _, err := s.LastSeq(t.Context(), conv); !errors.Is(err, ErrBroken) {
		t.Errorf("a read afterwards: %v, want ErrBroken", err)
	}
	path := s.db.config.Path
	s.Close()
	s = openTestDelivery(t, Config{Path: path}, nil)
	if last, err := s.LastSeq(t.Context(), conv); last != uint64(acknowledged) {
		t.Errorf("after opening again: %d messages, %v; %d were acknowledged", last, err, acknowledged)
	}
}

func TestQueueIsBounded(t *testing.T) {
	s := openTestDelivery(t, Config{Queue: 2}, nil)
	held, release := make(chan bool), make(chan bool)
	var group sync.WaitGroup
	defer group.Wait()
	defer close(release)
	group.Go(func() {
		s.db.submit(t.Context(), func(*tx) error { close(held); <-release; return nil })
	})
	<-held
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 {
		if err := s.db.submit(ctx, func(*tx) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("within the queue: %v", err)
		}
	}
	if err := s.db.submit(ctx, func(*tx) error { return nil }); !errors.Is(err, ErrBusy) {
		t.Errorf("over the queue: %v, want ErrBusy", err)
	}
}

// Who gave up reads no answer that the committer may be writing (for the race detector).
func TestWhoGaveUpReadsNoAnswer(t *testing.T) {
	s := openTestDelivery(t, Config{}, nil)
	conv, device := newConversation(t, s), Device{"alice", "phone", random(32)}
	if err := s.PutDevice(t.Context(), device, "", 9); err != nil {
		t.Fatal(err)
	}
	commit := func() *Transition {
		return &Transition{Message: &Message{Conversation: conv, Mid: random(16), Kind: Commit, Body: random(9)}, Next: Epoch{Epoch: 1}}
	}
	if _, err := s.CommitEpoch(t.Context(), commit()); err != nil {
		t.Fatal(err)
	}
	held, release := make(chan bool), make(chan bool)
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		s.db.submit(t.Context(), func(*tx) error { close(held); <-release; return nil })
	})
	<-held
	group.Go(func() { // not in this order with what follows
		for len(s.db.queue) < 100 {
			runtime.Gosched()
		}
		close(release)
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		if dropped, err := s.DropDevice(ctx, device); err != nil && dropped {
			t.Error("dropped, and an error")
		}
		if winner, err := s.CommitEpoch(ctx, commit()); errors.Is(err, context.Canceled) && winner != 0 {
			t.Error("a winner, and gave up")
		}
	}
	if err := s.db.submit(t.Context(), func(*tx) error { return nil }); err != nil { // after all of them
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?%c.db") // characters that mean something in a URI
	s := openTestDelivery(t, Config{Path: path}, nil)
	if _, err := OpenDelivery(Config{Path: path}, nil); err == nil {
		t.Error("opened twice")
	}
	s.Close()
	if _, err := OpenRecords(Config{Path: path}); err == nil {
		t.Error("opened as another kind of store")
	}
	again, err := OpenDelivery(Config{Path: path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	if err := again.Append(t.Context(), &Message{}); !errors.Is(err, ErrClosed) {
		t.Errorf("write after Close: %v, want ErrClosed", err)
	}
}

func TestSettings(t *testing.T) {
	s := openTestDelivery(t, Config{}, nil)
	s.db.submit(t.Context(), func(x *tx) error {
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "wal_autocheckpoint": "0"} {
			var got string
			if x.row("PRAGMA "+pragma, nil, &got); got != want {
				t.Errorf("%s is %s, want %s", pragma, got, want)
			}
		}
		return nil
	})
	if err := s.db.query(t.Context(), "DELETE FROM messages", nil, func(*sql.Rows) error { return nil }); err == nil {
		t.Error("a reader could write")
	}
}

// Records behave as a map that changes all at once, also across openings.
func TestRecordsModel(t *testing.T) {
	dir := t.TempDir()
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		path := filepath.Join(dir, fmt.Sprint(run))
		r, err := OpenRecords(Config{Path: path})
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { r.Close() }()
		model := map[string]string{}
		keys := rapid.SampledFrom([]string{"", "a", "b", "c"})
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			next, holds := map[string]string{}, true
			for k, v := range model {
				next[k] = v
			}
			var writes []Write
			for _, k := range rapid.SliceOfNDistinct(keys, 1, 3, rapid.ID).Draw(rt, "keys") {
				v, old := rapid.StringN(0, 3, 9).Draw(rt, "value"), rapid.SampledFrom([]string{model[k], "x"}).Draw(rt, "old")
				cur, found := model[k]
				switch rapid.IntRange(0, 3).Draw(rt, "op") {
				case 0:
					writes, next[k] = append(writes, Put("t", []byte(k), []byte(v))), v
				case 1:
					writes, next[k], holds = append(writes, Insert("t", []byte(k), []byte(v))), v, holds && (!found || cur == v)
				case 2:
					writes, next[k], holds = append(writes, Replace("t", []byte(k), []byte(old), []byte(v))), v, holds && found && cur == old
				case 3:
					writes = append(writes, Delete("t", []byte(k)))
					delete(next, k)
				}
			}
			err := r.Apply(t.Context(), writes...)
			if holds != (err == nil) || err != nil && !errors.Is(err, ErrConflict) {
				rt.Fatalf("Apply: %v, but the writes hold: %v", err, holds)
			}
			if holds {
				model = next
			}
			if rapid.IntRange(0, 9).Draw(rt, "reopen") == 0 {
				r.Close()
				if r, err = OpenRecords(Config{Path: path}); err != nil {
					rt.Fatal(err)
				}
			}
		}
		list, err := r.Scan(t.Context(), "t", nil, 99)
		if err != nil || len(list) != len(model) {
			rt.Fatalf("%d records, %v; want %d", len(list), err, len(model))
		}
		for i, rec := range list {
			if v, ok := model[string(rec.Key)]; !ok || v != string(rec.Value) || i > 0 && string(list[i-1].Key) >= string(rec.Key) {
				rt.Fatalf("record %q is %q, want %q", rec.Key, rec.Value, v)
			}
		}
	})
}

// Clear removes one bucket, the records that are damaged too, in the order of its call.
func TestRecordsClear(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	r, err := OpenRecords(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx := t.Context()
	if err := r.Apply(ctx, Put("a", []byte("1"), []byte("x")), Put("a", nil, nil), Put("b", []byte("1"), []byte("y"))); err != nil {
		t.Fatal(err)
	}
	if _, err := r.db.conn.ExecContext(ctx, "UPDATE records SET value='damaged' WHERE bucket='a'"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Get(ctx, "a", []byte("1")); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("got %v, want ErrCorrupt", err)
	}
	if err := r.Apply(ctx, Clear("a"), Put("a", []byte("2"), []byte("z"))); err != nil {
		t.Fatal(err)
	}
	for b, want := range map[Bucket]string{"a": "z", "b": "y"} {
		list, err := r.Scan(ctx, b, nil, 10)
		if err != nil || len(list) != 1 || string(list[0].Value) != want {
			t.Errorf("%s: %v, %v", b, list, err)
		}
	}
}

func TestRecordsScanPrefix(t *testing.T) {
	r, err := OpenRecords(Config{Path: filepath.Join(t.TempDir(), "db")})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	keys := []string{"", "\x01", "\x01a", "\x01\xff", "\x02", "\xfe\xff", "\xfe\xff\xff", "\xff", "\xff\xff"}
	writes := []Write{Put("other", []byte("\x01b"), nil)}
	for _, k := range keys {
		writes = append(writes, Put("t", []byte(k), []byte(k)))
	}
	if err := r.Apply(t.Context(), writes...); err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"", "\x01", "\x01\xff", "\x03", "\xfe\xff", "\xff"} {
		var got, want []string
		list, err := r.ScanPrefix(t.Context(), "t", []byte(prefix))
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range list {
			got = append(got, string(rec.Key))
		}
		for _, k := range keys {
			if strings.HasPrefix(k, prefix) {
				want = append(want, k)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", prefix, got, want)
		}
	}
}
