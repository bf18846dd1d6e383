package adversary

import (
	"bytes"
	"testing"

	"writ/capsule"
	"writ/internal/testlaw"
	"writ/ledger"
	"writ/unseal"
	"writ/warrant"
)

// TM-63: the thief of one approver's key wants to stop an opening that has begun: he
// cancels the warrant after one custodian's intent stands on the log. Its release is
// given again; the others refuse. Under a key of his own nothing comes of it.
func TestApproverStopsLate(t *testing.T) {
	t.Parallel()
	w := small(t)
	s := speak(t, w, true)
	p, book := w.Package(s.c, s.capsule), must2nd(w.Book())
	at, _ := book.Find(ledger.HashEntry(p.WarrantEntry))
	cancel := func(key *warrant.ApproverKey) error {
		o := w.Charter.Offices[0]
		x := &ledger.Cancellation{WarrantIndex: at, Warrant: ledger.HashEntry(p.WarrantEntry)}
		x.Approval = key.Approve(x.Hash(), o.ID, o.Approvers[0].ID)
		_, err := w.Follower().Add(ctx, x.Entry())
		return err
	}
	ask := func(c testlaw.Custodian) []byte {
		t.Helper()
		out := must(w.Ask(c, p))
		if out.GetGranted() == nil {
			breach(t, "%s does not release: %v", c.Who(), unseal.Reason(out.GetRefused().GetReason()))
		}
		return out.GetGranted().GetRelease()
	}
	first := ask(w.Custodians[0])
	if err := cancel(must(warrant.ParseApproverKey(bytes.Repeat([]byte{7}, 32)))); err == nil {
		breach(t, "it is cancelled under a key that is nobody's")
	}
	ask(w.Custodians[1])
	w.Must(cancel(w.ApproverKey(w.Charter.Offices[0].Approvers[0].ID)))
	if again := ask(w.Custodians[0]); !bytes.Equal(first, again) || len(again) == 0 {
		breach(t, "after the cancellation there are other bytes, or none: %d, %d", len(first), len(again))
	}
	last := w.Custodians[2]
	out, err := w.Ask(last, p)
	w.Must(err)
	refusal(t, "after the cancellation", last, out, unseal.ReasonCancelled)
	shares, err := unseal.OpenRelease(must(unseal.ParseRelease(first)), s.c.Reader, w.Custodians[0].Public.Custodian.Key)
	if err != nil || len(shares) != 1 || shares[0].Capsule != capsule.HashOf(s.capsule) {
		breach(t, "the release of before opens no more: %v", err)
	}
}
