// Package replica is a service's own copy of the ledger: read through a
// [follower.Follower], kept on disk, replayed into a [ledger.Book].
//
// The book is on disk too, so that what a start costs grows with the entries that came
// since, and not with the log. Another version of this program replays all entries once,
// since it may count them by other rules.
//
// # Guarantees
//
// Every entry in the copy was proven under a checkpoint that the witness policy
// accepted and that continued the one before, across restarts too. Entries are
// on disk before the book counts them, and before what the book made of them is. A fork, once seen, is kept as evidence,
// and the copy refuses all further work until an operator has looked:
// [Replica.Refresh] and [Replica.Add] return the fork, also after a restart.
//
// When the law that names the policy it was opened with names other witnesses in the version
// that is in force, these are the ones that count from then on, also after a restart with
// the old policy. A new copy needs a policy that the log's checkpoints satisfy.
//
// [Replica.Add] adds an entry once, however often it is repeated, as long as
// the copy is kept; it looks into the copy first and returns only what
// the copy then shows to count, with a proof that it verified.
//
// # What it does not do
//
// It decides nothing. It trusts its own disk, whose records carry hashes
// against faults but not against an intruder. It gives no answer if that can't be read:
// [Config.Fatal] is called, and what asked panics.
//
// # Example
//
//	r, err := replica.Open(ctx, replica.Config{Path: path, URL: url, Policy: policy, MaxAge: 10 * time.Minute})
//	go r.Run(ctx)
//	r.View(func(b *ledger.Book) { c, ok = b.InForce(name, now) })
package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"writ/charter"
	"writ/engine"
	"writ/follower"
	"writ/ledger"
)

// ErrForked is wrapped by the errors of a copy that saw two histories.
var ErrForked = errors.New("replica: refused: the ledger has forked")

// Config is what a copy is made of.
type Config struct {
	Path     string           // database file
	URL      string           // of the log, and of the notary's /add
	Policy   *ledger.Policy   // which checkpoints count, until the law names other witnesses
	Charters []charter.Hash   // first versions that count; see ledger.NewBook
	MaxAge   time.Duration    // oldest checkpoint to work with; required
	Every    time.Duration    // pause between two looks; 0 means 2 s
	HTTP     *http.Client     // nil means follower's own
	Now      func() time.Time // nil means time.Now
	Log      *slog.Logger     // nil discards
	Fatal    func(error)      // called when the disk fails; should end the process
}

// The buckets: entries by index, eight bytes big endian, each after the Unix
// time at which it was seen; and single records by name.
const (
	entries engine.Bucket = "entries"
	state   engine.Bucket = "state"
)

var (
	lastKey = []byte("last checkpoint")
	forkKey = []byte("fork") // the later of the two checkpoints; the other is the last
)

// batch bounds how many entries are held before they are stored.
const batch = 256

// Replica is an open copy. It is safe for concurrent use.
type Replica struct {
	config  Config
	records *engine.Records
	follow  *follower.Follower
	turn    chan struct{} // holds one token: its taker may read the log and change the copy
	policy  atomic.Pointer[ledger.Policy]

	mu   sync.Mutex // guards what follows
	book *ledger.Book
	time time.Time // of the newest checkpoint of which all entries are in the book
	fork error
}

// Open opens or makes a copy. It makes no request.
func Open(ctx context.Context, c Config) (*Replica, error) {
	if c.Every == 0 {
		c.Every = 2 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.MaxAge <= 0 {
		return nil, errors.New("replica: refused: incomplete Config: without MaxAge no checkpoint would be too old")
	}
	records, err := engine.OpenRecords(engine.Config{Path: c.Path, Fatal: c.Fatal})
	if err != nil {
		return nil, fmt.Errorf("replica: %w", err)
	}
	r := &Replica{config: c, records: records, turn: make(chan struct{}, 1)}
	r.policy.Store(c.Policy)
	r.turn <- struct{}{}
	if err := r.load(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("replica: %w", err), records.Close())
	}
	return r, nil
}

// load replays what is stored.
func (r *Replica) load(ctx context.Context) error {
	last, err := r.records.Get(ctx, state, lastKey)
	if err != nil && !errors.Is(err, engine.ErrNotFound) {
		return err
	}
	if r.follow, err = follower.New(follower.Config{URL: r.config.URL, Policy: r.config.Policy, MaxAge: r.config.MaxAge,
		Last: last, HTTP: r.config.HTTP, Now: r.config.Now}); err != nil {
		return err
	}
	if _, err := r.records.Get(ctx, state, forkKey); err == nil {
		r.fork = ErrForked
	} else if !errors.Is(err, engine.ErrNotFound) {
		return err
	}
	if err := r.openBook(ctx); err != nil {
		return err
	}
	if err := r.replay(ctx); err != nil || last == nil {
		return err
	}
	if err := r.adopt(); err != nil {
		return err
	}
	c, err := r.Policy().Remembered(last)
	if err != nil {
		return err
	}
	r.reached(c)
	return nil
}

// adopt takes the witness policy of the version in force, if another version of that law has
// the one that the copy was opened with. Where no first version is named anybody could
// write such a law.
func (r *Replica) adopt() error {
	if len(r.config.Charters) == 0 {
		return nil
	}
	var text string
	r.View(func(b *ledger.Book) { text = b.Watchers(r.config.Policy.String(), r.config.Now()) })
	if text == r.Policy().String() {
		return nil
	}
	p, err := ledger.ParsePolicy(text)
	if err != nil {
		return err
	}
	r.config.Log.Info("ledger: the law in force names other witnesses", "quorum of", len(p.Witnesses()))
	r.policy.Store(p)
	r.follow.Adopt(p)
	return nil
}

