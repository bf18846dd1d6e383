package ledger

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"writ/charter"
	"writ/charter/chartertest"
	"writ/internal/wire"
	"writ/notice/beacon"
	"writ/warrant"
	"writ/warrant/warranttest"
)

// world is a charter, a book and everybody's keys.
type world struct {
	*chartertest.World
	t       testing.TB
	book    *Book
	shelf   *shelved // of a benchmark none
	entries [][]byte
	seen    time.Time
}

var lawTime = chartertest.Now

func newWorld(t testing.TB) *world { return newWorldOf(t, func(*charter.Limits) {}) }

func newWorldOf(t testing.TB, change func(*charter.Limits)) *world {
	cw := chartertest.New("ledger")
	change(&cw.Charter.Limits)
	cw.Charter.Policy = newTestLog(t, "log").policyText()
	w := &world{World: cw, t: t, seen: lawTime}
	w.begin()
	w.mustApply(CharterEntry(cw.Sign(cw.Charter)))
	return w
}

// begin takes an empty book in place of the world's.
func (w *world) begin() {
	if w.book, w.entries = NewBook(), nil; !isBench(w.t) {
		w.shelf = newShelved(w.t)
		w.book = w.shelf.open()
	}
}

// apply applies an entry, and opens the book anew from its shelf.
func (w *world) apply(entry []byte) uint64 {
	w.t.Helper()
	at := w.book.Size()
	w.entries = append(w.entries, entry)
	if err := w.book.Apply(at, entry, w.seen); err != nil {
		w.t.Fatal(err)
	}
	if w.shelf != nil {
		w.book = w.shelf.after(w.book, entry, w.seen)
	}
	return at
}

func (w *world) mustApply(entry []byte) uint64 {
	w.t.Helper()
	before := len(w.book.Findings())
	at := w.apply(entry)
	if f := w.book.Findings()[before:]; len(f) > 0 {
		w.t.Fatalf("finding: %v", f)
	}
	return at
}

// refused applies an entry that must not count, and wants one finding.
func (w *world) refused(name, want string, entry []byte) {
	w.t.Helper()
	before := len(w.book.Findings())
	e, err := ParseEntry(entry)
	if err == nil && w.book.Check(e) == nil {
		w.t.Errorf("%s: Check lets it pass", name)
	}
	at := w.apply(entry)
	f := w.book.Findings()[before:]
	if len(f) != 1 || f[0].Index != at || !strings.Contains(f[0].Problem, want) || w.counts(entry, at) {
		w.t.Errorf("%s: findings %v, want %q", name, f, want)
	}
}

// forget takes an entry out of those that were counted.
func (w *world) forget(entry []byte) { w.book = w.shelf.forget(entry) }

// counts reports whether the book counted the entry at an index.
func (w *world) counts(entry []byte, at uint64) bool {
	found, ok := w.book.Find(HashEntry(entry))
	return ok && found == at
}

func (w *world) docket() DocketSigner { return DocketSigner(w.Docket) }

func (w *world) custodian(id string) CustodianSigner { return CustodianSigner(w.Custodians[id]) }

// warrant returns a warrant that counts, after change.
func (w *world) warrant(n byte, change func(*Warrant)) *Warrant {
	x := &Warrant{Public: warrant.Public{Commitment: [32]byte{n}, Charter: w.Charter.Hash(), Action: warrant.Disclose,
		CaseType: "serious-crime", Offices: []string{"judicial", "oversight"}, Window: 24 * 3600,
		NotBefore: uint64(lawTime.Unix()), NotAfter: uint64(lawTime.Unix()) + 3600, Readers: [][32]byte{{1}}}}
	if change != nil {
		change(x)
	}
	x.Approvals = warranttest.Approvals(w.World, x.Public)
	x.Sign(w.docket())
	return x
}

func (w *world) request(at uint64, leaves ...byte) *Request {
	lw, ok := w.book.Warrant(at)
	if !ok {
		w.t.Fatalf("no warrant at %d", at)
	}
	x := &Request{WarrantIndex: at, Warrant: lw.Hash, Round: 5, Timelock: make([]byte, beacon.TimelockSize)}
	for _, l := range leaves {
		x.Leaves = append(x.Leaves, [32]byte{l})
	}
	x.Sign(w.docket())
	return x
}

func (w *world) release(h EntryHash, office, custodian string, change func(*Release)) *Release {
	r, ok := w.book.Request(h)
	if !ok {
		w.t.Fatal("no request")
	}
	x := &Release{RequestIndex: r.Index, Request: h, Office: office, Custodian: custodian,
		Count: uint32(len(r.Leaves)), Root: r.Root}
	if change != nil {
		change(x)
	}
	x.Sign(w.custodian(custodian))
	return x
}

