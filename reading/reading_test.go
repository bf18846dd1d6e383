package reading

import (
	"context"
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/bundle"
	"writ/charter"
	"writ/internal/testenv"
	"writ/ledger"
	"writ/replica"
	"writ/warrant"
)

var ctx = context.Background()

// newPerson makes a reader with fresh keys.
func newPerson(t testing.TB, name string) (Person, warrant.Reader) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	mail, err := warrant.NewMailKey()
	if err != nil {
		t.Fatal(err)
	}
	p := Person{name, ledger.PersonSigner(key), mail}
	return p, warrant.Reader{ID: name, Key: p.Key.Public(), Mail: mail.Public()}
}

// room is a case that was opened and sealed to ann and ben.
type room struct {
	*testenv.World
	t        *testing.T
	ann, ben Person
	plain    []byte
	sealed   *bundle.Sealed
	config   Config
}

func newRoom(t *testing.T) *room {
	w := testenv.New(t, testenv.Options{})
	r := &room{World: w, t: t}
	var annPublic, benPublic warrant.Reader
	r.ann, annPublic = newPerson(t, "ann")
	r.ben, benPublic = newPerson(t, "ben")
	people := w.People("alice", "bob")
	people[0].Say(w.Talk(people...), "Noon?")
	c := w.Authorise("alice", func(x *warrant.Warrant) { x.Readers = []warrant.Reader{annPublic, benPublic} })
	opened := w.Open(c)
	var err error
	if r.plain, _, err = bundle.Build(testenv.Contents(opened), w.Policy); err != nil {
		t.Fatal(err)
	}
	file, kept, err := bundle.Seal(r.plain, opened.RequestEntry.Index, ledger.HashEntry(opened.RequestEntry.Entry), c.Warrant.Readers, c.Salt)
	w.Must(err)
	r.sealed, err = bundle.ParseSealed(file)
	w.Must(err)
	for range 2 { // again: the same
		w.Must(w.Agency.KeepPart(ctx, c.Warrant.Hash(), opened.RequestEntry.Index, r.sealed.ID, kept))
	}
	if err := w.Agency.KeepPart(ctx, c.Warrant.Hash(), opened.RequestEntry.Index, r.sealed.ID, bundle.Part{1}); connect.CodeOf(err) != connect.CodeAlreadyExists {
		t.Errorf("another part for the same bundle: %v", err)
	}
	if err := w.Agency.KeepPart(ctx, c.Warrant.Hash(), 0, [32]byte{1}, kept); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("a part for what is no request: %v", err)
	}
	copy, err := replica.Open(ctx, replica.Config{Path: filepath.Join(t.TempDir(), "ledger.db"), URL: w.Ledger, Policy: w.Policy,
		Charters: []charter.Hash{w.Charter.Hash()}, MaxAge: time.Minute})
	w.Must(err)
	t.Cleanup(func() { copy.Close() })
	r.config = Config{Ledger: copy, Docket: w.Agency.Docket}
	return r
}

// read reads as a person.
func (r *room) read(p Person, purpose ledger.Purpose) (*Reading, error) {
	c := r.config
	c.Person = p
	return Read(ctx, c, r.sealed, purpose)
}

func (r *room) logged() []ledger.LoggedReading {
	book, _ := r.Book()
	return book.Readings(r.sealed.Request)
}

// R24: each reading is one person's, on the ledger before it is shown, and
// counted; nobody else reads, and nobody reads without one.
func TestReadingIsPersonalR24(t *testing.T) {
	r := newRoom(t)
	first, err := r.read(r.ann, ledger.PurposeRead)
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.read(r.ben, ledger.PurposeExport)
	if err != nil {
		t.Fatal(err)
	}
	if second.Index <= first.Index || first.Known != 1 || second.Known != 2 {
		t.Errorf("%d, %d known", first.Known, second.Known)
	}
	report, err := bundle.Verify(second.Bundle, r.Policy)
	if err != nil {
		t.Fatal(err)
	}
	if got := report.Readings; len(got) != 2 || got[0].Reader != "ann" || got[1].Reader != "ben" || got[1].Purpose != "export" {
		t.Errorf("readings %+v", got)
	}
	book, _ := r.Book()
	if s := book.Statistics().Laws[r.Charter.Name].Real; s.Readings != 2 || s.Exports != 1 {
		t.Errorf("statistics %+v", s)
	}

	// A stranger, and one reader under another's name.
	eve, _ := newPerson(t, "eve")
	asAnn := Person{"ann", eve.Key, eve.Mail}
	mixed := Person{"ann", eve.Key, r.ann.Mail} // has stolen the mail key alone
	for name, p := range map[string]Person{"a stranger": eve, "a stranger as ann": asAnn, "with a mail key alone": mixed} {
		if got, err := r.read(p, ledger.PurposeRead); err == nil || got != nil {
			t.Errorf("%s reads", name)
		}
	}
	if n := len(r.logged()); n != 2 {
		t.Errorf("%d readings on the ledger", n)
	}
}

