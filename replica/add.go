package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"writ/engine"
	"writ/follower"
	"writ/ledger"
)

// poll is the pause while an added entry is awaited in the copy.
const poll = 100 * time.Millisecond

// View calls f with the book, which f neither changes nor keeps. Meanwhile
// nobody else sees the book: even its readers may change what it remembers.
func (r *Replica) View(f func(*ledger.Book)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r.book)
}

// Head returns how many entries the copy has, and the time at which witnesses
// last stood by it: zero before the first.
func (r *Replica) Head() (size uint64, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.book.Size(), r.time
}

// Fresh returns nil if the copy can be acted on: its checkpoint is not older
// than the configured age nor of the future, and no fork was seen.
func (r *Replica) Fresh() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch age := r.config.Now().Sub(r.time); {
	case r.fork != nil:
		return r.fork
	case r.time.IsZero():
		return fmt.Errorf("replica: %w: no checkpoint was seen yet", ledger.ErrRefused)
	case age < -min(r.config.MaxAge, ledger.MaxSkew):
		return fmt.Errorf("replica: %w: the newest checkpoint is %v in the future; is this clock right?", ledger.ErrRefused, -age.Round(time.Second))
	case age > r.config.MaxAge:
		return fmt.Errorf("replica: %w: the newest checkpoint is %v old", ledger.ErrRefused, age.Round(time.Second))
	}
	return nil
}

// Policy returns the witness policy: that of the law in force, once the copy has it.
func (r *Replica) Policy() *ledger.Policy { return r.policy.Load() }

// Add puts an entry on the ledger, unless the copy shows that it is there. It
// returns when the copy shows that the entry counts, with its verified proof
// under a fresh checkpoint. An entry that would not count is refused with an
// error that wraps [ledger.ErrInvalid], before it is sent. When ctx ends first
// the outcome is open, and the same call settles it.
func (r *Replica) Add(ctx context.Context, entry []byte) (*ledger.Included, []byte, error) {
	e, err := ledger.ParseEntry(entry)
	if err != nil {
		return nil, nil, fmt.Errorf("replica: %w", err)
	}
	if err := r.Refresh(ctx); err != nil {
		return nil, nil, err
	}
	index, err := r.find(e)
	if err != nil {
		return nil, nil, err
	}
	if index == nil {
		if _, err := r.follow.Add(ctx, entry); err != nil {
			return nil, nil, fmt.Errorf("replica: %w", err)
		}
		if index, err = r.await(ctx, e); err != nil {
			return nil, nil, err
		}
	}
	return r.Prove(ctx, entry, *index)
}

// find returns where an entry stands, nil if it isn't there yet, or why it
// would not count.
func (r *Replica) find(e *ledger.Entry) (index *uint64, err error) {
	r.View(func(b *ledger.Book) {
		if at, ok := b.Find(e.Hash()); ok {
			index = &at
			return
		}
		err = b.Check(e)
	})
	return index, err
}

// await refreshes the copy until it has the entry.
func (r *Replica) await(ctx context.Context, e *ledger.Entry) (*uint64, error) {
	for {
		if err := r.Refresh(ctx); err != nil && ctx.Err() == nil {
			r.config.Log.Debug("ledger", "error", err)
		}
		index, err := r.find(e)
		if index != nil || err != nil {
			return index, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("replica: %w: the ledger doesn't show the entry yet: %w", ledger.ErrRefused, ctx.Err())
		case <-time.After(poll):
		}
	}
}

// Entry returns the entry at an index as the copy has it. It reads the log on if the
// copy does not reach so far.
func (r *Replica) Entry(ctx context.Context, index uint64) ([]byte, error) {
	if index >= r.size() {
		if err := r.Refresh(ctx); err != nil {
			return nil, err
		}
	}
	entry, err := stored(ctx, r.records, index)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return nil, fmt.Errorf("replica: %w: the ledger has no entry %d yet", ledger.ErrRefused, index)
	case err != nil:
		return nil, fmt.Errorf("replica: %w", err)
	}
	return entry, nil
}

// Prove returns an entry at an index with its verified proof under a fresh
// checkpoint, which is stored first: what rests on the proof can't outlive the
// copy's memory of it.
func (r *Replica) Prove(ctx context.Context, entry []byte, index uint64) (*ledger.Included, []byte, error) {
	list, err := r.ProveAll(ctx, []Standing{{entry, index}})
	if err != nil {
		return nil, nil, err
	}
	return list[0].Included, list[0].Proof, nil
}

// Standing is an entry and where it stands.
type Standing struct {
	Entry []byte
	Index uint64
}

// Proven is an entry with its verified proof.
type Proven struct {
	*ledger.Included
	Proof []byte
}

// ProveAll is [Replica.Prove] for many entries, in their order, under one checkpoint.
func (r *Replica) ProveAll(ctx context.Context, list []Standing) ([]Proven, error) {
	if err := r.forked(); err != nil {
		return nil, err
	}
	indexes := make([]uint64, len(list))
	for i, s := range list {
		indexes[i] = s.Index
	}
	proofs, err := r.follow.Proofs(ctx, indexes)
	var fork *follower.ForkError
	if errors.As(err, &fork) {
		return nil, r.keepFork(ctx, fork)
	}
	if err != nil {
		return nil, fmt.Errorf("replica: %w", err)
	}
	if err := r.keepLast(ctx); err != nil {
		return nil, err
	}
	proven := make([]Proven, len(list))
	for i, s := range list {
		in, err := r.Policy().Include(s.Entry, proofs[i], r.config.Now(), r.config.MaxAge)
		if err != nil {
			return nil, fmt.Errorf("replica: %w", err)
		}
		proven[i] = Proven{in, proofs[i]}
	}
	return proven, nil
}
