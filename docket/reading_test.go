package docket_test

import (
	"bytes"
	"crypto/ed25519"
	"testing"

	"connectrpc.com/connect"

	"writ/api"
	"writ/examine"
	"writ/internal/testlaw"
	"writ/ledger"
	"writ/warrant"
)

// R24: a part of a bundle's key is kept for a request on the ledger only, and given out
// only against a reading that the docket's own copy of the ledger counts. A reading that
// is signed and not logged, a stranger's, or one of a request that is not on the ledger,
// gets nothing, and no notary logs the last two.
func TestPartNeedsItsReading(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	_, d := w.StartDocket(t.TempDir())
	a := &examine.Agency{Name: testlaw.Agency, Key: examine.AgencyKey(w.AgencyKey), Docket: d}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	signer := func() ledger.PersonSigner {
		_, key, err := ed25519.GenerateKey(nil)
		must(err)
		return ledger.PersonSigner(key)
	}
	ann, stranger := signer(), signer()
	order, reader := w.Warrant("ann-the-target")
	order.Readers[0].Key = ann.Public()
	c, err := examine.NewCase(order, reader)
	must(err)
	h := order.Hash()
	must(a.Lodge(ctx, c, w.Charter))
	w.ReadAndApprove(d, h)
	published, err := a.Publish(ctx, h)
	must(err)

	mail, err := warrant.NewMailKey()
	must(err)
	bundle, part := [32]byte{1}, [32]byte{2}
	early := &ledger.Request{WarrantIndex: published.Index, Warrant: ledger.HashEntry(published.Entry), Leaves: [][32]byte{{7}}, Round: 1, Timelock: lock}
	early.Sign(ledger.DocketSigner(w.Docket)) // what the docket would log
	reading := func(key ledger.PersonSigner, at uint64, request ledger.EntryHash) []byte {
		x := &ledger.Reading{RequestIndex: at, Request: request, Bundle: bundle, Purpose: ledger.PurposeRead,
			Salt: warrant.ReaderSalt(c.Salt, ann.Public()), Answer: ledger.AnswerHash(mail.Public())}
		x.Sign(key)
		return x.Entry()
	}
	ask := func(entry []byte) (*api.GivePartResponse, error) {
		return d.GivePart(ctx, &api.GivePartRequest{Reading: entry, AnswerKey: mail.Public()})
	}
	before := reading(ann, published.Index+1, ledger.HashEntry(early.Entry()))
	code(t, "a part is kept before the request is logged", a.KeepPart(ctx, h, published.Index+1, bundle, part), connect.CodeFailedPrecondition)
	if _, err := w.Follower().Add(ctx, before); err == nil {
		t.Error("a reading is logged before its request")
	}
	_, err = ask(before)
	code(t, "read before the request is logged", err, connect.CodeFailedPrecondition)

	request, err := a.Request(ctx, h, [][]byte{early.Leaves[0][:]}, early.Round, early.Timelock)
	must(err)
	if !bytes.Equal(request.Entry, early.Entry()) || request.Index != published.Index+1 {
		t.Fatal("another request was logged")
	}
	must(a.KeepPart(ctx, h, request.Index, bundle, part))
	for what, entry := range map[string][]byte{"not logged": before, "a stranger's": reading(stranger, request.Index, ledger.HashEntry(request.Entry)),
		"of another request": reading(ann, request.Index, ledger.EntryHash{1})} {
		_, err := ask(entry)
		code(t, what, err, connect.CodeFailedPrecondition)
	}
	second, err := a.Request(ctx, h, [][]byte{bytes.Repeat([]byte{8}, 32)}, 1, lock)
	must(err)
	other := reading(ann, second.Index, ledger.HashEntry(second.Entry))
	w.Add(other)
	_, err = ask(other)
	code(t, "the bundle is of another request than the reading", err, connect.CodePermissionDenied)
	w.Add(before)
	out, err := ask(before)
	must(err)
	if got, err := warrant.Open(out.Envelope, "answer", mail); err != nil || !bytes.Equal(got, part[:]) {
		t.Errorf("the part is not in the answer: %v", err)
	}
}
