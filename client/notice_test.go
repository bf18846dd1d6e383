package client

import (
	"context"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"writ/capsule"
	"writ/charter"
	"writ/charter/chartertest"
	"writ/directory"
	"writ/ledger"
	"writ/notice"
	"writ/warrant"
	"writ/warrant/warranttest"
)

// order is a warrant and a request under it as the ledger shows them.
type order struct {
	*warrant.Warrant
	notice ledger.Notice
	salt   [32]byte // of the warrant's commitment
}

// deviceOn opens the device that a storage holds, registered if it is new.
func (w *world) deviceOn(account string, law charter.Hash, storage Storage) *Device {
	w.Helper()
	d, err := Open(w.config(storage))
	w.check(err)
	if d.Identity() == (directory.Identity{}) {
		w.register(d, phone(account), law)
	}
	return d
}

// request makes a request for capsules. Its round is signed if it has come by the
// test's clock.
func (w *world) request(index uint64, hashes ...capsule.Hash) *order {
	w.Helper()
	law, _ := w.book.Charter(w.access)
	now := uint64(chartertest.Now.Unix())
	o := &order{Warrant: &warrant.Warrant{ID: [16]byte{1}, Charter: w.access, Reference: "12 Gs 34/26", LegalType: "order", CaseType: "serious-crime",
		Jurisdiction: "Testland", LegalEntity: "the police", Subject: "anna", SubjectAgain: "anna", Direction: warrant.Sent, Action: warrant.Disclose,
		WindowStart: chartertest.Now.Format(time.RFC3339), WindowEnd: chartertest.Now.Add(time.Hour).Format(time.RFC3339), NotBefore: now, NotAfter: now + 86400,
		Necessity: "Nothing else helps.", LeastIntrusive: "Tried.", ReaderKey: law.Offices[0].Custodians[0].Mail, Readers: warranttest.Readers(), NoticeDue: now + 30*86400}, salt: [32]byte{5}}
	entry := &ledger.Warrant{Public: o.Public(o.salt, law)}
	noticeSalt := [32]byte{byte(index)}
	round, lock, err := notice.Lock(law, o.Warrant, noticeSalt)
	w.check(err)
	r := &ledger.Request{WarrantIndex: index - 1, Warrant: ledger.HashEntry(entry.Entry()), Round: round, Timelock: lock}
	for _, h := range hashes {
		r.Leaves = append(r.Leaves, notice.Leaf(h, noticeSalt))
	}
	o.notice = ledger.Notice{Law: law,
		Warrant:   &ledger.LoggedWarrant{Warrant: entry, Index: index - 1, Hash: r.Warrant},
		Request:   &ledger.LoggedRequest{Request: r, Index: index, Hash: ledger.HashEntry(r.Entry()), Root: r.Root()},
		Signature: chartertest.New("client").Beacon.Sign(round)}
	return o
}

// mine returns the hash of the capsule of what an account said last in a device's
// conversations.
func (w *world) mine(d *Device, account string) (h capsule.Hash) {
	w.Helper()
	n, err := d.notebook()
	w.check(err)
	for _, x := range n.mine {
		if x.Label.Account == account {
			h = x.Hash
		}
	}
	if h == (capsule.Hash{}) {
		w.Fatalf("no capsule of %s", account)
	}
	return h
}

// R16: with nobody's help a device finds the person's opening in what the ledger
// shows, and keeps the card until it is acknowledged and after, also when it is started
// anew. Of what isn't the person's it says nothing.
func TestNotice(t *testing.T) {
	w := newWorld(t)
	storage := NewMemory()
	anna, ben := w.deviceOn("anna-n", w.access, storage), w.device("ben-n", w.access)
	id := w.talk(anna, ben)
	w.send(anna, id, "hello")
	w.sync(ben)
	own := w.request(11, w.mine(anna, "anna-n"))
	foreign := w.request(21, capsule.Hash{1})
	due := []ledger.Notice{foreign.notice, own.notice}
	cards, err := anna.CheckNotices(due)
	w.check(err)
	if len(cards) != 1 || cards[0].RequestEntry != 11 || len(cards[0].Opened) != 1 || cards[0].Opened[0].Account != "anna-n" || cards[0].Acknowledged {
		t.Fatalf("cards %+v", cards)
	}
	if again, err := anna.CheckNotices(due); err != nil || len(again) != 0 {
		t.Errorf("told twice: %v, %v", again, err)
	}
	if cards, err := ben.CheckNotices(due); err != nil || len(cards) != 1 {
		t.Errorf("who was in the conversation is told %d, %v", len(cards), err)
	}
	stranger := w.device("carl-n", w.access)
	if cards, err := stranger.CheckNotices(due); err != nil || len(cards) != 0 {
		t.Errorf("a stranger is told %d, %v", len(cards), err)
	}

	anna = w.deviceOn("anna-n", w.access, storage)
	if cards, err := anna.CheckNotices(due); err != nil || len(cards) != 0 {
		t.Errorf("after a restart: told again %d, %v", len(cards), err)
	}
	if err := anna.ShowWarrant(11, foreign.Warrant, [32]byte{6}); err == nil {
		t.Error("another warrant is taken for the one on the ledger")
	}
	w.check(anna.ShowWarrant(11, own.Warrant, own.salt))
	w.check(anna.AcknowledgeNotice(11))
	if err := anna.AcknowledgeNotice(21); err == nil {
		t.Error("a notice that there is not is acknowledged")
	}
	anna = w.deviceOn("anna-n", w.access, storage)
	cards, err = anna.Cards()
	w.check(err)
	if len(cards) != 1 || !cards[0].Acknowledged || cards[0].Order == nil || !strings.Contains(strings.Join(cards[0].Lines(), "\n"), "12 Gs 34/26") {
		t.Errorf("the card does not last: %+v", cards)
	}
}