// all returns one entry of each type, each of which counts in turn.
func (w *world) all() {
	at := w.mustApply(w.warrant(1, nameReaders([32]byte{}, person("anna"))).Entry())
	r := w.request(at, 1, 2, 3)
	w.mustApply(r.Entry())
	h := HashEntry(r.Entry())
	w.mustApply(w.release(h, "judicial", "judicial-1", nil).Entry())
	no := &Refusal{Request: h, Office: "oversight", Custodian: "oversight-1", Reason: 4}
	no.Sign(w.custodian("oversight-1"))
	w.mustApply(no.Entry())
	p := w.Charter.Period(lawTime)
	w.mustApply(CustodianKeyEntry(w.Statement("judicial", "judicial-1", p+2)))
	gone := &Destruction{Office: "judicial", Custodian: "judicial-1", Period: p, CharterName: w.Charter.Name}
	gone.Sign(w.custodian("judicial-1"))
	w.mustApply(gone.Entry())
	w.mustApply(w.reading(r.Entry(), person("anna"), [32]byte{}, nil))
	w.mustApply(w.mistake(h, WrongPerson).Entry())
	w.mustApply(w.cancel(at).Entry())
}

func TestBookAnswers(t *testing.T) {
	w := newWorld(t)
	w.all()
	b, p, name := w.book, w.Charter.Period(lawTime), w.Charter.Name
	if c, ok := b.Charter(w.Charter.Hash()); !ok || c.Number != 1 {
		t.Error("no charter")
	}
	if c, ok := b.InForce(name, lawTime); !ok || c.Number != 1 {
		t.Error("first charter is not in force")
	}
	if lw, ok := b.Warrant(1); !ok || lw.Rank != 1 || lw.Index != 1 || lw.Hash != HashEntry(w.entries[1]) {
		t.Error("no warrant")
	}
	h := HashEntry(w.entries[2])
	if r, ok := b.Request(h); !ok || r.Index != 2 || len(r.Leaves) != 3 {
		t.Error("no request")
	}
	if at, ok := b.Release(h, "judicial", "judicial-1"); !ok || at != 3 {
		t.Error("no release")
	}
	if _, ok := b.Release(h, "judicial", "judicial-2"); ok {
		t.Error("release of another custodian")
	}
	if reason, ok := b.Refusal(h, "oversight", "oversight-1"); !ok || reason != 4 {
		t.Error("no refusal")
	}
	if k, ok := b.Key(name, "judicial", "judicial-1", p+2); !ok || k.Period != p+2 {
		t.Error("no key that was appended")
	}
	if len(b.Keys(name, p)) != 8 || len(b.Keys(name, p+2)) != 1 {
		t.Errorf("%d and %d keys", len(b.Keys(name, p)), len(b.Keys(name, p+2)))
	}
	if _, err := w.Charter.Access(p, b.Keys(name, p)); err != nil {
		t.Error(err)
	}
	if !b.Destroyed(name, "judicial", "judicial-1", p) || b.Destroyed(name, "judicial", "judicial-2", p) {
		t.Error("wrong destructions")
	}
	if at, ok := b.Find(HashEntry(w.entries[4])); !ok || at != 4 {
		t.Error("an entry is not found")
	}
	if err := b.Apply(99, w.entries[0], lawTime); err == nil {
		t.Error("an entry out of order was taken")
	}
}

