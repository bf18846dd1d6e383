// Package follower reads a ledger over HTTP and trusts nobody who serves it: a
// checkpoint counts if the witness policy accepts it and the log only grew since
// the last one, an entry if it is in the tree of such a checkpoint.
//
// # Terms
//
// The log is served as c2sp.org/tlog-tiles: GET /checkpoint and GET /tile/...
// A fork is a checkpoint that the policy accepts and that contradicts an
// earlier one which the policy accepted too.
//
// # Guarantees
//
// [Follower.Update] hands every entry over once, in order, after checking it
// against the tree hash. After a fork was seen the follower refuses all further
// work with a [ForkError], which holds both checkpoints: anybody
// can check that evidence. Without a fresh checkpoint there is an error, never an old
// answer. Answers are bounded in size.
//
// # What it does not do
//
// It keeps nothing on disk: the caller stores [Follower.Last] and the position
// it has reached, and gives them back after a restart. What [Follower.Add]
// returns is the notary's word until [Follower.Proof] proves it.
//
// # Example
//
//	f, err := follower.New(follower.Config{URL: url, Policy: policy, MaxAge: 10 * time.Minute})
//	err = f.Follow(ctx, book.Size(), time.Second, book.Apply, func(err error) { log.Print(err) })
package follower

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"writ/ledger"
)

// Config is what a follower is started with.
type Config struct {
	URL    string         // where the log is served
	Policy *ledger.Policy // which checkpoints count
	MaxAge time.Duration  // oldest checkpoint to work with; 0: any age
	Last   []byte         // Last of an earlier run, if any: a fork since then is found too
	HTTP   *http.Client   // nil: one with a timeout of 10 s
	Now    func() time.Time
}

// Follower reads one log. It is safe for concurrent use.
type Follower struct {
	url    string
	maxAge time.Duration
	now    func() time.Time
	http   *http.Client
	tiles  *torchwood.TileFetcher

	turn chan struct{} // held by who fetches a checkpoint: the next one follows it

	mu     sync.Mutex // not held while others are asked; guards what follows
	policy *ledger.Policy
	last   *ledger.Checkpoint // newest that was accepted, or nil; changed by who has the turn
	fork   *ForkError         // once set, nothing is done any more
}

// ForkError says that a log showed two histories. Both checkpoints are signed
// by the log and by a quorum of its witnesses.
type ForkError struct{ Old, New *ledger.Checkpoint }

func (e *ForkError) Error() string {
	return fmt.Sprintf("follower: refused: log %q has forked: size %d root %s contradicts size %d root %s",
		e.Old.Origin(), e.New.Size(), e.New.Tree().Hash, e.Old.Size(), e.Old.Tree().Hash)
}

// fetchTimeout bounds how long a checkpoint with its check, a proof or a run of tiles may
// take.
const fetchTimeout = 15 * time.Second

// ErrRefused is wrapped where the log or its notary's answer can't be accepted.
var ErrRefused = errors.New("refused")

// ErrRollback is wrapped where the log showed a smaller tree than before. It may
// be an old answer of a cache, or a log that takes back what it said.
var ErrRollback = fmt.Errorf("%w: the log went backwards", ErrRefused)

// New returns a follower. It makes no request.
func New(c Config) (*Follower, error) {
	f := &Follower{url: c.URL, policy: c.Policy, maxAge: c.MaxAge, now: c.Now, http: bounded(c.HTTP), turn: make(chan struct{}, 1)}
	if f.now == nil {
		f.now = time.Now
	}
	var err error
	if f.tiles, err = torchwood.NewTileFetcher(c.URL, torchwood.WithHTTPClient(f.http),
		torchwood.WithConcurrencyLimit(8), torchwood.WithUserAgent("writ")); err != nil {
		return nil, fmt.Errorf("follower: %w", err)
	}
	if c.Last != nil {
		if f.last, err = f.policy.Remembered(c.Last); err != nil {
			return nil, fmt.Errorf("follower: last checkpoint: %w", err)
		}
	}
	return f, nil
}

// Adopt replaces the policy by another of the same log. What was seen before stays: the log
// must continue it.
func (f *Follower) Adopt(p *ledger.Policy) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.policy = p
}

// Last returns the newest checkpoint that was accepted, signed, or nil: to be stored and given
// to the next run.
func (f *Follower) Last() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last == nil {
		return nil
	}
	return f.last.Signed()
}

// Checkpoint fetches the log's checkpoint and accepts it if it satisfies the
// policy, is fresh, and continues the last one.
func (f *Follower) Checkpoint(ctx context.Context) (*ledger.Checkpoint, error) {
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("follower: %w", ctx.Err())
	}
	policy, last, err := f.state()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	signed, err := f.get(ctx, "checkpoint")
	if err != nil {
		return nil, err
	}
	c, err := policy.Checkpoint(signed, f.now(), f.maxAge)
	if err != nil {
		return nil, fmt.Errorf("follower: %w", err)
	}
	if err := f.follows(ctx, last, c); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.policy != policy { // another was adopted meanwhile
		if c, err = f.policy.Checkpoint(signed, f.now(), f.maxAge); err != nil {
			return nil, fmt.Errorf("follower: %w", err)
		}
	}
	f.last = c
	return c, nil
}

