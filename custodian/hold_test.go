package custodian_test

import (
	"bytes"
	"testing"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/capsule"
	"writ/charter"
	"writ/custodian"
	"writ/internal/testlaw"
	"writ/ledger"
	"writ/unseal"
	"writ/warrant"
)

// lasting is hourly, with custodians whose clock runs ahead of the witnesses' by hours,
// and holds of eight hours.
func lasting(t *testing.T) *testlaw.World {
	return testlaw.New(t, func(c *charter.Charter) {
		c.Limits.KeyPeriod, c.Limits.MaxEpochAge, c.Limits.Horizon = 3600, 3600, 7200
		c.Limits.Freshness, c.Limits.MaxHold = 24*3600, 8*3600
	}, testlaw.Small...)
}

// under returns the same capsules under a warrant of an action, on the log.
func under(w *testlaw.World, action warrant.Action, capsules ...*capsule.Capsule) *asked {
	q := prepare(w, 0)
	q.capsules, q.warrant.Action = capsules, action
	q.warrant.NotAfter = uint64(time.Now().Add(48 * time.Hour).Unix())
	return q.log()
}

// R28: what custodians hold for a warrant that preserves opens after the horizon, under
// another warrant, and only that: its neighbour of the same period is gone. At the hold's
// end it is gone too, and the ledger says so.
func TestHold(t *testing.T) {
	t.Parallel()
	w, hands := lasting(t), &clock{}
	both := prepare(w, 2).capsules
	kept, neighbour := both[0], both[1]
	period := kept.Label().Period
	clients := map[string]api.CustodianClient{}
	ends := map[string]func(){}
	var dirs []string
	start := func(c testlaw.Custodian) {
		var end func()
		clients[c.Who()], end = startOn(t, w, hands, c)
		ends[c.Who()] = end
	}
	for _, c := range w.Custodians {
		dirs = append(dirs, c.Dir)
		start(c)
	}
	hold := under(w, warrant.Preserve, kept)
	until := hold.warrant.NotBefore + w.Charter.Limits.MaxHold
	for _, c := range w.Custodians {
		for range 2 { // again: the same
			out, err := send(t, c, clients[c.Who()], hold.request(t))
			if err != nil || out.GetKept().GetUntil() != until || out.GetGranted() != nil {
				t.Fatalf("%s: %v, %v", c.Who(), out, err)
			}
			in, err := w.Policy.Include(out.GetKept().Intent, out.GetKept().IntentProof, time.Now(), 0)
			if err != nil || in.Entry().Preservation == nil {
				t.Fatalf("intent to keep: %v", err)
			}
		}
	}
	hands.set(w.Charter.DestroyBy(period), 0)
	awaitDestruction(t, w, period, w.Custodians...)
	if n := openWith(t, w, both, dirs...); n != 0 {
		t.Errorf("all period keys of all custodians open %d", n)
	}
	for _, c := range w.Custodians { // what is kept survives a restart
		ends[c.Who()]()
		start(c)
	}
	open := under(w, warrant.Disclose, kept)
	var shares []unseal.Share
	for _, c := range w.Custodians {
		out, err := send(t, c, clients[c.Who()], open.request(t))
		if err != nil {
			t.Fatal(err)
		}
		shares = append(shares, open.open(t, c, out)...)
	}
	access, err := w.Charter.Access(period, nil)
	if err != nil {
		t.Fatal(err)
	}
	combiner, err := unseal.NewCombiner(access)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := testlaw.Secrets("ann", 1)
	if got, _, bad, err := combiner.Combine(kept.Bytes(), shares); err != nil || len(bad) > 0 || !bytes.Equal(got, want) {
		t.Errorf("after the horizon: %q, bad %v, %v", got, bad, err)
	}
	for name, q := range map[string]*asked{"the neighbour": under(w, warrant.Disclose, neighbour), "both": under(w, warrant.Disclose, kept, neighbour)} {
		out, err := send(t, w.Custodians[0], clients[w.Custodians[0].Who()], q.request(t))
		if r := refusal(t, w.Custodians[0], out, err); r != unseal.ReasonHorizon {
			t.Errorf("%s: reason %v", name, r)
		}
	}
	request := ledger.HashEntry(hold.requestEntry)
	if custodian.HoldKey(t, dirs[0], []byte(testlaw.Passphrase), request) == nil {
		t.Error("the hold has no key while it lasts")
	}
	hands.set(until, 0)
	for _, c := range w.Custodians {
		awaitHoldEnd(t, w, request, c)
		if custodian.HoldKey(t, c.Dir, []byte(testlaw.Passphrase), request) != nil {
			t.Errorf("%s has the key of a hold that ended", c.Who())
		}
		late := under(w, warrant.Disclose, kept)
		out, err := send(t, c, clients[c.Who()], late.request(t))
		if r := refusal(t, c, out, err); r != unseal.ReasonHorizon {
			t.Errorf("after the hold: reason %v", r)
		}
	}
	book, _ := w.Book()
	if f := book.Overdue(hands.now().Add(48 * time.Hour)); len(book.Findings()) > 0 || ofType(f, "hold end") > 0 {
		t.Errorf("findings %v, overdue %v", book.Findings(), f)
	}
}

