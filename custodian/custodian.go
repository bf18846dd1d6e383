// Package custodian is one custodian: the service that holds one private key
// per key period and releases one share per compartment, or refuses.
//
// # Terms
//
// A request is an [unseal.Request], sealed to the custodian's mail key. Its
// request entry on the ledger names it: decisions are kept by that entry's
// hash. An intent is the release entry that the custodian logs before it opens
// a share. An objection is the operator's refusal of a warrant.
//
// # What happens to a request
//
// The custodian opens the envelope, takes the decision alone, reads the ledger
// up to the newest checkpoint, and makes every check of [unseal.Authorize] on
// its own copy and clock. If one fails it refuses. If all hold it
// writes down that it will release, logs its intent, waits until its own copy
// of the ledger shows the intent under a fresh checkpoint, opens the shares,
// stores the release, and answers.
//
// # Guarantees
//
// No share leaves without a proven intent. A retry at any point, also after a
// kill, adds no second intent, which is signed deterministically and looked up
// first, and gives the same release. Decisions are taken one after the other, so
// two requests can't both take the last place under the cap. Without a fresh
// checkpoint nothing is decided: the answer is an error, not a refusal. A
// refusal is signed if the docket signed the request entry and the request shows the
// warrant, and logged once for each such entry by [Server.Run], which tries until the
// ledger has it. Others are told the reason, unsigned.
//
// Run states the key of the next period a period ahead, and destroys each period's key
// when its horizon comes (CHR-54), by this custodian's own clock and without asking
// anybody: first it writes down that it will, then it erases the key from memory and key
// file, then it logs the destruction, for as long as that takes. A kill between two steps
// is made good at the next start, before the first answer.
//
// Private keys stand on disk only in the file keys.age, under a passphrase. A
// server holds the keys of one custodian: there is no way to give it a second
// key file, and no call hands a private key out.
//
// # What it does not do
//
// It doesn't hide that it exists or what it decided: both are public. A stolen
// data directory shows which requests it answered, and releases sealed to
// readers. Erasing a key overwrites the file it stood in; that can't reach copies that a
// disk with wear levelling, a file system with snapshots, or a backup keeps. Nor can it be
// shown to others: a destruction entry is this custodian's word. A clock that is set
// ahead destroys keys too early, and nothing brings them back.
//
// # Example
//
//	public, err := custodian.CreateKeys(dir, passphrase, 0, names, charter.XWing, 17)
//	s, err := custodian.Open(ctx, custodian.Config{Dir: dir, Passphrase: passphrase, ...})
//	go s.Run(ctx)
//	http.Serve(listener, s.Handler())
package custodian

import (
	"context"
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
	"writ/ledger"
	"writ/replica"
	"writ/warrant"
)

// Config is what a custodian is made of.
type Config struct {
	Dir        string           // key file, decisions, and its copy of the ledger
	Passphrase []byte           // of the key file; the caller may erase it once Open returned
	WorkFactor int              // of scrypt, when the key file is written; 0 means keyfile.DefaultWorkFactor
	KEM        charter.KEM      // of the keys it makes for later periods; 0 means X-Wing
	Ledger     string           // URL of the log, to read it and to add to it
	Charters   []charter.Hash   // first version of the law it serves
	Policy     *ledger.Policy   // which witnesses it trusts: the charter's
	MaxAge     time.Duration    // oldest checkpoint it works with: the charter's freshness
	Poll       time.Duration    // how often it reads the ledger; 0 means 2 s
	LogWait    time.Duration    // how long a call waits for its intent's proof; 0 means 30 s
	HTTP       *http.Client     // for the ledger; nil means one with a timeout
	Now        func() time.Time // nil means time.Now
	Log        *slog.Logger     // nil discards
	Fatal      func(error)      // called when the disk fails; should end the process
}