func TestBookRefuses(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		want   string
		change func(*Warrant)
	}{
		"unknown charter":     {"unknown charter", func(x *Warrant) { x.Charter[0]++ }},
		"case type":           {"case type", func(x *Warrant) { x.CaseType = "tax" }},
		"window":              {"window", func(x *Warrant) { x.Window = w.Charter.Limits.MaxWindow + 1 }},
		"life":                {"life", func(x *Warrant) { x.NotAfter = x.NotBefore + w.Charter.Limits.MaxWarrantLife + 1 }},
		"urgent life":         {"urgent life", func(x *Warrant) { x.Flags, x.NotAfter = warrant.IsEmergency, x.NotBefore+49*3600 }},
		"review date":         {"review", func(x *Warrant) { x.NotBefore = w.Charter.Review; x.NotAfter = x.NotBefore + 1 }},
		"one office":          {"must approve", func(x *Warrant) { x.Offices = []string{"judicial"} }},
		"unknown office":      {"must approve", func(x *Warrant) { x.Offices = []string{"judicial", "oversight", "police"} }},
		"entry of no offices": {"offices", func(x *Warrant) { x.Offices = nil }},
		"offices unsorted":    {"offices", func(x *Warrant) { x.Offices = []string{"oversight", "judicial"} }},
		"no reader":           {"nobody may read", func(x *Warrant) { x.Readers = nil }},
		"no life":             {"not_after", func(x *Warrant) { x.NotAfter = x.NotBefore }},
		"unknown flag":        {"unsupported", func(x *Warrant) { x.Flags = 8 }},
		"unknown action":      {"unsupported", func(x *Warrant) { x.Action = 3 }},
		"privileged":          {"no privileged", func(x *Warrant) { x.Flags = warrant.IsPrivileged }},
	} {
		w.refused(name, c.want, w.warrant(9, c.change).Entry())
	}
	forged := w.warrant(9, nil)
	forged.Sign(DocketSigner(w.Delivery))
	w.refused("another key", "signed", forged.Entry())
	at := w.mustApply(w.warrant(1, nil).Entry())
	w.refused("same entry", "same entry", w.entries[at])
	w.refused("same commitment", "again", w.warrant(1, func(x *Warrant) { x.Window++ }).Entry())

	r := w.request(at, 1, 2)
	r.WarrantIndex++
	r.Sign(w.docket())
	w.refused("request of another index", "not entry", r.Entry())
	r = w.request(at, 1, 2)
	r.Warrant[0]++
	r.Sign(w.docket())
	w.refused("request of another hash", "not entry", r.Entry())
	r = w.request(at, 1, 2)
	r.Sign(DocketSigner(w.Custodians["judicial-1"]))
	w.refused("request signed by another", "docket", r.Entry())
	for name, leaves := range map[string][]byte{"unsorted": {2, 1}, "twice": {1, 1}, "none": nil} {
		w.refused("leaves "+name, "leaves", w.request(at, leaves...).Entry())
	}
	for name, change := range map[string]func(*Request){
		"no round":       func(x *Request) { x.Round = 0 },
		"no timelock":    func(x *Request) { x.Timelock = nil },
		"short timelock": func(x *Request) { x.Timelock = x.Timelock[1:] },
		"long timelock":  func(x *Request) { x.Timelock = append(x.Timelock, 0) },
	} {
		r = w.request(at, 1)
		change(r)
		r.Sign(w.docket())
		w.refused(name, "malformed", r.Entry())
	}
	r = w.request(at, 1)
	r.Round = math.MaxUint64
	r.Sign(w.docket())
	w.refused("round at the end of time", "never comes", r.Entry())

	r = w.request(at, 1, 2)
	w.mustApply(r.Entry())
	h := HashEntry(r.Entry())
	for name, change := range map[string]func(*Release){
		"count": func(x *Release) { x.Count++ },
		"root":  func(x *Release) { x.Root[0]++ },
	} {
		w.refused(name, "other compartments", w.release(h, "judicial", "judicial-1", change).Entry())
	}
	w.refused("index", "not entry", w.release(h, "judicial", "judicial-1", func(x *Release) { x.RequestIndex++ }).Entry())
	w.refused("custodian of another office", "signed", w.release(h, "oversight", "judicial-1", nil).Entry())
	stolen := w.release(h, "judicial", "judicial-1", nil)
	stolen.Sign(w.custodian("judicial-2"))
	w.refused("signed by another", "signed", stolen.Entry())
	w.mustApply(w.release(h, "judicial", "judicial-1", nil).Entry())
	no := &Refusal{Request: h, Office: "judicial", Custodian: "judicial-2"}
	no.Sign(w.custodian("judicial-1"))
	w.refused("refusal by another", "signed", no.Entry())
	unlogged := &Refusal{Request: EntryHash{7}, Office: "judicial", Custodian: "judicial-2", Reason: 3}
	unlogged.Sign(w.custodian("judicial-2"))
	w.mustApply(unlogged.Entry())
	unlogged.Reason++
	unlogged.Sign(w.custodian("judicial-2"))
	w.refused("refused before", "before", unlogged.Entry())
	gone := &Destruction{Office: "judicial", Custodian: "judicial-1", Period: 7, CharterName: w.Charter.Name}
	gone.Sign(w.custodian("judicial-1"))
	w.refused("unknown key", "not on the log", gone.Entry())
	w.refused("key of another", "verify", CustodianKeyEntry(func() *charter.KeyStatement {
		k := w.Statement("judicial", "judicial-1", 900)
		k.Custodian = "judicial-2"
		return k
	}()))
	w.refused("not an entry", "malformed", []byte("junk"))
}

// A custodian can sign the same content twice with two signatures. Forgetting
// the first entry's bytes stands for that here.
func TestBookTwice(t *testing.T) {
	w := newWorld(t)
	w.all()
	for at, want := range map[int]string{3: "release of entry 3 again", 4: "refused before", 6: "destroyed before"} {
		w.forget(w.entries[at])
		w.refused(want, want, w.entries[at])
	}
}

func TestBookLawWithout(t *testing.T) {
	w := newWorld(t)
	w.Charter.Limits.Urgent = nil
	w.begin()
	w.mustApply(CharterEntry(w.Sign(w.Charter)))
	w.refused("no urgent procedure", "no urgent", w.warrant(1, func(x *Warrant) { x.Flags = warrant.IsEmergency }).Entry())

	none := &charter.Charter{Name: "Plain", Jurisdiction: "Testland", LegalBasis: "none", Language: "en", Number: 1,
		Policy: w.Charter.Policy, Directory: w.Charter.Directory}
	w.apply(CharterEntry(&charter.Signed{Charter: none.Encode()}))
	if _, ok := w.book.Charter(none.Hash()); !ok {
		t.Fatalf("charter without exceptional access: %v", w.book.Findings())
	}
	w.refused("no access", "without exceptional access", w.warrant(1, func(x *Warrant) { x.Charter = none.Hash() }).Entry())
}

