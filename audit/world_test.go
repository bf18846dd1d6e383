package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"slices"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"writ/charter"
	"writ/charter/chartertest"
	"writ/ledger"
	"writ/notice/beacon"
	"writ/warrant"
	"writ/warrant/warranttest"
)

// world is a law, everybody's keys, and a log of entries with two witnesses.
type world struct {
	*chartertest.World
	t       testing.TB
	signer  note.Signer
	witness [2]note.Signer
	policy  *ledger.Policy
	entries [][]byte
	hashes  []tlog.Hash
	serial  uint16
}

var begun = chartertest.Now

func newWorld(t testing.TB) *world {
	w := &world{World: chartertest.New("audit"), t: t}
	skey, vkey, err := note.GenerateKey(rand.Reader, "log.example/writ")
	w.must(err)
	w.signer, err = note.NewSigner(skey)
	w.must(err)
	text := "log " + vkey + "\n"
	for i, name := range []string{"a", "b"} {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		w.must(err)
		s, err := torchwood.NewCosignatureSigner(name+".example", key)
		w.must(err)
		w.witness[i] = s
		text += fmt.Sprintf("witness %s %s\n", name, s.Verifier())
	}
	w.Charter.Policy = text + "group q any a b\nquorum q\n"
	w.Charter.Limits.CapSubjects = 3
	w.policy, err = ledger.ParsePolicy(w.Charter.Policy)
	w.must(err)
	w.log(ledger.CharterEntry(w.Sign(w.Charter)))
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// ReadHashes implements [tlog.HashReader].
func (w *world) ReadHashes(at []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(at))
	for i, x := range at {
		out[i] = w.hashes[x]
	}
	return out, nil
}

func (w *world) log(entry []byte) (index uint64) {
	stored, err := tlog.StoredHashes(int64(len(w.entries)), entry, w)
	w.must(err)
	w.entries, w.hashes = append(w.entries, entry), append(w.hashes, stored...)
	return uint64(len(w.entries) - 1)
}

// checkpoint is cosigned now by so many witnesses.
func (w *world) checkpoint(witnesses int) *ledger.Checkpoint {
	w.t.Helper()
	n := int64(len(w.entries))
	root, err := tlog.TreeHash(n, w)
	w.must(err)
	signers := append([]note.Signer{w.signer}, w.witness[:witnesses]...)
	signed, err := note.Sign(&note.Note{Text: torchwood.Checkpoint{Origin: w.signer.Name(), Tree: tlog.Tree{N: n, Hash: root}}.String()}, signers...)
	w.must(err)
	c, err := w.policy.Checkpoint(signed, time.Now(), 0)
	w.must(err)
	return c
}

// warrant logs a warrant whose life begins at a time, under the newest law.
func (w *world) warrant(from time.Time, change func(*ledger.Warrant)) (index uint64, hash ledger.EntryHash) {
	x := w.order(from, change)
	return w.log(x.Entry()), ledger.HashEntry(x.Entry())
}

func (w *world) order(from time.Time, change func(*ledger.Warrant)) *ledger.Warrant {
	w.serial++
	x := &ledger.Warrant{Public: warrant.Public{Commitment: [32]byte{byte(w.serial), byte(w.serial >> 8), 1}, Charter: w.Charter.Hash(),
		Action: warrant.Disclose, CaseType: "serious-crime", Offices: []string{"judicial", "oversight"}, Window: 7200,
		NotBefore: uint64(from.Unix()), NotAfter: uint64(from.Unix()) + 3600, Readers: [][32]byte{{1}}}}
	if change != nil {
		change(x)
	}
	x.Approvals = warranttest.Approvals(w.World, x.Public)
	x.Sign(ledger.DocketSigner(w.Docket))
	return x
}

// unapproved logs what a thief of the docket's key can make.
func (w *world) unapproved(from time.Time) {
	x := w.order(from, nil)
	x.Approvals = nil
	x.Sign(ledger.DocketSigner(w.Docket))
	w.log(x.Entry())
}

