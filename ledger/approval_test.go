package ledger

import (
	"slices"
	"testing"

	"writ/charter/chartertest"
	"writ/warrant"
	"writ/warrant/warranttest"
)

// unapproved is what a thief of the docket's key can make: a signed entry without
// approvals.
func (w *world) unapproved(n byte) *Warrant {
	x := w.warrant(n, nil)
	x.Approvals = nil
	x.Sign(w.docket())
	return x
}

// TestStolenDocketKeyTakesNoPlace: who has the docket's key logs as many warrants as
// the cap has places, and one that was approved still is the first.
func TestStolenDocketKeyTakesNoPlace(t *testing.T) {
	w := newWorld(t)
	for i := range w.Charter.Limits.CapSubjects {
		w.refused("unapproved", "missing from judicial and oversight", w.unapproved(byte(i)).Entry())
	}
	at := w.mustApply(w.warrant(0, nil).Entry()) // also of a commitment that stands there unapproved
	if lw, _ := w.book.Warrant(at); lw.Rank != 1 {
		t.Errorf("the approved warrant has rank %d", lw.Rank)
	}
	if err := w.book.Actionable(at, HashEntry(w.entries[at]), lawTime); err != nil {
		t.Error(err)
	}
	if n := w.book.WarrantsInPeriod(w.Charter.Hash(), lawTime, false); n != 1 {
		t.Errorf("%d warrants take a place", n)
	}
	findings := w.book.Findings()
	if len(findings) != int(w.Charter.Limits.CapSubjects) {
		t.Errorf("%d findings", len(findings))
	}
	for _, f := range findings {
		if f.Rule != "LED-63" {
			t.Errorf("rule %s: %s", f.Rule, f.Problem)
		}
	}
	if a := w.book.Statistics().Laws[w.Charter.Name].Real; a.Warrants != 1 || a.ApprovalsByOffice["judicial"] != 1 {
		t.Errorf("statistics count what nobody approved: %+v", a)
	}
}

// TestApprovalsOfAnEntry: approvals hold for one public form, by exactly those whom
// the charter asks for.
func TestApprovalsOfAnEntry(t *testing.T) {
	w := newWorld(t)
	other := w.warrant(2, nil) // another commitment: another warrant, or another salt
	w.mustApply(other.Entry())
	judge, overseer := w.warrant(1, nil).Approvals[0], w.warrant(1, nil).Approvals[1]
	second := warranttest.Approve(w.World, w.warrant(1, nil).Public, "judicial", 2)
	forged := judge
	forged.Signature = slices.Clone(judge.Signature)
	forged.Signature[0] ^= 1
	renamed := judge
	renamed.Approver = second.Approver
	moved := judge
	moved.Office, moved.Approver = "oversight", "oversight-approver-1"
	warrantHash := approverKey(t, w.Approvers["judicial-approver-1"]).Approve(warrant.Hash{1}, "judicial", "judicial-approver-1")
	for name, list := range map[string][]warrant.Approval{
		"none":                         nil,
		"one office":                   {judge},
		"two of one office":            {judge, second},
		"replayed from another":        other.Approvals,
		"one replayed":                 {judge, other.Approvals[1]},
		"one twice":                    {judge, judge, overseer},
		"unsorted":                     {overseer, judge},
		"one more than the law asks":   {judge, second, overseer},
		"forged":                       {forged, overseer},
		"in another's name":            {renamed, overseer},
		"one approver for two offices": {judge, moved},
		"of another hash":              {warrantHash, overseer},
	} {
		x := w.warrant(1, nil)
		x.Approvals = list
		x.Sign(w.docket())
		w.refused(name, "pproval", x.Entry())
	}
	for name, change := range map[string]func(*Warrant){ // approved as it was before
		"longer life":   func(x *Warrant) { x.NotAfter++ },
		"wider window":  func(x *Warrant) { x.Window++ },
		"other readers": func(x *Warrant) { x.Readers = [][32]byte{{2}} },
		"made urgent":   func(x *Warrant) { x.Flags |= warrant.IsEmergency },
		"made a test":   func(x *Warrant) { x.Flags |= warrant.IsTest },
		"case type":     func(x *Warrant) { x.CaseType = "missing-person" },
		"action":        func(x *Warrant) { x.Action = warrant.Preserve },
		"a renewal":     func(x *Warrant) { x.Renews = other.Commitment },
	} {
		x := w.warrant(1, nil)
		change(x)
		x.Sign(w.docket())
		w.refused(name, "does not verify", x.Entry())
	}
	w.mustApply(w.warrant(1, nil).Entry())
}

// TestApprovalsOfEachProcedure: the urgent procedure, a renewal and a privileged
// warrant each need approvals of their own.
func TestApprovalsOfEachProcedure(t *testing.T) {
	w := newWorld(t)
	text := w.Charter.Policy
	w.World = chartertest.New("bar", chartertest.WithBar...)
	w.Charter.Policy = text
	w.begin()
	w.mustApply(CharterEntry(w.Sign(w.Charter)))
	first := w.warrant(1, nil)
	w.mustApply(first.Entry())
	for name, change := range map[string]func(*Warrant){
		"urgent":  urgent,
		"renewal": func(x *Warrant) { x.Renews = first.Commitment },
		"privileged": func(x *Warrant) {
			x.Flags, x.Offices = warrant.IsPrivileged, []string{"bar", "judicial", "oversight"}
		},
	} {
		for i, missing := range w.warrant(2, change).Approvals {
			x := w.warrant(2, change)
			x.Approvals = slices.Delete(x.Approvals, i, i+1)
			x.Sign(w.docket())
			w.refused(name, "missing from "+missing.Office, x.Entry())
		}
		x := w.warrant(2, change)
		x.Approvals = first.Approvals
		x.Sign(w.docket())
		w.refused(name+" with the first one's", "pproval", x.Entry())
		w.mustApply(w.warrant(byte(len(w.entries)), change).Entry())
	}
	bar := w.warrant(100, nil)
	bar.Approvals = append([]warrant.Approval{warranttest.Approve(w.World, bar.Public, "bar", 1)}, bar.Approvals...)
	bar.Sign(w.docket())
	w.refused("the bar for nothing", "where the charter asks for 2", bar.Entry())
}
