package main

import (
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"writ/charter"
	"writ/charter/chartertest"
	"writ/examine"
	"writ/ledger"
	"writ/notice/beacon"
	"writ/notice/beacon/beacontest"
	"writ/warrant"
	"writ/warrant/warranttest"
	"writ/witness"
)

// Every entry about a case is one of its notices, and none about another: of all types
// there are but charters, keys and destructions.
func TestEntriesAboutACase(t *testing.T) {
	law := chartertest.New("notices")
	other := beacontest.New("another", 0, 60, 2, 2)
	c := &examine.Case{Warrant: &warrant.Warrant{Charter: law.Charter.Hash()}, Salt: [32]byte{1}}
	entry := func(commitment [32]byte) *ledger.Warrant {
		x := &ledger.Warrant{Public: warrant.Public{Commitment: commitment, Charter: law.Charter.Hash(), Action: warrant.Disclose, CaseType: "serious-crime",
			Offices: []string{"judicial", "oversight"}, NotBefore: 1, NotAfter: 2, Readers: [][32]byte{{1}}}}
		x.Sign(ledger.DocketSigner(law.Docket))
		return x
	}
	key, err := warrant.ParseApproverKey(law.Approvers["judicial-approver-1"].Seed())
	if err != nil {
		t.Fatal(err)
	}
	sign := func(h warrant.Hash) warrant.Approval { return key.Approve(h, "judicial", "judicial-approver-1") }
	foreign := *law.Charter // another law on the same ledger, with a beacon of its own
	foreign.Beacon = other.Beacon()
	if _, err := charter.Parse(foreign.Encode()); err != nil {
		t.Fatal(err)
	}
	log := [][]byte{ledger.CharterEntry(law.Sign(law.Charter)), ledger.CharterEntry(law.Sign(&foreign))}
	var want []int
	for i, w := range []*ledger.Warrant{entry(warrant.Commitment(c.Salt, c.Warrant.Hash())), entry([32]byte{9})} {
		add := func(entry []byte) ledger.EntryHash {
			if _, err := ledger.ParseEntry(entry); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				want = append(want, len(log))
			}
			log = append(log, entry)
			return ledger.HashEntry(entry)
		}
		about := add(w.Entry())
		request := &ledger.Request{WarrantIndex: 1, Warrant: about, Leaves: [][32]byte{{1}}, Round: uint64(7 + i), Timelock: make([]byte, beacon.TimelockSize)}
		request.Sign(ledger.DocketSigner(law.Docket))
		h := add(request.Entry())
		release := ledger.Release{RequestIndex: 2, Request: h, Office: "judicial", Custodian: "judicial-1", Count: 1}
		add(release.Entry())
		add((&ledger.Preservation{Release: release}).Entry())
		add((&ledger.Refusal{Request: h, Office: "judicial", Custodian: "judicial-2", Reason: 3}).Entry())
		add((&ledger.HoldEnd{Request: h, Office: "judicial", Custodian: "judicial-1"}).Entry())
		add((&ledger.Reading{Request: h, Purpose: ledger.PurposeRead}).Entry())
		add((&ledger.Cancellation{Warrant: about, Approval: sign(warrant.Hash{})}).Entry())
		add((&ledger.Review{Warrant: about, Outcome: ledger.ReviewRefused, Approvals: []warrant.Approval{sign(warrant.Hash{})}}).Entry())
		add((&ledger.Error{Request: h, Kind: ledger.WrongPerson, Approval: sign(warrant.Hash{})}).Entry())
		log = append(log, ledger.NewRound(other.Sign(uint64(7+i))).Entry()) // of another law's beacon
		add(ledger.NewRound(law.Beacon.Sign(uint64(7 + i))).Entry())
	}
	var got []int
	about := entriesAbout(c)
	for i, entry := range log {
		if about(entry) {
			got = append(got, i)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("entries %v, want %v", got, want)
	}
	types := map[ledger.Type]bool{}
	for _, i := range got {
		e, _ := ledger.ParseEntry(log[i])
		types[e.Type()] = true
	}
	for kind := ledger.TypeWarrant; kind <= ledger.TypeHoldEnd; kind++ {
		if !types[kind] && kind != ledger.TypeDestruction {
			t.Errorf("no notice of a %v", kind)
		}
	}
}

// A notary that logs what does not count, such as a cancellation that nobody signed, has
// nobody told of it.
func TestOnlyWhatCountsIsNoticed(t *testing.T) {
	law := chartertest.New("counting")
	_, log, err := note.GenerateKey(rand.Reader, "log.test/writ")
	if err != nil {
		t.Fatal(err)
	}
	key, err := witness.GenerateKey("a.test", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w, err := witness.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	law.Charter.Policy = "log " + log + "\nwitness a " + w.VKey() + "\nquorum a\n"
	order := &ledger.Warrant{Public: orderUnder(t, law).Public([32]byte{1}, law.Charter)}
	order.Approvals = warranttest.Approvals(law, order.Public)
	order.Sign(ledger.DocketSigner(law.Docket))
	forged := &ledger.Cancellation{WarrantIndex: 1, Warrant: ledger.HashEntry(order.Entry())}
	forged.Approval = order.Approvals[0] // of the warrant, not of its end
	var got []uint64
	apply := counting([]charter.Hash{law.Charter.Hash()}, func(index uint64, _ []byte, _ time.Time) { got = append(got, index) })
	for i, entry := range [][]byte{ledger.CharterEntry(law.Sign(law.Charter)), order.Entry(), forged.Entry(), order.Entry(), []byte("junk")} {
		if err := apply(uint64(i), entry, chartertest.Now); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(got, []uint64{0, 1}) {
		t.Errorf("entries %v", got)
	}
}