// Server is a running custodian.
type Server struct {
	config  Config
	keys    *keyring
	records *engine.Records
	ledger  *replica.Replica

	deciding turn                       // one decision at a time: cap, objections, intents
	keeping  sync.Mutex                 // one at a time makes keys
	wake     chan struct{}              // tells Run that something waits to be logged
	mu       sync.Mutex                 // guards requests
	requests map[ledger.EntryHash]*held // requests being answered, by entry hash
}

// Open opens a custodian's directory, and destroys the keys whose horizon passed while
// it stood still. A wrong passphrase is [keyfile.ErrPassphrase].
func Open(ctx context.Context, c Config) (*Server, error) {
	c = c.withDefaults()
	if len(c.Charters) == 0 { // then any law would do that the notary put on the log first
		return nil, errors.New("custodian: refused: incomplete Config: no first version of the law is named")
	}
	keys, err := openKeys(c.Dir, c.Passphrase, c.WorkFactor)
	if err != nil {
		return nil, err
	}
	copied, err := replica.Open(ctx, replica.Config{Path: filepath.Join(c.Dir, "ledger.db"), URL: c.Ledger, Policy: c.Policy,
		Charters: c.Charters, MaxAge: c.MaxAge, Every: c.Poll, HTTP: c.HTTP, Now: c.Now, Log: c.Log, Fatal: c.Fatal})
	if err != nil {
		keys.erase()
		return nil, fmt.Errorf("custodian: %w", err)
	}
	records, err := engine.OpenRecords(engine.Config{Path: filepath.Join(c.Dir, "custody.db"), Fatal: c.Fatal})
	if err != nil {
		keys.erase()
		return nil, errors.Join(fmt.Errorf("custodian: %w", err), copied.Close())
	}
	s := &Server{config: c, keys: keys, records: records, ledger: copied,
		deciding: newTurn(), wake: make(chan struct{}, 1), requests: map[ledger.EntryHash]*held{}}
	if err := errors.Join(s.finishDestructions(ctx), s.destroyDue(ctx), s.endHolds(ctx)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (c Config) withDefaults() Config {
	if c.KEM == 0 {
		c.KEM = charter.XWing
	}
	if c.Poll == 0 {
		c.Poll = 2 * time.Second
	}
	if c.LogWait == 0 {
		c.LogWait = 30 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Names returns who this custodian is.
func (s *Server) Names() Names { return s.keys.names }

// Handler serves api.Custodian, for everybody.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(api.NewCustodianHandler(handler{s}, connect.WithReadMaxBytes(warrant.MaxContent+(1<<20))))
	return mux
}

// DeskHandler serves api.CustodianDesk, for the operator: on a socket that
// nobody else can open.
func (s *Server) DeskHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(api.NewCustodianDeskHandler(desk{s}, connect.WithReadMaxBytes(1<<16)))
	return mux
}

// Close ends the custodian and erases its keys. Calls under way fail.
func (s *Server) Close() error {
	err := errors.Join(s.records.Close(), s.ledger.Close())
	s.keys.erase()
	return err
}

// handler and desk are the server as connect sees it.
type (
	handler struct{ *Server }
	desk    struct{ *Server }
)

// fail is the error of a call: a code, what is wrong, and what to do about it.
func fail(code connect.Code, hint, format string, args ...any) error {
	err := connect.NewError(code, fmt.Errorf("custodian: "+format, args...))
	if d, detailErr := connect.NewErrorDetail(&api.Hint{Hint: hint}); detailErr == nil && hint != "" {
		err.AddDetail(d)
	}
	return err
}

// notNow is the error where nothing was released and the same call may
// succeed later: after a fork, when the operator has looked.
func notNow(err error) error {
	hint := "nothing was released; try the same call again"
	if errors.Is(err, replica.ErrForked) {
		hint = "nothing was released, and nothing will be until its operator has looked"
	}
	return fail(connect.CodeUnavailable, hint, "%w", err)
}

// turn is a lock that a call can wait for as long as its context lasts.
type turn chan struct{}

func newTurn() turn {
	t := make(turn, 1)
	t <- struct{}{}
	return t
}

func (t turn) take(ctx context.Context) error {
	select {
	case <-t:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) give() { t <- struct{}{} }
