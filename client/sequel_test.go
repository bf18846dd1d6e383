package client

import (
	"slices"
	"strings"
	"testing"
	"time"

	"writ/capsule"
	"writ/charter/chartertest"
	"writ/ledger"
	"writ/notice"
	"writ/warrant"
	"writ/warrant/warranttest"
)

// logged is a request on the world's ledger, and what is said of it there.
type logged struct {
	*world
	request *ledger.LoggedRequest
}

// logged logs a warrant, a request for capsules under it, and the signature of the
// request's round.
func (w *world) logged(n byte, flags warrant.Flags, hashes ...capsule.Hash) *logged {
	w.Helper()
	law, now := w.law.Charter, uint64(chartertest.Now.Unix())
	o := &warrant.Warrant{ID: [16]byte{n}, Charter: w.access, CaseType: "serious-crime", Action: warrant.Disclose, Flags: flags,
		WindowStart: chartertest.Now.Format(time.RFC3339), WindowEnd: chartertest.Now.Add(time.Hour).Format(time.RFC3339),
		NotBefore: now, NotAfter: now + 3600, ReaderKey: law.Offices[0].Custodians[0].Mail, Readers: warranttest.Readers(), NoticeDue: now + 30*86400}
	entry := &ledger.Warrant{Public: o.Public([32]byte{n}, law)}
	entry.Approvals = warranttest.Approvals(w.law, entry.Public)
	entry.Sign(ledger.DocketSigner(w.law.Docket))
	at := w.apply(entry.Entry())
	salt := [32]byte{n, 1}
	round, lock, err := notice.Lock(law, o, salt)
	w.check(err)
	r := &ledger.Request{WarrantIndex: at, Warrant: ledger.HashEntry(entry.Entry()), Round: round, Timelock: lock}
	for _, h := range hashes {
		r.Leaves = append(r.Leaves, notice.Leaf(h, salt))
	}
	slices.SortFunc(r.Leaves, func(a, b [32]byte) int { return slices.Compare(a[:], b[:]) })
	r.Sign(ledger.DocketSigner(w.law.Docket))
	w.apply(r.Entry())
	if w.book.Waiting(chartertest.Now.Add(100*24*time.Hour)) != nil {
		w.apply(ledger.NewRound(w.law.Beacon.Sign(round)).Entry())
	}
	x, _ := w.book.Request(ledger.HashEntry(r.Entry()))
	return &logged{w, x}
}

func (w *world) apply(entry []byte) uint64 {
	w.Helper()
	at := w.book.Size()
	w.check(w.book.Apply(at, entry, w.Now()))
	if f := w.book.Findings(); len(f) > 0 {
		w.Fatal(f)
	}
	return at
}

func (l *logged) release(custodian string) {
	l.Helper()
	office, _, _ := strings.Cut(custodian, "-")
	x := &ledger.Release{RequestIndex: l.request.Index, Request: l.request.Hash, Office: office, Custodian: custodian,
		Count: uint32(len(l.request.Leaves)), Root: l.request.Root}
	x.Sign(ledger.CustodianSigner(l.law.Custodians[custodian]))
	l.apply(x.Entry())
}

func (l *logged) refuse(custodian string, reason uint8) {
	l.Helper()
	office, _, _ := strings.Cut(custodian, "-")
	x := &ledger.Refusal{Request: l.request.Hash, Office: office, Custodian: custodian, Reason: reason}
	x.Sign(ledger.CustodianSigner(l.law.Custodians[custodian]))
	l.apply(x.Entry())
}

func (l *logged) approval(h warrant.Hash, office string) warrant.Approval {
	l.Helper()
	key, err := warrant.ParseApproverKey(l.law.Approvers[office+"-approver-1"].Seed())
	l.check(err)
	return key.Approve(h, office, office+"-approver-1")
}

func (l *logged) mistake(kind ledger.ErrorKind) {
	l.Helper()
	x := &ledger.Error{RequestIndex: l.request.Index, Request: l.request.Hash, Kind: kind}
	x.Approval = l.approval(x.Hash(), "oversight")
	l.apply(x.Entry())
}

func (l *logged) review(outcome ledger.Outcome, offices ...string) {
	l.Helper()
	w, _ := l.book.Warrant(l.request.WarrantIndex)
	x := &ledger.Review{WarrantIndex: w.Index, Warrant: w.Hash, Outcome: outcome}
	for _, office := range offices {
		x.Approvals = append(x.Approvals, l.approval(x.Hash(), office))
	}
	l.apply(x.Entry())
}

