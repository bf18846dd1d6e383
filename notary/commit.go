package notary

import (
	"fmt"
	"time"

	"github.com/transparency-dev/tessera"

	"writ/ledger"
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
	entry *ledger.Entry
	index uint64
	done  chan struct{} // closed when it is stored at its index, or won't be
	err   error         // read after done
}

// onDisk stands for an entry that the log has.
func onDisk(index uint64) *queued {
	q := &queued{index: index, done: make(chan struct{})}
	close(q.done)
	return q
}

// commit stores what is queued, group by group, until the server stops. After
// a failure book and log may differ: what is still queued is not stored.
func (s *Server) commit() {
	defer close(s.stored)
	var failed error
	for {
		group := s.take()
		if len(group) == 0 {
			return
		}
		if failed == nil {
			if failed = s.store(group); failed != nil {
				s.stop(failed)
			}
		}
		s.finish(group, failed)
		if failed != nil && s.fatal != nil {
			s.fatal(failed)
			s.fatal = nil
		}
	}
}

// take waits for queued entries and returns up to maxBatch of them, none when the
// server has stopped and nothing is left.
func (s *Server) take() []*queued {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) == 0 && s.broken == nil {
		s.work.Wait()
	}
	n := min(len(s.queue), maxBatch)
	group := s.queue[:n:n]
	s.queue = s.queue[n:]
	return group
}

// store hands a group to the log's storage and waits until all of it is on
// disk, each entry at its index.
func (s *Server) store(group []*queued) error {
	futures := make([]tessera.IndexFuture, len(group))
	for i, q := range group {
		futures[i] = s.appender.Add(s.ctx, tessera.NewEntry(q.entry.Bytes()))
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

// finish tells who waits for the entries of a group.
func (s *Server) finish(group []*queued, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range group {
		if err != nil {
			q.err = s.broken
		}
		delete(s.flying, q.index)
		close(q.done)
	}
}
