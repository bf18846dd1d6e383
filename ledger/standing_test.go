package ledger

import (
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"time"

	"writ/charter/chartertest"
	"writ/warrant"
)

func approverKey(t testing.TB, k ed25519.PrivateKey) *warrant.ApproverKey {
	key, err := warrant.ParseApproverKey(k.Seed())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign is the approval of OFFICE-approver-N.
func (w *world) sign(h warrant.Hash, office, n string) warrant.Approval {
	id := office + "-approver-" + n
	return approverKey(w.t, w.Approvers[id]).Approve(h, office, id)
}

func (w *world) cancel(at uint64) *Cancellation {
	lw, _ := w.book.Warrant(at)
	x := &Cancellation{WarrantIndex: at, Warrant: lw.Hash}
	x.Approval = w.sign(x.Hash(), "oversight", "1")
	return x
}

func (w *world) reviewOf(at uint64, o Outcome, offices ...string) *Review {
	lw, _ := w.book.Warrant(at)
	x := &Review{WarrantIndex: at, Warrant: lw.Hash, Outcome: o}
	for _, office := range offices {
		x.Approvals = append(x.Approvals, w.sign(x.Hash(), office, "1"))
	}
	return x
}

func (w *world) mistake(h EntryHash, k ErrorKind) *Error {
	r, _ := w.book.Request(h)
	x := &Error{RequestIndex: r.Index, Request: h, Kind: k}
	x.Approval = w.sign(x.Hash(), "oversight", "2")
	return x
}

func urgent(x *Warrant) { x.Flags = warrant.IsEmergency }

// What a reader was given stays as it was: he may look at it while the next entries come.
func TestGivenStandingDoesNotChange(t *testing.T) {
	w := newWorld(t)
	at, request := w.asked(1, urgent)
	book := w.book
	logged, _ := book.Warrant(at)
	asked, _ := book.Request(request)
	warrantWas, requestWas := *logged, *asked
	for _, entry := range [][]byte{w.mistake(request, BeyondScope).Entry(), w.cancel(at).Entry(), w.reviewOf(at, ReviewRefused, "oversight").Entry()} {
		if err := book.Apply(book.Size(), entry, lawTime); err != nil {
			t.Fatal(err)
		}
	}
	if logged.Standing != warrantWas.Standing || asked.Error != requestWas.Error {
		t.Errorf("became %+v, %v", logged.Standing, asked.Error)
	}
	if now, _ := book.Warrant(at); !now.Cancelled || now.Review != ReviewRefused || now.Error != BeyondScope {
		t.Errorf("it stands as %+v", now.Standing)
	}
}

// asked logs a warrant and a request under it.
func (w *world) asked(n byte, change func(*Warrant)) (at uint64, request EntryHash) {
	w.t.Helper()
	at = w.mustApply(w.warrant(n, change).Entry())
	r := w.request(at, n)
	w.mustApply(r.Entry())
	return at, HashEntry(r.Entry())
}

// TestStoppedWarrant: after a cancellation, a refusal in review or an error
// nothing more is asked for or released under a warrant, by the order of the log.
func TestStoppedWarrant(t *testing.T) {
	for name, stop := range map[string]func(w *world, at uint64, h EntryHash) []byte{
		"was cancelled": func(w *world, at uint64, _ EntryHash) []byte { return w.cancel(at).Entry() },
		"was refused in review": func(w *world, at uint64, _ EntryHash) []byte {
			return w.reviewOf(at, ReviewRefused, "judicial").Entry()
		},
		"wrong person": func(w *world, _ uint64, h EntryHash) []byte { return w.mistake(h, WrongPerson).Entry() },
		"unlawful":     func(w *world, _ uint64, h EntryHash) []byte { return w.mistake(h, Unlawful).Entry() },
		"beyond scope": func(w *world, _ uint64, h EntryHash) []byte { return w.mistake(h, BeyondScope).Entry() },
	} {
		w := newWorld(t)
		at, h := w.asked(1, urgent)
		w.mustApply(w.release(h, "judicial", "judicial-1", nil).Entry())
		w.mustApply(stop(w, at, h))
		w.refused("release after", name, w.release(h, "judicial", "judicial-2", nil).Entry())
		w.refused("request after", name, w.request(at, 77).Entry())
		for _, f := range w.book.Findings() {
			if f.Rule != "LED-74" {
				t.Errorf("%s: finding under %s", name, f.Rule)
			}
		}
		// R20: nor is it renewed.
		w.refused("renewal after", name, w.warrant(2, func(x *Warrant) { x.Renews = [32]byte{1} }).Entry())
	}
}

func TestCancellation(t *testing.T) {
	w := newWorld(t)
	at, _ := w.asked(1, nil)
	good := w.cancel(at)
	for want, change := range map[string]func(x *Cancellation){
		"not entry 9":      func(x *Cancellation) { x.WarrantIndex = 9 },
		"not entry 1":      func(x *Cancellation) { x.Warrant[0] ^= 1 },
		"does not verify":  func(x *Cancellation) { x.Approval.Signature = make([]byte, 64) },
		"no say":           func(x *Cancellation) { x.Approval.Office = "publication" },
		"no such approver": func(x *Cancellation) { x.Approval.Approver = "judicial-approver-1" },
	} {
		bad := *good
		change(&bad)
		w.refused(want, want, bad.Entry())
	}
	w.mustApply(good.Entry())
	again := w.cancel(at)
	again.Approval = w.sign(again.Hash(), "judicial", "1")
	w.refused("again", "cancelled before", again.Entry())
}

// TestReviewR18: confirming takes every office again, refusing one; each
// emergency is reviewed once, also when it was cancelled meanwhile.
func TestReviewR18(t *testing.T) {
	w := newWorld(t)
	plain, _ := w.asked(1, nil)
	w.refused("no emergency", "no emergency", w.reviewOf(plain, ReviewConfirmed, "judicial", "oversight").Entry())
	at, _ := w.asked(2, urgent)
	w.refused("one office", "without [oversight]", w.reviewOf(at, ReviewConfirmed, "judicial").Entry())
	w.refused("nobody refuses", "no office whole", w.reviewOf(at, ReviewRefused).Entry())
	refusal := w.reviewOf(at, ReviewRefused, "judicial", "oversight")
	refusal.Outcome = ReviewConfirmed
	w.refused("a refusal turned round", "does not verify", refusal.Entry())
	if _, err := ParseEntry(w.reviewOf(at, ReviewConfirmed, "oversight", "judicial").Entry()); err == nil {
		t.Error("approvals out of order")
	}
	if _, err := ParseEntry(w.reviewOf(at, 3, "judicial").Entry()); err == nil {
		t.Error("unknown outcome")
	}
	w.mustApply(w.cancel(at).Entry())
	w.mustApply(w.reviewOf(at, ReviewConfirmed, "judicial", "oversight").Entry())
	w.refused("again", "reviewed before", w.reviewOf(at, ReviewRefused, "judicial").Entry())
	a := w.book.Statistics().Laws[w.Charter.Name].Real
	if a.Confirmed != 1 || a.Refused != 0 || a.Cancellations != 1 || a.Emergencies != 1 {
		t.Errorf("%+v", a)
	}
}

// TestUrgentLapsesR18: an emergency lapses at the time at which its review is due,
// unless this reader saw the confirmation by then.
func TestUrgentLapsesR18(t *testing.T) {
	w := newWorld(t)
	plain, _ := w.asked(9, nil)
	at, h := w.asked(1, urgent)
	late, _ := w.asked(2, urgent)
	due := lawTime.Add(24 * time.Hour)
	if when, ok := w.book.ReviewDue(at); !ok || !when.Equal(due) {
		t.Fatalf("due %v", when)
	}
	before := due.Add(-time.Second)
	if w.book.Lapsed(at, before) || !w.book.Lapsed(at, due) || w.book.Lapsed(plain, due) {
		t.Error("lapses at another time, or another warrant does")
	}
	if _, sealed := w.book.Sealed(h, before); sealed {
		t.Error("sealed before the review is due")
	}
	if why, sealed := w.book.Sealed(h, due); !sealed || !strings.Contains(why, "was due") {
		t.Error("nobody confirmed it, and it can be read")
	}
	if f := w.book.Unreviewed(due); len(f) != 2 || f[0].Index != at || f[0].Rule != "LED-72" || len(w.book.Unreviewed(before)) != 0 {
		t.Errorf("unreviewed: %v", f)
	}
	if n := len(w.book.unreviewed.rows); n != 2 {
		t.Errorf("it looks at %d warrants", n)
	}
	w.seen = before
	w.mustApply(w.reviewOf(at, ReviewConfirmed, "judicial", "oversight").Entry())
	w.seen = due.Add(time.Second)
	w.mustApply(w.reviewOf(late, ReviewConfirmed, "judicial", "oversight").Entry())
	if w.book.Lapsed(at, due.Add(time.Hour)) || !w.book.Lapsed(late, due.Add(time.Hour)) {
		t.Error("confirmed in time it lives, confirmed late it does not")
	}
	if _, sealed := w.book.Sealed(h, due); sealed || len(w.book.Unreviewed(due)) != 0 {
		t.Error("confirmed, and still sealed or unreviewed")
	}
}

// TestErrorR22: an error seals what was opened, and is counted.
func TestErrorR22(t *testing.T) {
	for kind, both := range map[ErrorKind]bool{WrongPerson: true, Unlawful: true, BeyondScope: false} {
		w := newWorld(t)
		at, first := w.asked(1, nil)
		r := w.request(at, 50)
		w.mustApply(r.Entry())
		second := HashEntry(r.Entry())
		if _, sealed := w.book.Sealed(first, lawTime); sealed {
			t.Error("sealed before the error")
		}
		bad := w.mistake(first, kind)
		bad.Request = second
		w.refused("another request", "not entry", bad.Entry())
		w.mustApply(w.mistake(first, kind).Entry())
		again := w.mistake(first, kind)
		again.Approval = w.sign(again.Hash(), "judicial", "1")
		w.refused("again", "before", again.Entry())
		why, sealed := w.book.Sealed(first, lawTime)
		if !sealed || !strings.Contains(why, kind.String()) {
			t.Errorf("%v: not sealed: %q", kind, why)
		}
		if _, sealed := w.book.Sealed(second, lawTime); sealed != both {
			t.Errorf("%v: another request sealed: %v", kind, sealed)
		}
		if n := w.book.Statistics().Laws[w.Charter.Name].Real.Errors[kind.String()]; n != 1 {
			t.Errorf("%v: counted %d times", kind, n)
		}
	}
	w := newWorld(t)
	if _, sealed := w.book.Sealed(EntryHash{1}, lawTime); !sealed {
		t.Error("an unknown request can be read")
	}
	if _, err := ParseEntry((&Error{Kind: 4, Approval: w.sign(warrant.Hash{}, "judicial", "1")}).Entry()); err == nil {
		t.Error("unknown kind")
	}
}

// TestRenewalR20: a renewal names a warrant that stands, of its own law and kind,
// and takes its own place under the cap.
func TestRenewalR20(t *testing.T) {
	w := newWorld(t)
	w.mustApply(w.warrant(1, nil).Entry())
	w.mustApply(w.warrant(2, urgent).Entry())
	renew := func(n byte, change func(*Warrant)) []byte {
		return w.warrant(100, func(x *Warrant) {
			x.Renews = [32]byte{n}
			change(x)
		}).Entry()
	}
	none := func(*Warrant) {}
	w.refused("nothing", "not on the log", renew(9, none))
	w.refused("itself", "not on the log", renew(100, none))
	w.refused("a person's warrant by a test", "another kind", renew(1, func(x *Warrant) { x.Flags = warrant.IsTest }))
	w.refused("a disclosure by a preservation", "another kind", renew(1, func(x *Warrant) { x.Action = warrant.Preserve }))
	w.refused("an emergency that nobody confirmed", "not confirmed", renew(2, urgent))
	at := w.mustApply(renew(1, none))
	if lw, _ := w.book.Warrant(at); lw.Rank != 3 {
		t.Errorf("rank %d", lw.Rank)
	}
	a := w.book.Statistics().Laws[w.Charter.Name].Real
	if a.Renewals != 1 || a.Warrants != 3 {
		t.Errorf("%+v", a)
	}
	if f := w.book.Findings(); slices.ContainsFunc(f, func(f Finding) bool { return f.Rule != "LED-73" }) {
		t.Errorf("findings %+v", f)
	}
}

// TestPrivilegedEntryR35: an entry that reaches privileged conversations names the
// bar, and no other does; then the bar has its say afterwards too.
func TestPrivilegedEntryR35(t *testing.T) {
	w := newWorld(t)
	text := w.Charter.Policy
	w.World = chartertest.New("bar", chartertest.WithBar...)
	w.Charter.Policy = text
	w.begin()
	w.mustApply(CharterEntry(w.Sign(w.Charter)))
	offices := []string{"bar", "judicial", "oversight"}
	w.refused("without the bar", "must approve", w.warrant(1, func(x *Warrant) { x.Flags = warrant.IsPrivileged }).Entry())
	w.refused("the bar for nothing", "must approve", w.warrant(1, func(x *Warrant) { x.Offices = offices }).Entry())
	at := w.mustApply(w.warrant(1, func(x *Warrant) { x.Flags, x.Offices = warrant.IsPrivileged, offices }).Entry())
	other := w.mustApply(w.warrant(2, nil).Entry())
	no := w.cancel(other)
	no.Approval = w.sign(no.Hash(), "bar", "1")
	w.refused("the bar on another's", "no say", no.Entry())
	no = w.cancel(at)
	no.Approval = w.sign(no.Hash(), "bar", "1")
	w.mustApply(no.Entry())
	if n := w.book.Statistics().Laws[w.Charter.Name].Real.Privileged; n != 1 {
		t.Errorf("counted %d times", n)
	}
}