// R37: an unknown version, type or flag, or a byte more, rejects the whole
// entry.
func TestEntryUnknownR37(t *testing.T) {
	w := newWorld(t)
	good := w.warrant(1, nil).Entry()
	if _, err := ParseEntry(good); err != nil {
		t.Fatal(err)
	}
	change := func(at int, v byte) []byte { b := bytes.Clone(good); b[at] = v; return b }
	for name, b := range map[string][]byte{"version": change(1, 2), "type 0": change(2, 0), "type 99": change(2, 99)} {
		if e, err := ParseEntry(b); !errors.Is(err, ErrUnsupported) || e != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for flags := range 256 {
		x := w.warrant(1, func(x *Warrant) { x.Flags = warrant.Flags(flags) })
		if _, err := ParseEntry(x.Entry()); (err == nil) != (flags < 8) {
			t.Errorf("flags %#x: %v", flags, err)
		}
	}
	if _, err := ParseEntry(append(bytes.Clone(good), 0)); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("trailing byte: %v", err)
	}
	if _, err := ParseEntry(encodeEntry(9, make([]byte, MaxEntry-6))); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("a byte too long: %v", err)
	}
	if _, err := ParseEntry(make([]byte, MaxEntry+1)); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("long: %v", err)
	}
}

// R15: this is all the log tells about a warrant and what follows from it.
// Whoever adds a field decides that the world may read it.
func TestEntryPublicFieldsR15(t *testing.T) {
	for _, c := range []struct {
		v    any
		want string
	}{
		{Warrant{}, "Public Approvals Signature"},
		{warrant.Public{}, "Commitment Charter Action Renews CaseType Offices Window NotBefore NotAfter Flags Readers"},
		{Request{}, "WarrantIndex Warrant Leaves Round Timelock Signature"},
		{Release{}, "RequestIndex Request Office Custodian Count Root Signature"},
		{Refusal{}, "Request Office Custodian Reason Signature"},
		{Destruction{}, "Office Custodian Period CharterName Signature"},
		{Reading{}, "RequestIndex Request Bundle Purpose Key Salt Answer Signature"},
		{Cancellation{}, "WarrantIndex Warrant Approval"},
		{Review{}, "WarrantIndex Warrant Outcome Approvals"},
		{Error{}, "RequestIndex Request Kind Approval"},
		{Round{}, "Round Signature"},
	} {
		var got []string
		typ := reflect.TypeOf(c.v)
		for i := range typ.NumField() {
			got = append(got, typ.Field(i).Name)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%v shows %s", typ, s)
		}
	}
	// The encoding holds nothing but the fields: its size is their sizes.
	w := newWorld(t)
	x := w.warrant(1, nil)
	size := 32 + 32 + 1 + 32 + 1 + len(x.CaseType) + 1 + (1 + len("judicial")) + (1 + len("oversight")) + 3*8 + 1 + (1 + 32) + 64
	size += 2 // length of the approvals
	for _, a := range x.Approvals {
		size += 1 + len(a.Office) + 1 + len(a.Approver) + 1 + 2 + ed25519.SignatureSize
	}
	if got := len(x.Entry()); got != 2+1+2+size {
		t.Errorf("%d bytes, the fields have %d", got, size)
	}
}

// R10: rank and count come from the log alone, per period, tests apart.
func TestCapR10(t *testing.T) {
	w := newWorld(t)
	limits, begin := w.Charter.Limits, uint64(lawTime.Unix())
	for i := range limits.CapSubjects + 1 {
		at := w.mustApply(w.warrant(byte(i), nil).Entry())
		if lw, _ := w.book.Warrant(at); lw.Rank != int(i)+1 {
			t.Fatalf("warrant %d has rank %d", i, lw.Rank)
		}
	}
	w.mustApply(w.warrant(100, func(x *Warrant) { x.Flags = warrant.IsTest }).Entry())
	next := w.mustApply(w.warrant(101, func(x *Warrant) {
		x.NotBefore = (begin/limits.CapPeriod + 1) * limits.CapPeriod
		x.NotAfter = x.NotBefore + 60
	}).Entry())
	if lw, _ := w.book.Warrant(next); lw.Rank != 1 {
		t.Errorf("first of the next period has rank %d", lw.Rank)
	}
	h := w.Charter.Hash()
	if n := w.book.WarrantsInPeriod(h, lawTime, false); n != int(limits.CapSubjects)+1 {
		t.Errorf("%d warrants", n)
	}
	if n := w.book.WarrantsInPeriod(h, lawTime, true); n != 1 {
		t.Errorf("%d tests", n)
	}
	for back := range uint64(3) { // backdated into another period, and yet usable in this one
		at := w.mustApply(w.warrant(byte(110+back), func(x *Warrant) {
			x.NotBefore, x.NotAfter = begin-begin%limits.CapPeriod-1-back, begin+60
		}).Entry())
		if lw, _ := w.book.Warrant(at); lw.Rank != int(limits.CapSubjects)+2+int(back) {
			t.Errorf("a warrant that begins in the period before has rank %d", lw.Rank)
		}
	}
	over := w.request(uint64(limits.CapSubjects)+1, 1)
	w.mustApply(over.Entry())
	w.apply(w.release(HashEntry(over.Entry()), "judicial", "judicial-1", nil).Entry())
	if f := w.book.Findings(); len(f) != 1 || !strings.Contains(f[0].Problem, "cap") {
		t.Errorf("release beyond the cap: %v", f)
	}
}

