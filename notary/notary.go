// Package notary is the service that writes the ledger: it admits entries that
// the law on the log allows, orders them, and publishes checkpoints that
// witnesses have cosigned.
//
// # Protocol
//
// POST /add takes the bytes of one entry and answers {"index": n} once the entry
// stands under a published checkpoint that satisfies the witness policy; the same
// bytes again get the same index. 400: not an entry; 403: an entry that would not count, with the
// reason; 503: not now, send it again. GET /checkpoint and GET /tile/... are
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
	Log           *slog.Logger      // none if nil
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

	// mu orders entries: admission into the book and the hand-over to the log happen
	// under it, so that book and log agree on every index.
	mu     sync.Mutex
	book   *ledger.Book
	broken error // set when log and book may differ: nothing is admitted any more
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
		pending: make(chan struct{}, maxPending), book: newBook(c.FirstCharters)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.open(ctx, c, opts); err != nil {
		s.cancel()
		lock.Close()
		return nil, err
	}
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
	select {
	case s.pending <- struct{}{}:
		defer func() { <-s.pending }()
	default:
		unavailable(w, errors.New("too many entries are waiting"))
		return
	}
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
	ctx, cancel := context.WithTimeout(r.Context(), publishTimeout)
	defer cancel()
	index, err := s.Add(ctx, e)
	switch {
	case errors.Is(err, errNotAdmitted):
		http.Error(w, err.Error(), http.StatusForbidden)
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

var errNotAdmitted = errors.New("notary: refused")

// Add admits an entry, unless it is on the log, and returns its index when it
// stands under a published checkpoint that satisfies the policy. If ctx
// ends before, the entry may be published all the same.
func (s *Server) Add(ctx context.Context, e *ledger.Entry) (uint64, error) {
	index, future, err := s.admit(e)
	if err != nil {
		return 0, err
	}
	got, err := future()
	if err != nil || got.Index != index {
		s.stop(fmt.Errorf("entry %d: log says %d, %v", index, got.Index, err))
		return 0, s.failure()
	}
	_, signed, err := s.awaiter.Await(ctx, future)
	if err != nil {
		return 0, fmt.Errorf("notary: entry %d waits for a checkpoint: %w", index, err)
	}
	if _, err := s.policy.Checkpoint(signed, time.Now(), 0); err != nil {
		return 0, fmt.Errorf("notary: %w", err)
	}
	return index, nil
}

// admit decides the entry's index and gives it to the log.
func (s *Server) admit(e *ledger.Entry) (uint64, tessera.IndexFuture, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return 0, nil, s.broken
	}
	if index, ok := s.book.Find(e.Hash()); ok {
		known := tessera.Index{Index: index, IsDup: true}
		return index, func() (tessera.Index, error) { return known, nil }, nil
	}
	if err := s.book.Check(e); err != nil {
		return 0, nil, fmt.Errorf("%w: %w", errNotAdmitted, err)
	}
	index := s.book.Size()
	if err := s.book.Apply(index, e.Bytes(), time.Now()); err != nil {
		return 0, nil, fmt.Errorf("notary: %w", err)
	}
	return index, s.appender.Add(s.ctx, tessera.NewEntry(e.Bytes())), nil
}

// stop ends admission for the first reason given.
func (s *Server) stop(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		s.broken = fmt.Errorf("notary: stopped: %w", reason)
		s.log.Error("notary: admits nothing any more", "reason", reason)
	}
}

func (s *Server) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

func (s *Server) serveCheckpoint(w http.ResponseWriter, r *http.Request) {
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
