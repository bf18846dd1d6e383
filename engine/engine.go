// Package engine is the only room that knows the database: SQLite, embedded.
// Services see typed methods and never SQL.
//
// There are two stores, each in a file of its own: [Delivery], with the tables
// of the message path, and [Records], a plain store of keyed records for
// services whose load is small (docket, custodian).
//
// # Guarantees
//
// A write that was answered without an error is on the disk: it was followed by
// an fsync. One goroutine, the committer, does all writing. It takes the first
// request, adds what is waiting (at most 512, it never waits for more), and
// ends them with one transaction and one fsync; then it answers. A request that
// comes too late or twice is answered by itself, from the number of rows it
// changed, and never undoes the others of its batch. A write of several records
// is all or nothing.
//
// An error of the disk or the database on writing breaks the store: whatever
// was not answered stays unanswered, [Config.Fatal] is called, and every later
// call fails with [ErrBroken]. What the disk then holds is unknown, so nothing
// may go on as if it were.
//
// SQLite's pages carry no checksum. So each body is stored with its SHA-256 and
// checked when read: [ErrCorrupt]. After a kill only the write-ahead log is
// replayed, which SQLite does on opening.
//
// # Bounds
//
// At most [Config.Queue] writes wait; more fail at once with [ErrBusy], and can
// be tried again unchanged: every write is idempotent by an id its caller
// chose. The write-ahead log is moved into the database by a goroutine beside
// the committer, so that the committer waits only when the log outgrows its
// bound.
//
// # Not here
//
// Nothing is encrypted: what must be secret has to arrive sealed. There is no
// replication. A second process is kept out by a lock file.
package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

var (
	ErrNotFound = errors.New("engine: not found")
	ErrExists   = errors.New("engine: exists with another content")
	ErrConflict = errors.New("engine: conflict with the present state")
	ErrFull     = errors.New("engine: a bound is reached")
	ErrSpent    = errors.New("engine: the key package was used before")
	ErrBusy     = errors.New("engine: too many writes are waiting")
	ErrClosed   = errors.New("engine: closed")
	ErrBroken   = errors.New("engine: broken by an error of the database")
	ErrCorrupt  = errors.New("engine: corrupt: stored bytes don't match their hash")
)

// Config is how a store is opened.
type Config struct {
	Path string // the database file; made with mode 0600 if missing

	// Queue is how many writes may wait for the committer; 0 means 4096. It bounds
	// memory, and how long a write can wait.
	Queue int

	// Readers is how many reads run at once; 0 means 4. Open and idle connections
	// are the same number, since opening one for each read costs five times the read.
	Readers int

	// Fatal is called once when the store breaks, by the committer. It should end the
	// process: a restart replays the log and finds out what is stored. Nil means
	// that the store only refuses all further calls.
	Fatal func(error)
}

// schema is the tables of one kind of store. Id and version are stored in the
// file, so that no store opens another's file.
type schema struct {
	id, version int
	tables      string
}

// db is an open database with its committer.
type db struct {
	config  Config
	lock    *os.File
	readers *sql.DB
	writers *sql.DB // two connections: the committer's and the checkpointer's

	queue  chan *request
	stop   chan struct{} // closed by close
	ended  sync.WaitGroup
	once   sync.Once
	broken atomic.Bool

	// Owned by the committer.
	conn  *sql.Conn
	stmts map[string]*sql.Stmt

	wal walSize
}

func open(c Config, s schema) (*db, error) {
	if c.Queue == 0 {
		c.Queue = 4096
	}
	if c.Readers == 0 {
		c.Readers = 4
	}
	d := &db{
		config: c,
		queue:  make(chan *request, c.Queue),
		stop:   make(chan struct{}),
		stmts:  map[string]*sql.Stmt{},
		wal:    walSize{bound: walBound, grown: make(chan struct{}, 1)},
	}
	if err := d.openFile(s); err != nil {
		d.release()
		return nil, fmt.Errorf("engine: open %s: %w", c.Path, err)
	}
	d.ended.Add(2)
	go d.commitLoop()
	go d.checkpointLoop()
	return d, nil
}

func (d *db) openFile(s schema) error {
	if err := d.takeLock(); err != nil {
		return err
	}
	f, err := os.OpenFile(d.config.Path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if d.writers, err = openPool(d.config.Path, 2, "journal_mode(WAL)", "wal_autocheckpoint(0)", "cache_size(-65536)"); err != nil {
		return err
	}
	if d.readers, err = openPool(d.config.Path, d.config.Readers, "query_only(1)", "cache_size(-16384)"); err != nil {
		return err
	}
	if d.conn, err = d.writers.Conn(context.Background()); err != nil {
		return err
	}
	return s.apply(d.conn)
}

// takeLock keeps a second process out: what services remember of their store
// must stay true.
func (d *db) takeLock() (err error) {
	if d.lock, err = os.OpenFile(d.config.Path+".lock", os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	if err := syscall.Flock(int(d.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("in use by another process: %w", err)
	}
	return nil
}

// openPool opens connections that stay open. synchronous=FULL: NORMAL loses
// answered commits when the machine fails.
func openPool(path string, size int, pragmas ...string) (*sql.DB, error) {
	q := url.Values{"_pragma": append([]string{"busy_timeout(10000)", "synchronous(FULL)", "cell_size_check(1)"}, pragmas...)}
	u := url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: q.Encode()}
	pool, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	return pool, nil
}

// apply makes the tables of a new file, or checks that the file is of this kind
// and version.
func (s schema) apply(c *sql.Conn) error {
	ctx := context.Background()
	var id, version int
	if err := c.QueryRowContext(ctx, "SELECT a.application_id, v.user_version FROM pragma_application_id a, pragma_user_version v").Scan(&id, &version); err != nil {
		return err
	}
	if id == s.id && version == s.version {
		return nil
	}
	if id != 0 || version != 0 {
		return fmt.Errorf("unsupported: the file is of kind %#x version %d, want %#x version %d", id, version, s.id, s.version)
	}
	_, err := c.ExecContext(ctx, fmt.Sprintf("BEGIN IMMEDIATE; %s PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT", s.tables, s.id, s.version))
	return err
}

// close answers what waits with ErrClosed and closes the file.
func (d *db) close() error {
	var err error
	d.once.Do(func() {
		close(d.stop)
		d.ended.Wait()
		err = d.release()
	})
	return err
}

func (d *db) release() error {
	var errs []error
	for _, s := range d.stmts {
		errs = append(errs, s.Close())
	}
	if d.conn != nil {
		errs = append(errs, d.conn.Close())
	}
	for _, pool := range []*sql.DB{d.readers, d.writers} {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	if d.lock != nil {
		errs = append(errs, d.lock.Close())
	}
	err := errors.Join(errs...)
	if errors.Is(err, fs.ErrClosed) {
		return nil
	}
	return err
}