// state returns the policy and the newest checkpoint, or the fork after which there is none.
func (f *Follower) state() (*ledger.Policy, *ledger.Checkpoint, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fork != nil {
		return nil, nil, f.fork
	}
	return f.policy, f.last, nil
}

// follows checks that the trees of c and of the last checkpoint, if any, begin alike: it
// computes the smaller one's hash from the tiles of the other, each of which is
// checked against that one's hash. A smaller tree is refused even where it
// agrees: the log went backwards.
func (f *Follower) follows(ctx context.Context, last, c *ledger.Checkpoint) error {
	if last == nil || last.Size() == 0 {
		return nil
	}
	small, large := last.Tree(), c.Tree()
	if large.N < small.N {
		small, large = large, small
	}
	switch hash, err := f.beginning(ctx, small.N, large); {
	case err == nil && hash != small.Hash:
		f.mu.Lock()
		defer f.mu.Unlock()
		f.fork = &ForkError{Old: last, New: c}
		return f.fork
	case c.Size() < last.Size():
		return fmt.Errorf("follower: %w: size %d after size %d", ErrRollback, c.Size(), last.Size())
	default:
		return err
	}
}

// beginning returns the hash of a tree's first n entries.
func (f *Follower) beginning(ctx context.Context, n int64, tree tlog.Tree) (tlog.Hash, error) {
	if n == tree.N {
		return tree.Hash, nil
	}
	hash, err := tlog.TreeHash(n, torchwood.TileHashReaderWithContext(ctx, tree, f.tiles))
	if err != nil {
		return hash, fmt.Errorf("follower: %w", err)
	}
	return hash, nil
}

// Apply takes an entry; [ledger.Book.Apply] is one. Seen is the time at which a quorum of
// witnesses stood by the checkpoint under which the entry was found.
type Apply func(index uint64, entry []byte, seen time.Time) error

// Update fetches a checkpoint and gives apply the entries from an index on. It
// returns the index that is next, and the error of apply if that fails.
func (f *Follower) Update(ctx context.Context, from uint64, apply Apply) (next uint64, err error) {
	c, err := f.Checkpoint(ctx)
	if err != nil {
		return from, err
	}
	if from > c.Size() {
		return from, fmt.Errorf("follower: %w: log of size %d has no entry %d yet", ErrRefused, c.Size(), from)
	}
	client, err := torchwood.NewClient(f.tiles, torchwood.WithTimeout(fetchTimeout))
	if err != nil {
		return from, fmt.Errorf("follower: %w", err)
	}
	for i, entry := range client.AllEntries(ctx, c.Tree(), int64(from)) {
		if err := apply(uint64(i), entry, c.Time()); err != nil {
			return from, &applyError{err}
		}
		from = uint64(i) + 1
	}
	if err := client.Err(); err != nil {
		return from, fmt.Errorf("follower: %w", err)
	}
	if from != c.Size() && ctx.Err() == nil {
		return from, fmt.Errorf("follower: %w: entries end at %d of %d", ErrRefused, from, c.Size())
	}
	return from, ctx.Err()
}

// applyError marks an error of the caller's own function.
type applyError struct{ error }

func (e *applyError) Unwrap() error { return e.error }

// Follow calls [Follower.Update] again and again, with a pause between. Errors
// that may pass are given to report. It returns when ctx ends, when apply fails, and
// with a [ForkError].
func (f *Follower) Follow(ctx context.Context, from uint64, every time.Duration, apply Apply, report func(error)) error {
	for {
		next, err := f.Update(ctx, from, apply)
		from = next
		var fork *ForkError
		var own *applyError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &fork), errors.As(err, &own):
			return err
		case err != nil:
			report(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(every):
		}
	}
}

// Proof returns the entry at an index and a proof of c2sp.org/tlog-proof under a
// fresh checkpoint, for [ledger.Policy.Include].
func (f *Follower) Proof(ctx context.Context, index uint64) (entry, proof []byte, err error) {
	c, err := f.Checkpoint(ctx)
	if err != nil {
		return nil, nil, err
	}
	client, err := torchwood.NewClient(f.tiles)
	if err != nil {
		return nil, nil, fmt.Errorf("follower: %w", err)
	}
	if index >= c.Size() {
		return nil, nil, fmt.Errorf("follower: %w: log of size %d has no entry %d yet", ErrRefused, c.Size(), index)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	entry, path, err := client.Entry(ctx, c.Tree(), int64(index))
	if err != nil {
		return nil, nil, fmt.Errorf("follower: %w", err)
	}
	return entry, ledger.FormatProof(index, path, c), nil
}
