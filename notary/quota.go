package notary

import (
	"fmt"
	"time"

	"writ/ledger"
)

// defaultPerHour is how many entries one signer gets onto the log in an hour. Warrants
// are capped by the charter and custodians answer what was asked, so honest signers are
// far below it.
const defaultPerHour = 1000

// quotas counts what each signer had admitted in the hour that runs. Whoever has a
// docket's or custodian's key could otherwise write without end: refusals of requests
// that nobody made, keys of periods to come, warrants that no office approved. Every
// reader would have to keep them all.
type quotas struct {
	perHour int
	begun   time.Time
	n       map[string]int
}

// allow counts an entry whose signature was verified, and reports whether it is within
// the quota.
func (q *quotas) allow(signer string, now time.Time) bool {
	if q.n == nil || now.Sub(q.begun).Abs() >= time.Hour {
		q.begun, q.n = now, map[string]int{}
	}
	q.n[signer]++
	return q.n[signer] <= q.perHour
}

// signerOf names the key that vouches for an entry that counts. Who has one uses up no
// other's quota: a docket with its custodians, say, that of approvers who cancel, or of
// rounds that people wait for.
func (s *Server) signerOf(e *ledger.Entry) string {
	custodian := func(office, id string) string { return "custodian " + office + "/" + id }
	approver := func(office, id string) string { return "approver " + office + "/" + id }
	switch {
	case e.Warrant != nil:
		return "docket " + e.Warrant.Charter.String()
	case e.Request != nil:
		if w, ok := s.book.Warrant(e.Request.WarrantIndex); ok {
			return "docket " + w.Charter.String()
		}
	case e.CustodianKey != nil:
		return custodian(e.CustodianKey.Office, e.CustodianKey.Custodian)
	case e.Release != nil:
		return custodian(e.Release.Office, e.Release.Custodian)
	case e.Refusal != nil:
		return custodian(e.Refusal.Office, e.Refusal.Custodian)
	case e.Destruction != nil:
		return custodian(e.Destruction.Office, e.Destruction.Custodian)
	case e.Preservation != nil:
		return custodian(e.Preservation.Office, e.Preservation.Custodian)
	case e.HoldEnd != nil:
		return custodian(e.HoldEnd.Office, e.HoldEnd.Custodian)
	case e.Cancellation != nil:
		return approver(e.Cancellation.Approval.Office, e.Cancellation.Approval.Approver)
	case e.Error != nil:
		return approver(e.Error.Approval.Office, e.Error.Approval.Approver)
	case e.Review != nil:
		first := e.Review.Approvals[0] // an entry that counts has one
		return approver(first.Office, first.Approver)
	case e.Reading != nil:
		return fmt.Sprintf("reader %x", e.Reading.Key)
	case e.Round != nil:
		return "beacon"
	}
	return "amendment"
}
