package adversary

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"writ/bundle"
	"writ/capsule"
	"writ/charter"
	"writ/charter/chartertest"
	"writ/examine"
	"writ/internal/forger"
	"writ/internal/testenv"
	"writ/internal/testlaw"
	"writ/ledger"
	"writ/unseal"
	"writ/warrant"
)

// TM-64: the agency uses an urgent warrant after the time by which its review was due, which
// nobody made: for what was not asked yet, with the release that one custodian gave before,
// and with a review that comes late or from one office.
func TestUrgentWarrantAfterItsReview(t *testing.T) {
	t.Parallel()
	const within = 4 * time.Second
	w := testenv.New(t, testenv.Options{Shapes: testlaw.Small, Charter: func(c *charter.Charter) {
		c.Limits.Urgent = &charter.Urgent{MaxLife: 3600, ReviewWithin: uint64(within / time.Second)}
	}})
	s := speak(t, w, false)
	w.Asked()
	begin := time.Now().Truncate(time.Second)
	c := w.Authorise("ann", func(x *warrant.Warrant) {
		x.Flags, x.NotBefore, x.NotAfter = warrant.IsEmergency, uint64(begin.Unix()), uint64(begin.Unix())+3600
	})
	elsewhere := w.Talk(s.ann, w.Person("eve"))
	s.ann.Say(elsewhere, "more")
	p, more := w.Package(c, s.capsule), w.Package(c, s.ann.Capsule(elsewhere, 1, 0))
	first := w.Custodians[0]
	if out := must(w.Ask(first, p)); out.GetGranted() == nil {
		t.Fatalf("in time %s answers %v", first.Who(), out)
	}
	at, _ := must2nd(w.Book()).Find(ledger.HashEntry(p.WarrantEntry))
	review := func(offices ...string) *ledger.Review {
		x := &ledger.Review{WarrantIndex: at, Warrant: ledger.HashEntry(p.WarrantEntry), Outcome: ledger.ReviewConfirmed}
		for _, o := range w.Charter.Offices {
			if slices.Contains(offices, o.ID) {
				x.Approvals = append(x.Approvals, w.ApproverKey(o.Approvers[0].ID).Approve(x.Hash(), o.ID, o.Approvers[0].ID))
			}
		}
		return x
	}
	if _, err := w.Follower().Add(ctx, review("judicial").Entry()); err == nil {
		breach(t, "one office confirms an emergency alone")
	}
	<-time.After(time.Until(begin.Add(within + time.Second))) // what the law wants
	w.Must(addTo(w, review("judicial", "oversight").Entry()))
	for _, c := range w.Custodians[1:] {
		out, err := w.Ask(c, p)
		w.Must(err)
		refusal(t, "after the review was due", c, out, unseal.ReasonUnconfirmed)
	}
	if opening, err := examine.Open(ctx, w.Examiner(), c); err == nil {
		breach(t, "%d compartments open", opening.Compartments())
	}
	refused(t, w, "another request", more, unseal.ReasonUnconfirmed)
}

func addTo(w *testenv.World, entry []byte) error {
	_, err := w.Follower().Add(ctx, entry)
	return err
}

// TM-66: ann speaks with her lawyer in a conversation that is marked. The agency asks for it
// without the bar's consent: with a warrant of the usual offices, with one that says it is
// privileged and lacks the bar, with an approval of the bar's by another key, and with the
// mark taken off the label.
func TestPrivilegedWithoutItsOffice(t *testing.T) {
	t.Parallel()
	bar := chartertest.Shape{Office: "bar", Approvers: 1, Privilege: 1}
	w := testenv.New(t, testenv.Options{Shapes: append(slices.Clone(testlaw.Small), bar)})
	ann, lawyer := w.Person("ann"), w.Person("lawyer")
	id := must(ann.CreatePrivileged(ctx, "lawyer"))
	w.Sync(ann, lawyer)
	ann.Say(id, "between us")
	w.Sync(lawyer)
	sealed := ann.Capsule(id, 1, 0)
	order, orderKey := w.Warrant("ann")
	usual := must(examine.NewCase(order, orderKey))
	w.Must(w.Agency.Lodge(ctx, usual, w.Charter))
	for _, o := range w.Charter.Offices[:2] {
		w.ReadAndApproveAs(w.Agency.Docket, order.Hash(), o.ID, o.Approvers[0].ID)
	}
	must(w.Agency.Publish(ctx, order.Hash()))
	plain := forger.Relabel(parse(t, sealed), func(l *capsule.Label) { l.Flags = 0 })
	refused(t, w, "a usual warrant", w.Package(usual, sealed), unseal.ReasonPrivilege)
	refused(t, w, "without the mark", w.Package(usual, plain), unseal.ReasonShare)
	if _, err := examine.Open(ctx, w.Examiner(), usual); !errors.Is(err, examine.ErrNothing) {
		breach(t, "delivery discloses it under a usual warrant: %v", err)
	}

	x, reader := w.Warrant("ann")
	x.Flags = warrant.IsPrivileged
	s := &spoken{World: w, ann: ann, id: id, capsule: sealed, c: must(examine.NewCase(x, reader))}
	lying := w.LyingLog()
	w.Gate.Turn(lying)
	pack := func(approvals func(p warrant.Public, all []warrant.Approval) []warrant.Approval) *examine.Package {
		s.c.Salt[0]++ // another entry
		entry := w.Entry(x, s.c.Salt)
		entry.Approvals = approvals(entry.Public, entry.Approvals)
		warrantEntry, requestEntry := w.EntriesOf(entry, s.c, ledger.DocketSigner(w.Docket), lying.Size(), sealed)
		at, to := lying.Add(warrantEntry), lying.Add(requestEntry)
		now := time.Now()
		return s.pack(warrantEntry, lying.Proof(at, now, "a", "b"), requestEntry, lying.Proof(to, now, "a", "b"))
	}
	judge := w.Charter.Offices[0].Approvers[0].ID
	for what, approvals := range map[string]func(p warrant.Public, all []warrant.Approval) []warrant.Approval{
		"without the bar": func(_ warrant.Public, all []warrant.Approval) []warrant.Approval { return all[1:] }, // the bar's is the first
		"the bar's by a judge": func(p warrant.Public, all []warrant.Approval) []warrant.Approval {
			return append([]warrant.Approval{w.ApproverKey(judge).Approve(p.Hash(), "bar", w.Charter.Offices[2].Approvers[0].ID)}, all[1:]...)
		},
	} {
		refused(t, w, what, pack(approvals), unseal.ReasonApprovals)
	}
	with := pack(func(_ warrant.Public, all []warrant.Approval) []warrant.Approval { return all })
	if out := must(w.Ask(w.Custodians[0], with)); out.GetGranted() == nil {
		t.Errorf("with the bar's consent: %v", out)
	}
}

