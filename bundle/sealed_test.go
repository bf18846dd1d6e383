package bundle

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"writ/internal/wire"
	"writ/ledger"
	"writ/warrant"
)

// reader is a person whom a warrant can name.
type reader struct {
	warrant.Reader
	key  ledger.PersonSigner
	mail *warrant.MailKey
}

func newReader(name string) *reader {
	r := &reader{key: ledger.PersonSigner(keyOf(name)), mail: must(warrant.NewMailKey())}
	r.Reader = warrant.Reader{ID: name, Key: r.key.Public(), Mail: r.mail.Public()}
	return r
}

func naming(people ...*reader) func(*warrant.Warrant) {
	return func(o *warrant.Warrant) {
		for _, p := range people {
			o.Readers = append(o.Readers, p.Reader)
		}
	}
}

// read logs a reading of contents and returns it proven.
func (w *world) read(c *Contents, p *reader, change func(*ledger.Reading)) Proven {
	request := must(w.policy.Include(c.RequestEntry.Entry, c.RequestEntry.Proof, time.Time{}, 0))
	x := &ledger.Reading{RequestIndex: request.Index(), Request: request.Entry().Hash(), Bundle: [32]byte{1},
		Purpose: ledger.PurposeRead, Salt: warrant.ReaderSalt(c.WarrantSalt, p.Key), Answer: [32]byte{byte(len(c.Readings))}}
	if change != nil {
		change(x)
	}
	x.Sign(p.key)
	return w.log.proven(w.log.add(x.Entry()), w.now.Add(2*time.Hour), 2)
}

// R24: a sealed bundle opens with both parts of its key only, for those whom
// the warrant names, and any changed bit shows.
func TestSealedR24(t *testing.T) {
	ann, ben, eve := newReader("ann"), newReader("ben"), newReader("eve")
	plain, salt := []byte("the bundle"), [32]byte{5}
	sealed, kept, err := Seal(plain, 7, ledger.EntryHash{8}, []warrant.Reader{ann.Reader, ben.Reader}, salt)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*reader{ann, ben} {
		s := must(ParseSealed(sealed))
		own, gotSalt, err := s.Unlock(p.ID, p.mail)
		if err != nil || gotSalt != salt || s.RequestIndex != 7 || s.Request != (ledger.EntryHash{8}) {
			t.Fatal(err)
		}
		if b, err := s.Open(own, kept); err != nil || !bytes.Equal(b, plain) {
			t.Fatalf("%s: %v", p.ID, err)
		}
		for name, parts := range map[string][2]Part{"own part alone": {own, {}}, "kept part alone": {{}, kept}, "swapped": {kept, own}} {
			if _, err := s.Open(parts[0], parts[1]); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	s := must(ParseSealed(sealed))
	if _, _, err := s.Unlock("ann", eve.mail); err == nil {
		t.Error("a stranger's key unlocks")
	}
	if _, _, err := s.Unlock("eve", eve.mail); !errors.Is(err, warrant.ErrRefused) {
		t.Errorf("a stranger: %v", err)
	}
	own, _, _ := s.Unlock("ann", ann.mail)
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 0x20
		if s, err := ParseSealed(bad); err == nil {
			if _, err := s.Open(own, kept); err == nil {
				t.Fatalf("byte %d changed: it opens", i)
			}
		}
	}
	for _, bad := range [][]byte{nil, plain, sealed[:len(sealed)-1], append(bytes.Clone(sealed), 0)} {
		if _, err := ParseSealed(bad); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	if bytes.Contains(sealed, plain) || bytes.Contains(sealed, kept[:]) || bytes.Contains(sealed, salt[:]) {
		t.Error("it shows what it hides")
	}
	if again, other, _ := Seal(plain, 7, ledger.EntryHash{8}, []warrant.Reader{ann.Reader}, salt); bytes.Equal(again, sealed) || other == kept {
		t.Error("not fresh")
	}
}

// Deny by default: where a warrant names nobody, nobody reads.
func TestSealedForNobody(t *testing.T) {
	if _, _, err := Seal([]byte("x"), 1, ledger.EntryHash{}, nil, [32]byte{}); !errors.Is(err, ErrRefused) {
		t.Errorf("%v", err)
	}
}

// Readings in a bundle are of its request, by people the warrant names; the
// report says who and why.
func TestReadingsInABundle(t *testing.T) {
	w := newWorld(t)
	c := w.converse(suite, "lunch", "alice", "bob")
	ann, ben, eve := newReader("ann"), newReader("ben"), newReader("eve")
	part := c.say("alice", "Noon?")
	other := w.open(edits{order: naming(ann)}, c.say("bob", "Yes."))
	x := w.open(edits{order: naming(ann, ben)}, part)
	first := w.read(&x, ann, nil)
	second := w.read(&x, ben, func(r *ledger.Reading) { r.Purpose = ledger.PurposeExport })
	b := must(WithReadings(built(x, w.policy), []Proven{first, second}))
	r, err := Verify(b, w.policy)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Readings) != 2 || r.Readings[0].Reader != "ann" || r.Readings[1].Purpose != "export" {
		t.Errorf("readings %+v", r.Readings)
	}
	if !strings.Contains(r.Text(), "ben (export), log entry") || !bytes.Contains(r.HTML(), []byte("ben (export)")) {
		t.Error("the report doesn't say who read")
	}
	for name, list := range map[string][]Proven{
		"another's request": {w.read(&other, ann, nil)},
		"a stranger":        {w.read(&x, eve, nil)},
		"another salt":      {w.read(&x, ann, func(r *ledger.Reading) { r.Salt[0] ^= 1 })},
		"another index":     {w.read(&x, ann, func(r *ledger.Reading) { r.RequestIndex++ })},
		"not in order":      {second, first},
		"twice":             {first, first},
		"no reading":        {x.Releases[0]},
		"another's proof":   {{first.Entry, second.Proof}},
		"another's key":     {w.forgedReading(&x, eve, ann)},
	} {
		bad := x
		bad.Readings = list
		var failed *CheckError
		if _, err := w.verify(bad); !errors.As(err, &failed) || failed.Check != checkReadings {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// forgedReading is a reading that bears one person's key and another's signature.
func (w *world) forgedReading(c *Contents, by, as *reader) Proven {
	x := must(ledger.ParseEntry(w.read(c, by, nil).Entry)).Reading
	x.Key, x.Salt = as.Key, warrant.ReaderSalt(c.WarrantSalt, as.Key)
	return w.log.proven(w.log.add(x.Entry()), w.now.Add(2*time.Hour), 2)
}

func FuzzParseSealed(f *testing.F) {
	sealed, kept, err := Seal([]byte("plain"), 7, ledger.EntryHash{8}, []warrant.Reader{newReader("ann").Reader}, [32]byte{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSealed(b)
		if err != nil {
			return
		}
		if _, err := s.Open(kept, kept); err == nil {
			t.Error("opens with a wrong key")
		}
	})
}