// A custodian of another law who bears the same name, and refused a request before it came,
// has not answered it for the one who is asked.
func TestRefusalOfAnotherLaws(t *testing.T) {
	w := newWorld(t)
	other := chartertest.New("another law")
	other.Charter.Name, other.Charter.Policy = "another law", w.Charter.Policy
	for i, k := range other.Charter.Keys {
		other.Charter.Keys[i] = other.Statement(k.Office, k.Custodian, k.Period)
	}
	w.mustApply(CharterEntry(other.Sign(other.Charter)))
	r := w.request(w.mustApply(w.warrant(1, nil).Entry()), 1)
	h := HashEntry(r.Entry())
	refuse := func(reason uint8, key CustodianSigner) {
		t.Helper()
		x := &Refusal{Request: h, Office: "judicial", Custodian: "judicial-1", Reason: reason}
		x.Sign(key)
		w.mustApply(x.Entry())
	}
	refuse(3, CustodianSigner(other.Custodians["judicial-1"]))
	if reason, ok := w.book.Refusal(h, "judicial", "judicial-1"); !ok || reason != 3 {
		t.Errorf("before the request it was refused for %d", reason)
	}
	w.mustApply(r.Entry())
	if reason, ok := w.book.Refusal(h, "judicial", "judicial-1"); ok {
		t.Errorf("another's refusal is taken for this custodian's, for %d", reason)
	}
	refuse(4, w.custodian("judicial-1"))
	if reason, ok := w.book.Refusal(h, "judicial", "judicial-1"); !ok || reason != 4 {
		t.Errorf("refused for %d", reason)
	}
	if list := w.book.Sequel(h, lawTime).Answers; len(list) != 1 || list[0].Reason != 4 {
		t.Errorf("answers %v", list)
	}
}

// Who makes one law can't end everybody's reading: not with versions that each come into
// force a year after the one before, until no calendar has the day, nor with one by whose cap
// periods an older warrant counts without end.
func TestAmendmentsEndNoReader(t *testing.T) {
	w := newWorld(t)
	w.seen = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	c := w.amend(func(c *charter.Charter) {})
	if at, ok := w.book.InForce(c.Name, w.seen); !ok || at.Number != 1 {
		t.Errorf("version %v is in force", at)
	}
	if at, ok := w.book.InForce(c.Name, w.seen.AddDate(2, 0, 0)); !ok || at.Number != 2 {
		t.Errorf("version %v is in force later", at)
	}
	for name, change := range map[string]func(l *charter.Limits){
		"short periods": func(l *charter.Limits) { l.MaxWarrantLife, l.Urgent, l.CapPeriod = 60, nil, 60 },
		"long lives":    func(l *charter.Limits) { l.MaxWarrantLife, l.CapPeriod = 366*24*3600, 366*24*3600 },
	} {
		w := newWorldOf(t, func(l *charter.Limits) {
			if name == "long lives" {
				l.CapPeriod = l.MaxWarrantLife / 300
			}
		})
		next := *w.Charter
		next.Number, next.Previous = 2, w.Charter.Hash()
		change(&next.Limits)
		w.refused(name, "cap periods", CharterEntry(w.Sign(&next)))
	}
}

// amend applies the next version of the charter.
func (w *world) amend(change func(*charter.Charter)) *charter.Charter {
	w.t.Helper()
	c := *w.Charter
	c.Number, c.Previous = c.Number+1, c.Hash()
	change(&c)
	w.mustApply(CharterEntry(w.Sign(&c)))
	return &c
}

// A raised cap waits for the delay of the law before it.
func TestActivationDelay(t *testing.T) {
	w := newWorld(t)
	old := w.warrant(1, nil)
	delay := time.Duration(w.Charter.Limits.ActivationDelay) * time.Second
	w.seen = lawTime.Add(time.Hour)
	c2 := w.amend(func(c *charter.Charter) {
		c.Limits.CapSubjects, c.Limits.ActivationDelay, c.Limits.CapPeriod = 1000, 1, c.Limits.CapPeriod/2
	})
	name := c2.Name
	for _, x := range []struct {
		at   time.Time
		want uint32
	}{{w.seen, 1}, {w.seen.Add(delay - 1), 1}, {w.seen.Add(delay), 2}} {
		if c, ok := w.book.InForce(name, x.at); !ok || c.Number != x.want {
			t.Errorf("at %v version %v is in force, want %d", x.at, c, x.want)
		}
	}
	if head, _ := w.book.Head(name); head.Number != 2 {
		t.Error("head is not version 2")
	}
	w.mustApply(old.Entry()) // still permitted
	if n := w.book.WarrantsInPeriod(c2.Hash(), lawTime, false); n != 1 {
		t.Errorf("new law counts %d warrants of the old", n)
	}
}

// A version permits warrants until a newer one was used: then the docket's key of
// the old version, which may be why it was amended, fills no more places under
// the cap. Versions that only wait don't stop the one in force.
func TestVersionIsSuperseded(t *testing.T) {
	w := newWorld(t)
	under := func(c *charter.Charter, n byte) []byte {
		return w.warrant(n, func(x *Warrant) { x.Charter = c.Hash() }).Entry()
	}
	c1 := w.Charter
	c2 := w.amend(func(*charter.Charter) {})
	w.Charter = c2
	c3 := w.amend(func(*charter.Charter) {})
	w.mustApply(under(c1, 1))
	w.mustApply(under(c2, 2))
	w.refused("under the first, the second being used", "superseded", under(c1, 3))
	w.mustApply(under(c2, 4))
	w.mustApply(under(c3, 5))
	w.refused("under the second, the third being used", "superseded", under(c2, 6))
	if n := w.book.WarrantsInPeriod(c3.Hash(), lawTime, false); n != 4 {
		t.Errorf("%d warrants count", n)
	}
}