func ofType(list []ledger.Finding, kind string) (n int) {
	for _, f := range list {
		if f.Type == kind {
			n++
		}
	}
	return n
}

// startOn runs a custodian by a clock; end stops it.
func startOn(t *testing.T, w *testlaw.World, hands *clock, c testlaw.Custodian) (api.CustodianClient, func()) {
	t.Helper()
	s, end := w.RunCustodian(on(hands, w.CustodianConfig(c)))
	return serve(t, s), end
}

func awaitHoldEnd(t *testing.T, w *testlaw.World, request ledger.EntryHash, c testlaw.Custodian) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if book, _ := w.Book(); book.HoldEnded(request, c.Office, c.Custodian) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: the hold does not end", c.Who())
		}
	}
}

// Nothing is kept under a warrant that was cancelled.
func TestHoldEndsWithItsWarrant(t *testing.T) {
	t.Parallel()
	w := lasting(t)
	c := w.Custodians[0]
	client, _ := startOn(t, w, &clock{}, c)
	q := under(w, warrant.Preserve, w.Capsule("ann", 1))
	if out, err := send(t, c, client, q.request(t)); err != nil || out.GetKept() == nil {
		t.Fatal(out, err)
	}
	o := w.Charter.Offices[0]
	x := &ledger.Cancellation{WarrantIndex: q.warrantIndex, Warrant: ledger.HashEntry(q.warrantEntry)}
	x.Approval = w.ApproverKey(o.Approvers[0].ID).Approve(x.Hash(), o.ID, o.Approvers[0].ID)
	w.Add(x.Entry())
	awaitHoldEnd(t, w, ledger.HashEntry(q.requestEntry), c)
}

// From the moment at which a custodian knows that a hold's warrant was stopped it gives
// nothing of the hold, and does not say any more that it keeps something: also when its next
// turn, which destroys what was kept, has not come.
func TestStoppedHoldGivesNothing(t *testing.T) {
	t.Parallel()
	w, hands := lasting(t), &clock{}
	c := w.Custodians[0]
	s, err := custodian.Open(ctx, on(hands, w.CustodianConfig(c))) // and no turn ever comes
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	client, kept := serve(t, s), w.Capsule("ann", 1)
	hold := under(w, warrant.Preserve, kept)
	if out, err := send(t, c, client, hold.request(t)); err != nil || out.GetKept() == nil {
		t.Fatal(out, err)
	}
	hands.set(w.Charter.DestroyBy(kept.Label().Period), time.Minute)
	first := under(w, warrant.Disclose, kept)
	if out, err := send(t, c, client, first.request(t)); err != nil || out.GetGranted() == nil {
		t.Fatal("while it lasts:", out.GetRefused(), err)
	}
	o := w.Charter.Offices[0]
	x := &ledger.Cancellation{WarrantIndex: hold.warrantIndex, Warrant: ledger.HashEntry(hold.warrantEntry)}
	x.Approval = w.ApproverKey(o.Approvers[0].ID).Approve(x.Hash(), o.ID, o.Approvers[0].ID)
	w.Add(x.Entry())
	out, err := send(t, c, client, under(w, warrant.Disclose, kept).request(t))
	if r := refusal(t, c, out, err); r != unseal.ReasonHorizon {
		t.Errorf("of a stopped hold: reason %v", r)
	}
	out, err = send(t, c, client, hold.request(t))
	if r := refusal(t, c, out, err); r != unseal.ReasonCancelled {
		t.Errorf("asked again to keep: reason %v", r)
	}
}

