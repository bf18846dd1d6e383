package audit

import (
	"fmt"
	"strings"
	"time"

	"writ/ledger"
	"writ/warrant"
)

// Describe says in one line what an entry shows.
func (a *Auditor) Describe(e *ledger.Entry, reason func(uint8) string) string {
	switch {
	case e.Charter != nil:
		if c, ok := a.book.Charter(e.Charter.Hash()); ok {
			return fmt.Sprintf("%s, version %d", oneLine(c.Name), c.Number)
		}
	case e.CustodianKey != nil:
		k := e.CustodianKey
		return fmt.Sprintf("%s/%s, period %d", k.Office, k.Custodian, k.Period)
	case e.Warrant != nil:
		return describeWarrant(e.Warrant)
	case e.Request != nil:
		return fmt.Sprintf("%d compartments, under the warrant at %d", len(e.Request.Leaves), e.Request.WarrantIndex)
	case e.Release != nil:
		x := e.Release
		return fmt.Sprintf("%s/%s, %d compartments of the request at %d", x.Office, x.Custodian, x.Count, x.RequestIndex)
	case e.Refusal != nil:
		x := e.Refusal
		return fmt.Sprintf("%s/%s: %s", x.Office, x.Custodian, reason(x.Reason))
	case e.Reading != nil:
		return fmt.Sprintf("%s of what the request at %d gave", e.Reading.Purpose, e.Reading.RequestIndex)
	case e.Cancellation != nil:
		x := e.Cancellation
		return fmt.Sprintf("of the warrant at %d, by %s of %s", x.WarrantIndex, x.Approval.Approver, x.Approval.Office)
	case e.Review != nil:
		return fmt.Sprintf("of the urgent warrant at %d: %s", e.Review.WarrantIndex, map[ledger.Outcome]string{ledger.ReviewConfirmed: "confirmed", ledger.ReviewRefused: "refused"}[e.Review.Outcome])
	case e.Error != nil:
		return fmt.Sprintf("in what the request at %d gave: %s", e.Error.RequestIndex, e.Error.Kind)
	case e.Destruction != nil:
		x := e.Destruction
		return fmt.Sprintf("%s/%s, period %d", x.Office, x.Custodian, x.Period)
	}
	return ""
}

func describeWarrant(w *ledger.Warrant) string {
	kind := ""
	if w.IsEmergency() {
		kind += "urgent, "
	}
	if w.IsTest() {
		kind += "drill, "
	}
	if w.IsPrivileged() {
		kind += "privileged, "
	}
	if w.IsRenewal() {
		kind += "renewal, "
	}
	if w.Action == warrant.Preserve {
		kind += "only to preserve, "
	}
	return fmt.Sprintf("%s%s, approved by %s, window of %s, until %s", kind, w.CaseType, strings.Join(w.Offices, " and "),
		length(w.Window), time.Unix(int64(w.NotAfter), 0).UTC().Format("2006-01-02 15:04 UTC"))
}
