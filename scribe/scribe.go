// Package scribe writes a log with Tessera: it orders entries, stores them, and
// publishes checkpoints that witnesses have cosigned. What may be an entry its
// caller decides: the notary for the ledger, the registry for the directory.
//
// # Terms
//
// An entry is admitted when [Log.Append] gave it an index, stored when it is on
// disk, published when a checkpoint that satisfies the witness policy covers it.
// The log is served as c2sp.org/tlog-tiles: see [Log.Handle].
//
// # Guarantees
//
// What [Log.Await] says is published is on disk and cosigned: killing the process
// at any moment loses none of it. An index is decided once. If the storage
// disagrees or fails, nothing is admitted until the log is opened anew; then all
// of it is read from the start, checked against its own checkpoint, and handed to
// [Config.Replay]. A checkpoint without a quorum of witnesses is never published.
//
// # What it does not do
//
// It looks at no entry, and does not find out that one was there before. One
// process writes to a directory; a second is refused.
//
// # Example
//
//	l, err := scribe.Open(ctx, scribe.Config{Dir: dir, Signer: key, Policy: policy,
//		Witnesses: map[string]string{"a": "https://a.example"}, Replay: book.Apply})
//	index, err := l.Append(entry)
//	checkpoint, err := l.Await(ctx, index)
package scribe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"filippo.io/torchwood"
	"filippo.io/torchwood/tesserax"
	"github.com/transparency-dev/tessera"
	"golang.org/x/mod/sumdb/tlog"

	"writ/ledger"
)

// Config is what a log is opened with.
type Config struct {
	Dir       string            // the log; created if it isn't there
	Signer    string            // private key of the log, as golang.org/x/mod/sumdb/note writes it
	Policy    *ledger.Policy    // names the log's key and the witnesses
	Witnesses map[string]string // base URL of each witness, by its name in the policy
	Interval  time.Duration     // between checkpoints of a growing log; 0: 500 ms, at least 100 ms
	Republish time.Duration     // between checkpoints of a resting log, so that they stay fresh; 0: 1 min
	Log       *slog.Logger      // none if nil

	// Replay is given each entry that is on disk, in order, before Open returns.
	Replay func(index uint64, entry []byte) error

	// Fatal is called once when the log's storage fails or disagrees, and should end the
	// process: a restart reads what is stored. Nil: the log only admits nothing any more.
	Fatal func(error)
}

// Log is a log that this process writes. It is safe for concurrent use.
type Log struct {
	policy   *ledger.Policy
	log      *slog.Logger
	files    fs.FS
	lock     *os.File
	reader   tessera.LogReader
	appender *tessera.Appender
	awaiter  *tessera.PublicationAwaiter
	shutdown func(context.Context) error
	cancel   context.CancelFunc
	ctx      context.Context // the log's life: an entry once admitted does not end with its request
	fatal    func(error)

	stored chan struct{} // closed when the committer has ended: nothing is queued any more

	// mu orders entries: an index is decided when the entry is queued, and the committer
	// alone hands the queue to the storage, in order.
	mu     sync.Mutex
	work   sync.Cond // on mu: the queue or broken changed
	size   uint64
	queue  []*queued
	flying map[uint64]*queued // queued or being stored, by index
	broken error              // set at the end, and when the storage failed: nothing is admitted any more
}

// Open opens the log, checks it against its checkpoint and replays it. The first
// start of a log needs its witnesses, which cosign the empty log.
func Open(ctx context.Context, c Config) (*Log, error) {
	opts, err := c.options()
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(c.Dir)
	if err != nil {
		return nil, err
	}
	l := &Log{policy: c.Policy, log: c.Log, files: os.DirFS(c.Dir), lock: lock, fatal: c.Fatal,
		stored: make(chan struct{}), flying: map[uint64]*queued{}}
	l.work.L = &l.mu
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := l.open(ctx, c, opts); err != nil {
		l.cancel()
		lock.Close()
		return nil, err
	}
	go l.commit()
	return l, nil
}

func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("scribe: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("scribe: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("scribe: %s is in use: %w", dir, err)
	}
	return f, nil
}