// What is stored of a hold was damaged: the custodian signs no refusal of which it can't
// know that it is true, and still ends this hold, and others.
func TestDamagedHold(t *testing.T) {
	t.Parallel()
	w, hands := lasting(t), &clock{}
	c := w.Custodians[0]
	s, _ := w.RunCustodian(on(hands, w.CustodianConfig(c)))
	client, kept, other := serve(t, s), w.Capsule("ann", 1), w.Capsule("ann", 2)
	var requests []ledger.EntryHash
	var until uint64
	for _, capsule := range []*capsule.Capsule{kept, other} {
		q := under(w, warrant.Preserve, capsule)
		if out, err := send(t, c, client, q.request(t)); err != nil || out.GetKept() == nil {
			t.Fatal(out, err)
		}
		until = q.warrant.NotBefore + w.Charter.Limits.MaxHold
		requests = append(requests, ledger.HashEntry(q.requestEntry))
	}
	custodian.DamageHold(t, s, requests[0])
	hands.set(w.Charter.DestroyBy(kept.Label().Period), time.Minute)
	out, err := send(t, c, client, under(w, warrant.Disclose, kept).request(t))
	if connect.CodeOf(err) != connect.CodeInternal {
		t.Errorf("it answers %v, %v", out.GetRefused(), err)
	}
	if out, err := send(t, c, client, under(w, warrant.Disclose, other).request(t)); err != nil || out.GetGranted() == nil {
		t.Errorf("the other hold: %v, %v", out.GetRefused(), err)
	}
	hands.set(until, time.Minute)
	for _, id := range requests {
		awaitHoldEnd(t, w, id, c)
		if custodian.HoldKey(t, c.Dir, []byte(testlaw.Passphrase), id) != nil {
			t.Error("the key of a hold outlives it")
		}
	}
}

// A custodian that stood still over the end of a hold, or fell after it erased the hold's
// key, keeps nothing when it first answers.
func TestHoldEndsAfterAFall(t *testing.T) {
	t.Parallel()
	w, next := lasting(t), 0
	for name, fall := range map[string]func(*custodian.Server, ledger.EntryHash){
		"stood still": func(*custodian.Server, ledger.EntryHash) {},
		"key erased":  func(s *custodian.Server, id ledger.EntryHash) { custodian.EraseHold(t, s, id) },
	} {
		c, hands := w.Custodians[next], &clock{}
		next++
		q := under(w, warrant.Preserve, w.Capsule("ann", 1))
		s, end := w.RunCustodian(on(hands, w.CustodianConfig(c)))
		if out, err := send(t, c, serve(t, s), q.request(t)); err != nil || out.GetKept() == nil {
			t.Fatal(out, err)
		}
		id := ledger.HashEntry(q.requestEntry)
		fall(s, id)
		end()
		hands.set(q.warrant.NotBefore+w.Charter.Limits.MaxHold, time.Minute)
		s, err := custodian.Open(ctx, on(hands, w.CustodianConfig(c)))
		if err != nil {
			t.Fatal(err)
		}
		if s.Keeps(q.capsules[0].Hash()) {
			t.Errorf("%s: it keeps something when it opens", name)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		_, end = w.RunCustodian(on(hands, w.CustodianConfig(c)))
		awaitHoldEnd(t, w, id, c)
		end()
	}
}