// TM-67: all who may amend the law agree to take back what people were promised, and sign
// it well: the notary's own book, a custodian's and a reader's refuse the version, and what
// was sealed opens under it no more easily.
func TestAmendmentTakesBackAPromise(t *testing.T) {
	t.Parallel()
	w := testenv.New(t, testenv.Options{Shapes: testlaw.Small, Charter: func(c *charter.Charter) { c.Limits.ActivationDelay = 1 }})
	s := speak(t, w, true)
	for what, change := range map[string]func(c *charter.Charter){
		"a longer horizon":   func(c *charter.Charter) { c.Limits.Horizon++ },
		"another key period": func(c *charter.Charter) { c.Limits.KeyPeriod *= 2 },
		"an office approves no more": func(c *charter.Charter) {
			c.Approval[1].Office = "press"
			c.Offices = append(c.Offices, press())
		},
		"an office amends no more": func(c *charter.Charter) {
			c.Amendment[1].Office = "press"
			c.Offices = append(c.Offices, press())
		},
		"a custodian's name goes to another": func(c *charter.Charter) {
			name, by := "judicial-1", stranger()
			c.Custodian("judicial", name).Key = by.Charter.Custodian("judicial", name).Key
			c.Keys = slices.DeleteFunc(c.Keys, func(k *charter.KeyStatement) bool { return k.Custodian == name })
			c.Keys = append(c.Keys, by.Statement("judicial", name, c.Period(time.Now())))
		},
		"another log":       func(c *charter.Charter) { c.Policy = strings.Replace(c.Policy, "log log.test", "log log.tes2", 1) },
		"another directory": func(c *charter.Charter) { c.Directory.VRF[0] ^= 1 },
	} {
		next := must(charter.Parse(w.Charter.Encode()))
		next.Number, next.Previous = 2, w.Charter.Hash()
		change(next)
		counts(t, w, what, w.Sign(next))
	}
	one := must(charter.Parse(w.Charter.Encode()))
	one.Number, one.Previous, one.Limits.CapSubjects = 2, w.Charter.Hash(), 1000
	alone := &charter.Signed{Charter: one.Encode()}
	judge := w.Charter.Offices[0].Approvers[0].ID
	alone.Sign("judicial", judge, w.World.World.Approvers[judge])
	counts(t, w, "one office alone", alone)
	report := must(bundle.Verify(built(testenv.Contents(w.Open(s.c)), w.Policy), w.Policy))
	if !report.Complete {
		t.Errorf("%+v", report)
	}
}

// counts fails if a version counts: at an honest notary, or at a reader whom a lying one
// shows it.
func counts(t *testing.T, w *testenv.World, what string, s *charter.Signed) {
	t.Helper()
	if _, err := w.Follower().Add(ctx, ledger.CharterEntry(s)); err == nil {
		breach(t, "%s: the notary takes it", what)
	}
	book := ledger.NewBook(w.Charter.Hash())
	_, entries := w.Book()
	for i, e := range entries {
		w.Must(book.Apply(uint64(i), e.Bytes(), time.Now().Add(-time.Hour)))
	}
	w.Must(book.Apply(book.Size(), ledger.CharterEntry(s), time.Now().Add(-time.Minute)))
	if c, ok := book.InForce(w.Charter.Name, time.Now()); !ok || c.Number != 1 {
		breach(t, "%s: it is in force", what)
	}
	if len(book.Findings()) == 0 {
		breach(t, "%s: nobody is told", what)
	}
}

// stranger is somebody's own law, with keys that are nobody's here.
func stranger() *chartertest.World { return chartertest.New("a stranger's", testlaw.Small...) }

func press() charter.Office {
	o := stranger().Charter.Offices[1]
	o.ID, o.Title, o.Custodians = "press", "The press", nil
	o.Approvers[0].ID = "press-approver-1"
	return o
}
