// Package notary is the service that writes the ledger: it admits entries that
// the law on the log allows, orders them, and publishes checkpoints that
// witnesses have cosigned.
//
// # Protocol
//
// POST /add takes the bytes of one entry and answers {"index": n} once the entry
// stands under a published checkpoint that satisfies the witness policy; the same
// bytes again get the same index. 400: not an entry; 403: an entry that would not count, with the
// reason; 429: too many of its signer's within the hour; 503: not now, send it again. GET /checkpoint and GET /tile/... are
// c2sp.org/tlog-tiles. GET / is a status in plain text.
//
// # Guarantees
//
// Nothing is admitted that [ledger.Book] would not count after all entries
// before it; a first charter only if it is named in the configuration. What was
// acknowledged is on disk and cosigned: killing the process at any moment loses
// none of it. Order and index are decided once, under one lock; if the log's storage
// disagrees or fails, the notary admits nothing until it is started anew, and
// then reads its log from the start and checks it against its own checkpoint.
//
// # What it does not do
//
// It doesn't know who sends an entry: signatures inside the entries decide. It
// can delay or leave out entries, which their senders notice; it can't change
// or drop what a checkpoint covers, since witnesses and readers compare.
// One process writes to a directory; a second is refused.
//
// # Example
//
//	s, err := notary.New(ctx, notary.Config{Dir: dir, Signer: key, Policy: policy,
//		Witnesses: map[string]string{"a": "https://a.example"}, FirstCharters: []charter.Hash{h}})
//	http.ListenAndServe(addr, s)
package notary

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"filippo.io/torchwood"
	"github.com/transparency-dev/tessera"

	"writ/charter"
	"writ/ledger"
)

// Config is what a notary is started with.
type Config struct {
	Dir           string            // the log; created if it isn't there
	Signer        string            // private key of the log, as golang.org/x/mod/sumdb/note writes it
	Policy        *ledger.Policy    // names the log's key and the witnesses
	Witnesses     map[string]string // base URL of each witness, by its name in the policy
	FirstCharters []charter.Hash    // charters of version 1 that may be logged; none: no law can begin
	Interval      time.Duration     // between checkpoints of a growing log; 0: 500 ms, at least 100 ms
	Republish     time.Duration     // between checkpoints of a resting log, so that they stay fresh; 0: 1 min
	PerHour       int               // entries admitted of one signer; 0: 1000
	Log           *slog.Logger      // none if nil

	// Fatal is called once when the log's storage fails or disagrees, and should end the
	// process: a restart reads what is stored. Nil: the notary only admits nothing any more.
	Fatal func(error)
}

// maxPending bounds the entries that wait for a checkpoint at one time.
const maxPending = 4096

// publishTimeout bounds how long one request waits for a checkpoint.
const publishTimeout = 30 * time.Second

// Server is the service. It is an [http.Handler].
type Server struct {
	policy   *ledger.Policy
	log      *slog.Logger
	mux      *http.ServeMux
	files    fs.FS
	lock     *os.File
	reader   tessera.LogReader
	appender *tessera.Appender
	awaiter  *tessera.PublicationAwaiter
	shutdown func(context.Context) error
	cancel   context.CancelFunc
	ctx      context.Context // the server's life: an entry once admitted does not end with its request
	pending  chan struct{}
	fatal    func(error)

	stored chan struct{} // closed when the committer has ended: nothing is queued any more

	// mu orders entries: the book decides an entry's index when it is queued, and the
	// committer alone hands the queue to the log's storage, in order.
	mu     sync.Mutex
	work   sync.Cond // on mu: the queue or broken changed
	book   *ledger.Book
	queue  []*queued
	flying map[uint64]*queued // queued or being stored, by index
	quotas quotas
	broken error // set at the end, and when log and book may differ: nothing is admitted any more
}

// New opens the log, checks it against its checkpoint and replays it. The
// first start of a log needs its witnesses, which cosign the empty log.
func New(ctx context.Context, c Config) (*Server, error) {
	opts, err := c.options()
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(c.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{policy: c.Policy, log: c.Log, files: os.DirFS(c.Dir), lock: lock,
		pending: make(chan struct{}, maxPending), stored: make(chan struct{}),
		book: newBook(c.FirstCharters), flying: map[uint64]*queued{}, fatal: c.Fatal,
		quotas: quotas{perHour: cmp.Or(c.PerHour, defaultPerHour)}}
	s.work.L = &s.mu
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.open(ctx, c, opts); err != nil {
		s.cancel()
		lock.Close()
		return nil, err
	}
	go s.commit()
	s.mux = http.NewServeMux()
	s.mux.HandleFunc("POST /add", s.serveAdd)
	s.mux.HandleFunc("GET /checkpoint", s.serveCheckpoint)
	s.mux.HandleFunc("GET /tile/", s.serveTile)
	s.mux.HandleFunc("GET /{$}", s.serveStatus)
	return s, nil
}

// newBook returns a book that takes only the first charters named; without
// any, none.
func newBook(firsts []charter.Hash) *ledger.Book {
	if len(firsts) == 0 {
		firsts = []charter.Hash{{}} // no charter has this hash
	}
	return ledger.NewBook(firsts...)
}

func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("notary: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("notary: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("notary: %s is in use: %w", dir, err)
	}
	return f, nil
}

