package unseal

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"writ/capsule"
	"writ/charter"
	"writ/ledger"
	"writ/warrant"
)

// without takes a custodian out of a charter.
func without(c *charter.Charter, id string) {
	for i := range c.Offices {
		c.Offices[i].Custodians = slices.DeleteFunc(c.Offices[i].Custodians, func(x charter.Custodian) bool { return x.ID == id })
	}
	for _, gate := range c.Structure.Children {
		gate.Children = slices.DeleteFunc(gate.Children, func(n *charter.Node) bool { return n.Custodian == id })
	}
	c.Keys = slices.DeleteFunc(c.Keys, func(k *charter.KeyStatement) bool { return k.Custodian == id })
}

// amendedWorld is a world whose first version lacks oversight-2 and has some
// limits of its own. Something was sealed under it; since then a second version,
// without judicial-3, came into force.
func amendedWorld(t testing.TB, first, second func(l *charter.Limits)) (w *world, old *compartment, oldAccess *charter.Access) {
	var full []byte
	w = newWorld(t, func(c *charter.Charter) {
		full = c.Encode()
		without(c, "oversight-2")
		call(first, &c.Limits)
	})
	old, oldAccess = w.seal("alice", "c", 1), w.access
	next := must(charter.Parse(full))
	without(next, "judicial-3")
	next.Number, next.Previous = 2, w.Charter.Hash()
	call(second, &next.Limits)
	w.counted(ledger.CharterEntry(w.Sign(next)))
	w.now = w.now.Add(time.Duration(w.Charter.Limits.ActivationDelay) * time.Second)
	w.Charter, w.access = next, must(next.Access(next.Period(w.now), nil))
	w.sealer = must(capsule.NewSealer(w.access))
	return w, old, oldAccess
}

// since is an order whose window begins when the old version was in force.
func (w *world) since() *warrant.Warrant {
	o := w.order()
	o.WindowStart = w.now.AddDate(0, 0, -8).Format(time.RFC3339)
	return o
}

// TestEarlierVersionOpens: what was sealed under an earlier version is opened by
// those to whom it was sealed, also the one who was struck off, under a warrant of
// the version in force; a new custodian has no part in it.
func TestEarlierVersionOpens(t *testing.T) {
	w, old, access := amendedWorld(t, nil, nil)
	q := w.file(w.since(), parcel(old), edits{})
	var shares []Share
	for _, l := range access.Leaves() {
		f := w.facts(l.Office, l.Custodian)
		a, refusal := Authorize(q, f)
		if refusal != nil {
			t.Fatalf("%s: %v (%s)", l.Custodian, refusal.Reason, refusal.Why)
		}
		intent := a.Intent()
		r, err := NewRelease(a, w.intend(intent, l.Custodian), f.Keys, w.signing(l.Custodian), w.now)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := w.book.Release(intent.Request, l.Office, l.Custodian); !ok {
			t.Errorf("the intent of %s does not count: %v", l.Custodian, w.book.Findings())
		}
		shares = append(shares, must(OpenRelease(r, w.reader, a.signing))...)
	}
	if s, _, bad, err := must(NewCombiner(access)).Combine(old.capsule.Bytes(), shares); err != nil || bad != nil || !bytes.Equal(s, old.s) {
		t.Errorf("does not open: bad %v, %v", bad, err)
	}
	for _, x := range []struct {
		office, custodian string
		parts             []*compartment
		want              Reason
	}{
		{"judicial", "judicial-1", []*compartment{old, w.seal("alice", "c", 2)}, 0},
		{"oversight", "oversight-2", []*compartment{old}, ReasonKey},
		{"oversight", "oversight-2", []*compartment{w.seal("alice", "c", 2)}, 0},
		{"judicial", "judicial-3", []*compartment{w.seal("alice", "c", 2)}, ReasonKey},
	} {
		_, refusal := Authorize(w.file(w.since(), parcel(x.parts...), edits{}), w.facts(x.office, x.custodian))
		if refusal == nil && x.want != 0 || refusal != nil && refusal.Reason != x.want {
			t.Errorf("%s, %d compartments: %+v, want %d", x.custodian, len(x.parts), refusal, x.want)
		}
	}
}