// Close stops admitting, waits until what was admitted is published or ctx ends, and
// releases the directory.
func (l *Log) Close(ctx context.Context) error {
	l.Stop(errors.New("shutting down"))
	select {
	case <-l.stored:
	case <-ctx.Done():
	}
	err := l.shutdown(ctx)
	l.cancel()
	if err != nil {
		err = fmt.Errorf("scribe: %w", err)
	}
	return errors.Join(err, l.lock.Close())
}

// Policy returns the witness policy of the log.
func (l *Log) Policy() *ledger.Policy { return l.policy }

// Stop ends admission for the first reason given.
func (l *Log) Stop(reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil {
		l.broken = fmt.Errorf("scribe: stopped: %w", reason)
		l.log.Warn("scribe: admits nothing any more", "reason", reason)
	}
	l.work.Broadcast()
}

// Stopped returns why nothing is admitted any more, or nil.
func (l *Log) Stopped() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// Append admits an entry and returns its index, the number of those before it. It
// does not wait; it fails only if the log has stopped.
func (l *Log) Append(entry []byte) (index uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return 0, l.broken
	}
	q := &queued{entry: entry, index: l.size, done: make(chan struct{})}
	l.queue, l.flying[q.index] = append(l.queue, q), q
	l.size++
	l.work.Signal()
	return q.index, nil
}

// Await returns a published checkpoint that covers an admitted entry and satisfies
// the policy: one that was published under a policy of before does not count. If ctx
// ends before, the entry may be published all the same.
func (l *Log) Await(ctx context.Context, index uint64) (*ledger.Checkpoint, error) {
	if err := l.awaitStored(ctx, index); err != nil {
		return nil, err
	}
	known := func() (tessera.Index, error) { return tessera.Index{Index: index}, nil }
	for {
		_, signed, err := l.awaiter.Await(ctx, known)
		if err != nil {
			return nil, fmt.Errorf("scribe: entry %d waits for a checkpoint: %w", index, err)
		}
		if c, err := l.policy.Checkpoint(signed, time.Now(), 0); !errors.Is(err, ledger.ErrNoQuorum) {
			return c, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("scribe: entry %d waits for the witnesses of this policy: %w", index, ctx.Err())
		case <-time.After(minInterval):
		}
	}
}

func (l *Log) awaitStored(ctx context.Context, index uint64) error {
	l.mu.Lock()
	q, size := l.flying[index], l.size
	l.mu.Unlock()
	switch {
	case index >= size:
		return fmt.Errorf("scribe: entry %d of a log of %d", index, size)
	case q == nil:
		return nil
	}
	select {
	case <-q.done:
		return q.err
	case <-ctx.Done():
		return fmt.Errorf("scribe: entry %d is being stored: %w", index, ctx.Err())
	}
}

// Published returns the newest checkpoint that was published.
func (l *Log) Published(ctx context.Context) (*ledger.Checkpoint, error) {
	signed, err := l.reader.ReadCheckpoint(ctx)
	if err != nil {
		return nil, fmt.Errorf("scribe: %w", err)
	}
	return l.policy.Checkpoint(signed, time.Now(), 0)
}

// Hashes reads hashes of the tree of the first size entries, which must be published,
// from the tiles on disk.
func (l *Log) Hashes(ctx context.Context, size uint64) tlog.HashReader {
	return ownHashes{ctx, tesserax.NewTileReader(l.reader), int64(size)}
}

// ownHashes reads hashes from the tiles on disk of a log of the given size. They are
// compared with the checkpoint by who uses them.
type ownHashes struct {
	ctx   context.Context
	tiles torchwood.TileReader
	size  int64
}

// ReadHashes implements [tlog.HashReader].
func (h ownHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out, seen := make([]tlog.Hash, len(indexes)), map[tlog.Tile][]byte{}
	for i, index := range indexes {
		t := tlog.TileForIndex(torchwood.TileHeight, index)
		t.W = int(min(torchwood.TileWidth, h.size>>(t.L*t.H)-t.N*torchwood.TileWidth))
		if seen[t] == nil {
			data, err := h.tiles.ReadTiles(h.ctx, []tlog.Tile{t})
			if err != nil {
				return nil, err
			}
			seen[t] = data[0]
		}
		var err error
		if out[i], err = tlog.HashFromTile(t, seen[t], index); err != nil {
			return nil, err
		}
	}
	return out, nil
}
