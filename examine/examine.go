// Package examine is the requesting authority's side of an opening: it lodges a
// warrant, asks delivery for what is sealed, asks the custodians for their
// shares, and combines them.
//
// # Terms
//
// An [Agency] is the authority towards the docket: a name and a signing key. A
// [Case] is one warrant with what only its owner knows: the salts and the
// reader key. [Opened] is all that an opening gave, in the form in which a
// bundle takes it.
//
// # What Open does
//
// It reads the ledger itself and finds charter, warrant entry and proofs. It
// takes the compartments in scope from delivery, logs a request entry through
// the docket, and sends the same request to every custodian, sealed to its mail
// key. Each release is verified before use: the custodian's signature and the
// proof of its intent. Then it combines compartment by compartment and re-seals
// each capsule, and asks the directory that the law names for the devices of each
// account of which something opened.
//
// # Guarantees
//
// Open can be repeated with the same Case: docket and custodians answer as
// before, so an interrupted opening goes on where it stopped. A custodian whose
// share fails its commitment is named and the opening goes on with the others, and so it
// does when one never answers ([Config.Patience]).
// Refusals are verified like releases and reported. Custodians answer a request
// whole, so one that they refuse for a capsule's sake is asked again in halves:
// nobody can close others' compartments with a capsule of their own making. A
// compartment whose sender sealed something else has the verdict in
// [Compartment.Forged] and is tried with the next capsule that is stored of it.
// An account for which the directory gives no proof that verifies is in
// [Opened.Unproven]; opening again when it answers completes the evidence, with the
// releases of before.
// What stays closed is listed in [Opening.Outside]; nothing is left out in silence.
//
// # What it does not do
//
// It holds no custodian's key and sees shares only. It doesn't decrypt messages
// nor judge who wrote them: package bundle does. What it returns is secret: it
// opens the compartments.
//
// # Example
//
//	a := &examine.Agency{Name: "police", Key: key, Docket: docket}
//	err := a.Lodge(ctx, c, law)
//	opening, err := examine.Open(ctx, examine.Config{Agency: a, ...}, c)
package examine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"writ/api"
	"writ/charter"
	"writ/ledger"
	"writ/replica"
	"writ/unseal"
	"writ/warrant"
)

var (
	// ErrNotPublished means that the warrant is not on the ledger.
	ErrNotPublished = errors.New("examine: the warrant is not on the ledger")

	// ErrNothing means that delivery has nothing in the warrant's scope.
	ErrNothing = errors.New("examine: nothing is in the warrant's scope")

	// ErrSpoiled means that no capsule in the warrant's scope opens.
	ErrSpoiled = errors.New("examine: nothing opens")

	// ErrSealed means that what a request opens must not be read: its warrant was
	// refused in review or not confirmed, or an error stands against it.
	ErrSealed = errors.New("examine: it is sealed")

	// ErrTooFew means that the releases don't satisfy the access structure. It
	// comes as a [*BlockedError].
	ErrTooFew = errors.New("examine: too few releases")
)

// Case is a warrant and what belongs to it.
type Case struct {
	Warrant    *warrant.Warrant
	Salt       [32]byte // of the commitment on the ledger
	NoticeSalt [32]byte // secret, from which each request's salt derives
	Renewed    []byte   // of a renewal: the warrant.Salted of what it renews
	Reader     *unseal.ReaderKey
}

// Config is whom the examiner talks to.
type Config struct {
	Agency     *Agency
	Delivery   api.DeliveryClient
	Directory  api.DirectoryClient            // whose keys signed; nil: nothing of that is proven
	Custodians map[string]api.CustodianClient // by "office/custodian"; those not listed are not asked
	Ledger     *replica.Replica               // the agency's own copy of the log
	MaxAge     time.Duration                  // oldest checkpoint it works with: the charter's freshness
	MaxProofs  int                            // bytes of the directory's proofs for one bundle, so that they leave room; 0: 64 MiB
	Patience   time.Duration                  // for one custodian's answer, or the directory's about one account; 0: 2 min
	Now        func() time.Time               // nil means time.Now
	Progress   func(Progress)                 // told of each step; may be nil
}

// Progress is one step of an opening.
type Progress struct {
	Stage string // "ledger", "disclose", "request", "release", "combine", "directory"
	Who   string // the custodian, in "release"
	Done  int
	Total int // 0 if unknown
}

// BlockedError says who answered what, when the releases don't suffice.
type BlockedError struct {
	Released    []string // "office/custodian"
	Refusals    []Refusal
	Unreachable map[string]error // by "office/custodian": no answer, or none that holds
}

func (e *BlockedError) Error() string {
	return fmt.Sprintf("%v: %d custodians released, %d refused, %d gave no answer that holds",
		ErrTooFew, len(e.Released), len(e.Refusals), len(e.Unreachable))
}

// Is reports whether target is [ErrTooFew].
func (e *BlockedError) Is(target error) bool { return target == ErrTooFew }

// examiner is one run of Open.
type examiner struct {
	Config
	c      *Case
	hash   warrant.Hash
	law    *charter.Charter
	laws   []*charter.Charter // it and those before it, the newest first
	sealed []sealed           // what delivery has in scope

	parts   []*Opened
	outside []Skipped

	out    *Opened // of the request under way, or what all have in common
	shares []unseal.Share
}

// newExaminer fills in what a configuration leaves open.
func newExaminer(config Config, c *Case) *examiner {
	if config.Now == nil {
		config.Now = time.Now
	}
	config.MaxProofs, config.Patience = cmp.Or(config.MaxProofs, 64<<20), cmp.Or(config.Patience, 2*time.Minute)
	if config.Progress == nil {
		config.Progress = func(Progress) {}
	}
	return &examiner{Config: config, c: c, hash: c.Warrant.Hash(),
		out: &Opened{Warrant: c.Warrant.Encode(), WarrantSalt: c.Salt}}
}

// run takes steps in order, to the first that fails.
func run(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prove adds the proofs of the law to what was opened, each under a checkpoint
// of now.
func (x *examiner) prove(ctx context.Context) error {
	var laws, keys []uint64
	x.Ledger.View(func(b *ledger.Book) {
		laws, keys = b.CharterPlaces(x.c.Warrant.Charter), b.KeyPlaces(x.law.Name, x.periods())
	})
	for _, index := range laws {
		p, err := x.proven(ctx, index)
		if err != nil {
			return err
		}
		x.out.Charters = append(x.out.Charters, *p)
	}
	for _, index := range keys {
		p, err := x.proven(ctx, index)
		if err != nil {
			return err
		}
		x.out.Keys = append(x.out.Keys, *p)
	}
	return nil
}

// proven returns an entry with its verified proof.
func (x *examiner) proven(ctx context.Context, index uint64) (*Proven, error) {
	entry, err := x.Ledger.Entry(ctx, index)
	if err != nil {
		return nil, fmt.Errorf("examine: %w", err)
	}
	_, proof, err := x.Ledger.Prove(ctx, entry, index)
	if err != nil {
		return nil, fmt.Errorf("examine: %w", err)
	}
	if _, err := x.Ledger.Policy().Include(entry, proof, x.Now(), x.MaxAge); err != nil {
		return nil, fmt.Errorf("examine: %w", err)
	}
	return &Proven{Entry: entry, Proof: proof, Index: index}, nil
}