// replay applies the stored entries that are not in the book yet.
func (r *Replica) replay(ctx context.Context) error {
	var after []byte
	if n := r.book.Size(); n > 0 {
		after = entryKey(n - 1)
	}
	for {
		list, err := r.records.Scan(ctx, entries, after, batch)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, e := range list {
			f, err := parseFound(e.Key, e.Value)
			if err != nil {
				return err
			}
			if err := r.book.Apply(f.index, f.entry, f.seen); err != nil {
				return err
			}
			after = e.Key
		}
		if err := r.keepBook(ctx); err != nil {
			return err
		}
	}
}

// reached takes a checkpoint's time for the copy's, if the copy has all of its entries: a
// part of them, however fresh, is not what the log says. The caller holds mu, if anybody else
// has the copy.
func (r *Replica) reached(c *ledger.Checkpoint) {
	if r.book.Size() == c.Size() {
		r.time = c.Time()
	}
}

// Close closes the file.
func (r *Replica) Close() error { return r.records.Close() }

// Run refreshes the copy again and again until ctx ends or the log forks.
func (r *Replica) Run(ctx context.Context) error {
	for {
		switch err := r.Refresh(ctx); {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrForked), errors.Is(err, engine.ErrBroken), errors.Is(err, engine.ErrClosed):
			return err
		case err != nil:
			r.config.Log.Warn("ledger", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(r.config.Every):
		}
	}
}

// Refresh reads the log up to its newest checkpoint. Without an error that
// checkpoint is fresh.
func (r *Replica) Refresh(ctx context.Context) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.give()
	if err := r.forked(); err != nil {
		return err
	}
	if err := r.adopt(); err != nil {
		return fmt.Errorf("replica: %w", err)
	}
	var waiting []found
	next := r.size()
	_, err := r.follow.Update(ctx, next, func(index uint64, entry []byte, seen time.Time) error {
		waiting = append(waiting, found{index, entry, time.Unix(seen.Unix(), 0)})
		if len(waiting) < batch {
			return nil
		}
		err := r.keep(ctx, waiting)
		waiting = waiting[:0]
		return err
	})
	var fork *follower.ForkError
	if errors.As(err, &fork) {
		return r.keepFork(ctx, fork)
	}
	if err != nil {
		return fmt.Errorf("replica: %w", err)
	}
	return r.keep(ctx, waiting)
}

// take waits for the turn to write; give ends it.
func (r *Replica) take(ctx context.Context) error {
	select {
	case <-r.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Replica) give() { r.turn <- struct{}{} }

// keepLast stores the follower's newest checkpoint.
func (r *Replica) keepLast(ctx context.Context) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.give()
	if err := r.records.Apply(ctx, engine.Put(state, lastKey, r.follow.Last())); err != nil {
		return fmt.Errorf("replica: %w", err)
	}
	return nil
}

// found is an entry proven to stand at an index.
type found struct {
	index uint64
	entry []byte
	seen  time.Time // in whole seconds, as it is stored
}

func entryKey(index uint64) []byte { return binary.BigEndian.AppendUint64(nil, index) }

// write stores the entry.
func (f found) write() engine.Write {
	value := binary.BigEndian.AppendUint64(nil, uint64(f.seen.Unix()))
	return engine.Put(entries, entryKey(f.index), append(value, f.entry...))
}

func parseFound(key, value []byte) (f found, err error) {
	if len(key) != 8 || len(value) < 8 {
		return f, engine.ErrCorrupt
	}
	return found{binary.BigEndian.Uint64(key), value[8:], time.Unix(int64(binary.BigEndian.Uint64(value)), 0)}, nil
}

// stored returns an entry of the file, engine.ErrNotFound if it is not there.
func stored(ctx context.Context, records *engine.Records, index uint64) ([]byte, error) {
	key := entryKey(index)
	value, err := records.Get(ctx, entries, key)
	if err != nil {
		return nil, err
	}
	f, err := parseFound(key, value)
	return f.entry, err
}

// keep stores entries and the follower's checkpoint, counts them, and stores what they
// changed in the book.
func (r *Replica) keep(ctx context.Context, list []found) error {
	last := r.follow.Last()
	writes := []engine.Write{engine.Put(state, lastKey, last)}
	for _, e := range list {
		writes = append(writes, e.write())
	}
	if err := r.records.Apply(ctx, writes...); err != nil {
		return fmt.Errorf("replica: %w", err)
	}
	if err := r.count(list, last); err != nil {
		return fmt.Errorf("replica: %w", err)
	}
	if err := r.keepBook(ctx); err != nil {
		return fmt.Errorf("replica: %w", err)
	}
	return nil
}

func (r *Replica) count(list []found, last []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range list {
		if err := r.book.Apply(e.index, e.entry, e.seen); err != nil {
			return err
		}
	}
	c, err := r.Policy().Checkpoint(last, r.config.Now(), 0)
	if err != nil {
		return err
	}
	r.reached(c)
	return nil
}

// keepFork stores both checkpoints of a fork and stops the copy.
func (r *Replica) keepFork(ctx context.Context, f *follower.ForkError) error {
	err := r.records.Apply(ctx, engine.Put(state, lastKey, f.Old.Signed()), engine.Put(state, forkKey, f.New.Signed()))
	r.config.Log.Error("ledger", "error", f)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fork = errors.Join(fmt.Errorf("%w: %w", ErrForked, f), err)
	return r.fork
}

func (r *Replica) forked() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fork
}

func (r *Replica) size() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.book.Size()
}
