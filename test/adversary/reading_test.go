package adversary

import (
	"bytes"
	"crypto/ed25519"
	"testing"

	"connectrpc.com/connect"

	"writ/api"
	"writ/bundle"
	"writ/examine"
	"writ/internal/testenv"
	"writ/ledger"
	"writ/reading"
	"writ/unseal"
	"writ/warrant"
)

const said = "the words in question"

// evidence is an opened case, sealed to the one reader whom its warrant names.
type evidence struct {
	*testenv.World
	c      *examine.Case
	reader reading.Person
	plain  []byte
	file   []byte
	kept   bundle.Part // the docket's
	config reading.Config
}

// newReader makes somebody who reads, and what a warrant says of them.
func newReader(name string) (reading.Person, warrant.Reader) {
	_, key := must2(ed25519.GenerateKey(nil))
	p := reading.Person{Name: name, Key: ledger.PersonSigner(key), Mail: must(warrant.NewMailKey())}
	return p, warrant.Reader{ID: name, Key: p.Key.Public(), Mail: p.Mail.Public()}
}

func newEvidence(t *testing.T) *evidence {
	t.Helper()
	e := &evidence{World: small(t)}
	ann, ben := e.Person("ann"), e.Person("ben")
	ann.Say(e.Talk(ann, ben), said)
	var public warrant.Reader
	e.reader, public = newReader("inspector")
	e.c = e.Authorise("ann", func(x *warrant.Warrant) { x.Readers = []warrant.Reader{public} })
	opened := e.Open(e.c)
	e.plain = built(testenv.Contents(opened), e.Policy)
	e.file, e.kept = e.seal(opened, e.c.Warrant.Readers)
	e.config = reading.Config{Ledger: e.Replica(), Docket: e.Agency.Docket}
	return e
}

// seal seals to readers and gives the docket its part.
func (e *evidence) seal(opened *examine.Opened, to []warrant.Reader) ([]byte, bundle.Part) {
	file, kept, err := bundle.Seal(e.plain, opened.RequestEntry.Index, ledger.HashEntry(opened.RequestEntry.Entry), to, e.c.Salt)
	e.Must(err)
	e.Must(e.Agency.KeepPart(ctx, e.c.Warrant.Hash(), opened.RequestEntry.Index, must(bundle.ParseSealed(file)).ID, kept))
	return file, kept
}

// read reads a file as somebody.
func (e *evidence) read(file []byte, p reading.Person) ([]byte, error) {
	c := e.config
	c.Person = p
	r, err := reading.Read(ctx, c, must(bundle.ParseSealed(file)), ledger.PurposeRead)
	if err != nil {
		return nil, err
	}
	return r.Bundle, nil
}

// records are the readings on the ledger.
func (e *evidence) records() []ledger.LoggedReading {
	book, _ := e.Book()
	return book.Readings(must(bundle.ParseSealed(e.file)).Request)
}

// TM-91, TM-95: who steals a sealed bundle and every key but a reader's, the docket with
// the part that it keeps among them, looks into the file and tries to open it; so does who
// has a reader's part and not the docket's.
func TestStolenSealedBundle(t *testing.T) {
	t.Parallel()
	e := newEvidence(t)
	lacks(t, "the sealed bundle", e.file, map[string][]byte{"the words": []byte(said), "the docket's part": e.kept[:], "the subject": []byte("\x03ann")})
	sealed := must(bundle.ParseSealed(e.file))
	own, _, err := sealed.Unlock("inspector", e.reader.Mail)
	e.Must(err)
	lacks(t, "the docket", dump(t, e.Lodged), map[string][]byte{"the reader's part": own[:], "the words": []byte(said)})
	for what, seed := range map[string][]byte{"the docket's key": e.Docket.Seed(), "the agency's key": e.AgencyKey.Seed(), "the case's reader key": must(e.c.Reader.Bytes()),
		"the reader's signing key": ed25519.PrivateKey(e.reader.Key).Seed()} {
		key, err := warrant.ParseMailKey(seed)
		if err != nil {
			continue
		}
		if _, _, err := sealed.Unlock("inspector", key); err == nil {
			breach(t, "%s unlocks the reader's part", what)
		}
	}
	var none bundle.Part
	for what, parts := range map[string][2]bundle.Part{"the docket's part alone": {none, e.kept}, "the docket's part as both": {e.kept, e.kept},
		"the reader's part alone": {own, none}, "the reader's part as both": {own, own}, "the parts in the other order": {e.kept, own}} {
		if b, err := sealed.Open(parts[0], parts[1]); err == nil {
			breach(t, "%s opens %d bytes", what, len(b))
		}
	}
	if b, err := sealed.Open(own, e.kept); err != nil || !bytes.Equal(b, e.plain) {
		t.Errorf("with both parts: %v", err)
	}
}