// request logs a request for n compartments.
func (w *world) request(warrant uint64, hash ledger.EntryHash, n int) *ledger.Request {
	w.serial++
	x := &ledger.Request{WarrantIndex: warrant, Warrant: hash, Round: 1_000_000, Timelock: make([]byte, beacon.TimelockSize)}
	for i := range n {
		x.Leaves = append(x.Leaves, [32]byte{byte(i >> 8), byte(i), byte(w.serial), byte(w.serial >> 8)})
	}
	x.Sign(ledger.DocketSigner(w.Docket))
	w.log(x.Entry())
	return x
}

// release logs the intents of custodians for the newest request.
func (w *world) release(q *ledger.Request, who ...string) {
	at := uint64(0)
	for i, e := range w.entries {
		if ledger.HashEntry(e) == ledger.HashEntry(q.Entry()) {
			at = uint64(i)
		}
	}
	for _, id := range who {
		x := &ledger.Release{RequestIndex: at, Request: ledger.HashEntry(q.Entry()), Office: id[:len(id)-2], Custodian: id,
			Count: uint32(len(q.Leaves)), Root: q.Root()}
		x.Sign(ledger.CustodianSigner(w.Custodians[id]))
		w.log(x.Entry())
	}
}

func (w *world) refuse(request ledger.EntryHash, id string, reason uint8) {
	x := &ledger.Refusal{Request: request, Office: id[:len(id)-2], Custodian: id, Reason: reason}
	x.Sign(ledger.CustodianSigner(w.Custodians[id]))
	w.log(x.Entry())
}

// amend logs the next version of the law.
func (w *world) amend(change func(*charter.Charter)) {
	c := *w.Charter
	c.Number, c.Previous = c.Number+1, c.Hash()
	change(&c)
	w.log(ledger.CharterEntry(w.Sign(&c)))
	w.Charter = &c
}

var quorum = []string{"judicial-1", "judicial-2", "oversight-1", "publication-1", "publication-2"}

// story logs two years of everything that a log can have, and some of what does
// not count.
func (w *world) story() {
	year := 365 * 24 * time.Hour
	_, person, err := ed25519.GenerateKey(rand.Reader)
	w.must(err)
	reader, salt := ledger.PersonSigner(person), [32]byte{7}
	at, h := w.warrant(begun, func(x *ledger.Warrant) { x.Readers = [][32]byte{warrant.ReaderCommitment(salt, reader.Public())} })
	q := w.request(at, h, 3)
	w.release(q, quorum...)
	for i := range 3 {
		x := &ledger.Reading{RequestIndex: at + 1, Request: ledger.HashEntry(q.Entry()), Bundle: [32]byte{1}, Purpose: ledger.PurposeRead, Salt: salt, Answer: [32]byte{byte(i)}}
		if i == 2 {
			x.Purpose = ledger.PurposeExport
		}
		x.Sign(reader)
		w.log(x.Entry())
	}
	w.release(q, "judicial-3")
	at, h = w.warrant(begun.Add(time.Hour), func(x *ledger.Warrant) { x.CaseType, x.Flags = "missing-person", warrant.IsEmergency })
	q = w.request(at, h, 2)
	w.release(q, quorum[:4]...) // one publisher is too few
	w.refuse(ledger.HashEntry(q.Entry()), "publication-2", 29)
	w.refuse(ledger.HashEntry(q.Entry()), "publication-3", 19)
	at, h = w.warrant(begun, func(x *ledger.Warrant) { x.Flags, x.NotAfter = warrant.IsTest, x.NotBefore+600 })
	w.release(w.request(at, h, 1), quorum...)
	w.warrant(begun, func(x *ledger.Warrant) { x.CaseType = "tax" }) // does not count
	w.log(w.entries[1])                                              // nor does this
	w.log([]byte("nor this"))
	w.unapproved(begun)
	w.refuse(ledger.EntryHash{9}, "oversight-2", 11)
	p := w.Charter.Period(begun)
	w.log(ledger.CustodianKeyEntry(w.Statement("judicial", "judicial-1", p+2)))
	gone := &ledger.Destruction{Office: "judicial", Custodian: "judicial-1", Period: p, CharterName: w.Charter.Name}
	gone.Sign(ledger.CustodianSigner(w.Custodians["judicial-1"]))
	w.log(gone.Entry())
	w.amend(func(c *charter.Charter) {
		c.Review += uint64(year / time.Second)
		c.Limits.Tariff = &charter.Tariff{Currency: "NOK", PerOpening: 1000_00, PerCompartment: 1}
		c.Approval = charter.Rules{{Office: "judicial", Threshold: 2}, {Office: "oversight", Threshold: 1}}
	})
	next := begun.Add(year)
	for i := range 4 { // one more than the cap
		at, h = w.warrant(next.Add(time.Duration(i)*time.Minute), nil)
	}
	w.refuse(ledger.HashEntry(w.request(at, h, 1).Entry()), "judicial-1", 18)
	w.warrant(next.Add(40*24*time.Hour), func(x *ledger.Warrant) { x.Renews = [32]byte{1, 0, 1} })
	at, h = w.warrant(next.Add(40*24*time.Hour), func(x *ledger.Warrant) { x.Action = warrant.Preserve })
	w.hold(at+1, w.request(at, h, 2), "judicial-1", "judicial-2")
	at, h = w.warrant(next.Add(40*24*time.Hour), nil)
	for range 2 {
		w.release(w.request(at, h, 300), quorum...)
	}
	later := next.Add(80 * 24 * time.Hour)
	urgent := func(x *ledger.Warrant) { x.Flags = warrant.IsEmergency }
	at, h = w.warrant(later, urgent)
	w.review(at, h, ledger.ReviewConfirmed, "judicial", "oversight")
	wrong := w.request(at, h, 1)
	mistake := &ledger.Error{RequestIndex: at + 2, Request: ledger.HashEntry(wrong.Entry()), Kind: ledger.WrongPerson}
	mistake.Approval = w.approve(mistake.Hash(), "oversight", 1)
	w.log(mistake.Entry())
	at, h = w.warrant(later, urgent)
	w.review(at, h, ledger.ReviewRefused, "judicial")
	end := &ledger.Cancellation{WarrantIndex: at, Warrant: h}
	end.Approval = w.approve(end.Hash(), "judicial", 1)
	w.log(end.Entry())
}

