package engine

import (
	"context"
	"sync/atomic"
)

// The write-ahead log grows with every commit and is reused from its beginning
// once all of it has been copied into the database. Copying costs as much as
// writing did, so the checkpointer does it beside the committer. While it copies
// the log goes on growing; so when the log is over its bound, and the
// checkpointer has copied nearly all, the committer copies the rest itself and
// the log begins again.
//
// Should the checkpointer never keep up, the committer waits for all of it at
// eight times the bound.
const (
	walBound      = 16384 // pages of 4096 bytes
	walLastFactor = 8
	walBatches    = 32 // between two looks of the checkpointer
)

// walSize is what is known of the log, in pages.
type walSize struct {
	bound  int64         // walBound
	pages  atomic.Int64  // in the log at the last look
	copied atomic.Int64  // of them in the database
	batch  int64         // batches since the last look; the committer's
	grown  chan struct{} // wakes the checkpointer
}

// checkpointLoop copies the log whenever the committer says that it grew.
func (d *db) checkpointLoop() {
	defer d.ended.Done()
	conn, err := d.writers.Conn(context.Background())
	if err != nil {
		d.breakDown(err)
		return
	}
	defer conn.Close()
	for {
		select {
		case <-d.stop:
			return
		case <-d.wal.grown:
		}
		var busy, pages, copied int64
		err := conn.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &pages, &copied)
		if err != nil {
			d.breakDown(err)
			return
		}
		d.wal.pages.Store(pages)
		d.wal.copied.Store(copied)
	}
}

// settleLog runs after each batch: it wakes the checkpointer, and begins the log
// again when it is due.
func (d *db) settleLog() {
	d.wal.batch++
	if d.wal.batch >= walBatches {
		d.wal.batch = 0
		select {
		case d.wal.grown <- struct{}{}:
		default:
		}
	}
	pages, copied := d.wal.pages.Load(), d.wal.copied.Load()
	if pages < d.wal.bound || pages-copied > d.wal.bound/4 && pages < walLastFactor*d.wal.bound {
		return
	}
	var busy int64
	if err := d.conn.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &pages, &copied); err != nil {
		d.breakDown(err)
		return
	}
	d.wal.pages.Store(pages - copied) // all copied: the next write begins at the front
	d.wal.copied.Store(0)
}
