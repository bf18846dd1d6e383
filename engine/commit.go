package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// maxBatch is how many requests share one fsync at most.
const maxBatch = 512

// request is one write that waits for the committer.
//
// do runs inside the batch's transaction. It must look before it writes: what it
// returns is an answer, not a reason to undo, so an error may be returned only
// while nothing is written. Errors of the database are kept in the tx and end
// the batch.
type request struct {
	do   func(*tx) error
	err  error
	done chan struct{}
}

// submit queues a write and waits for its fsync. When ctx ends first the outcome
// is unknown; the same write again settles it.
func (d *db) submit(ctx context.Context, do func(*tx) error) error {
	if d.broken.Load() {
		return ErrBroken
	}
	r := &request{do: do, done: make(chan struct{})}
	select {
	case <-d.stop:
		return ErrClosed
	default:
	}
	select {
	case d.queue <- r:
	default:
		return ErrBusy
	}
	select {
	case <-r.done:
		return r.err
	case <-d.stop:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *db) commitLoop() {
	defer d.ended.Done()
	batch := make([]*request, 0, maxBatch)
	for {
		select {
		case <-d.stop:
			return
		case r := <-d.queue:
			batch = d.drain(append(batch[:0], r))
		}
		d.commit(batch)
		d.settleLog()
	}
}

// drain adds what is waiting now.
func (d *db) drain(batch []*request) []*request {
	for len(batch) < maxBatch {
		select {
		case r := <-d.queue:
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}

// commit runs a batch in one transaction, then answers and calls what was to
// follow the commit, in the order of the writes.
func (d *db) commit(batch []*request) {
	t := &tx{db: d}
	if !d.broken.Load() {
		t.run(batch)
		if t.fault != nil {
			d.breakDown(t.fault)
		}
	}
	if d.broken.Load() {
		for _, r := range batch {
			r.err = ErrBroken
			if t.fault != nil { // it broke on this batch
				r.err = fmt.Errorf("%w: %v", ErrBroken, t.fault)
			}
		}
		t.after = nil
	}
	for _, f := range t.after {
		f()
	}
	for _, r := range batch {
		close(r.done)
	}
}

// breakDown makes every later call fail. The transaction is left as it is: its
// fate is the log's, not ours to tell.
func (d *db) breakDown(err error) {
	d.broken.Store(true)
	if d.config.Fatal != nil {
		d.config.Fatal(fmt.Errorf("engine: %s: %w", d.config.Path, err))
	}
}

// tx is the batch's transaction as its writes see it. After the first error of
// the database every call does nothing, and the batch breaks.
type tx struct {
	db    *db
	fault error
	after []func()
}

func (t *tx) run(batch []*request) {
	t.exec("BEGIN IMMEDIATE")
	for _, r := range batch {
		r.err = r.do(t)
		if t.fault != nil {
			return
		}
	}
	t.exec("COMMIT")
}

// exec returns the number of rows changed.
func (t *tx) exec(query string, args ...any) int64 {
	s := t.stmt(query)
	if t.fault != nil {
		return 0
	}
	for i, a := range args {
		if b, ok := a.([]byte); ok {
			args[i] = nonNil(b) // nil would be NULL
		}
	}
	res, err := s.ExecContext(context.Background(), args...)
	if err != nil {
		t.fault = err
		return 0
	}
	n, err := res.RowsAffected()
	t.fault = err
	return n
}

// row scans the only row of a query into dest and reports whether there was one.
func (t *tx) row(query string, args []any, dest ...any) bool {
	s := t.stmt(query)
	if t.fault != nil {
		return false
	}
	err := s.QueryRowContext(context.Background(), args...).Scan(dest...)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		t.fault = err
	}
	return err == nil
}

// rows calls each for every row; each scans it.
func (t *tx) rows(query string, args []any, each func(*sql.Rows) error) {
	s := t.stmt(query)
	if t.fault != nil {
		return
	}
	rows, err := s.QueryContext(context.Background(), args...)
	t.fault = scanAll(rows, err, each)
}

// then calls f after the commit, before the answer. f must not block.
func (t *tx) then(f func()) { t.after = append(t.after, f) }

func (t *tx) stmt(query string) *sql.Stmt {
	if t.fault != nil {
		return nil
	}
	s, ok := t.db.stmts[query]
	if !ok {
		s, t.fault = t.db.conn.PrepareContext(context.Background(), query)
		if t.fault == nil {
			t.db.stmts[query] = s
		}
	}
	return s
}

// errEnough ends a read before its last row, without an error.
var errEnough = errors.New("engine: enough")

// scanAll calls each for every row until one returns an error, and closes rows.
func scanAll(rows *sql.Rows, err error, each func(*sql.Rows) error) error {
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := each(rows); err != nil {
			closed := rows.Close()
			if err == errEnough {
				err = nil
			}
			return errors.Join(err, closed)
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// query reads outside the committer.
func (d *db) query(ctx context.Context, query string, args []any, each func(*sql.Rows) error) error {
	if err := d.readable(); err != nil {
		return err
	}
	rows, err := d.readers.QueryContext(ctx, query, args...)
	if err := scanAll(rows, err, each); err != nil {
		return fmt.Errorf("engine: read: %w", err)
	}
	return nil
}

// readable returns ErrBroken or ErrClosed of a store that is no longer read.
func (d *db) readable() error {
	if d.broken.Load() {
		return ErrBroken
	}
	select {
	case <-d.stop:
		return ErrClosed
	default:
		return nil
	}
}

// queryRow reads one row, or returns ErrNotFound.
func (d *db) queryRow(ctx context.Context, query string, args []any, dest ...any) error {
	if err := d.readable(); err != nil {
		return err
	}
	err := d.readers.QueryRowContext(ctx, query, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("engine: read: %w", err)
	}
	return nil
}
