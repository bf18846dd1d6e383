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
const (
	pageSize     = 4096
	walStart     = 4 << 20 / pageSize   // pages: where the checkpointer begins
	walBound     = 64 << 20 / pageSize  // pages: where the committer helps out
	walLastBound = 512 << 20 / pageSize // pages: where it does so however much is left
)

// walSize is what is known of the log, in pages.
type walSize struct {
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
	if d.wal.batch >= 32 {
		d.wal.batch = 0
		select {
		case d.wal.grown <- struct{}{}:
		default:
		}
	}
	pages, copied := d.wal.pages.Load(), d.wal.copied.Load()
	if pages < walBound || pages-copied > walBound/4 && pages < walLastBound {
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
