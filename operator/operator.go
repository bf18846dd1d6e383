// Package operator is one operator of the beacon: it holds a share of the
// beacon's key, signs each round that has come, and brings the rounds that people
// wait for to the ledger.
//
// # Terms
//
// Operators, groups, rounds and partial signatures are those of package
// notice/beacon. [Keys] are an operator's secrets, in the file beacon.age under a
// passphrase. A [Board] is a ceremony in a directory. A peer is another operator
// of the group.
//
// # Protocol
//
// The shape is that of drand's HTTP interface. CHAIN is the beacon's chain hash,
// GROUP the group's hash, in hexadecimal:
//
//	GET /beacon/chains                 the beacons served
//	GET /beacon/CHAIN/info             key, genesis and period
//	GET /beacon/CHAIN/public/ROUND     the round's signature; "latest" is a round
//	GET /beacon/group/GROUP/partial/ROUND this operator's partial signature, 50 bytes
//
// 404: unknown, or no such round; 425: the round has not come; 503: too few
// operators answer, ask again.
//
// # Guarantees
//
// Nothing is signed before its time on this operator's own clock. A round's
// signature needs no state but the share: it is made when somebody asks or a
// request on the ledger waits for it, is the same whoever makes it, and can be
// made for any round of the past. So a crash loses nothing, and as long as a
// threshold of operators runs, every notice goes out. [Server.Run] tries until
// the ledger has each round that a request waits for.
//
// # What it does not do
//
// It doesn't hinder a threshold of operators from signing early: see package
// notice/beacon. It knows nothing of what a notice is about.
//
// # Example
//
//	keys, err := operator.OpenKeys(dir, passphrase, 0)
//	s, err := operator.Open(ctx, operator.Config{Dir: dir, Keys: keys, Peers: peers, Ledger: url, ...})
//	go s.Run(ctx)
//	http.Handle("/beacon/", s.Handler())
package operator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"writ/charter"
	"writ/ledger"
	"writ/notice/beacon"
	"writ/replica"
)

// Config is what an operator is made of.
type Config struct {
	Dir      string            // its copy of the ledger
	Keys     *Keys             // its shares; erased by Close
	Peers    map[string]string // URL of each operator, by the name it has in the group
	Ledger   string            // URL of the log, to read it and to add rounds
	Charters []charter.Hash    // first versions of the laws it serves
	Policy   *ledger.Policy    // which witnesses it trusts
	MaxAge   time.Duration     // oldest checkpoint it works with; required
	Poll     time.Duration     // how often it reads the ledger; 0 means 2 s
	HTTP     *http.Client      // nil means one with a timeout of 5 s
	Now      func() time.Time  // nil means time.Now
	Log      *slog.Logger      // nil discards
	Fatal    func(error)       // called when the disk fails; should end the process
}

// Server is a running operator.
type Server struct {
	config Config
	ledger *replica.Replica
	busy   chan struct{} // a place for each question that peers are asked for

	mu     sync.Mutex                   // guards what follows
	made   map[string]*beacon.Signature // some that were made, by chain and round
	warned map[string]bool              // what was logged once
}

const (
	maxBusy = 32   // questions at once that peers are asked for
	maxMade = 4096 // signatures kept; then all are forgotten
)

// Open opens or makes an operator's copy of the ledger.
func Open(ctx context.Context, c Config) (*Server, error) {
	if c.Poll == 0 {
		c.Poll = 2 * time.Second
	}
	if c.HTTP == nil {
		c.HTTP = &http.Client{Timeout: 5 * time.Second}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Keys == nil {
		return nil, errors.New("operator: refused: incomplete Config: no keys")
	}
	copied, err := replica.Open(ctx, replica.Config{Path: filepath.Join(c.Dir, "ledger.db"), URL: c.Ledger, Policy: c.Policy,
		Charters: c.Charters, MaxAge: c.MaxAge, Every: c.Poll, HTTP: c.HTTP, Now: c.Now, Log: c.Log, Fatal: c.Fatal})
	if err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	return &Server{config: c, ledger: copied, busy: make(chan struct{}, maxBusy), made: map[string]*beacon.Signature{},
		warned: map[string]bool{}}, nil
}

// Close ends the operator and erases its shares.
func (s *Server) Close() error {
	err := s.ledger.Close()
	s.config.Keys.Erase()
	return err
}