// An amendment that shortens the delay shortens it for what follows once it is
// in force, not before: two amendments at once don't go round the delay.
func TestActivationDelayOfPendingVersion(t *testing.T) {
	w := newWorld(t)
	delay := time.Duration(w.Charter.Limits.ActivationDelay) * time.Second
	w.seen = lawTime.Add(time.Hour)
	w.Charter = w.amend(func(c *charter.Charter) { c.Limits.ActivationDelay = 1 })
	second := w.seen.Add(delay)
	w.seen = w.seen.Add(time.Minute)
	c3 := w.amend(func(c *charter.Charter) { c.Limits.CapSubjects = 1000 })
	for _, x := range []struct {
		at   time.Time
		want uint32
	}{{w.seen.Add(time.Minute), 1}, {second.Add(-1), 1}, {second, 2}, {second.Add(time.Second), 3}} {
		if c, ok := w.book.InForce(c3.Name, x.at); !ok || c.Number != x.want {
			t.Errorf("at %v version %d is in force, want %d", x.at, c.Number, x.want)
		}
	}
}

// A reader that finds a law and its amendment at one moment can't tell how long
// the amendment stood there. It acts on neither before the delay is over: the
// older one may be long out of force, and who it lets approve be struck off.
func TestActivationForANewReader(t *testing.T) {
	w := newWorld(t)
	first := w.entries[0]
	c2 := w.amend(func(*charter.Charter) {})
	late := &world{World: w.World, t: t, seen: lawTime.AddDate(1, 0, 0)}
	late.begin()
	late.mustApply(first)
	late.mustApply(w.entries[1])
	delay := time.Duration(w.Charter.Limits.ActivationDelay) * time.Second
	if c, ok := late.book.InForce(c2.Name, late.seen.Add(delay-1)); ok {
		t.Errorf("version %d is in force for a reader who saw both at once", c.Number)
	}
	if c, ok := late.book.InForce(c2.Name, late.seen.Add(delay)); !ok || c.Number != 2 {
		t.Error("version 2 is not in force after the delay")
	}
}

func TestCharterRefused(t *testing.T) {
	w := newWorld(t)
	c := *w.Charter
	c.LegalBasis = "another act"
	w.refused("second first version", "version 1", CharterEntry(w.Sign(&c)))
	c = *w.Charter
	c.Number, c.Previous, c.Policy = 2, c.Hash(), "no policy"
	w.refused("policy", "policy", CharterEntry(w.Sign(&c)))
	log := newTestLog(t, "log")
	for name, key := range map[string]ed25519.PrivateKey{"docket": w.Docket, "custodian": w.Custodians["judicial-1"]} {
		// It would write the log or watch over it, and act on it.
		as := func(kind byte) string { return vkeyOf(log.name, kind, key) }
		c.Policy = strings.Replace(w.Charter.Policy, vkeyOf(log.name, typeEd25519, log.key), as(typeEd25519), 1)
		w.refused(name+" writes the log", "key of the charter", CharterEntry(w.Sign(&c)))
		c.Policy = strings.Replace(w.Charter.Policy, vkeyOf("a.example", typeCosignature, keyOf("a")), as(typeCosignature), 1)
		w.refused(name+" is a witness", "key of the charter", CharterEntry(w.Sign(&c)))
	}
	c.Policy = w.Charter.Policy
	c.Directory.Policy = strings.Replace(c.Directory.Policy, "witness d ", "witness d d+", 1)
	w.refused("policy of the directory", "directory", CharterEntry(w.Sign(&c)))
	c.Directory.Policy = w.Charter.Policy
	w.refused("one log for both", "not distinct", CharterEntry(w.Sign(&c)))
	theirs, _, _ := chartertest.DirectoryKeys()
	c.Directory.Policy = w.Charter.Directory.Policy
	c.Policy = strings.Replace(w.Charter.Policy, vkeyOf("a.example", typeCosignature, keyOf("a")), vkeyOf("a.example", typeCosignature, theirs), 1)
	w.refused("the directory's log is a witness of the ledger", "not distinct", CharterEntry(w.Sign(&c)))
	c.Policy = w.Charter.Policy
	c.Directory.Policy = "log " + strings.Fields(w.Charter.Directory.Policy)[1] + "\nwitness l " + vkeyOf("l.example", typeCosignature, log.key) + "\nquorum l\n"
	w.refused("the ledger's log is a witness of the directory", "not distinct", CharterEntry(w.Sign(&c)))
	c.Directory.Policy = newTestLog(t, "another").policyText()
	w.refused("another directory", "another directory", CharterEntry(w.Sign(&c)))
	c.Directory = w.Charter.Directory
	c.Directory.VRF[0] ^= 1
	w.refused("another label key", "another directory", CharterEntry(w.Sign(&c)))
	c.Directory = w.Charter.Directory
	s := w.Sign(&c)
	s.Signatures = s.Signatures[:1]
	w.refused("signatures", "missing", CharterEntry(s))
	pinned := &world{World: w.World, t: t, book: NewBook(charter.Hash{1}), seen: lawTime}
	pinned.refused("not named", "nobody named", w.entries[0])
	pinned.book = NewBook(charter.Hash{1}, w.Charter.Hash())
	pinned.mustApply(w.entries[0])
}

