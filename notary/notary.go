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
	"log/slog"
	"net/http"
	"sync"
	"time"

	"writ/charter"
	"writ/ledger"
	"writ/scribe"
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
	log     *scribe.Log
	out     *slog.Logger
	mux     *http.ServeMux
	pending chan struct{}

	mu     sync.Mutex   // orders entries: the book decides, and in the same order the log admits
	book   *ledger.Book // all that was admitted
	quotas quotas
}

// New opens the log, checks it against its checkpoint and replays it. The
// first start of a log needs its witnesses, which cosign the empty log.
func New(ctx context.Context, c Config) (*Server, error) {
	s := &Server{out: c.Log, mux: http.NewServeMux(), pending: make(chan struct{}, maxPending),
		book: newBook(c.FirstCharters), quotas: quotas{perHour: cmp.Or(c.PerHour, defaultPerHour)}}
	if s.out == nil {
		s.out = slog.New(slog.DiscardHandler)
	}
	now := time.Now()
	var err error
	s.log, err = scribe.Open(ctx, scribe.Config{Dir: c.Dir, Signer: c.Signer, Policy: c.Policy, Witnesses: c.Witnesses,
		Interval: c.Interval, Republish: c.Republish, Log: c.Log, Fatal: c.Fatal,
		Replay: func(index uint64, entry []byte) error { return s.book.Apply(index, entry, now) }})
	if err != nil {
		return nil, fmt.Errorf("notary: %w", err)
	}
	s.mux.HandleFunc("POST /add", s.serveAdd)
	s.mux.HandleFunc("GET /{$}", s.serveStatus)
	s.log.Handle(s.mux)
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

// Close stops admitting, waits until what was admitted is published or ctx ends, and
// releases the directory.
func (s *Server) Close(ctx context.Context) error { return s.log.Close(ctx) }

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
	index, err := s.admit(e)
	if err != nil {
		return 0, err
	}
	if _, err := s.log.Await(ctx, index); err != nil {
		return 0, fmt.Errorf("notary: %w", err)
	}
	return index, nil
}

// admit decides the entry's index, or finds the one it has.
func (s *Server) admit(e *ledger.Entry) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.log.Stopped(); err != nil {
		return 0, fmt.Errorf("notary: %w", err)
	}
	if index, ok := s.book.Find(e.Hash()); ok {
		return index, nil
	}
	if err := s.book.Check(e); err != nil {
		return 0, fmt.Errorf("%w: %w", errNotAdmitted, err)
	}
	if signer := s.signerOf(e); !s.quotas.allow(signer, time.Now()) {
		s.out.Warn("notary: quota", "signer", signer)
		return 0, errQuota
	}
	index, err := s.log.Append(e.Bytes())
	if err != nil {
		return 0, fmt.Errorf("notary: %w", err)
	}
	if err := s.book.Apply(index, e.Bytes(), time.Now()); err != nil {
		s.log.Stop(err) // book and log differ
		return 0, fmt.Errorf("notary: %w", err)
	}
	return index, nil
}

func (s *Server) serveStatus(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	size, findings := s.book.Size(), len(s.book.Findings())
	s.mu.Unlock()
	policy, broken := s.log.Policy(), s.log.Stopped()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "log %s\nkey %s\nsize %d\nfindings %d\n", policy.Origin(), policy.LogVKey(), size, findings)
	if broken != nil {
		fmt.Fprintf(w, "stopped %v\n", broken)
	}
}
