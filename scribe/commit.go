package scribe

import (
	"fmt"
	"time"

	"github.com/transparency-dev/tessera"
)

// Group commit: while one group is being stored, the next gathers. The storage
// flushes a group a moment after its first entry, and never by size, since its own queue
// may swap two flushes that are close to each other.
const (
	maxBatch   = 256
	flushAfter = 5 * time.Millisecond
)

// queued is an entry on its way to the log's storage.
type queued struct {
	entry []byte
	index uint64
	done  chan struct{} // closed when it is stored at its index, or won't be
	err   error         // read after done
}

// commit stores what is queued, group by group, until the log stops. After a failure
// it may hold something else: what is still queued is not stored.
func (l *Log) commit() {
	defer close(l.stored)
	var failed error
	for {
		group := l.take()
		if len(group) == 0 {
			return
		}
		if failed == nil {
			if failed = l.store(group); failed != nil {
				l.Stop(failed)
			}
		}
		l.finish(group, failed)
		if failed != nil && l.fatal != nil {
			l.fatal(failed)
			l.fatal = nil
		}
	}
}

// take waits for queued entries and returns up to maxBatch of them, none when the
// log has stopped and nothing is left.
func (l *Log) take() []*queued {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 && l.broken == nil {
		l.work.Wait()
	}
	n := min(len(l.queue), maxBatch)
	group := l.queue[:n:n]
	l.queue = l.queue[n:]
	return group
}

// store hands a group to the log's storage and waits until all of it is on
// disk, each entry at its index.
func (l *Log) store(group []*queued) error {
	futures := make([]tessera.IndexFuture, len(group))
	for i, q := range group {
		futures[i] = l.appender.Add(l.ctx, tessera.NewEntry(q.entry))
	}
	var failed error
	for i, q := range group {
		got, err := futures[i]()
		if failed == nil && (err != nil || got.Index != q.index) {
			failed = fmt.Errorf("entry %d: the storage says %d, %v", q.index, got.Index, err)
		}
	}
	return failed
}

// finish tells who waits for the entries of a group. Those that failed stay where who
// comes later finds them: nothing else is admitted any more.
func (l *Log) finish(group []*queued, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, q := range group {
		if err != nil {
			q.err = l.broken
		} else {
			delete(l.flying, q.index)
		}
		close(q.done)
	}
}
