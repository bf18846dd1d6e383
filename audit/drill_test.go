package audit_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"writ/audit"
	"writ/charter"
	"writ/examine"
	"writ/internal/testenv"
	"writ/internal/testlaw"
	"writ/ledger"
	"writ/unseal"
	"writ/warrant"
)

// A drill from the registration of its account to the public report: the test accounts of
// anybody speak, a test warrant opens them, and another goes beyond the cap. Its entries say
// that it is one, it takes no place of a person, and no number of people has it.
func TestDrillStaysOutOfTheNumbers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := testenv.New(t, testenv.Options{Shapes: testlaw.Small, Charter: func(c *charter.Charter) { c.Limits.CapSubjects = 1 }})
	ann, ben := w.Person("test.ann"), w.Person("test.ben")
	ann.Say(w.Talk(ann, ben), "this is a drill")
	alice, bob := w.Person("alice"), w.Person("bob")
	id := w.Talk(alice, bob)
	alice.Say(id, "this is not")

	test := func(x *warrant.Warrant) { x.Flags |= warrant.IsTest }
	drill, order := w.Authorise("test.ann", test), w.Authorise("alice")
	w.Open(drill)
	w.Open(order)
	beyond := w.Authorise("test.ann", test)
	p := w.Package(beyond, ann.Capsule(ann.Conversations()[0], 1, 0))
	out, err := w.Ask(w.Custodians[0], p)
	w.Must(err)
	if reason := out.GetRefused().GetReason(); reason != uint32(unseal.ReasonCap) {
		t.Errorf("a drill beyond the cap: %v", unseal.Reason(reason))
	}
	x, reader := w.Warrant("alice") // a person's account under the flag of a drill
	test(x)
	c, err := examine.NewCase(x, reader)
	w.Must(err)
	if _, err := warrant.Parse(c.Warrant.Encode()); err == nil {
		t.Error("a drill on a person parses")
	}

	a := audit.New(w.Charter.Hash())
	f := w.Follower()
	var tests, people []uint64 // warrants, by index
	opened := map[uint64]int{} // releases, by warrant
	requests := map[ledger.EntryHash]uint64{}
	_, err = f.Update(ctx, 0, func(index uint64, entry []byte, seen time.Time) error {
		e, err := ledger.ParseEntry(entry)
		w.Must(err)
		switch {
		case e.Warrant != nil && e.Warrant.IsTest():
			tests = append(tests, index)
		case e.Warrant != nil:
			people = append(people, index)
		case e.Request != nil:
			requests[e.Hash()] = e.Request.WarrantIndex
		case e.Release != nil:
			opened[requests[e.Release.Request]]++
		}
		return a.Apply(index, entry, seen)
	})
	w.Must(err)
	if len(tests) != 2 || len(people) != 1 || opened[tests[0]] != 2 && opened[tests[0]] != 3 || opened[tests[1]] != 0 {
		t.Errorf("drills %v, orders %v, releases %v", tests, people, opened)
	}
	for i, at := range append(slices.Clone(people), tests...) {
		if lw, ok := a.Book().Warrant(at); !ok || lw.Rank != []int{1, 1, 2}[i] {
			t.Errorf("warrant %d: %+v", at, lw)
		}
	}
	checkpoint, err := f.Checkpoint(ctx)
	w.Must(err)
	law := a.Report(w.Policy, checkpoint, audit.Options{Now: time.Now()}).Laws[0]
	for _, u := range law.Caps {
		if u.Warrants != 1 {
			t.Errorf("%d people under the cap", u.Warrants)
		}
	}
	for _, table := range law.Tables {
		n, want := table.Numbers, audit.Numbers{Orders: 1, Requests: 1, Openings: 1, Opened: 1}
		if table.Kind == "drills" {
			want = audit.Numbers{Orders: 2, Requests: 2, Openings: 1, Opened: 1, BeyondCap: 1, Refusals: n.Refusals}
		}
		if n.Orders != want.Orders || n.Requests != want.Requests || n.Openings != want.Openings || n.Opened != want.Opened ||
			n.BeyondCap != want.BeyondCap || n.Refusals != want.Refusals || n.ApprovalsByOffice["judicial"] != want.Orders {
			t.Errorf("%s %s: %+v", table.Kind, table.Span, n)
		}
	}
	if len(law.Tables) < 2 || law.Tables[0].Kind != "people" {
		t.Errorf("%d tables", len(law.Tables))
	}
}