// The docket's part is given against a reading that counts, to the key which
// that reading named: another's record opens nothing.
func TestPartNeedsItsReading(t *testing.T) {
	r := newRoom(t)
	mail, err := warrant.NewMailKey()
	r.Must(err)
	_, salt, err := r.sealed.Unlock("ann", r.ann.Mail)
	r.Must(err)
	x := &ledger.Reading{RequestIndex: r.sealed.RequestIndex, Request: r.sealed.Request, Bundle: r.sealed.ID, Purpose: ledger.PurposeRead,
		Salt: warrant.ReaderSalt(salt, r.ann.Key.Public()), Answer: ledger.AnswerHash(mail.Public())}
	x.Sign(r.ann.Key)
	ask := func(entry []byte, key []byte) (*api.GivePartResponse, error) {
		return r.config.Docket.GivePart(ctx, &api.GivePartRequest{Reading: entry, AnswerKey: key})
	}
	if _, err := ask(x.Entry(), mail.Public()); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("not logged: %v", err)
	}
	if _, err := r.read(r.ann, ledger.PurposeRead); err != nil {
		t.Fatal(err)
	}
	public := r.logged()[0].Entry // as anyone finds it
	if _, err := ask(public, mail.Public()); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("another's record with an own key: %v", err)
	}
	if _, err := ask([]byte("no entry"), mail.Public()); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("no entry: %v", err)
	}
	x.Bundle[0] ^= 1
	x.Sign(r.ann.Key)
	r.Add(x.Entry())
	if _, err := ask(x.Entry(), mail.Public()); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("of a bundle that is not kept: %v", err)
	}
}

// Nothing is shown when the record can't be made or proven: the ledger away, the
// docket away. A record without a reading may stay.
func TestNothingShownWithoutARecord(t *testing.T) {
	r := newRoom(t)
	r.Gate.Shut(true)
	if got, err := r.read(r.ann, ledger.PurposeRead); err == nil || got != nil {
		t.Error("read while the ledger is away")
	}
	r.Gate.Shut(false)
	if n := len(r.logged()); n != 0 {
		t.Errorf("%d readings", n)
	}
	gone, cancel := context.WithCancel(ctx)
	c := r.config
	c.Person, c.Docket = r.ann, stop{c.Docket, cancel}
	if got, err := Read(gone, c, r.sealed, ledger.PurposeRead); !errors.Is(err, context.Canceled) || got != nil {
		t.Errorf("stopped before the docket answered: %v", err)
	}
	if n := len(r.logged()); n != 1 {
		t.Errorf("%d readings after one that broke off", n)
	}
	if _, err := r.read(r.ann, ledger.PurposeRead); err != nil {
		t.Errorf("read again: %v", err)
	}
}

// R22: what an error seals nobody reads any more, not even with a record that
// was made before it.
func TestErrorSealsWhatWasOpened(t *testing.T) {
	r := newRoom(t)
	if _, err := r.read(r.ann, ledger.PurposeRead); err != nil {
		t.Fatal(err)
	}
	x := &ledger.Error{RequestIndex: r.sealed.RequestIndex, Request: r.sealed.Request, Kind: ledger.WrongPerson}
	key, err := warrant.ParseApproverKey(r.Approvers["oversight-approver-1"].Seed())
	r.Must(err)
	x.Approval = key.Approve(x.Hash(), "oversight", "oversight-approver-1")
	r.Add(x.Entry())
	if got, err := r.read(r.ann, ledger.PurposeRead); !errors.Is(err, ErrRefused) || got != nil {
		t.Errorf("read after the error: %v", err)
	}
	if n := len(r.logged()); n != 1 {
		t.Errorf("%d readings", n)
	}
	old := r.logged()[0].Reading
	_, err = r.config.Docket.GivePart(ctx, &api.GivePartRequest{Reading: old.Entry(), AnswerKey: []byte("not the key")})
	if connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("the docket: %v", err)
	}
}

// stop ends the reader's process when it asks for the part.
type stop struct {
	api.DocketClient
	end func()
}

func (s stop) GivePart(ctx context.Context, q *api.GivePartRequest) (*api.GivePartResponse, error) {
	s.end()
	return nil, ctx.Err()
}
