package ledger

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"writ/charter"
	"writ/notice/beacon"
	"writ/notice/beacon/beacontest"
	"writ/warrant"
)

// The encodings, signatures and hashes of testdata/entries.txt are those of
// format 1: a change here is a change of what is on every log.
func TestGolden(t *testing.T) {
	docket, custodian := DocketSigner(keyOf("docket")), CustodianSigner(keyOf("custodian"))
	w := &Warrant{Public: warrant.Public{Commitment: [32]byte{1, 2, 3}, Charter: charter.Hash{4, 5, 6}, Action: warrant.Disclose,
		Renews: [32]byte{7, 8}, CaseType: "serious-crime", Offices: []string{"judicial", "oversight"}, Window: 86400,
		NotBefore: 1_790_000_000, NotAfter: 1_790_003_600, Flags: warrant.IsEmergency, Readers: [][32]byte{{1}, {2}}}}
	judge := approverKey(t, keyOf("judge"))
	w.Approvals = []warrant.Approval{judge.Approve(w.Hash(), "judicial", "judge-1"), judge.Approve(w.Hash(), "oversight", "overseer-1")}
	w.Sign(docket)
	q := &Request{WarrantIndex: 7, Warrant: HashEntry(w.Entry()), Leaves: [][32]byte{{1}, {2}, {3}},
		Round: 40, Timelock: bytes.Repeat([]byte{5}, beacon.TimelockSize)}
	q.Sign(docket)
	r := &Release{RequestIndex: 8, Request: HashEntry(q.Entry()), Office: "judicial", Custodian: "judicial-1", Count: 3, Root: q.Root()}
	r.Sign(custodian)
	n := &Refusal{Request: HashEntry(q.Entry()), Office: "oversight", Custodian: "oversight-1", Reason: 4}
	n.Sign(custodian)
	d := &Destruction{Office: "judicial", Custodian: "judicial-1", Period: 690, CharterName: "Testland Communications Warrants"}
	d.Sign(custodian)
	p := &Reading{RequestIndex: 8, Request: HashEntry(q.Entry()), Bundle: [32]byte{5}, Purpose: PurposeExport, Salt: [32]byte{6}, Answer: AnswerHash([]byte("key"))}
	p.Sign(PersonSigner(keyOf("reader")))
	c := &Cancellation{WarrantIndex: 7, Warrant: HashEntry(w.Entry())}
	c.Approval = judge.Approve(c.Hash(), "judicial", "judge-1")
	v := &Review{WarrantIndex: 7, Warrant: HashEntry(w.Entry()), Outcome: ReviewRefused}
	v.Approvals = []warrant.Approval{judge.Approve(v.Hash(), "judicial", "judge-1"), judge.Approve(v.Hash(), "oversight", "overseer-1")}
	x := &Error{RequestIndex: 8, Request: HashEntry(q.Entry()), Kind: WrongPerson}
	x.Approval = judge.Approve(x.Hash(), "judicial", "judge-1")
	s := beacontest.New("golden", 1_790_000_000, 60, 2, 3).Sign(40)
	k := &Preservation{*r}
	k.Sign(custodian)
	h := &HoldEnd{Request: r.Request, Office: "judicial", Custodian: "judicial-1"}
	h.Sign(custodian)
	var got bytes.Buffer
	for _, b := range [][]byte{w.Entry(), q.Entry(), r.Entry(), n.Entry(), d.Entry(), p.Entry(), c.Entry(), v.Entry(), x.Entry(), NewRound(s).Entry(), k.Entry(), h.Entry()} {
		e, err := ParseEntry(b)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "%s\n%x\n%x\n", e.Type(), e.Hash(), b)
	}
	if os.Getenv("WRIT_GOLDEN") != "" {
		if err := os.WriteFile("testdata/entries.txt", got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/entries.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got\n%s", &got)
	}
	for _, line := range strings.Split(string(want), "\n") {
		if b, err := hex.DecodeString(line); err == nil && len(b) > 32 {
			if e, err := ParseEntry(b); err != nil || !bytes.Equal(reencode(e), b) {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
}
