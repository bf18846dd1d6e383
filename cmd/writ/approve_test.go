package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"writ/api"
	"writ/charter/chartertest"
	"writ/docket"
	"writ/ledger"
	"writ/notice/beacon"
	"writ/setup"
	"writ/warrant"
	"writ/warrant/warranttest"
)

// An approver signs what follows from the warrant that it read, whatever the docket says
// that it would publish.
func TestApproverComputesThePublicForm(t *testing.T) {
	law := chartertest.New("approver")
	w, salt := orderUnder(t, law), [32]byte{7}
	content, good := warrant.Salted(w, salt), w.Public(salt, law.Charter)
	lodged := func(p warrant.Public) []byte {
		l := docket.Lodgement{Warrant: w.Hash(), Public: p}
		return l.Encode()
	}
	read, public, err := readSalted(content, w.Hash(), lodged(good))
	if err != nil || read.Hash() != w.Hash() || public.Hash() != good.Hash() {
		t.Fatalf("a good one: %v", err)
	}
	for what, change := range map[string]func(p *warrant.Public){
		"commitment":  func(p *warrant.Public) { p.Commitment[0] ^= 1 },
		"flags":       func(p *warrant.Public) { p.Flags = warrant.IsTest },
		"end of life": func(p *warrant.Public) { p.NotAfter++ },
		"readers":     func(p *warrant.Public) { p.Readers = append(p.Readers, [32]byte{255}) },
	} {
		bad := w.Public(salt, law.Charter)
		change(&bad)
		if _, _, err := readSalted(content, w.Hash(), lodged(bad)); err == nil || !strings.Contains(err.Error(), what+" differs") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, b := range map[string][]byte{"no salt": content[:31], "no warrant": content[:40], "with more": append(content[:len(content):len(content)], 0)} {
		if _, _, err := readSalted(b, w.Hash(), lodged(good)); err == nil {
			t.Errorf("%s is read", what)
		}
	}
	if _, _, err := readSalted(content, warrant.Hash{1}, lodged(good)); err == nil {
		t.Error("another warrant than the one asked for is read")
	}
	if _, _, err := readSalted(content, w.Hash(), []byte("junk")); err == nil {
		t.Error("a lodgement of junk is read")
	}
}

// orderUnder is a warrant under the law of a world.
func orderUnder(t *testing.T, law *chartertest.World) *warrant.Warrant {
	t.Helper()
	mail, err := warrant.NewMailKey()
	if err != nil {
		t.Fatal(err)
	}
	now := chartertest.Now
	return &warrant.Warrant{ID: warrant.ID{1}, Charter: law.Charter.Hash(), Action: warrant.Disclose, Reference: "R-1", LegalType: "order",
		CaseType: "serious-crime", Jurisdiction: law.Charter.Jurisdiction, LegalEntity: "police", Subject: "ann", SubjectAgain: "ann",
		Direction: warrant.Sent, WindowStart: now.Format(time.RFC3339), WindowEnd: now.Add(time.Hour).Format(time.RFC3339),
		NotBefore: uint64(now.Unix()), NotAfter: uint64(now.Unix()) + 3600, Necessity: "needed", LeastIntrusive: "nothing less",
		ReaderKey: mail.Public(), Readers: warranttest.Readers(), NoticeDue: uint64(now.Unix()) + 7200}
}

// A docket that gives another warrant's entry has no approver cancel, confirm or call an
// error what that approver did not read.
func TestApproverSpeaksOfWhatItRead(t *testing.T) {
	law := chartertest.New("procedures")
	entry := func(salt byte) (*warrant.Warrant, *ledger.Warrant) {
		w := orderUnder(t, law)
		w.ID[0] = salt
		x := &ledger.Warrant{Public: w.Public([32]byte{salt}, law.Charter)}
		x.Approvals = warranttest.Approvals(law, x.Public)
		x.Sign(ledger.DocketSigner(law.Docket))
		return w, x
	}
	request := func(of *ledger.Warrant) *api.LoggedEntry {
		x := &ledger.Request{WarrantIndex: 5, Warrant: ledger.HashEntry(of.Entry()), Leaves: [][32]byte{{1}}, Round: 1, Timelock: make([]byte, beacon.TimelockSize)}
		x.Sign(ledger.DocketSigner(law.Docket))
		return &api.LoggedEntry{Entry: x.Entry(), Index: 6}
	}
	w, mine := entry(1)
	_, other := entry(2)
	o := &opened{warrant: w, public: mine.Public, key: &setup.KeyFile{Signing: law.Approvers["judicial-approver-1"].Seed()}}
	got, err := o.onLedger(&api.GetWarrantResponse{Entry: mine.Entry(), Index: 5, Requests: []*api.LoggedEntry{request(mine)}})
	if err != nil || got.entry != ledger.HashEntry(mine.Entry()) || got.index != 5 || len(got.requests) != 1 {
		t.Fatalf("an honest docket: %v", err)
	}
	for what, lie := range map[string]*api.GetWarrantResponse{
		"another warrant's entry":   {Entry: other.Entry(), Index: 5},
		"another warrant's request": {Entry: mine.Entry(), Index: 5, Requests: []*api.LoggedEntry{request(mine), request(other)}},
		"a request for the entry":   {Entry: request(mine).Entry, Index: 5},
		"an entry for a request":    {Entry: mine.Entry(), Requests: []*api.LoggedEntry{{Entry: mine.Entry()}}},
	} {
		if _, err := o.onLedger(lie); codeOf(err) != codeInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := o.onLedger(&api.GetWarrantResponse{}); codeOf(err) != codeRefused {
		t.Errorf("not published: %v", err)
	}
}

// repeating is a docket whose list never ends.
type repeating struct{ api.DocketClient }

func (repeating) ListWarrants(context.Context, *api.ListWarrantsRequest) (*api.ListWarrantsResponse, error) {
	return &api.ListWarrantsResponse{Warrants: []*api.LodgedWarrant{{Number: 1}, {Number: 2}}, More: true}, nil
}

// A docket that lists the same again and again is told as one.
func TestListWithoutEnd(t *testing.T) {
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	if list, err := listWarrants(cmd, repeating{}); codeOf(err) != codeInvalid {
		t.Errorf("%d, %v", len(list), err)
	}
}