// Close stops admitting, waits until what was admitted is published or ctx ends, and
// releases the directory.
func (s *Server) Close(ctx context.Context) error {
	s.stop(errors.New("shutting down"))
	select {
	case <-s.stored:
	case <-ctx.Done():
	}
	err := s.shutdown(ctx)
	s.cancel()
	if err != nil {
		err = fmt.Errorf("notary: %w", err)
	}
	return errors.Join(err, s.lock.Close())
}

// ServeHTTP serves the protocol.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Server) serveAdd(w http.ResponseWriter, r *http.Request) {
	// The whole entry first: who sends it slowly takes no place.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, ledger.MaxEntry))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e, err := ledger.ParseEntry(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case s.pending <- struct{}{}:
		defer func() { <-s.pending }()
	default:
		unavailable(w, errors.New("too many entries are waiting"))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), publishTimeout)
	defer cancel()
	index, err := s.Add(ctx, e)
	switch {
	case errors.Is(err, errNotAdmitted):
		http.Error(w, err.Error(), http.StatusForbidden)
	case errors.Is(err, errQuota):
		w.Header().Set("Retry-After", "60")
		http.Error(w, err.Error(), http.StatusTooManyRequests)
	case err != nil:
		unavailable(w, err)
	default:
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]uint64{"index": index})
	}
}

func unavailable(w http.ResponseWriter, err error) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, err.Error(), http.StatusServiceUnavailable)
}

var (
	errNotAdmitted = errors.New("notary: refused")
	errQuota       = errors.New("notary: too many entries of one signer within an hour")
)

// Add admits an entry, unless it is on the log, and returns its index when it
// stands under a published checkpoint that satisfies the policy. If ctx
// ends before, the entry may be published all the same.
func (s *Server) Add(ctx context.Context, e *ledger.Entry) (uint64, error) {
	q, err := s.admit(e)
	if err != nil {
		return 0, err
	}
	select {
	case <-q.done:
	case <-ctx.Done():
		return 0, fmt.Errorf("notary: entry %d is being stored: %w", q.index, ctx.Err())
	}
	if q.err != nil {
		return 0, q.err
	}
	known := func() (tessera.Index, error) { return tessera.Index{Index: q.index}, nil }
	_, signed, err := s.awaiter.Await(ctx, known)
	if err != nil {
		return 0, fmt.Errorf("notary: entry %d waits for a checkpoint: %w", q.index, err)
	}
	if _, err := s.policy.Checkpoint(signed, time.Now(), 0); err != nil {
		return 0, fmt.Errorf("notary: %w", err)
	}
	return q.index, nil
}

// admit decides the entry's index, or finds the one it has.
func (s *Server) admit(e *ledger.Entry) (*queued, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return nil, s.broken
	}
	if index, ok := s.book.Find(e.Hash()); ok {
		if q := s.flying[index]; q != nil {
			return q, nil
		}
		return onDisk(index), nil
	}
	if err := s.book.Check(e); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotAdmitted, err)
	}
	if signer := s.signerOf(e); !s.quotas.allow(signer, time.Now()) {
		s.log.Warn("notary: quota", "signer", signer)
		return nil, errQuota
	}
	q := &queued{entry: e, index: s.book.Size(), done: make(chan struct{})}
	if err := s.book.Apply(q.index, e.Bytes(), time.Now()); err != nil {
		return nil, fmt.Errorf("notary: %w", err)
	}
	s.queue, s.flying[q.index] = append(s.queue, q), q
	s.work.Signal()
	return q, nil
}

// stop ends admission for the first reason given.
func (s *Server) stop(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		s.broken = fmt.Errorf("notary: stopped: %w", reason)
		s.log.Warn("notary: admits nothing any more", "reason", reason)
	}
	s.work.Broadcast()
}

func (s *Server) serveCheckpoint(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*") // browsers read the log too
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	http.ServeFileFS(w, r, s.files, "checkpoint")
}

func (s *Server) serveTile(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	if _, err := torchwood.ParseTilePath(path); err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Cache-Control", "public, max-age=604800, immutable")
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeFileFS(w, r, s.files, path)
}

func (s *Server) serveStatus(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	size, findings, broken := s.book.Size(), len(s.book.Findings()), s.broken
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "log %s\nkey %s\nsize %d\nfindings %d\n", s.policy.Origin(), s.policy.LogVKey(), size, findings)
	if broken != nil {
		fmt.Fprintf(w, "stopped %v\n", broken)
	}
}