func (w *world) review(at uint64, h ledger.EntryHash, o ledger.Outcome, offices ...string) {
	x := &ledger.Review{WarrantIndex: at, Warrant: h, Outcome: o}
	for _, office := range offices {
		for n := range w.Charter.Approval[slices.IndexFunc(w.Charter.Approval, func(r charter.Rule) bool { return r.Office == office })].Threshold {
			x.Approvals = append(x.Approvals, w.approve(x.Hash(), office, n+1))
		}
	}
	w.log(x.Entry())
}

// hold logs that custodians hold what a request names; the first ends its hold.
func (w *world) hold(at uint64, q *ledger.Request, who ...string) {
	h := ledger.HashEntry(q.Entry())
	for _, id := range who {
		x := &ledger.Preservation{Release: ledger.Release{RequestIndex: at, Request: h, Office: id[:len(id)-2], Custodian: id,
			Count: uint32(len(q.Leaves)), Root: q.Root()}}
		x.Sign(ledger.CustodianSigner(w.Custodians[id]))
		w.log(x.Entry())
	}
	end := &ledger.HoldEnd{Request: h, Office: who[0][:len(who[0])-2], Custodian: who[0]}
	end.Sign(ledger.CustodianSigner(w.Custodians[who[0]]))
	w.log(end.Entry())
}

// approve signs as the approver OFFICE-approver-N.
func (w *world) approve(h warrant.Hash, office string, n uint8) warrant.Approval {
	id := fmt.Sprintf("%s-approver-%d", office, n)
	key, err := warrant.ParseApproverKey(w.Approvers[id].Seed())
	w.must(err)
	return key.Approve(h, office, id)
}

// audit reads the whole log.
func (w *world) audit(marks ...Mark) *Auditor {
	w.t.Helper()
	a := New(w.first())
	for _, m := range marks {
		a.Mark(m)
	}
	for i, e := range w.entries {
		w.must(a.Apply(uint64(i), e, begun))
	}
	return a
}

func (w *world) first() charter.Hash {
	e, err := ledger.ParseEntry(w.entries[0])
	w.must(err)
	return e.Charter.Hash()
}
