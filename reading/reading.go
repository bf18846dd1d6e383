// Package reading is how one person reads a sealed bundle: what they read is on
// the public ledger, signed by their own key, before they see a word.
//
// # Terms
//
// A [Person] is somebody whom a warrant names as a reader, with a signing key and
// a mail key of their own. A sealed bundle is package bundle's. The docket keeps
// one of the two parts of its key.
//
// # What Read does
//
// It unlocks the reader's part of the key. On a fresh copy of the ledger it looks
// that nothing seals what the request opened. It makes a key for this one reading,
// logs a reading entry that names it, and waits for the proof under a witnessed
// checkpoint. Against that entry the docket gives the other part. Only then the
// bundle opens.
//
// # Guarantees
//
// No file and no key of the reader's opens the bundle without a reading entry that
// counts: the other part of the key is at an institution that gives it only
// against one, and sealed to a key that this one reading named. So a thief of file
// and keys leaves a record each time, and another's record opens nothing for
// him. A crash before the end leaves a record of a reading that was not seen,
// never the reverse.
//
// # What it does not do
//
// Whoever has read can remember. A reader with changed software can keep the
// plain bundle after the first recorded reading and look at it again unseen; and
// the examiner's machine had the secrets when it opened the case. A docket that
// gives its part away without a record helps a reader to read without one. It does
// not verify the bundle: package bundle does.
//
//	r, err := reading.Read(ctx, reading.Config{...}, sealed, ledger.PurposeRead)
//	report, err := bundle.Verify(r.Bundle, policy)
package reading

import (
	"context"
	"errors"
	"fmt"
	"time"

	"writ/api"
	"writ/bundle"
	"writ/ledger"
	"writ/replica"
	"writ/warrant"
)

// ErrRefused is wrapped where the ledger says that nobody may read.
var ErrRefused = errors.New("refused")

// Person is a reader with their keys.
type Person struct {
	Name string // as the warrant names them
	Key  ledger.PersonSigner
	Mail *warrant.MailKey
}

// Config is whom a reading talks to.
type Config struct {
	Person Person
	Ledger *replica.Replica // the reader's own copy
	Docket api.DocketClient
	Now    func() time.Time // nil means time.Now
}

// Reading is one reading.
type Reading struct {
	Bundle []byte // the plain bundle, with all readings that the ledger shows
	Index  uint64 // of this reading's entry
	Known  int    // readings that the ledger shows, this one among them
}

// reader is one run of Read: each step uses what those before it found.
type reader struct {
	Config
	sealed *bundle.Sealed
	own    bundle.Part
	salt   [32]byte
	answer *warrant.MailKey
	entry  []byte
	index  uint64
	kept   bundle.Part
	plain  []byte
	known  []bundle.Proven
}

// Read records a reading of a sealed bundle and opens it.
func Read(ctx context.Context, c Config, sealed *bundle.Sealed, purpose ledger.Purpose) (*Reading, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	r := &reader{Config: c, sealed: sealed}
	defer r.erase()
	for _, step := range []func(context.Context) error{r.unlock, r.allowed, r.sign(purpose), r.record, r.fetch, r.list, r.open} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("reading: %w", err)
		}
	}
	return &Reading{Bundle: r.plain, Index: r.index, Known: len(r.known)}, nil
}

func (r *reader) erase() {
	clear(r.own[:])
	clear(r.kept[:])
}

// unlock takes the reader's part of the key out of the file.
func (r *reader) unlock(context.Context) (err error) {
	r.own, r.salt, err = r.sealed.Unlock(r.Person.Name, r.Person.Mail)
	return err
}

// allowed looks on a fresh copy of the ledger whether this may be read. The
// book refuses the entry of a reading too; this says why before one is made.
func (r *reader) allowed(ctx context.Context) (err error) {
	if err := r.Ledger.Refresh(ctx); err != nil {
		return err
	}
	r.Ledger.View(func(b *ledger.Book) {
		if q, ok := b.Request(r.sealed.Request); !ok || q.Index != r.sealed.RequestIndex {
			err = fmt.Errorf("%w: the request that this bundle names is not on the ledger", ErrRefused)
		} else if why, sealed := b.Sealed(r.sealed.Request, r.Now()); sealed {
			err = fmt.Errorf("%w: it must not be read any more: %s", ErrRefused, why)
		}
	})
	return err
}

// sign makes the reading's entry with a key of its own for the answer.
func (r *reader) sign(purpose ledger.Purpose) func(context.Context) error {
	return func(context.Context) (err error) {
		if r.answer, err = warrant.NewMailKey(); err != nil {
			return err
		}
		x := &ledger.Reading{RequestIndex: r.sealed.RequestIndex, Request: r.sealed.Request, Bundle: r.sealed.ID, Purpose: purpose,
			Salt: warrant.ReaderSalt(r.salt, r.Person.Key.Public()), Answer: ledger.AnswerHash(r.answer.Public())}
		x.Sign(r.Person.Key)
		r.entry = x.Entry()
		return nil
	}
}

// record puts the entry on the ledger and waits for its proof.
func (r *reader) record(ctx context.Context) error {
	in, _, err := r.Ledger.Add(ctx, r.entry)
	if errors.Is(err, ledger.ErrInvalid) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if err != nil {
		return err
	}
	r.index = in.Index()
	return nil
}

// fetch takes the other part of the key from the docket.
func (r *reader) fetch(ctx context.Context) error {
	out, err := r.Docket.GivePart(ctx, &api.GivePartRequest{Reading: r.entry, AnswerKey: r.answer.Public()})
	if err != nil {
		return err
	}
	part, err := warrant.Open(out.Envelope, "answer", r.answer)
	if err != nil {
		return err
	}
	defer clear(part)
	if len(part) != len(r.kept) {
		return fmt.Errorf("%w: the docket's part has %d bytes", bundle.ErrInvalid, len(part))
	}
	r.kept = bundle.Part(part)
	return nil
}

// list proves the readings of this request together, the newest of them if there are too
// many for a bundle.
func (r *reader) list(ctx context.Context) error {
	var logged []ledger.LoggedReading
	r.Ledger.View(func(b *ledger.Book) { logged = b.Readings(r.sealed.Request) })
	logged = logged[max(0, len(logged)-bundle.MaxReadings):]
	standing := make([]replica.Standing, len(logged))
	for i, x := range logged {
		standing[i] = replica.Standing{Entry: x.Entry, Index: x.Index}
	}
	list, err := r.Ledger.ProveAll(ctx, standing)
	if err != nil {
		return err
	}
	for i, x := range logged {
		r.known = append(r.known, bundle.Proven{Entry: x.Entry, Proof: list[i].Proof})
	}
	return nil
}

// open opens the bundle and puts the readings in.
func (r *reader) open(context.Context) error {
	b, err := r.sealed.Open(r.own, r.kept)
	if err != nil {
		return err
	}
	r.plain, err = bundle.WithReadings(b, r.known)
	return err
}
