package audit

import (
	"fmt"
	"slices"
	"time"

	"writ/ledger"
)

// checks are what becomes a finding with time (AUD-4), as of an auditor's clock.
var checks = []func(*ledger.Book, time.Time) []ledger.Finding{
	(*ledger.Book).Overdue,
	(*ledger.Book).Unreviewed,
	(*ledger.Book).OverdueNotices,
}

// Findings returns everything that is wrong under a checkpoint up to which the
// auditor has read: entries that don't count, what is overdue, and a checkpoint
// that is too old.
func (a *Auditor) Findings(c *ledger.Checkpoint, o Options) []ledger.Finding {
	return slices.Concat(a.book.Findings(), a.Standing(c, o))
}

// Standing returns those findings that come and go with time.
func (a *Auditor) Standing(c *ledger.Checkpoint, o Options) (list []ledger.Finding) {
	for _, check := range checks {
		list = append(list, check(a.book, o.Now)...)
	}
	return append(list, stale(c, o)...)
}

// stale is the finding of a checkpoint whose cosignatures are not of a time that the options
// allow (AUD-3), or none.
func stale(c *ledger.Checkpoint, o Options) []ledger.Finding {
	at := c.Time().UTC().Format(time.RFC3339)
	f := ledger.Finding{Index: c.Size(), Type: "checkpoint", Rule: "AUD-3"}
	switch old := o.Now.Sub(c.Time()); {
	case o.MaxAge == 0:
		return nil
	case old > o.MaxAge:
		f.Problem = fmt.Sprintf("stale: a quorum of witnesses last stood by it at %s, more than %v ago", at, o.MaxAge)
	case old < -min(o.MaxAge, ledger.MaxSkew):
		f.Problem = fmt.Sprintf("of the future: a quorum of witnesses dates it %s; is this clock right?", at)
	default:
		return nil
	}
	return []ledger.Finding{f}
}

// Freshness returns the shortest freshness that the newest charters demand of
// custodians, or 0 without a charter that has one.
func (a *Auditor) Freshness() (limit time.Duration) {
	for _, name := range a.book.Names() {
		c, _ := a.book.Head(name)
		f := time.Duration(c.Limits.Freshness) * time.Second
		if f > 0 && (limit == 0 || f < limit) {
			limit = f
		}
	}
	return limit
}

// Gap is something that reports of others have and a log can't give.
type Gap struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// gaps are what this report does not have (AUD-19).
func (a *Auditor) gaps(r *Report) []Gap {
	list := []Gap{
		{"applications that approvers refused or changed", "an approver who does not sign leaves no entry; only approved warrants are published"},
		{"the authority that asked", "it stands in the sealed warrant; the log shows the offices that approved"},
		{"the persons, conversations and days concerned", "hidden on purpose; each warrant names one account, so there are at most as many persons as orders"},
		{"messages opened, and how many mattered", "a compartment's messages are counted in the bundle, not on the log"},
		{"arrests, trials and convictions", "they happen elsewhere"},
		{"what institutions spent", "the log knows the law's tariff, not anybody's accounts"},
	}
	if len(a.journal) < 2 {
		list = append(list, Gap{"when entries appeared, and how long anything took", "entries carry no time; an auditor that follows the log (writ audit --watch) keeps a journal of when it grew"})
	}
	for _, l := range r.Laws {
		if v := l.Versions[len(l.Versions)-1]; v.Access && v.Tariff == "" {
			list = append(list, Gap{"cost of openings under " + l.Name, "its charter states no tariff"})
		}
	}
	return list
}
