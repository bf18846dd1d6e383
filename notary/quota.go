package notary

import (
	"fmt"
	"time"

	"writ/charter"
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
	if signer == nobody {
		return true
	}
	if q.n == nil || now.Sub(q.begun).Abs() >= time.Hour {
		q.begun, q.n = now, map[string]int{}
	}
	q.n[signer]++
	return q.n[signer] <= q.perHour
}

// nobody has no quota: a round counts only while a request waits for it, so that there are no
// more of them than requests, and whoever could use their quota up would hold notices back.
const nobody = ""

// signerOf names the key that vouches for an entry that counts, by its law: custodians of two laws
// may bear one name. Who has one uses up no other's quota: a docket with its custodians, say,
// that of approvers who cancel.
func (s *Server) signerOf(e *ledger.Entry) string {
	switch {
	case e.Charter != nil:
		c, _ := charter.Parse(e.Charter.Charter)
		return fmt.Sprintf("law of %q", c.Name)
	case e.Warrant != nil:
		return fmt.Sprintf("docket of %q", s.law(e.Warrant.Charter))
	case e.Request != nil:
		return fmt.Sprintf("docket of %q", s.lawOfWarrant(e.Request.WarrantIndex))
	case e.CustodianKey != nil:
		return custodian(e.CustodianKey.CharterName, e.CustodianKey.Office, e.CustodianKey.Custodian)
	case e.Destruction != nil:
		return custodian(e.Destruction.CharterName, e.Destruction.Office, e.Destruction.Custodian)
	case e.Release != nil:
		return custodian(s.lawOfRequest(e.Release.Request), e.Release.Office, e.Release.Custodian)
	case e.Preservation != nil:
		return custodian(s.lawOfRequest(e.Preservation.Request), e.Preservation.Office, e.Preservation.Custodian)
	case e.HoldEnd != nil:
		return custodian(s.lawOfRequest(e.HoldEnd.Request), e.HoldEnd.Office, e.HoldEnd.Custodian)
	case e.Refusal != nil:
		return custodian(s.lawOfRefusal(e.Refusal), e.Refusal.Office, e.Refusal.Custodian)
	case e.Cancellation != nil:
		a := e.Cancellation.Approval
		return approver(s.lawOfWarrant(e.Cancellation.WarrantIndex), a.Office, a.Approver)
	case e.Error != nil:
		return approver(s.lawOfRequest(e.Error.Request), e.Error.Approval.Office, e.Error.Approval.Approver)
	case e.Review != nil:
		first := e.Review.Approvals[0] // an entry that counts has one
		return approver(s.lawOfWarrant(e.Review.WarrantIndex), first.Office, first.Approver)
	case e.Reading != nil:
		return fmt.Sprintf("reader %x", e.Reading.Key)
	}
	return nobody // a round
}

func custodian(law, office, id string) string {
	return fmt.Sprintf("custodian of %q: %s/%s", law, office, id)
}

func approver(law, office, id string) string {
	return fmt.Sprintf("approver of %q: %s/%s", law, office, id)
}

// law returns the name of a charter that counts.
func (s *Server) law(h charter.Hash) string {
	c, ok := s.book.Charter(h)
	if !ok {
		return ""
	}
	return c.Name
}

func (s *Server) lawOfWarrant(index uint64) string {
	w, ok := s.book.Warrant(index)
	if !ok {
		return ""
	}
	return s.law(w.Charter)
}

func (s *Server) lawOfRequest(h ledger.EntryHash) string {
	r, ok := s.book.Request(h)
	if !ok {
		return ""
	}
	return s.lawOfWarrant(r.WarrantIndex)
}

// lawOfRefusal goes by the key that signed where the request is not on the log.
func (s *Server) lawOfRefusal(x *ledger.Refusal) string {
	if law := s.lawOfRequest(x.Request); law != "" {
		return law
	}
	for _, name := range s.book.Names() {
		head, _ := s.book.Head(name)
		for _, c := range s.book.Versions(head.Hash()) {
			if k := c.Custodian(x.Office, x.Custodian); k != nil && x.Verify(k.Key) {
				return name
			}
		}
	}
	return ""
}
