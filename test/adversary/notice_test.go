package adversary

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"writ/charter"
	"writ/follower"
	"writ/ledger"
	"writ/notice"
	"writ/notice/beacon"
	"writ/notice/beacon/beacontest"
	"writ/unseal"
	"writ/warrant"
)

// TM-83: agency and docket want shares and no notice. The docket signs and logs requests
// that are locked to a later round, to another salt, to a beacon of its own, to noise, or
// whose leaves nobody finds; and all approve a notice that is later than the law allows.
func TestRequestWithoutItsNotice(t *testing.T) {
	t.Parallel()
	w := small(t)
	s := speak(t, w, true)
	good := w.Package(s.c, s.capsule)
	as := must(ledger.ParseEntry(good.RequestEntry)).Request
	key := w.Charter.Beacon.Key
	own := beacontest.New("my own", w.Charter.Beacon.Genesis, w.Charter.Beacon.Period, 2, 3).Beacon().Key
	lock := func(key *beacon.PublicKey, round uint64, salt [32]byte) []byte {
		return must(beacon.Lock(key, round, salt))
	}
	for what, x := range map[string]struct {
		change func(r *ledger.Request)
		reason unseal.Reason
	}{
		"a later round":        {func(r *ledger.Request) { r.Round++; r.Timelock = lock(key, r.Round, s.c.NoticeSalt) }, unseal.ReasonRound},
		"a round of no time":   {func(r *ledger.Request) { r.Round = 1 << 40; r.Timelock = lock(key, r.Round, s.c.NoticeSalt) }, unseal.ReasonRound},
		"locked to a later":    {func(r *ledger.Request) { r.Timelock = lock(key, r.Round+1, s.c.NoticeSalt) }, unseal.ReasonRound},
		"another salt":         {func(r *ledger.Request) { r.Timelock = lock(key, r.Round, [32]byte{1}) }, unseal.ReasonRound},
		"another beacon":       {func(r *ledger.Request) { r.Timelock = lock(own, r.Round, s.c.NoticeSalt) }, unseal.ReasonRound},
		"one bit":              {func(r *ledger.Request) { r.Timelock[len(r.Timelock)-1] ^= 1 }, unseal.ReasonRound},
		"leaves of no capsule": {func(r *ledger.Request) { r.Leaves = [][32]byte{{7}} }, unseal.ReasonNotice},
	} {
		r := &ledger.Request{WarrantIndex: as.WarrantIndex, Warrant: as.Warrant, Leaves: as.Leaves, Round: as.Round, Timelock: append([]byte(nil), as.Timelock...)}
		x.change(r)
		r.Sign(ledger.DocketSigner(w.Docket))
		p := *good
		p.RequestEntry = r.Entry()
		_, proof, err := w.Follower().Proof(ctx, w.Add(r.Entry()))
		w.Must(err)
		p.RequestProof = proof
		refused(t, w, what, &p, x.reason)
	}

	late, reader := w.Warrant("ann")
	late.NoticeDue = late.NotAfter + w.Charter.Limits.MaxNoticeDelay + 3600
	lax := must(charter.Parse(w.Charter.Encode()))
	lax.Limits.MaxNoticeDelay *= 2
	s.c.Warrant, s.c.Reader = late, reader
	entry := w.Entry(late, s.c.Salt)
	entry.Sign(ledger.DocketSigner(w.Docket))
	r := &ledger.Request{WarrantIndex: w.Add(entry.Entry()), Warrant: ledger.HashEntry(entry.Entry()), Leaves: as.Leaves}
	var err error
	r.Round, r.Timelock, err = notice.Lock(lax, late, s.c.NoticeSalt)
	w.Must(err)
	r.Sign(ledger.DocketSigner(w.Docket))
	_, requestProof, err := w.Follower().Proof(ctx, w.Add(r.Entry()))
	w.Must(err)
	_, warrantProof, err := w.Follower().Proof(ctx, r.WarrantIndex)
	w.Must(err)
	refused(t, w, "a notice later than the law", s.pack(entry.Entry(), warrantProof, r.Entry(), requestProof), unseal.ReasonNoticeDelay)
}

