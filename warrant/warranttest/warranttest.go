// Package warranttest has a test world's approvers approve, and names a reader.
package warranttest

import (
	"crypto/ed25519"
	"fmt"
	"slices"

	"writ/charter/chartertest"
	"writ/warrant"
)

// Approvals returns what an entry of the ledger must carry of approvals: by the first
// approvers of each office whom the world's charter asks for a warrant of this form.
func Approvals(w *chartertest.World, p warrant.Public) (list []warrant.Approval) {
	for _, r := range w.Charter.WarrantRules(p.IsPrivileged()) {
		for n := range int(r.Threshold) {
			list = append(list, Approve(w, p, r.Office, n+1))
		}
	}
	slices.SortFunc(list, warrant.CompareApprovals)
	return list
}

// Approve is the approval of the approver OFFICE-approver-N.
func Approve(w *chartertest.World, p warrant.Public, office string, n int) warrant.Approval {
	id := fmt.Sprintf("%s-approver-%d", office, n)
	k, err := warrant.ParseApproverKey(w.Approvers[id].Seed())
	if err != nil {
		panic(err) // the world has no such approver
	}
	return k.Approve(p.Hash(), office, id)
}

// Readers is one person who may read, with keys that nobody keeps.
func Readers() []warrant.Reader {
	key, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	mail, err := warrant.NewMailKey()
	if err != nil {
		panic(err)
	}
	return []warrant.Reader{{ID: "reader", Key: warrant.PersonKey(key), Mail: mail.Public()}}
}
