package keyproof_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"

	"writ/api"
	"writ/charter"
	"writ/charter/chartertest"
	"writ/directory"
	"writ/directory/directorytest"
	"writ/directory/keyproof"
	"writ/internal/wire"
	"writ/ledger"
)

// begin is when the first person of a world states a device.
var begin = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

// world is a directory and the people in it.
type world struct {
	t   testing.TB
	now time.Time
	*directorytest.Directory
	log *keyproof.Log
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, now: begin}
	w.Directory = directorytest.New(func() time.Time { return w.now })
	w.log = must(keyproof.NewLog(chartertest.Directory()))
	return w
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func signer(device string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("device " + device))
	return ed25519.NewKeyFromSeed(seed[:])
}

func keyOf(device string) directory.DeviceKey { return directory.DeviceKey(signer(device)[32:]) }

// state logs the next statement of an account, signed by a device of it.
func (w *world) state(account, by string, change func(*directory.Statement)) {
	w.t.Helper()
	s := &directory.Statement{Account: account, Version: 1, Recovery: directorytest.Recovery(account).Public()}
	if c := w.Chain(account); c != nil {
		s = c.Draft()
	}
	change(s)
	s.SignAs(by, directory.DeviceSigner(signer(account+"/"+by)))
	if _, err := w.PutStatement(w.t.Context(), &api.PutStatementRequest{Statement: s.Encode()}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) add(account, device, by string) {
	w.t.Helper()
	w.state(account, by, func(s *directory.Statement) { s.Add(device, keyOf(account+"/"+device), uint64(w.now.Unix())) })
}

func (w *world) drop(account, device, by string) {
	w.t.Helper()
	w.state(account, by, func(s *directory.Statement) { s.Drop(device) })
}

// story: anna has a phone at nine, a tablet at ten, and revokes the phone at noon.
func story(t testing.TB) *world {
	w := newWorld(t)
	w.add("anna", "phone", "phone")
	w.add("ben", "phone", "phone")
	w.now = begin.Add(time.Hour)
	w.add("anna", "tablet", "phone")
	w.now = begin.Add(3 * time.Hour)
	w.drop("anna", "phone", "tablet")
	w.now = begin.Add(5 * time.Hour)
	return w
}

func (w *world) verify(p *keyproof.Proof) (*keyproof.Account, error) {
	return w.log.Verify(p, time.Time{}, 0)
}

// stands verifies a proof and asks it for a key at a time.
func (w *world) stands(p *keyproof.Proof, device string, key directory.DeviceKey, opened time.Time) error {
	w.t.Helper()
	a, err := w.verify(p)
	if err != nil {
		w.t.Fatal(err)
	}
	k, err := a.Key(device, key[:])
	if err != nil {
		return err
	}
	return k.At(opened)
}

// R27: a key stands from when its statement was on the log until when one without it
// was, within what clocks may differ.
func TestR27KeyAtATime(t *testing.T) {
	w := story(t)
	p := w.Proof("anna")
	at := func(d time.Duration) time.Time { return begin.Add(d) }
	phone, tablet := keyOf("anna/phone"), keyOf("anna/tablet")
	for name, x := range map[string]struct {
		device string
		key    directory.DeviceKey
		opened time.Time
		want   string
	}{
		"while listed":               {"phone", phone, at(2 * time.Hour), ""},
		"when stated":                {"phone", phone, at(0), ""},
		"before, within the clocks":  {"phone", phone, at(-10 * time.Minute), ""},
		"before it was stated":       {"phone", phone, at(-11 * time.Minute), "did not have the key yet"},
		"months before":              {"tablet", tablet, at(-1000 * time.Hour), "did not have the key yet"},
		"just before the revocation": {"phone", phone, at(3*time.Hour - time.Second), ""},
		"revoked, within the clocks": {"phone", phone, at(3*time.Hour + 10*time.Minute), ""},
		"revoked":                    {"phone", phone, at(3*time.Hour + 11*time.Minute), "had revoked the key by 2026-11-02T12:00:00Z"},
		"another is not revoked":     {"tablet", tablet, at(4 * time.Hour), ""},
		"after the directory's time": {"tablet", tablet, at(6 * time.Hour), "before the epoch was opened"},
		"an invented key":            {"phone", keyOf("delivery"), at(2 * time.Hour), "another key"},
		"the key of another account": {"phone", keyOf("ben/phone"), at(2 * time.Hour), "another key"},
		"the key of another device":  {"phone", tablet, at(2 * time.Hour), "another key"},
		"a device that nobody has":   {"laptop", phone, at(2 * time.Hour), "no device"},
	} {
		err := w.stands(p, x.device, x.key, x.opened)
		if (err == nil) != (x.want == "") || err != nil && (!errors.Is(err, keyproof.ErrNotProven) || !strings.Contains(err.Error(), x.want)) {
			t.Errorf("%s: %v, want %q", name, err, x.want)
		}
	}
	if err := w.stands(w.Proof("nobody"), "phone", phone, at(0)); !errors.Is(err, keyproof.ErrNotProven) {
		t.Errorf("an account without statements: %v", err)
	}
}

// What a proof says of a key.
func TestKeyFacts(t *testing.T) {
	w := story(t)
	a := must(w.verify(w.Proof("anna")))
	k := must(a.Key("phone", signer("anna/phone")[32:]))
	noon := begin.Add(3 * time.Hour)
	if k.Account != "anna" || k.Device != "phone" || !k.Added.Equal(begin) || !k.Since.By.Equal(begin) || !k.Dropped ||
		!k.Until.From.Equal(noon) || !k.Until.By.Equal(noon) || a.Checkpoint().Size() != 4 {
		t.Errorf("%+v", k)
	}
	if k := must(a.Key("tablet", signer("anna/tablet")[32:])); k.Dropped || k.Until != (keyproof.Span{}) {
		t.Errorf("%+v", k)
	}
	if got := a.Changes("phone"); !slices.Equal(got, []uint64{1, 3}) {
		t.Errorf("changes of the phone: %v", got)
	}
	if got := a.Changes("tablet"); !slices.Equal(got, []uint64{2}) {
		t.Errorf("changes of the tablet: %v", got)
	}
}

// What is not dated is not proven, and dates that are further apart prove less.
func TestMissingDates(t *testing.T) {
	w := story(t)
	phone := keyOf("anna/phone")
	without := func(change func(p *keyproof.Proof)) error {
		p := w.Proof("anna")
		change(p)
		return w.stands(p, "phone", phone, begin.Add(2*time.Hour))
	}
	for name, change := range map[string]func(p *keyproof.Proof){
		"no dates":               func(p *keyproof.Proof) { p.Dates = nil },
		"no addition":            func(p *keyproof.Proof) { p.Keep([]uint64{3}) },
		"no revocation":          func(p *keyproof.Proof) { p.Keep([]uint64{1}) },
		"nothing before it":      func(p *keyproof.Proof) { p.Dates[2].Before = nil },
		"nothing after the add":  func(p *keyproof.Proof) { p.Dates[0].After = nil },
		"an older one before it": func(p *keyproof.Proof) { p.Dates[2].Before = p.Dates[1].Before },
		"a younger one after":    func(p *keyproof.Proof) { p.Dates[0].After = p.Dates[2].After },
	} {
		if err := without(change); !errors.Is(err, keyproof.ErrNotProven) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := without(func(p *keyproof.Proof) { p.Keep([]uint64{1, 3}); p.Dates[0].Before, p.Dates[1].After = nil, nil }); err != nil {
		t.Errorf("with all that is needed: %v", err)
	}
}

// A proof whose parts do not hold is no proof.
func TestEachCheck(t *testing.T) {
	w := story(t)
	fork := w.Fork()
	fork.Junk("eve")
	stranger := func(p *keyproof.Proof) []byte { return resign(p.Checkpoint, "stranger", begin) }
	for name, change := range map[string]func(p *keyproof.Proof){
		"no witness":               func(p *keyproof.Proof) { p.Checkpoint = lines(p.Checkpoint, 1) },
		"a stranger for a witness": func(p *keyproof.Proof) { p.Checkpoint = stranger(p) },
		"more signatures": func(p *keyproof.Proof) {
			p.Checkpoint = append(p.Checkpoint, stranger(p)[len(lines(p.Checkpoint, 1)):]...)
		},
		"another checkpoint":           func(p *keyproof.Proof) { p.Checkpoint = p.Dates[1].After },
		"another account":              func(p *keyproof.Proof) { p.Account = "ben" },
		"another account's look-up":    func(p *keyproof.Proof) { p.Lookup = w.Proof("ben").Lookup },
		"a date twice":                 func(p *keyproof.Proof) { p.Dates[1] = p.Dates[0] },
		"dates out of order":           func(p *keyproof.Proof) { p.Dates[0], p.Dates[1] = p.Dates[1], p.Dates[0] },
		"a date of version 0":          func(p *keyproof.Proof) { p.Dates[0].Version = 0 },
		"a date of no version":         func(p *keyproof.Proof) { p.Dates[2].Version = 4 },
		"an empty date":                func(p *keyproof.Proof) { p.Dates[0] = keyproof.Date{Version: 1} },
		"before covers it":             func(p *keyproof.Proof) { p.Dates[2].Before = p.Dates[2].After },
		"after does not cover it":      func(p *keyproof.Proof) { p.Dates[0].After = p.Dates[0].Before },
		"before without a witness":     func(p *keyproof.Proof) { p.Dates[2].Before = lines(p.Dates[2].Before, 1) },
		"after without a witness":      func(p *keyproof.Proof) { p.Dates[0].After = lines(p.Dates[0].After, 1) },
		"after covers more than there": func(p *keyproof.Proof) { p.Dates[2].After = fork.Proof("anna").Checkpoint },
		"after of another log":         func(p *keyproof.Proof) { p.Dates[2].After = forked(w) },
	} {
		p := w.Proof("anna")
		change(p)
		if a, err := w.verify(p); err == nil {
			t.Errorf("%s: verifies: %v", name, a)
		}
	}
	if _, err := w.log.Verify(w.Proof("anna"), w.now.Add(11*time.Minute), 10*time.Minute); err == nil {
		t.Error("a stale proof where a fresh one is asked for")
	}
}

// forked is a checkpoint of the size of a world's log that is of another log.
func forked(w *world) []byte {
	other := directorytest.New(func() time.Time { return w.now })
	for range 4 {
		other.Junk("anna")
	}
	out := must(other.LookUp(w.t.Context(), &api.LookUpRequest{Accounts: []string{"zoe"}}))
	return out.Checkpoint
}

// lines returns a signed checkpoint with only the first n of its signatures.
func lines(signed []byte, n int) []byte {
	text, sigs, _ := strings.Cut(string(signed), "\n\n")
	list := strings.SplitAfter(sigs, "\n")
	return []byte(text + "\n\n" + strings.Join(list[:n], ""))
}

// resign is a checkpoint with one cosignature, of a witness of that name.
func resign(signed []byte, name string, at time.Time) []byte {
	text, _, _ := strings.Cut(string(signed), "\n\n")
	_, key, _ := ed25519.GenerateKey(nil)
	s := must(torchwood.NewCosignatureSigner(name, key))
	return append(lines(signed, 1), directorytest.Cosign(s.Verifier(), key, text+"\n", at)...)
}

// A quorum of two: what one witness signed is not enough, and one that dates back
// does not make a key older.
func TestQuorumOfTheLaw(t *testing.T) {
	w := story(t)
	_, key, _ := ed25519.GenerateKey(nil)
	second := must(torchwood.NewCosignatureSigner("e.test", key))
	law := chartertest.Directory()
	law.Policy = strings.Replace(law.Policy, "quorum d\n", fmt.Sprintf("witness e %s\ngroup q all d e\nquorum q\n", second.Verifier()), 1)
	two := must(keyproof.NewLog(law))
	p := w.Proof("anna")
	if _, err := two.Verify(p, time.Time{}, 0); err == nil {
		t.Error("verifies with one witness of two")
	}
	cosign := func(signed []byte, at time.Time) []byte {
		text, _, _ := strings.Cut(string(signed), "\n\n")
		return append(bytes.Clone(signed), directorytest.Cosign(second.Verifier(), key, text+"\n", at)...)
	}
	early := begin.Add(-1000 * time.Hour)
	p.Checkpoint = cosign(p.Checkpoint, w.now)
	p.Keep([]uint64{1})
	p.Dates[0] = keyproof.Date{Version: 1, After: cosign(p.Dates[0].After, early)}
	a := must(two.Verify(p, time.Time{}, 0))
	k := must(a.Key("phone", signer("anna/phone")[32:]))
	if !k.Since.By.Equal(begin) {
		t.Errorf("one witness made the key as old as %v", k.Since.By)
	}
	// The one witness of an older version of the law dated in its time.
	p.Dates[0] = w.Proof("anna").Dates[0]
	if _, err := two.Verify(p, time.Time{}, 0); err == nil {
		t.Error("a date of one witness of two")
	}
	if _, err := must(keyproof.NewLog(law, chartertest.Directory())).Verify(p, time.Time{}, 0); err != nil {
		t.Errorf("a date under the older version: %v", err)
	}
	vkey, other := otherLog(p.Dates[0].After, begin)
	for name, change := range map[string]func(d *charter.Directory){
		"another label key": func(d *charter.Directory) { d.VRF = [32]byte(directory.GenerateLabelSigner().Public().Bytes()) },
		"another log": func(d *charter.Directory) {
			_, rest, _ := strings.Cut(d.Policy, "\n")
			d.Policy = "log " + vkey + "\n" + rest
			p.Dates[0] = keyproof.Date{Version: 1, After: other}
		},
		"no policy": func(d *charter.Directory) { d.Policy = "none" },
	} {
		older := chartertest.Directory()
		p.Dates[0] = w.Proof("anna").Dates[0]
		change(&older)
		if _, err := must(keyproof.NewLog(law, older)).Verify(p, time.Time{}, 0); err == nil {
			t.Errorf("a date under an older version with %s", name)
		}
	}
}

// A directory with a witness more than the law names: what it answers takes another
// form and proves the same.
func TestForm(t *testing.T) {
	w := story(t)
	p := w.Proof("anna")
	want := p.Encode()
	more := func(signed []byte) []byte {
		return append(bytes.Clone(signed), resign(signed, "new.test", begin)[len(lines(signed, 1)):]...)
	}
	p.Checkpoint = more(p.Checkpoint)
	for i := range p.Dates {
		p.Dates[i].Before, p.Dates[i].After = more(p.Dates[i].Before), more(p.Dates[i].After)
	}
	p.Dates[0].Before = nil
	if _, err := w.verify(p); err == nil {
		t.Fatal("verifies in another form")
	}
	w.log.Form(p)
	p.Dates[0].Before = w.Proof("anna").Dates[0].Before
	if !bytes.Equal(p.Encode(), want) {
		t.Error("has not the one form")
	}
	bare := lines(p.Checkpoint, 1)
	p.Checkpoint = bare
	if w.log.Form(p); !bytes.Equal(p.Checkpoint, bare) {
		t.Error("a checkpoint that nobody accepts was changed")
	}
}

// otherLog is a checkpoint as another log would sign it that has the same name and
// witness.
func otherLog(signed []byte, at time.Time) (vkey string, other []byte) {
	text, _, _ := strings.Cut(string(signed), "\n\n")
	private, vkey, err := note.GenerateKey(rand.Reader, chartertest.DirectoryOrigin)
	if err != nil {
		panic(err)
	}
	other = must(note.Sign(&note.Note{Text: text + "\n"}, must(note.NewSigner(private))))
	_, key, _ := chartertest.DirectoryKeys()
	v := must(torchwood.NewCosignatureSigner("d.test", key)).Verifier()
	return vkey, append(other, directorytest.Cosign(v, key, text+"\n", at)...)
}

func TestNewLogRefuses(t *testing.T) {
	for name, change := range map[string]func(d *charter.Directory){
		"no policy":            func(d *charter.Directory) { d.Policy = "none" },
		"the identity for key": func(d *charter.Directory) { d.VRF = [32]byte{} },
	} {
		d := chartertest.Directory()
		change(&d)
		if _, err := keyproof.NewLog(d); err == nil {
			t.Error(name)
		}
	}
}

// R25: no bit of a proof that verifies can be another.
func TestR25AnyChangedBitFails(t *testing.T) {
	w := story(t)
	p := w.Proof("anna")
	b := p.Encode()
	if got := must(keyproof.Parse(b)); !bytes.Equal(got.Encode(), b) {
		t.Fatal("encodes to other bytes")
	}
	for i := range b {
		b[i] ^= 1 << (i % 8)
		if q, err := keyproof.Parse(b); err == nil {
			if _, err := w.verify(q); err == nil {
				t.Errorf("byte %d of %d: verifies", i, len(b))
			}
		}
		b[i] ^= 1 << (i % 8)
	}
}

func TestBounds(t *testing.T) {
	w := story(t)
	p := w.Proof("anna")
	long := make([]byte, ledger.MaxCheckpoint+1)
	for name, change := range map[string]func(p *keyproof.Proof){
		"dates":      func(p *keyproof.Proof) { p.Dates = make([]keyproof.Date, keyproof.MaxDates+1) },
		"date":       func(p *keyproof.Proof) { p.Dates = []keyproof.Date{{Before: long}} },
		"checkpoint": func(p *keyproof.Proof) { p.Checkpoint = long },
		"look-up":    func(p *keyproof.Proof) { p.Lookup = make([]byte, directory.MaxLookup+1) },
		"account":    func(p *keyproof.Proof) { p.Account = "Anna" },
	} {
		q := *p
		change(&q)
		if _, err := keyproof.Parse(q.Encode()); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := p.Encode()
	b[1]++
	for name, b := range map[string][]byte{"format": b, "rest": append(p.Encode(), 0), "cut": p.Encode()[:40]} {
		if _, err := keyproof.Parse(b); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	q := *p
	q.Dates = make([]keyproof.Date, keyproof.MaxDates+9)
	if q.Keep([]uint64{0}); len(q.Dates) != keyproof.MaxDates {
		t.Errorf("keeps %d dates", len(q.Dates))
	}
	full := *p
	full.Dates = slices.Repeat([]keyproof.Date{{Version: 1, Before: long[1:], After: long[1:]}}, keyproof.MaxDates)
	full.Checkpoint, full.Lookup = long[1:], make([]byte, directory.MaxLookup)
	if b := full.Encode(); len(b) > keyproof.MaxProof {
		t.Errorf("the longest proof has %d bytes", len(b))
	} else if _, err := keyproof.Parse(b); err != nil {
		t.Errorf("the longest proof: %v", err)
	}
}

// FuzzParse takes any bytes: what parses encodes again to the same bytes, and no
// verification panics.
func FuzzParse(f *testing.F) {
	w := story(f)
	f.Add(w.Proof("anna").Encode())
	f.Add(w.Proof("nobody").Encode())
	p := w.Proof("ben")
	p.Dates = nil
	f.Add(p.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := keyproof.Parse(b)
		if err != nil {
			return
		}
		if !bytes.Equal(p.Encode(), b) {
			t.Error("encodes to other bytes")
		}
		if a, err := w.log.Verify(p, time.Time{}, 0); (a == nil) != (err != nil) {
			t.Errorf("account %v with error %v", a, err)
		}
	})
}