// An amendment may replace witnesses, and not the log: it would begin another history.
func TestAmendmentKeepsTheLog(t *testing.T) {
	w := newWorld(t)
	c := *w.Charter
	log := newTestLog(t, "log")
	c.Number, c.Previous = 2, c.Hash()
	c.Policy = strings.Replace(c.Policy, vkeyOf(log.name, typeEd25519, log.key), vkeyOf(log.name, typeEd25519, keyOf("another")), 1)
	w.refused("another log", "another log", CharterEntry(w.Sign(&c)))
	w.amend(func(c *charter.Charter) {
		c.Policy = strings.Replace(c.Policy, vkeyOf("a.example", typeCosignature, keyOf("a")), vkeyOf("d.example", typeCosignature, keyOf("d")), 1)
	})
}

func TestKeysConflictAndOverdue(t *testing.T) {
	w := newWorld(t)
	p, name := w.Charter.Period(lawTime), w.Charter.Name
	second := w.Statement("judicial", "judicial-1", p+1)
	second.Period = p
	second.Sign(w.Custodians["judicial-1"])
	w.refused("second key", "second key", CustodianKeyEntry(second))
	due := time.Unix(int64(w.Charter.DestroyBy(p)+w.Charter.Limits.Freshness), 0)
	if f := w.book.Overdue(due); len(f) != 0 {
		t.Errorf("overdue too early: %v", f)
	}
	if f := w.book.Overdue(due.Add(time.Second)); len(f) != 8 {
		t.Errorf("%d keys overdue, want 8: %v", len(f), f)
	}
	gone := &Destruction{Office: "judicial", Custodian: "judicial-1", Period: p, CharterName: name}
	gone.Sign(w.custodian("judicial-1"))
	w.mustApply(gone.Entry())
	if f := w.book.Overdue(due.Add(time.Second)); len(f) != 7 {
		t.Errorf("%d keys overdue, want 7", len(f))
	}
}

// A shorter horizon holds from the day its version does, for who saw the law before it;
// giving up access ends all keys at once.
func TestDestroyByVersion(t *testing.T) {
	w := newWorld(t)
	p, name, first := w.Charter.Period(lawTime), w.Charter.Name, w.Charter
	delay := time.Duration(first.Limits.ActivationDelay) * time.Second
	w.Charter = w.amend(func(c *charter.Charter) { c.Limits.Horizon /= 2 })
	w.amend(func(c *charter.Charter) {
		*c = charter.Charter{Name: name, Jurisdiction: "Testland", LegalBasis: "none", Language: "en", Number: 3, Previous: c.Previous, Policy: c.Policy, Directory: c.Directory}
	})
	for _, row := range []struct {
		after time.Duration
		want  uint64
	}{{0, first.DestroyBy(p)}, {delay - time.Second, first.DestroyBy(p)}, {delay, w.Charter.DestroyBy(p)},
		{2*delay - time.Second, w.Charter.DestroyBy(p)}, {2 * delay, 0}} {
		if at, ok := w.book.DestroyBy(name, p, lawTime.Add(row.after)); at != row.want || !ok {
			t.Errorf("after %v: %d, want %d", row.after, at, row.want)
		}
	}
	if _, ok := w.book.DestroyBy("another", p, lawTime); ok {
		t.Error("an unknown law has a horizon")
	}
	grace := time.Duration(w.Charter.Limits.Freshness) * time.Second
	if f := w.book.Overdue(lawTime.Add(2*delay + grace)); len(f) != 16 {
		t.Errorf("access given up: %d findings, want 16: %v", len(f), f)
	}
}

// A key, and each half of it, serves one custodian in one period: repeated in
// another it would outlive its horizon, and whoever sees the statements of one
// period only would take it for sound.
func TestKeyRepeatedInAnotherPeriod(t *testing.T) {
	w := newWorld(t)
	p := w.Charter.Period(lawTime)
	repeat := func(office, custodian string, change func(k *charter.KeyStatement)) []byte {
		k := w.Statement(office, custodian, p+2)
		change(k)
		k.Sign(w.Custodians[custodian])
		return CustodianKeyEntry(k)
	}
	own, other := w.Statement("judicial", "judicial-1", p), w.Statement("judicial", "judicial-2", p+1)
	for name, entry := range map[string][]byte{
		"own key":         repeat("judicial", "judicial-1", func(k *charter.KeyStatement) { k.PublicKey = own.PublicKey }),
		"another's key":   repeat("judicial", "judicial-1", func(k *charter.KeyStatement) { k.PublicKey = other.PublicKey }),
		"ML-KEM half":     repeat("judicial", "judicial-1", func(k *charter.KeyStatement) { copy(k.PublicKey, own.PublicKey[:1184]) }),
		"X25519 half":     repeat("judicial", "judicial-1", func(k *charter.KeyStatement) { copy(k.PublicKey[1184:], other.PublicKey[1184:]) }),
		"half of a token": repeat("oversight", "oversight-1", func(k *charter.KeyStatement) { copy(k.PublicKey, own.PublicKey[:1184]) }),
	} {
		w.refused(name, "in use", entry)
	}
	w.mustApply(CustodianKeyEntry(w.Statement("judicial", "judicial-1", p+2)))
}

