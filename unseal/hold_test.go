package unseal

import (
	"bytes"
	"testing"

	"writ/capsule"
	"writ/ledger"
	"writ/warrant"
)

// preserve is an order to keep what alice sent.
func (w *world) preserve() *warrant.Warrant {
	o := w.order()
	o.Action = warrant.Preserve
	return o
}

// keep has one custodian authorise a hold, log its intent and take out its shares.
func (w *world) keep(q *Request, office, custodian string) map[capsule.Hash][]byte {
	w.t.Helper()
	f := w.facts(office, custodian)
	a, refusal := Authorize(q, f)
	if refusal != nil {
		w.t.Fatalf("%s: %v (%s)", custodian, refusal.Reason, refusal.Why)
	}
	kept, err := Keep(a, w.include(a.SignIntent(w.signing(custodian))), f.Keys, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	if until := a.warrant.NotBefore + w.Charter.Limits.MaxHold; a.Until() != until || !a.Preserves() {
		w.t.Errorf("kept until %d, want %d", a.Until(), until)
	}
	held := map[capsule.Hash][]byte{}
	for _, k := range kept {
		held[k.Capsule] = k.Secret[:]
	}
	return held
}

// R28: what was held opens after the horizon, under a warrant of its own, though every
// period key is gone. Its neighbours of the same period stay closed for ever.
func TestHoldOutlivesTheHorizon(t *testing.T) {
	w := newWorld(t)
	held, neighbour := w.seal("alice", "c", 1), w.seal("alice", "c", 2)
	order := w.order()
	q := w.file(w.preserve(), parcel(held), edits{})
	kept := map[string]map[capsule.Hash][]byte{}
	for _, l := range w.access.Leaves() {
		kept[l.Custodian] = w.keep(q, l.Office, l.Custodian)
	}
	access := w.access
	w.now = w.now.AddDate(0, 0, 300) // a hold of most of a year
	if uint64(w.now.Unix()) < w.Charter.DestroyBy(access.Period()) {
		t.Fatal("the horizon has not passed")
	}
	order.NotBefore, order.NotAfter = uint64(w.now.Unix()), uint64(w.now.Unix())+3600
	order.NoticeDue = order.NotAfter
	facts := func(office, custodian string) Facts {
		f := w.facts(office, custodian)
		f.Keys = NewKeyring(office, custodian) // destroyed
		f.Kept = func(_ *ledger.Book, h capsule.Hash) []byte { return bytes.Clone(kept[custodian][h]) }
		return f
	}
	q = w.file(order, parcel(held), edits{})
	var shares []Share
	for _, l := range access.Leaves() {
		f := facts(l.Office, l.Custodian)
		a, refusal := Authorize(q, f)
		if refusal != nil {
			t.Fatalf("%s: %v (%s)", l.Custodian, refusal.Reason, refusal.Why)
		}
		r, err := NewRelease(a, w.intend(a.Intent(), l.Custodian), f.Keys, w.signing(l.Custodian), w.now)
		if err != nil {
			t.Fatal(err)
		}
		shares = append(shares, must(OpenRelease(r, w.reader, a.signing))...)
	}
	if s, _, bad, err := must(NewCombiner(access)).Combine(held.capsule.Bytes(), shares); err != nil || bad != nil || !bytes.Equal(s, held.s) {
		t.Errorf("does not open: bad %v, %v", bad, err)
	}
	again := *order
	again.Action = warrant.Preserve
	ended := facts("judicial", "judicial-1")
	ended.Kept = func(*ledger.Book, capsule.Hash) []byte { return nil }
	for _, x := range []struct {
		name  string
		order *warrant.Warrant
		parts []*compartment
		facts Facts
	}{
		{"a neighbour", order, []*compartment{neighbour}, facts("judicial", "judicial-1")},
		{"with a neighbour", order, []*compartment{held, neighbour}, facts("judicial", "judicial-1")},
		{"the hold is over", order, []*compartment{held}, ended},
		{"a hold of a hold", &again, []*compartment{held}, facts("judicial", "judicial-1")},
	} {
		_, refusal := Authorize(w.file(x.order, parcel(x.parts...), edits{}), x.facts)
		if refusal == nil || refusal.Reason != ReasonHorizon {
			t.Errorf("%s: %+v", x.name, refusal)
		}
	}
	wrong := facts("judicial", "judicial-1")
	wrong.Kept = func(*ledger.Book, capsule.Hash) []byte { return make([]byte, capsule.ShareSize) }
	if _, refusal := Authorize(w.file(order, parcel(held), edits{}), wrong); refusal == nil || refusal.Reason != ReasonShare {
		t.Errorf("a kept share that is another: %+v", refusal)
	}
}

// R28: holding releases nothing, and an opening's intent keeps nothing.
func TestHoldReleasesNothing(t *testing.T) {
	w := newWorld(t)
	c, me := w.seal("alice", "c", 1), "judicial-1"
	f := w.facts("judicial", me)
	hold, _ := Authorize(w.file(w.preserve(), parcel(c), edits{}), f)
	open, _ := Authorize(w.file(w.order(), parcel(c), edits{}), f)
	preservation := w.include(hold.SignIntent(w.signing(me)))
	release := w.include(open.SignIntent(w.signing(me)))
	forged := hold.Intent()
	for name, in := range map[string]*ledger.Included{"preservation": preservation, "release of another": release, "release": w.intend(forged, me)} {
		if _, err := NewRelease(hold, in, f.Keys, w.signing(me), w.now); err == nil {
			t.Errorf("released under a hold with a %s", name)
		}
	}
	if _, err := Keep(open, release, f.Keys, w.now); err == nil {
		t.Error("kept under an opening")
	}
	if _, err := Keep(hold, w.intend(hold.Intent(), me), f.Keys, w.now); err == nil {
		t.Error("kept with the intent to release")
	}
	if _, err := Keep(hold, preservation, f.Keys, w.now); err != nil {
		t.Error(err)
	}
}

// What a hold gave is erased when it is of no more use: after a refusal, and when the
// custodian says so.
func TestKeptSharesAreErased(t *testing.T) {
	w := newWorld(t)
	held, neighbour := w.seal("alice", "c", 1), w.seal("alice", "c", 2)
	order := w.order()
	l := w.access.Leaves()[0]
	share := w.keep(w.file(w.preserve(), parcel(held), edits{}), l.Office, l.Custodian)[held.capsule.Hash()]
	w.now = w.now.AddDate(0, 0, 300)
	order.NotBefore, order.NotAfter = uint64(w.now.Unix()), uint64(w.now.Unix())+3600
	order.NoticeDue = order.NotAfter
	var given []byte
	f := w.facts(l.Office, l.Custodian)
	f.Keys = NewKeyring(l.Office, l.Custodian)
	f.Kept = func(_ *ledger.Book, h capsule.Hash) []byte {
		if h != held.capsule.Hash() {
			return nil
		}
		given = bytes.Clone(share)
		return given
	}
	blank := make([]byte, capsule.ShareSize)
	if _, refusal := Authorize(w.file(order, parcel(held, neighbour), edits{}), f); refusal == nil || !bytes.Equal(given, blank) {
		t.Errorf("after a refusal %v it holds %x", refusal, given)
	}
	a, refusal := Authorize(w.file(order, parcel(held), edits{}), f)
	if refusal != nil || !bytes.Equal(given, share) {
		t.Fatalf("refused: %v", refusal)
	}
	in := w.intend(a.Intent(), l.Custodian)
	if _, err := NewRelease(a, in, f.Keys, w.signing(l.Custodian), w.now); err != nil {
		t.Fatal(err)
	}
	if a.Erase(); !bytes.Equal(given, blank) {
		t.Errorf("erased, and it holds %x", given)
	}
	if _, err := NewRelease(a, in, f.Keys, w.signing(l.Custodian), w.now); err == nil {
		t.Error("released what is erased")
	}
}