// told checks a device's notices against the ledger and wants so many cards.
func (w *world) told(d *Device, cards int) []Card {
	w.Helper()
	told, err := d.CheckNotices(w.book.Notices(0, w.Now()))
	w.check(err)
	if len(told) != cards {
		w.Fatalf("told of %d cards, not %d: %+v", len(told), cards, told)
	}
	return told
}

// says wants each text among a card's lines, or with "!" not there.
func (w *world) says(c Card, texts ...string) {
	w.Helper()
	all := strings.Join(c.Lines(), "\n")
	for _, text := range texts {
		if not, found := strings.CutPrefix(text, "!"); strings.Contains(all, not) == found {
			w.Errorf("%q in\n%s", text, all)
		}
	}
}

// said is a device that another said something to, and the hash of that capsule.
func (w *world) said(name string, storage Storage) (*Device, capsule.Hash) {
	w.Helper()
	d, other := w.deviceOn(name, w.access, storage), w.device(name+"-b", w.access)
	id := w.talk(d, other)
	w.send(d, id, "hello")
	return d, w.mine(d, name)
}

// R22: an office states on the ledger that an opening was an error, after the person was
// told of the opening and put the card away. The device tells again, once: what was wrong,
// by whom, where it stands, that it is sealed, and what to do.
func TestCardTellsOfAnErrorR22(t *testing.T) {
	w, storage := newWorld(t), NewMemory()
	d, h := w.said("anna-e", storage)
	l := w.logged(1, 0, h)
	for _, custodian := range []string{"judicial-1", "judicial-2", "oversight-1", "publication-1", "publication-2"} {
		l.release(custodian)
	}
	card := w.told(d, 1)[0]
	w.says(card, "They were: as many custodians released", "!sealed", "!error", "released their parts, by the ledger: 5. judicial-1 of ")
	if card.Sealed() || card.Outcome != notice.WereOpened {
		t.Errorf("sealed %v, outcome %v", card.Sealed(), card.Outcome)
	}
	n := l.request.Index
	w.check(d.AcknowledgeNotice(n))
	w.told(d, 0)

	w.wait(time.Hour)
	at := w.book.Size()
	l.mistake(ledger.WrongPerson)
	due := w.book.Notices(0, w.Now())
	card = w.told(d, 1)[0]
	w.says(card, "This was an error: the person named is not the one who was meant (wrong person).", w.law.Charter.Office("oversight").Title+" states so in entry",
		"where your device saw it on 2 November 2026 13:00 UTC", "What was opened is sealed since then.", "You can demand to know who read it")
	if !card.Sealed() || card.Acknowledged || len(card.Errors) != 1 || card.Errors[0].Index != at {
		t.Errorf("%+v", card)
	}
	w.told(d, 0)

	d = w.deviceOn("anna-e", w.access, storage)
	cards, err := d.Cards()
	w.check(err)
	w.says(cards[0], "This was an error", "sealed since then")
	w.told(d, 0)
	w.check(d.AcknowledgeNotice(n))
	d = w.deviceOn("anna-e", w.access, storage)
	w.told(d, 0)
	if cards, err = d.Cards(); err != nil || !cards[0].Acknowledged {
		t.Error("put away, and shown again", err)
	}
	due[0].Sequel = ledger.Sequel{} // of a copy of the ledger that begins anew
	again, err := d.CheckNotices(due)
	w.check(err)
	if cards, _ = d.Cards(); len(again) != 0 || !cards[0].Sealed() || len(cards[0].Answers) != 5 {
		t.Errorf("a ledger that says less takes back what was seen: %+v", cards[0])
	}
}

// An error of one request seals the others of its warrant, unless it only went too far.
func TestCardTellsOfAnErrorBesideIt(t *testing.T) {
	for kind, cards := range map[ledger.ErrorKind]int{ledger.Unlawful: 2, ledger.BeyondScope: 1} {
		w := newWorld(t)
		d, h := w.said("anna-eb", NewMemory())
		first := w.logged(1, 0, h)
		r := *first.request.Request
		r.Timelock, r.Leaves = slices.Clone(r.Timelock), [][32]byte{notice.Leaf(h, [32]byte{9})}
		law, _ := w.book.Charter(w.access)
		var err error
		o := &warrant.Warrant{WindowEnd: chartertest.Now.Add(time.Hour).Format(time.RFC3339), WindowStart: chartertest.Now.Format(time.RFC3339),
			NotBefore: uint64(chartertest.Now.Unix()), NotAfter: uint64(chartertest.Now.Unix()) + 3600, NoticeDue: uint64(chartertest.Now.Unix()) + 30*86400}
		r.Round, r.Timelock, err = notice.Lock(law, o, [32]byte{9})
		w.check(err)
		r.Sign(ledger.DocketSigner(w.law.Docket))
		w.apply(r.Entry())
		w.told(d, 2)
		first.mistake(kind)
		told := w.told(d, cards)
		if cards == 2 {
			w.says(told[1], "There was an error under the same warrant, in the request of entry")
		}
	}
}

