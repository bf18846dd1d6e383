package docket_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"writ/api"
	"writ/charter/chartertest"
	"writ/examine"
	"writ/internal/testlaw"
	"writ/ledger"
	"writ/warrant"
)

// twoEach is two offices with two approvers each, one of whom must approve.
var twoEach = []chartertest.Shape{
	{Office: "judicial", Need: 1, Custodians: 1, Approve: 1, Approvers: 2},
	{Office: "oversight", Need: 1, Custodians: 1, Approve: 1, Approvers: 2},
}

// The entry shows as many keys as the law asks for, whoever else approved; they don't
// change any more once there are enough, so that a docket which fell after it logged
// the entry makes the same one again.
func TestEntryShowsNoKeyWithoutNeed(t *testing.T) {
	t.Parallel()
	w, dir := testlaw.New(t, nil, twoEach...), t.TempDir()
	_, d := w.StartDocket(dir)
	a := &examine.Agency{Name: testlaw.Agency, Key: examine.AgencyKey(w.AgencyKey), Docket: d}
	c := lodge(t, w, a)
	h := c.Warrant.Hash()
	for _, who := range []string{"judicial-approver-2", "judicial-approver-1", "judicial-approver-2"} {
		out := w.ReadAndApproveAs(d, h, "judicial", who)
		if len(out.Missing) != 1 || out.Missing[0] != "oversight" || out.Kept != (who == "judicial-approver-2") {
			t.Errorf("%s: %v", who, out)
		}
	}
	if _, err := a.Publish(ctx, h); connect.CodeOf(err) != connect.CodeFailedPrecondition || strings.Contains(err.Error(), "would not count") {
		t.Errorf("published with one office: %v", err)
	}
	w.ReadAndApproveAs(d, h, "oversight", "oversight-approver-1")
	fell := t.TempDir()
	if err := os.CopyFS(fell, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	entry, err := a.Publish(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ledger.ParseEntry(entry.Entry)
	if err != nil {
		t.Fatal(err)
	}
	var who []string
	for _, a := range e.Warrant.Approvals {
		who = append(who, a.Approver)
	}
	if strings.Join(who, " ") != "judicial-approver-2 oversight-approver-1" {
		t.Errorf("the entry shows %v", who)
	}
	if err := e.Warrant.CheckApprovals(e.Warrant.Approvals, w.Charter); err != nil {
		t.Error(err)
	}

	_, a.Docket = w.StartDocket(fell)
	w.ReadAndApproveAs(a.Docket, h, "oversight", "oversight-approver-2")
	again, err := a.Publish(ctx, h)
	if err != nil || again.Index != entry.Index || !bytes.Equal(again.Entry, entry.Entry) {
		t.Errorf("published again as %v, %v", again, err)
	}
}

// A docket takes no approval that is not of the public form which it would publish: of
// the warrant's hash, or of the warrant with another salt.
func TestApprovalOfAnotherForm(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	_, d := w.StartDocket(t.TempDir())
	c := lodge(t, w, &examine.Agency{Name: testlaw.Agency, Key: examine.AgencyKey(w.AgencyKey), Docket: d})
	h, other := c.Warrant.Hash(), c.Warrant.Public([32]byte{1}, w.Charter)
	for what, of := range map[string]warrant.Hash{"the warrant's hash": h, "another salt": other.Hash()} {
		x := w.ApproverKey("judicial-approver-1").Approve(of, "judicial", "judicial-approver-1")
		_, err := d.Approve(ctx, &api.ApproveRequest{WarrantHash: h[:], Approval: warrant.EncodeApprovals([]warrant.Approval{x})})
		code(t, what, err, connect.CodePermissionDenied)
	}
}