// A device that was away is told what it finds later: the round comes first, and what
// was opened is read after it; and of a conversation that it has left.
func TestNoticeAfterAbsence(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("anna-na", w.access), w.device("ben-na", w.access)
	id := w.talk(anna, ben)
	w.send(anna, id, "hello")
	due := []ledger.Notice{w.request(11, w.mine(anna, "anna-na")).notice}
	if cards, err := ben.CheckNotices(due); err != nil || len(cards) != 0 {
		t.Fatalf("told before it read: %v, %v", cards, err)
	}
	w.sync(ben)
	if cards, err := ben.CheckNotices(due); err != nil || len(cards) != 1 {
		t.Errorf("told %v, %v when it has read", cards, err)
	}
	later := w.request(31, w.mine(ben, "anna-na"))
	w.check(anna.Remove(context.Background(), id, ben.Identity().Account))
	w.sync(ben)
	if cards, err := ben.CheckNotices(append(due, later.notice)); err != nil || len(cards) != 1 || cards[0].RequestEntry != 31 {
		t.Errorf("of a conversation that it has left: %v, %v", cards, err)
	}
}

// A timelock that doesn't open is passed over, and a card never rests on one.
func TestNoticeWithJunk(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("anna-nj", w.access), w.device("ben-nj", w.access)
	w.send(anna, w.talk(anna, ben), "hello")
	h := w.mine(anna, "anna-nj")
	junk, good := w.request(11, h).notice, w.request(21, h).notice
	broken := *junk.Request.Request
	broken.Timelock = append([]byte{}, broken.Timelock...)
	broken.Timelock[120] ^= 1
	junk.Request = &ledger.LoggedRequest{Request: &broken, Index: 11, Hash: ledger.HashEntry(broken.Entry())}
	cards, err := anna.CheckNotices([]ledger.Notice{junk, good})
	w.check(err)
	if len(cards) != 1 || cards[0].RequestEntry != 21 {
		t.Errorf("cards %+v", cards)
	}
}

// Storage that fails in the middle loses neither a capsule's hash nor a card.
func TestCapsulesArePaged(t *testing.T) {
	w := newWorld(t)
	storage := NewMemory()
	d := w.deviceOn("anna-np", w.access, storage)
	law, _ := w.book.Charter(w.access)
	access, err := law.Access(law.Period(chartertest.Now), nil)
	w.check(err)
	sealer, err := capsule.NewSealer(access)
	w.check(err)
	var last capsule.Hash
	for i := range uint64(2*minePage + 1) {
		c, err := sealer.Seal(&capsule.Label{Suite: 0xF001, Conversation: []byte("c"), Epoch: i, Account: "anna", Device: "phone", Charter: w.access,
			Period: law.Period(chartertest.Now), Opened: uint64(chartertest.Now.Unix())}, make([]byte, 32), make([]byte, 32))
		w.check(err)
		w.check(d.remember(c))
		w.check(d.remember(c))
		last = c.Hash()
	}
	d = w.deviceOn("anna-np", w.access, storage)
	n, err := d.notebook()
	w.check(err)
	if len(n.mine) != 2*minePage+1 || n.mine[2*minePage].Hash != last {
		t.Fatalf("%d capsules kept, the last %s", len(n.mine), hex.EncodeToString(n.mine[len(n.mine)-1].Hash[:]))
	}
}

func FuzzParseCard(f *testing.F) {
	f.Add([]byte{})
	w := newWorld(f)
	d, h := w.said("anna-f", NewMemory())
	l := w.logged(1, 0, h)
	l.release("judicial-1")
	l.refuse("judicial-2", 29)
	l.mistake(ledger.Unlawful)
	w.told(d, 1)
	f.Add(d.noted.cards[l.request.Index].encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := parseCard(b); err == nil && string(c.encode()) != string(b) {
			t.Fatal("encodes otherwise")
		}
	})
}

// BenchmarkCheck10000Notices is the first look of a device that was away: 10,000
// requests, of which none is its own, and 1000 capsules.
func BenchmarkCheck10000Notices(b *testing.B) {
	w := newWorld(b)
	one := w.request(11, capsule.Hash{31: 1}).notice
	var due []ledger.Notice
	for i := range 10_000 {
		x := *one.Request
		x.Index, x.Hash = uint64(i), ledger.EntryHash{byte(i), byte(i >> 8), 1}
		due = append(due, ledger.Notice{Law: one.Law, Warrant: one.Warrant, Request: &x, Signature: one.Signature})
	}
	for b.Loop() {
		d := w.device("anna-nb", w.access)
		n, err := d.notebook()
		w.check(err)
		for i := range 1000 {
			n.add(notice.Compartment{Hash: capsule.Hash{byte(i), byte(i >> 8)}, Label: &capsule.Label{}})
		}
		if cards, err := d.CheckNotices(due); err != nil || len(cards) > 0 {
			b.Fatal(len(cards), err)
		}
	}
}