// TM-92, TM-93: who steals the bundle and all keys of a reader reads, and each time stands
// on the ledger. He asks the docket without a record, with the reader's own of before, and
// with one that he makes under another name or key.
func TestReaderLeavesARecord(t *testing.T) {
	t.Parallel()
	e := newEvidence(t)
	sealed := must(bundle.ParseSealed(e.file))
	_, salt, err := sealed.Unlock("inspector", e.reader.Mail)
	e.Must(err)
	answer := must(warrant.NewMailKey())
	ask := func(what string, entry []byte, codes connect.Code) {
		t.Helper()
		out, err := e.config.Docket.GivePart(ctx, &api.GivePartRequest{Reading: entry, AnswerKey: answer.Public()})
		if err == nil {
			if _, err = warrant.Open(out.Envelope, "answer", answer); err == nil {
				breach(t, "%s: the docket gives its part", what)
				return
			}
		}
		if connect.CodeOf(err) != codes {
			breach(t, "%s: %v", what, err)
		}
	}
	record := func(key ledger.PersonSigner) []byte {
		x := &ledger.Reading{RequestIndex: sealed.RequestIndex, Request: sealed.Request, Bundle: sealed.ID, Purpose: ledger.PurposeRead,
			Salt: warrant.ReaderSalt(salt, key.Public()), Answer: ledger.AnswerHash(answer.Public())}
		x.Sign(key)
		return x.Entry()
	}
	ask("a record that is not logged", record(e.reader.Key), connect.CodeFailedPrecondition)
	if b, err := e.read(e.file, e.reader); err != nil || len(b) == 0 {
		t.Fatal(err)
	}
	before := e.records()
	if len(before) != 1 || before[0].Key != e.reader.Key.Public() || !before[0].Verify() {
		breach(t, "a reading without a record that its reader signed: %v", before)
	}
	ask("the record of before", before[0].Entry, connect.CodePermissionDenied)

	thief, _ := newReader("inspector")
	thief.Mail = e.reader.Mail // and not the signing key
	if b, err := e.read(e.file, thief); err == nil {
		breach(t, "under another signing key %d bytes are read", len(b))
	}
	if _, err := e.Follower().Add(ctx, record(thief.Key)); err == nil {
		breach(t, "the ledger takes a record under a key that the warrant does not name")
	}
	forged := must(ledger.ParseEntry(record(thief.Key))).Reading
	forged.Key, forged.Salt = e.reader.Key.Public(), warrant.ReaderSalt(salt, e.reader.Key.Public())
	if _, err := e.Follower().Add(ctx, forged.Entry()); err == nil {
		breach(t, "the ledger takes a record in another's name")
	}
	if b, err := e.read(e.file, e.reader); err != nil || len(b) == 0 || len(e.records()) != 2 {
		breach(t, "read again: %d bytes, %d records, %v", len(b), len(e.records()), err)
	}
}

// TM-94: the agency seals the bundle to somebody more, whom the approvers did not see in
// the warrant. That person has a part, and gets none of the docket's.
func TestReaderNobodyApproved(t *testing.T) {
	t.Parallel()
	e := newEvidence(t)
	friend, public := newReader("friend")
	opened := e.Open(e.c)
	file, _ := e.seal(opened, append(e.c.Warrant.Readers, public))
	if _, _, err := must(bundle.ParseSealed(file)).Unlock("friend", friend.Mail); err != nil {
		t.Fatal(err)
	}
	if b, err := e.read(file, friend); err == nil {
		breach(t, "somebody whom no approver saw reads %d bytes", len(b))
	}
	wider := *e.c.Warrant
	wider.Readers = append(wider.Readers, public)
	p := e.Package(e.c, opened.Compartments[0].Capsule)
	p.Warrant = wider.Encode()
	refused(t, e.World, "one more reader in the warrant", p, unseal.ReasonEntry)
	if n := len(e.records()); n != 0 {
		breach(t, "%d records of a reading that nobody may make", n)
	}
}