// seats are honest operators of the beacon on the network, whose clock the test turns: they
// give their parts of a round, of which two make the round.
func seats(t *testing.T, w *beacontest.World, ahead *atomic.Int64) (url string) {
	now := func() uint64 { return uint64(time.Now().Unix() + ahead.Load()) }
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var chain string
		var n uint64
		fmt.Sscanf(r.URL.Path, "/beacon/%64s/public/%d", &chain, &n)
		var parts []*beacon.Partial
		for _, s := range w.Shares[:2] {
			b, err := s.Sign(n, now())
			if err != nil {
				http.Error(rw, err.Error(), http.StatusTooEarly)
				return
			}
			parts = append(parts, must(w.Group.VerifyPartial(n, b)))
		}
		rw.Write(must(w.Group.Combine(parts)).JSON())
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// dead returns notices whose rounds come from no operator.
func dead(n int) (list []ledger.Notice) {
	law := &charter.Charter{Beacon: beacontest.New("dead", 1, 1, 2, 3).Beacon()}
	for round := range uint64(n) {
		list = append(list, ledger.Notice{Law: law, Request: &ledger.LoggedRequest{Request: &ledger.Request{Round: round + 1}}})
	}
	return list
}

// TM-84: the notary takes no round, one operator is gone, another answers with junk, a third
// takes the question and never answers; docket, agency and custodians are silent; and before
// hers are due rounds of a beacon for which nobody signs any more, more than are asked for at
// once. When the time has come, and not before, ann's device finds her card by itself.
func TestWithheldNotice(t *testing.T) {
	t.Parallel()
	w := small(t)
	s := speak(t, w, false)
	c := w.Authorise("ann", func(x *warrant.Warrant) { x.NoticeDue = uint64(time.Now().Unix()) + 120 })
	w.Open(c)
	book, _ := w.Book()
	w.Gate.Shut(true)
	var ahead atomic.Int64
	junk := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Write([]byte(`{"round":1,"signature":"00","randomness":"00"}`))
	}))
	t.Cleanup(junk.Close)
	hang := make(chan struct{})
	mute := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	t.Cleanup(mute.Close)
	t.Cleanup(func() { close(hang) })
	urls := []string{"http://127.0.0.1:1", junk.URL, mute.URL, seats(t, w.Beacon, &ahead)}
	look := func() int {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		told := follower.Rounds(ctx, nil, urls, append(dead(20), book.Waiting(time.Now().Add(time.Hour))...))
		cards, err := s.ann.CheckNotices(told)
		w.Must(err)
		return len(cards)
	}
	if n := look(); n != 0 {
		breach(t, "she is told %d notices before their time", n)
	}
	ahead.Store(240)
	if n := look(); n != 1 {
		breach(t, "she is told %d notices of 1", n)
	}
}

// TM-85: fewer operators than the threshold want to warn a subject: one signs the round
// before its time, with a clock of its own, shows its part as the whole, twice, and in two
// seats; and asks the others, who go by their clocks.
func TestRoundSignedEarly(t *testing.T) {
	t.Parallel()
	w := small(t)
	s := speak(t, w, true)
	r := must(ledger.ParseEntry(w.Package(s.c, s.capsule).RequestEntry)).Request
	due := must(w.Beacon.Beacon().Time(r.Round))
	mine := must(w.Beacon.Shares[0].Sign(r.Round, due))
	part := must(w.Beacon.Group.VerifyPartial(r.Round, mine))
	for what, parts := range map[string][]*beacon.Partial{"alone": {part}, "twice": {part, part}} {
		if sig, err := w.Beacon.Group.Combine(parts); err == nil {
			breach(t, "%s: it signs round %d", what, sig.Round())
		}
	}
	seated := append([]byte{0, 1}, mine[2:]...)
	if other, err := w.Beacon.Group.VerifyPartial(r.Round, seated); err == nil {
		breach(t, "its part is taken for that of seat %d", other.Seat())
	}
	if sig, err := w.Beacon.Beacon().Key.Verify(r.Round, mine[2:]); err == nil {
		salt, err := beacon.Unlock(r.Timelock, sig)
		breach(t, "its part is the round: salt %x, %v", salt, err)
	}
	var clock atomic.Int64
	if _, err := follower.Round(ctx, nil, seats(t, w.Beacon, &clock), w.Beacon.Beacon(), r.Round); err == nil {
		breach(t, "the others sign a round before its time")
	}
	for i := range 2 {
		if _, err := w.Beacon.Shares[i+1].Sign(r.Round, due-1); err == nil {
			breach(t, "seat %d signs a second too early", i+1)
		}
	}
	if _, err := w.Beacon.Shares[1].Sign(r.Round, due); err != nil {
		t.Errorf("when its time has come: %v", err)
	}
}