// R23: a second reader finds the same numbers, and they are the right ones.
func TestStatisticsR23(t *testing.T) {
	w := newWorld(t)
	w.all()
	w.mustApply(w.warrant(2, func(x *Warrant) { x.Flags = warrant.IsEmergency }).Entry())
	w.mustApply(w.warrant(3, func(x *Warrant) { x.Flags, x.CaseType = warrant.IsTest, "missing-person" }).Entry())
	w.apply([]byte("junk"))
	again := NewBook(w.Charter.Hash())
	for i, e := range w.entries {
		if err := again.Apply(uint64(i), e, lawTime.Add(time.Duration(i)*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(w.book.Statistics(), again.Statistics()) || !reflect.DeepEqual(w.book.Findings(), again.Findings()) {
		t.Error("two readers differ")
	}
	got, err := json.Marshal(again.Statistics())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"entries":13,"findings":1,"rounds":0,"laws":{"Testland Communications Warrants":{"versions":1,"custodian_keys":17,"destructions":1,` +
		`"real":{"warrants":2,"emergencies":1,"holds":0,"preservations":0,"renewals":0,"privileged":0,"cancellations":1,"reviews_confirmed":0,"reviews_refused":0,"errors":{"wrong person":1},"warrants_by_case_type":{"serious-crime":2},"approvals_by_office":{"judicial":2,"oversight":2},"requests":1,"compartments":3,"releases_by_custodian":{"judicial/judicial-1":1},"readings":1,"exports":0},` +
		`"test":{"warrants":1,"emergencies":0,"holds":0,"preservations":0,"renewals":0,"privileged":0,"cancellations":0,"reviews_confirmed":0,"reviews_refused":0,"errors":{},"warrants_by_case_type":{"missing-person":1},"approvals_by_office":{"judicial":1,"oversight":1},"requests":0,"compartments":0,"releases_by_custodian":{},"readings":0,"exports":0},` +
		`"refusals_by_reason":{"4":1},"refusals_by_custodian":{"oversight/oversight-1":1}}}}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	w.book.Statistics().Laws[w.Charter.Name].Real.WarrantsByCaseType["tax"]++
	if !reflect.DeepEqual(w.book.Statistics(), again.Statistics()) {
		t.Error("a caller can change the book")
	}
}

func FuzzEntry(f *testing.F) {
	w := newWorld(f)
	w.all()
	for _, e := range w.entries {
		f.Add(e)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEntry(b)
		if err != nil {
			if e != nil {
				t.Fatal("entry beside an error")
			}
			return
		}
		if again := reencode(e); !bytes.Equal(again, b) {
			t.Fatalf("%x encodes as %x", b, again)
		}
		if err := w.book.Check(e); err == nil && !known(w, b) {
			t.Fatalf("forged entry counts: %x", b)
		}
	})
}

func known(w *world, b []byte) bool {
	for _, e := range w.entries {
		if bytes.Equal(e, b) {
			return true
		}
	}
	return false
}

func reencode(e *Entry) []byte {
	switch {
	case e.Charter != nil:
		return CharterEntry(e.Charter)
	case e.CustodianKey != nil:
		return CustodianKeyEntry(e.CustodianKey)
	case e.Warrant != nil:
		return e.Warrant.Entry()
	case e.Request != nil:
		return e.Request.Entry()
	case e.Release != nil:
		return e.Release.Entry()
	case e.Refusal != nil:
		return e.Refusal.Entry()
	case e.Cancellation != nil:
		return e.Cancellation.Entry()
	case e.Review != nil:
		return e.Review.Entry()
	case e.Error != nil:
		return e.Error.Entry()
	case e.Preservation != nil:
		return e.Preservation.Entry()
	case e.HoldEnd != nil:
		return e.HoldEnd.Entry()
	case e.Reading != nil:
		return e.Reading.Entry()
	case e.Round != nil:
		return e.Round.Entry()
	}
	return e.Destruction.Entry()
}

func BenchmarkBookApplyWarrant(b *testing.B) {
	w := newWorld(b)
	w.Charter.Limits.CapSubjects = 1_000_000
	entries := make([][]byte, b.N)
	for i := range entries {
		entries[i] = w.warrant(0, func(x *Warrant) { x.Commitment = [32]byte{byte(i), byte(i >> 8), byte(i >> 16), 1} }).Entry()
	}
	w.begin()
	w.mustApply(CharterEntry(w.Sign(w.Charter)))
	b.ReportAllocs()
	b.ResetTimer()
	for _, e := range entries {
		w.apply(e)
	}
}
