package operator_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"writ/charter"
	"writ/follower"
	"writ/internal/testlaw"
	"writ/ledger"
	"writ/notice"
	"writ/notice/beacon"
	"writ/notice/beacon/beacontest"
	"writ/operator"
)

var ctx = context.Background()

// world is a law on a real ledger whose beacon three operators run, with a round
// each second, on clocks that the test turns.
type world struct {
	*testlaw.World
	beacon *beacontest.World
	ahead  atomic.Int64 // of the operators' clocks, in seconds
	seats  map[string]*place
	peers  map[string]string // where each seat is, whether or not an operator runs there
}

// place is a seat seen from the network: nobody answers there until an operator runs.
type place struct{ operator atomic.Pointer[http.Handler] }

func (p *place) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := p.operator.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	w.WriteHeader(http.StatusBadGateway)
}

func (p *place) take(h http.Handler) { p.operator.Store(&h) }

func newWorld(t *testing.T, running ...int) *world {
	w := &world{beacon: beacontest.New("operators", uint64(time.Now().Unix())-100, 1, 2, 3),
		seats: map[string]*place{}, peers: map[string]string{}}
	w.World = testlaw.New(t, func(c *charter.Charter) { c.Beacon = w.beacon.Beacon() }, testlaw.Small...)
	for i := range w.beacon.Operators {
		s := new(place)
		server := httptest.NewServer(s)
		t.Cleanup(server.Close)
		w.seats[beacontest.Name(i)], w.peers[beacontest.Name(i)] = s, server.URL
	}
	for _, seat := range running {
		w.start(seat)
	}
	return w
}

// start runs an operator in its seat.
func (w *world) start(seat int) {
	o := w.beacon.Operators[seat]
	keys := operator.KeysWith(beacontest.Name(seat), o.Signer, o.Mail, w.beacon.Group, w.beacon.Shares[seat])
	s, err := operator.Open(ctx, operator.Config{Dir: w.T.TempDir(), Keys: keys, Peers: w.peers, Ledger: w.Ledger, Policy: w.Policy,
		Charters: []charter.Hash{w.Charter.Hash()}, MaxAge: time.Minute, Poll: 100 * time.Millisecond,
		Now: func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load()) * time.Second) }})
	if err != nil {
		w.T.Fatal(err)
	}
	w.seats[beacontest.Name(seat)].take(s.Handler())
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(running) }()
	w.T.Cleanup(func() { cancel(); <-ended; s.Close() })
}

// request logs a warrant and a request under it that is locked to a round some
// seconds from now.
func (w *world) request(seconds uint64) *ledger.Request {
	x, _ := w.Warrant("ann")
	x.NoticeDue = uint64(time.Now().Unix()) + seconds
	entry := w.Entry(x, [32]byte{1})
	entry.Sign(ledger.DocketSigner(w.Docket))
	r := &ledger.Request{WarrantIndex: w.Add(entry.Entry()), Warrant: ledger.HashEntry(entry.Entry()), Leaves: [][32]byte{{1}}}
	var err error
	if r.Round, r.Timelock, err = notice.Lock(w.Charter, x, [32]byte{9}); err != nil {
		w.T.Fatal(err)
	}
	r.Sign(ledger.DocketSigner(w.Docket))
	w.Add(r.Entry())
	return r
}

// told returns the notices that the ledger shows.
func (w *world) told() []ledger.Notice {
	b, _ := w.Book()
	return b.Notices(0, time.Now())
}

func (w *world) awaitTold() []ledger.Notice {
	w.T.Helper()
	for range 100 {
		if n := w.told(); len(n) > 0 {
			return n
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.T.Fatal("the round does not reach the ledger")
	return nil
}

func (w *world) get(seat int, path string, args ...any) (status int, body []byte) {
	w.T.Helper()
	res, err := http.Get(w.peers[beacontest.Name(seat)] + fmt.Sprintf(path, args...))
	if err != nil {
		w.T.Fatal(err)
	}
	defer res.Body.Close()
	body, _ = io.ReadAll(res.Body)
	return res.StatusCode, body
}

// R16: when its time comes, and not before, two of three operators bring the round
// that a request waits for to the ledger, and its signature opens the notice. The
// third never ran.
func TestRoundReachesTheLedger(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, 1)
	r := w.request(20)
	time.Sleep(500 * time.Millisecond) // some looks at the ledger
	if n := w.told(); len(n) != 0 {
		t.Fatalf("told before its time: %+v", n)
	}
	for _, path := range []string{fmt.Sprintf("/beacon/group/%x/partial/%d", w.beacon.Group.Hash(), r.Round),
		fmt.Sprintf("/beacon/%x/public/%d", w.beacon.Beacon().Chain(), r.Round)} {
		if status, body := w.get(0, "%s", path); status != http.StatusTooEarly {
			t.Errorf("%s before its time: %d %s", path, status, body)
		}
	}
	w.ahead.Store(20)
	n := w.awaitTold()
	salt, err := beacon.Unlock(n[0].Request.Timelock, n[0].Signature)
	if err != nil || salt != [32]byte{9} {
		t.Errorf("the notice opens as %x, %v", salt, err)
	}
	if b, _ := w.Book(); len(b.Findings()) > 0 {
		t.Errorf("findings: %v", b.Findings())
	}
}

// A notary that takes no round keeps nobody uninformed: operators give it to who
// asks, and bring it to the log as soon as the notary takes it.
func TestWithheldRound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, 2)
	r := w.request(20)
	b, _ := w.Book()
	waiting := b.Waiting(time.Now().Add(time.Minute))
	w.Gate.Shut(true)
	w.ahead.Store(20)
	urls := []string{"http://127.0.0.1:1", w.peers["a"]} // the first is gone
	told := follower.Rounds(ctx, nil, urls, waiting)
	if len(told) != 1 || told[0].Signature.Round() != r.Round {
		t.Fatalf("operators tell %+v", told)
	}
	time.Sleep(300 * time.Millisecond) // failed tries
	w.Gate.Shut(false)
	w.awaitTold()
}

// One operator alone signs nothing that counts, however often it tries; when a
// second comes the round goes out.
func TestMinorityWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	r := w.request(1)
	w.ahead.Store(20)
	time.Sleep(500 * time.Millisecond)
	if n := w.told(); len(n) != 0 {
		t.Fatalf("one of three operators told %+v", n)
	}
	if status, _ := w.get(0, "/beacon/%x/public/%d", w.beacon.Beacon().Chain(), r.Round); status != http.StatusServiceUnavailable {
		t.Errorf("status %d", status)
	}
	w.start(1)
	w.awaitTold()
}

// A peer that answers with junk, or another's partial signature, changes nothing.
func TestHostilePeer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, 1)
	w.seats["c"].take(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { rw.Write(make([]byte, 1<<20)) }))
	n := w.beacon.Beacon().Round(uint64(time.Now().Unix()))
	s, err := follower.Round(ctx, nil, w.peers["a"], w.beacon.Beacon(), n)
	if err != nil || s.Round() != n {
		t.Fatalf("%v", err)
	}
	status, _ := w.get(0, "/beacon/%x/public/latest", w.beacon.Beacon().Chain())
	if status != http.StatusOK {
		t.Errorf("latest: %d", status)
	}
	if status, _ := w.get(0, "/beacon/%064x/info", 0); status != http.StatusNotFound {
		t.Errorf("unknown chain: %d", status)
	}
	if status, body := w.get(0, "/beacon/chains"); status != http.StatusOK || len(body) != 68 {
		t.Errorf("chains: %d %s", status, body)
	}
}
