// Package registry is the service that keeps a deployment's directory: which
// devices each account has, as the accounts themselves state it, on a log of its
// own that witnesses cosign.
//
// # Protocol
//
// api.Directory: PutStatement and LookUp. GET /checkpoint and GET /tile/... are the
// log, as c2sp.org/tlog-tiles. GET / is a status in plain text.
//
// # Guarantees
//
// A statement is admitted only if it follows the account's newest (DIR-40). It and
// its salt are durable before its leaf is logged, the leaf is logged once, and what
// was answered is published and cosigned. Killing the process at any moment loses
// none of it: what was stored and not logged is logged at the next start.
//
// A root of the prefix tree is logged right after each 32 entries (DIR-41), so any
// account can be looked up under any checkpoint, whatever the load. Of each size that was
// published the first and the last checkpoint are kept, durably before a look-up is
// answered under the next: they date each statement for whoever asks (DIR-50).
//
// # What it does not do
//
// Nobody has to believe it. It keeps the checkpoints that date its log, and can lose
// them: then less can be proven of what was. It can refuse to answer, and it can log junk under an
// account's label, which closes the account and which the account's devices see. It
// knows every account's devices. It does not know whether a name is the person's.
//
// # Bounds
//
// A request has at most 8 KiB. An account makes at most 16 statements an hour, those counted that its
// keys signed and that were refused, and 512 in all. How many new
// accounts there are is not limited: what stands before delivery should do that here
// too.
package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/directory"
	"writ/engine"
	"writ/ledger"
	"writ/scribe"
)

// Config is what a registry is opened with.
type Config struct {
	Log     scribe.Config // Replay is set by Open
	Store   engine.Config // of statements and salts
	Labels  *directory.LabelSigner
	PerHour int // statements of one account; 0: 16
}

// Server is the service.
type Server struct {
	log    *scribe.Log
	store  *engine.Records
	labels *directory.LabelSigner
	out    *slog.Logger
	mux    *http.ServeMux
	end    context.CancelFunc
	ended  sync.WaitGroup
	proofs chan struct{} // bounds how many labels are proven at once

	// puts order the statements of an account: from reading its newest to logging the
	// next. Which lock is an account's, its label says.
	puts [256]sync.Mutex

	view atomic.Pointer[view] // what look-ups are answered from

	archiving sync.Mutex // orders what is written to the archive and shown in the view

	mu      sync.Mutex                   // orders entries, and guards what follows
	head    *directory.Book              // all entries that were admitted
	indexes map[directory.Label][]uint64 // of the leaves among them
	rooted  []*directory.Book            // head right after each root that the view has not yet
	recent  [][]byte                     // the entries that the view has not yet
	quotas  quotas
}

// view is a published checkpoint and the book of exactly its entries. It is not
// changed any more.
type view struct {
	checkpoint *ledger.Checkpoint
	book       *directory.Book
}

// maxRequest is the largest request in bytes: a statement, or the names for a look-up.
const maxRequest = 8 << 10

// publishEvery is how often the newest checkpoint is looked for.
const publishEvery = 50 * time.Millisecond

// Open opens the store, replays the log, and logs what is stored and not yet logged.
func Open(ctx context.Context, c Config) (*Server, error) {
	s := &Server{labels: c.Labels, out: c.Log.Log, mux: http.NewServeMux(), proofs: make(chan struct{}, 2*runtime.GOMAXPROCS(0)),
		head: directory.NewBook(), indexes: map[directory.Label][]uint64{}, quotas: quotas{perHour: cmp.Or(c.PerHour, 16)}}
	if s.out == nil {
		s.out = slog.New(slog.DiscardHandler)
	}
	var err error
	if s.store, err = engine.OpenRecords(c.Store); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	s.view.Store(&view{book: directory.NewBook()})
	c.Log.Replay = s.replay
	if s.log, err = scribe.Open(ctx, c.Log); err != nil {
		s.store.Close()
		return nil, fmt.Errorf("registry: %w", err)
	}
	if err := errors.Join(s.begin(ctx), s.resume(ctx)); err != nil {
		s.log.Close(ctx)
		s.store.Close()
		return nil, err
	}
	path, handler := api.NewDirectoryHandler(s, connect.WithReadMaxBytes(maxRequest))
	s.mux.Handle(path, handler)
	s.mux.HandleFunc("GET /{$}", s.serveStatus)
	s.log.Handle(s.mux)
	ctx, s.end = context.WithCancel(context.WithoutCancel(ctx))
	s.ended.Go(func() { s.publish(ctx) })
	return s, nil
}

// Close stops admitting, waits until what was admitted is published or ctx ends, and
// releases log and store.
func (s *Server) Close(ctx context.Context) error {
	err := s.log.Close(ctx)
	s.end()
	s.ended.Wait()
	if closed := s.store.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	return nil
}

// Handler serves the protocol.
func (s *Server) Handler() http.Handler { return s.mux }

func (s *Server) serveStatus(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	size, accounts := s.head.Size(), len(s.indexes)
	s.mu.Unlock()
	policy := s.log.Policy()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "log %s\nkey %s\nsize %d\naccounts %d\n", policy.Origin(), policy.LogVKey(), size, accounts)
	if err := s.log.Stopped(); err != nil {
		fmt.Fprintf(w, "stopped %v\n", err)
	}
}
