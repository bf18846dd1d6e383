// Package docket is the service where agencies lodge warrants, approvers
// approve them, and what is approved goes on the ledger.
//
// # Terms
//
// An agency is a requesting authority whose Ed25519 key the docket knows. It
// lodges a warrant as two things: an envelope that only approvers can open, and
// a [Lodgement], the fields that the ledger will show. An approval is an
// approver's signature over office and the hash of these fields, so the docket
// verifies it without reading the warrant. When the approvals satisfy the charter,
// the agency publishes the warrant entry, which carries them, and then request
// entries under it. The docket signs both with the key that the charter names.
//
// # Guarantees
//
// What was answered is on the disk. Every call can be repeated and then answers
// as before; after a kill at any point nothing is lost and no entry is logged
// twice, since entries are signed deterministically and looked up in the
// docket's own copy of the ledger first. An entry counts as published when that
// copy shows it under a witnessed checkpoint, at the index it then states.
//
// A stolen docket shows which agency lodged how many warrants of which case
// type, when, and who approved. It holds no subject, no grounds and no key that
// opens anything. Its signing key alone publishes no warrant that counts for
// anybody: the entry carries the approvals.
//
// It also keeps one part of the key of each sealed bundle, and gives it out only
// against a reading that its own copy of the ledger counts, sealed to the key
// which that reading named. A part alone opens nothing. Who loses it opens the
// case again.
//
// # What it does not do
//
// It doesn't check the warrant behind a commitment, nor the cap: each custodian
// does. It serves envelopes and approvals to anybody who asks.
//
// # Example
//
//	s, err := docket.Open(ctx, docket.Config{Dir: dir, Key: key, ...})
//	go s.Run(ctx)
//	http.Serve(listener, s.Handler())
package docket

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/charter"
	"writ/engine"
	"writ/internal/wire"
	"writ/ledger"
	"writ/replica"
)

// AgencyKey verifies what an agency lodges, publishes and requests.
type AgencyKey [ed25519.PublicKeySize]byte

func (k AgencyKey) verify(name string, content, sig []byte) bool {
	return len(sig) == ed25519.SignatureSize && ed25519.Verify(k[:], wire.SignContent(name, content), sig)
}

// Config is what a docket is made of.
type Config struct {
	Dir      string               // its database and its copy of the ledger
	Key      ledger.DocketSigner  // private half of the charter's docket key
	Agencies map[string]AgencyKey // who may lodge, by name
	Ledger   string               // URL of the log, to read it and to add to it
	Charters []charter.Hash       // first versions of the laws it serves
	Policy   *ledger.Policy       // which witnesses it trusts
	MaxAge   time.Duration        // oldest checkpoint it works with: the charter's freshness
	Poll     time.Duration        // how often it reads the ledger; 0 means 2 s
	LogWait  time.Duration        // how long a call waits for its turn and the ledger; 0 means 45 s
	HTTP     *http.Client         // for the ledger; nil means one with a timeout
	Now      func() time.Time     // nil means time.Now
	Log      *slog.Logger         // nil discards
	Fatal    func(error)          // called when the disk fails; should end the process
}

// Server is a running docket.
type Server struct {
	config  Config
	records *engine.Records
	ledger  *replica.Replica
	turn    chan struct{} // holds one token: whoever has it may add to the ledger

	mu     sync.Mutex             // serialises read-change-write of records; guards lodged
	lodged map[string][]time.Time // by agency, within the last day and since the start
}

// Open opens or makes the docket in its directory.
func Open(ctx context.Context, c Config) (*Server, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.LogWait == 0 {
		c.LogWait = 45 * time.Second
	}
	if len(c.Key) != ed25519.PrivateKeySize {
		return nil, errors.New("docket: invalid: no signing key")
	}
	if len(c.Charters) == 0 { // then any law would do that the notary put on the log first
		return nil, errors.New("docket: refused: incomplete Config: no first version of a law is named")
	}
	ledger, err := replica.Open(ctx, replica.Config{Path: filepath.Join(c.Dir, "ledger.db"), URL: c.Ledger, Policy: c.Policy,
		Charters: c.Charters, MaxAge: c.MaxAge, Every: c.Poll, HTTP: c.HTTP, Now: c.Now, Log: c.Log, Fatal: c.Fatal})
	if err != nil {
		return nil, fmt.Errorf("docket: %w", err)
	}
	records, err := engine.OpenRecords(engine.Config{Path: filepath.Join(c.Dir, "docket.db"), Fatal: c.Fatal})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("docket: %w", err), ledger.Close())
	}
	s := &Server{config: c, records: records, ledger: ledger, turn: make(chan struct{}, 1), lodged: map[string][]time.Time{}}
	s.turn <- struct{}{}
	return s, nil
}

// Handler serves api.Docket.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(api.NewDocketHandler(handler{s}, connect.WithReadMaxBytes(2*maxEnvelope)))
	return mux
}

// Run keeps reading the ledger until ctx ends.
func (s *Server) Run(ctx context.Context) error { return s.ledger.Run(ctx) }

// Close ends the docket. Calls under way fail.
func (s *Server) Close() error { return errors.Join(s.records.Close(), s.ledger.Close()) }

// handler is the server as connect sees it.
type handler struct{ *Server }

// fail is the error of a call: a code, what is wrong, and what to do about it.
func fail(code connect.Code, hint, format string, args ...any) error {
	err := connect.NewError(code, fmt.Errorf("docket: "+format, args...))
	if d, detailErr := connect.NewErrorDetail(&api.Hint{Hint: hint}); detailErr == nil && hint != "" {
		err.AddDetail(d)
	}
	return err
}

// storeError is the error of a call that the store failed. What is nobody's fault
// outside goes to the log and not to the caller.
func (s *Server) storeError(err error) error {
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return fail(connect.CodeNotFound, "list the warrants to see their hashes", "no such warrant")
	case errors.Is(err, engine.ErrBusy):
		return fail(connect.CodeUnavailable, "try the same call again", "busy")
	}
	s.config.Log.Error("store", "error", err)
	return fail(connect.CodeInternal, "this is a fault of the docket", "internal error")
}

// agency verifies that a known agency signed a call.
func (s *Server) agency(name, label string, content, sig []byte) error {
	key, ok := s.config.Agencies[name]
	if !ok || !key.verify(label, content, sig) {
		return fail(connect.CodePermissionDenied, "the operator of the docket registers agencies' keys",
			"refused: not signed by a registered agency")
	}
	return nil
}
