package unseal

import (
	"testing"
	"time"

	"writ/capsule"
	"writ/charter"
	"writ/ledger"
	"writ/warrant"
	"writ/warrant/warranttest"
)

// lastOf returns the index and hash of the last entry of a type.
func (w *world) lastOf(kind ledger.Type) (index uint64, h ledger.EntryHash) {
	for i, b := range w.log.entries {
		if e, err := ledger.ParseEntry(b); err == nil && e.Type() == kind {
			index, h = uint64(i), e.Hash()
		}
	}
	return index, h
}

func (w *world) sign(h warrant.Hash, office string) warrant.Approval {
	id := office + "-approver-1"
	return must(warrant.ParseApproverKey(w.Approvers[id].Seed())).Approve(h, office, id)
}

func (w *world) cancellation() *ledger.Cancellation {
	x := &ledger.Cancellation{}
	x.WarrantIndex, x.Warrant = w.lastOf(ledger.TypeWarrant)
	x.Approval = w.sign(x.Hash(), "oversight")
	return x
}

func (w *world) review(o ledger.Outcome, offices ...string) *ledger.Review {
	x := &ledger.Review{Outcome: o}
	x.WarrantIndex, x.Warrant = w.lastOf(ledger.TypeWarrant)
	for _, office := range offices {
		x.Approvals = append(x.Approvals, w.sign(x.Hash(), office))
	}
	return x
}

func (w *world) mistake(k ledger.ErrorKind) *ledger.Error {
	x := &ledger.Error{Kind: k}
	x.RequestIndex, x.Request = w.lastOf(ledger.TypeRequest)
	x.Approval = w.sign(x.Hash(), "oversight")
	return x
}

// urgent is an emergency whose life began so long ago; its review is due after a
// day.
func urgent(ago time.Duration) func(*world) edits {
	return order(func(w *world, o *warrant.Warrant) {
		o.Flags = warrant.IsEmergency
		o.NotBefore = uint64(w.now.Add(-ago).Unix())
		o.NotAfter = o.NotBefore + 2*day
	})
}

// renewal renews a warrant that was logged before, of the same person but for
// what change does to it.
func renewal(change func(old *warrant.Warrant), parcel func(*Request)) func(*world) edits {
	return func(w *world) edits {
		old := w.order()
		e := edits{order: func(o *warrant.Warrant) {
			call(change, old)
			o.Renews = warrant.Commitment([32]byte{5}, old.Hash())
			entry := &ledger.Warrant{Public: old.Public([32]byte{5}, w.Charter)}
			entry.Approvals = warranttest.Approvals(w.World, entry.Public)
			entry.Sign(ledger.DocketSigner(w.Docket))
			w.counted(entry.Entry())
		}}
		e.parcel = func(q *Request) {
			q.Renewed = warrant.Salted(old, [32]byte{5})
			call(parcel, q)
		}
		return e
	}
}

// TestStandingAccepts: what stands is authorised, at the edge.
func TestStandingAccepts(t *testing.T) {
	for _, r := range []refusal{
		{name: "R18 review due in a second", edits: urgent(24*time.Hour - time.Second)},
		{name: "R18 confirmed in time", edits: urgent(25 * time.Hour), after: func(w *world) {
			w.now = w.now.Add(-2 * time.Hour)
			defer func() { w.now = w.now.Add(2 * time.Hour) }()
			w.counted(w.review(ledger.ReviewConfirmed, "judicial", "oversight").Entry())
		}},
		{name: "R20 renewal of the same person's warrant", edits: renewal(nil, nil)},
	} {
		if _, _, a, refused := r.answer(t); a == nil {
			t.Errorf("%s: %+v", r.name, refused)
		}
	}
}

// TestIntentAfterCancellation: the ledger's order decides between an intent and a
// cancellation, whatever the custodian had authorised: an intent that comes after
// it does not count, and what does not count the custodian never sees proven.
func TestIntentAfterCancellation(t *testing.T) {
	w, _, a, refused := (refusal{}).answer(t)
	if refused != nil {
		t.Fatal(refused)
	}
	intent := a.Intent()
	intent.Sign(w.signing("judicial-1"))
	w.counted(w.cancellation().Entry())
	e := must(ledger.ParseEntry(intent.Entry()))
	if err := w.book.Check(e); err == nil {
		t.Error("an intent counts after the cancellation")
	}
	w.publish(intent.Entry())
	if _, ok := w.book.Find(e.Hash()); ok {
		t.Error("a notary that logs it makes it count")
	}
}

// privilege gives a law the rule that a privileged conversation needs the bar.
func privilege(c *charter.Charter) {
	c.Privilege = charter.Rules{{Office: "bar", Threshold: 1}}
}

// TestPrivilegedReleaseR35: with the bar's approval a privileged compartment is
// released, and an ordinary one too.
func TestPrivilegedReleaseR35(t *testing.T) {
	for _, r := range []refusal{
		{name: "privileged", parts: func(w *world) []Compartment { return parcel(w.sealAs("alice", "c", 1, capsule.Privileged)) }},
		{name: "ordinary", parts: func(w *world) []Compartment { return parcel(w.seal("alice", "c", 1)) }},
	} {
		r.law = privilege
		r.edits = order(func(_ *world, o *warrant.Warrant) { o.Flags = warrant.IsPrivileged })
		if _, _, a, refused := r.answer(t); a == nil {
			t.Errorf("%s: %+v", r.name, refused)
		}
	}
}