// R18: an urgent warrant that is refused in review, or that nobody reviews in time, is told
// again, and so is one that is confirmed.
func TestCardTellsOfTheReviewR18(t *testing.T) {
	w := newWorld(t)
	d, h := w.said("anna-r", NewMemory())
	refused, confirmed, lapsed := w.logged(1, warrant.IsEmergency, h), w.logged(2, warrant.IsEmergency, h), w.logged(3, warrant.IsEmergency, h)
	for _, c := range w.told(d, 3) {
		w.says(c, "urgent procedure", "!sealed", "!review")
	}
	refused.review(ledger.ReviewRefused, "judicial")
	w.says(w.told(d, 1)[0], "The urgent warrant was refused in review, by "+w.law.Charter.Office("judicial").Title, "sealed since then")
	confirmed.review(ledger.ReviewConfirmed, "judicial", "oversight")
	w.says(w.told(d, 1)[0], "It was confirmed in review, by ", "!sealed")
	due, _ := w.book.ReviewDue(lapsed.request.WarrantIndex)
	w.wait(due.Sub(w.Now()) - time.Second)
	w.told(d, 0)
	w.wait(time.Second)
	w.says(w.told(d, 1)[0], "Nobody confirmed the urgent warrant: its review was due on", "sealed since then")
	w.told(d, 0)
}

// The card says what custodians answered: who refused and why, and that too few released
// for anything to open. It tells again when they do.
func TestCardTellsWhatCustodiansAnswered(t *testing.T) {
	w := newWorld(t)
	d, h := w.said("anna-c", NewMemory())
	l := w.logged(1, 0, h)
	l.refuse("judicial-3", 29)
	l.release("judicial-1")
	l.release("oversight-1")
	l.refuse("publication-1", 12)
	w.says(w.told(d, 1)[0], "By the public ledger they were not: not enough", "judicial-1 of ", "released their parts, by the ledger: 2.",
		"Custodian judicial-3 of "+w.law.Charter.Office("judicial").Title+" refused", "the custodian objected.", "had not signed in time.")
	for _, custodian := range []string{"judicial-2", "publication-1"} {
		l.release(custodian)
		w.told(d, 0)
	}
	l.release("publication-2")
	w.says(w.told(d, 1)[0], "They were: as many custodians", "Custodian judicial-3", "!Custodian publication-1")
}

// What a card keeps of the ledger is written and read alike.
func TestSequelEncoding(t *testing.T) {
	at := time.Unix(1_790_000_000, 0)
	for _, s := range []ledger.Sequel{{}, {
		Answers: []ledger.Answer{{Index: 3, Kind: ledger.TypeRefusal, Office: "judicial", Custodian: "judicial-1", Reason: 29}, {Index: 4, Kind: ledger.TypeRelease, Office: "o", Custodian: "c"}},
		Errors:  []ledger.LoggedError{{Index: 5, Seen: at, Request: 2, Office: "oversight", Kind: ledger.Unlawful}},
		Review:  &ledger.LoggedReview{Index: 6, Seen: at, Outcome: ledger.ReviewRefused, Offices: []string{"judicial", "oversight"}},
	}, {Unreviewed: true}} {
		got, err := parseSequel(encodeSequel(&s))
		if err != nil || string(encodeSequel(&got)) != string(encodeSequel(&s)) || len(got.Answers) != len(s.Answers) || (got.Review == nil) != (s.Review == nil) {
			t.Errorf("%+v: %+v, %v", s, got, err)
		}
		b := encodeSequel(&s)
		for i := range b {
			if _, err := parseSequel(b[:i]); err == nil {
				t.Errorf("%d of %d bytes pass", i, len(b))
			}
		}
	}
}

func FuzzParseSequel(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0})
	f.Add(encodeSequel(&ledger.Sequel{Review: &ledger.LoggedReview{Index: 6, Outcome: ledger.ReviewRefused, Offices: []string{"judicial"}, Seen: time.Unix(1, 0)},
		Errors:  []ledger.LoggedError{{Index: 5, Seen: time.Unix(1, 0), Office: "oversight", Kind: ledger.Unlawful}},
		Answers: []ledger.Answer{{Index: 3, Kind: ledger.TypeRefusal, Office: "o", Custodian: "c", Reason: 29}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseSequel(b); err == nil && string(encodeSequel(&s)) != string(b) {
			t.Fatal("encodes otherwise")
		}
	})
}