// TestEarlierVersionNarrows: the limits of both versions bind.
func TestEarlierVersionNarrows(t *testing.T) {
	twice := func(w *world) *warrant.Warrant {
		w.file(w.since(), parcel(w.seal("alice", "d", 3)), edits{})
		return w.since()
	}
	apart := func(w *world) *warrant.Warrant { // the first in an earlier period of 30 days
		w.file(w.since(), parcel(w.seal("alice", "d", 3)), edits{order: func(o *warrant.Warrant) {
			o.NotBefore -= 40 * day
			o.NotAfter = o.NotBefore + 3600
		}})
		return w.since()
	}
	preserve := func(w *world) *warrant.Warrant {
		o := w.since()
		o.Action, o.NotBefore = warrant.Preserve, o.NotBefore-10
		return o
	}
	later := func(d time.Duration) func(w *world) *warrant.Warrant {
		return func(w *world) *warrant.Warrant {
			o := w.since()
			w.now = w.now.Add(d)
			o.NotBefore, o.NotAfter = uint64(w.now.Unix()), uint64(w.now.Unix())+3600
			o.NoticeDue = o.NotBefore
			return o
		}
	}
	for _, x := range []struct {
		name          string
		first, second func(l *charter.Limits)
		order         func(w *world) *warrant.Warrant
		want          Reason
	}{
		{name: "same limits", order: (*world).since},
		{name: "window", first: func(l *charter.Limits) { l.MaxWindow = 18 * day }, order: (*world).since},
		{name: "window, narrower before", first: func(l *charter.Limits) { l.MaxWindow = 18*day - 1 }, order: (*world).since, want: ReasonScopeCharter},
		{name: "window, narrower now", second: func(l *charter.Limits) { l.MaxWindow = 18*day - 1 }, order: (*world).since, want: ReasonWindow},
		{name: "life, narrower before", first: func(l *charter.Limits) { l.MaxWarrantLife = 20*day - 1 }, order: (*world).since, want: ReasonScopeCharter},
		{name: "notice, narrower before", first: func(l *charter.Limits) { l.MaxNoticeDelay = day }, order: (*world).since, want: ReasonScopeCharter},
		{name: "cap, narrower before", first: func(l *charter.Limits) { l.CapSubjects = 1 }, order: twice, want: ReasonCap},
		{name: "cap period, longer before", first: func(l *charter.Limits) { l.CapSubjects, l.CapPeriod = 1, 360*day }, order: apart, want: ReasonCap},
		{name: "cap, narrower now", second: func(l *charter.Limits) { l.CapSubjects = 1 }, order: twice, want: ReasonCap},
		{name: "hold", order: preserve},
		{name: "hold, shorter before", first: func(l *charter.Limits) { l.MaxHold = 1 }, order: preserve, want: ReasonAction},
		{name: "horizon", order: later(60 * day * time.Second)},
		{name: "horizon, nearer now", second: func(l *charter.Limits) { l.Horizon = 20 * day }, order: later(60 * day * time.Second), want: ReasonHorizon},
	} {
		w, old, _ := amendedWorld(t, x.first, x.second)
		o := x.order(w)
		_, refusal := Authorize(w.file(o, parcel(old), edits{}), w.facts("judicial", "judicial-1"))
		if refusal == nil && x.want != 0 || refusal != nil && refusal.Reason != x.want {
			t.Errorf("%s: %+v, want %d", x.name, refusal, x.want)
		}
	}
}

// TestLaterVersionStaysClosed: while an amendment waits, the law in force reaches
// nothing that was sealed under it already.
func TestLaterVersionStaysClosed(t *testing.T) {
	w := newWorld(t)
	next := amended(w)
	w.counted(ledger.CharterEntry(w.Sign(next)))
	law := w.Charter
	w.Charter, w.sealer = next, must(capsule.NewSealer(must(next.Access(w.access.Period(), nil))))
	early := w.seal("alice", "c", 1)
	w.Charter = law
	_, refusal := Authorize(w.file(w.order(), parcel(early), edits{}), w.facts("judicial", "judicial-1"))
	if refusal == nil || refusal.Reason != ReasonScopeCharter {
		t.Errorf("%+v", refusal)
	}
}

// TestNarrowUnknown: a law or a warrant that the copy of the ledger does not count has no
// place under the cap, and is refused.
func TestNarrowUnknown(t *testing.T) {
	w := newWorld(t)
	q := w.file(w.order(), parcel(w.seal("alice", "c", 1)), edits{})
	index, _ := w.lastOf(ledger.TypeWarrant)
	logged, _ := w.book.Warrant(index)
	stranger := must(charter.Parse(w.Charter.Encode()))
	stranger.Number++
	known := must(charter.Parse(w.Charter.Encode()))
	for name, x := range map[string]struct {
		law  *charter.Charter
		at   *ledger.LoggedWarrant
		want Reason
	}{
		"known":           {known, logged, 0},
		"unknown law":     {stranger, logged, ReasonCap},
		"unknown warrant": {known, &ledger.LoggedWarrant{Index: index + 100}, ReasonCap},
	} {
		v := &vetting{f: w.facts("judicial", "judicial-1"), book: w.book, charter: w.Charter, logged: x.at, warrant: must(warrant.Parse(q.Warrant))}
		if f := v.narrow(x.law); f == nil && x.want != 0 || f != nil && f.reason != x.want {
			t.Errorf("%s: %+v, want %d", name, f, x.want)
		}
	}
}
