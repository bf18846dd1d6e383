package custodian_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/capsule"
	"writ/charter"
	"writ/custodian"
	"writ/internal/keyfile"
	"writ/internal/testlaw"
	"writ/ledger"
	"writ/notice"
	"writ/notice/beacon"
	"writ/unseal"
	"writ/warrant"
)

var ctx = context.Background()

// asked is a logged request for some compartments of ann.
type asked struct {
	w            *testlaw.World
	warrant      *warrant.Warrant
	reader       *unseal.ReaderKey
	salt         [32]byte
	noticeSalt   [32]byte
	capsules     []*capsule.Capsule
	warrantIndex uint64
	requestIndex uint64
	warrantEntry []byte
	requestEntry []byte
}

// prepare makes an approved warrant on ann and the entries for epochs 1 to n,
// and logs neither.
func prepare(w *testlaw.World, n int) *asked {
	q := &asked{w: w}
	q.warrant, q.reader = w.Warrant("ann")
	rand.Read(q.salt[:])
	rand.Read(q.noticeSalt[:])
	for epoch := range n {
		q.capsules = append(q.capsules, w.Capsule("ann", uint64(epoch+1)))
	}
	return q
}

// log puts the warrant entry and then the request entry on the ledger.
func (q *asked) log() *asked {
	q.w.T.Helper()
	q.makeWarrantEntry()
	q.warrantIndex = q.w.Add(q.warrantEntry)
	q.makeRequestEntry()
	q.requestIndex = q.w.Add(q.requestEntry)
	return q
}

func (q *asked) makeWarrantEntry() {
	x := q.w.Entry(q.warrant, q.salt)
	x.Sign(ledger.DocketSigner(q.w.Docket))
	q.warrantEntry = x.Entry()
}

func (q *asked) makeRequestEntry() {
	x := &ledger.Request{WarrantIndex: q.warrantIndex, Warrant: ledger.HashEntry(q.warrantEntry)}
	for _, c := range q.capsules {
		x.Leaves = append(x.Leaves, notice.Leaf(c.Hash(), q.noticeSalt))
	}
	slices.SortFunc(x.Leaves, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	x.Round = q.w.Charter.Beacon.RoundFrom(q.warrant.NoticeDue)
	var err error
	if x.Timelock, err = beacon.Lock(q.w.Charter.Beacon.Key, x.Round, q.noticeSalt); err != nil {
		q.w.T.Fatal(err)
	}
	x.Sign(ledger.DocketSigner(q.w.Docket))
	q.requestEntry = x.Entry()
}

// request packs what a custodian gets, with proofs of now.
func (q *asked) request(t testing.TB) *unseal.Request {
	t.Helper()
	r := &unseal.Request{Warrant: q.warrant.Encode(), WarrantSalt: q.salt,
		WarrantEntry: q.warrantEntry, RequestEntry: q.requestEntry, NoticeSalt: q.noticeSalt}
	var err error
	if _, r.WarrantProof, err = q.w.Follower().Proof(ctx, q.warrantIndex); err != nil {
		t.Fatal(err)
	}
	if _, r.RequestProof, err = q.w.Follower().Proof(ctx, q.requestIndex); err != nil {
		t.Fatal(err)
	}
	for _, c := range q.capsules {
		r.Compartments = append(r.Compartments, unseal.Compartment{Capsule: c.Bytes()})
	}
	return r
}

// serve answers a custodian's callers.
func serve(t testing.TB, s *custodian.Server) api.CustodianClient {
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	return api.NewCustodianClient(http.DefaultClient, srv.URL)
}

// send seals a request to a custodian and asks for its release.
func send(t testing.TB, c testlaw.Custodian, client api.CustodianClient, r *unseal.Request) (*api.ReleaseResponse, error) {
	t.Helper()
	sealed, err := warrant.Seal(r.Encode(), []warrant.Recipient{{ID: c.Who(), MailKey: c.Public.Custodian.Mail}})
	if err != nil {
		t.Fatal(err)
	}
	return client.Release(ctx, &api.ReleaseRequest{SealedRequest: sealed})
}

// answerOf sends a request again while the custodian says that it may succeed later.
func answerOf(t testing.TB, c testlaw.Custodian, client api.CustodianClient, r *unseal.Request) (out *api.ReleaseResponse, err error) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if out, err = send(t, c, client, r); connect.CodeOf(err) != connect.CodeUnavailable {
			break
		}
	}
	return out, err
}

// open verifies a release and returns its shares.
func (q *asked) open(t testing.TB, c testlaw.Custodian, out *api.ReleaseResponse) []unseal.Share {
	t.Helper()
	g := out.GetGranted()
	if g == nil {
		t.Fatalf("%s: refused: %v", c.Who(), out.GetRefused())
	}
	r, err := unseal.ParseRelease(g.Release)
	if err != nil {
		t.Fatal(err)
	}
	in, err := q.w.Policy.Include(g.Intent, g.IntentProof, time.Now(), 0)
	if err != nil || in.Entry().Release == nil || in.Index() != r.Intent {
		t.Fatalf("intent: %v", err)
	}
	shares, err := unseal.OpenRelease(r, q.reader, c.Public.Custodian.Key)
	if err != nil {
		t.Fatal(err)
	}
	return shares
}

// refusal verifies a refusal, which is signed exactly if it is logged, and returns its
// reason.
func refusal(t testing.TB, c testlaw.Custodian, out *api.ReleaseResponse, err error) unseal.Reason {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	f := out.GetRefused()
	if f == nil {
		t.Fatal("released")
	}
	if !f.Logged {
		if len(f.Refusal) > 0 {
			t.Errorf("a refusal that is not logged is signed, so that others can log it")
		}
		return unseal.Reason(f.Reason)
	}
	e, err := ledger.ParseEntry(f.Refusal)
	if err != nil || e.Refusal == nil || !e.Refusal.Verify(c.Public.Custodian.Key) || uint32(e.Refusal.Reason) != f.Reason {
		t.Fatalf("refusal %x: %v", f.Refusal, err)
	}
	return unseal.Reason(f.Reason)
}

// Two custodians of two offices release, and their shares open the
// compartments; each logged one intent, and a retry gives the same bytes.
func TestRelease(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	q := prepare(w, 3).log()
	shares := map[capsule.Hash][]unseal.Share{}
	for _, i := range []int{0, 2} {
		c := w.Custodians[i]
		_, client := w.StartCustodian(w.CustodianConfig(c))
		out, err := send(t, c, client, q.request(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range q.open(t, c, out) {
			shares[s.Capsule] = append(shares[s.Capsule], s)
		}
		again, err := send(t, c, client, q.request(t))
		if err != nil || !bytes.Equal(again.GetGranted().GetRelease(), out.GetGranted().GetRelease()) {
			t.Errorf("%s: a retry gives another release: %v", c.Who(), err)
		}
		status, err := client.Status(ctx, &api.StatusRequest{})
		if err != nil || !status.Ready || status.Forked || status.Why != "" || status.Released != 1 || status.Custodian != c.Custodian || len(status.Periods) == 0 {
			t.Errorf("status %v, %v", status, err)
		}
	}
	access, err := w.Charter.Access(q.capsules[0].Label().Period, nil)
	if err != nil {
		t.Fatal(err)
	}
	combiner, err := unseal.NewCombiner(access)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range q.capsules {
		ratchet, senderData, bad, err := combiner.Combine(c.Bytes(), shares[c.Hash()])
		wantRatchet, wantData := testlaw.Secrets("ann", uint64(i+1))
		if err != nil || len(bad) > 0 || !bytes.Equal(ratchet, wantRatchet) || !bytes.Equal(senderData, wantData) {
			t.Errorf("epoch %d: %q, bad %v, %v", i+1, ratchet, bad, err)
		}
		if _, _, _, err := combiner.Combine(c.Bytes(), shares[c.Hash()][:1]); !errors.Is(err, unseal.ErrTooFew) {
			t.Errorf("one office alone: %v", err)
		}
	}
	book, entries := w.Book()
	if n := count(entries, func(e *ledger.Entry) bool { return e.Release != nil }); n != 2 || len(book.Findings()) > 0 {
		t.Errorf("%d intents, findings %v", n, book.Findings())
	}
}

func count(entries []*ledger.Entry, which func(*ledger.Entry) bool) (n int) {
	for _, e := range entries {
		if which(e) {
			n++
		}
	}
	return n
}

// R2: a warrant that is not on the ledger is refused, signed, with a reason,
// and the refusal is logged once because the docket signed the request.
func TestUnloggedWarrantIsRefused(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	real := prepare(w, 1).log()
	q := prepare(w, 1)
	q.makeWarrantEntry() // approved, signed by the docket, and not logged
	q.warrantIndex = real.warrantIndex
	q.makeRequestEntry()
	q.requestIndex = real.requestIndex // its proof is of another entry
	c := w.Custodians[0]
	_, client := w.StartCustodian(w.CustodianConfig(c))
	for range 2 {
		out, err := send(t, c, client, q.request(t))
		if r := refusal(t, c, out, err); r != unseal.ReasonNotLogged {
			t.Errorf("reason %d: %v", r, r)
		}
		if f := out.GetRefused(); !f.Logged || f.Sentence == "" {
			t.Errorf("refusal %v", f)
		}
	}
	id := ledger.HashEntry(q.requestEntry)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		book, entries := w.Book()
		if reason, ok := book.Refusal(id, c.Office, c.Custodian); ok {
			if n := count(entries, func(e *ledger.Entry) bool { return e.Refusal != nil }); n != 1 || reason != uint8(unseal.ReasonNotLogged) {
				t.Errorf("%d refusals, reason %d", n, reason)
			}
			if count(entries, func(e *ledger.Entry) bool { return e.Release != nil }) != 0 {
				t.Error("an intent was logged")
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the refusal is not logged")
		}
	}
	// Without the docket's signature anybody could fill the ledger with refusals.
	forged := q.request(t)
	forged.RequestEntry = bytes.Clone(forged.RequestEntry)
	forged.RequestEntry[len(forged.RequestEntry)-1] ^= 1
	out, err := send(t, c, client, forged)
	if r := refusal(t, c, out, err); r != unseal.ReasonNotLogged || out.GetRefused().Logged {
		t.Errorf("reason %v, logged %v", r, out.GetRefused().Logged)
	}
}

// R10: one warrant over the cap is refused by each custodian from its own copy
// of the ledger, and the one before it is not.
func TestCap(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, func(c *charter.Charter) { c.Limits.CapSubjects = 1 }, testlaw.Small...)
	first, second := prepare(w, 1).log(), prepare(w, 1).log()
	for _, c := range w.Custodians {
		_, client := w.StartCustodian(w.CustodianConfig(c))
		out, err := send(t, c, client, second.request(t))
		if r := refusal(t, c, out, err); r != unseal.ReasonCap {
			t.Errorf("%s: reason %v", c.Who(), r)
		}
		if out, err = send(t, c, client, first.request(t)); err != nil || out.GetGranted() == nil {
			t.Errorf("%s: within the cap: %v, %v", c.Who(), out.GetRefused(), err)
		}
	}
}

// A refusal doesn't stick: who sends junk about another's request entry can't
// block it. And many at once get one release under one intent.
func TestRefusalDoesNotStick(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	q := prepare(w, 2).log()
	c := w.Custodians[0]
	_, client := w.StartCustodian(w.CustodianConfig(c))
	bad := q.request(t)
	bad.WarrantProof = nil
	out, err := send(t, c, client, bad)
	if r := refusal(t, c, out, err); r != unseal.ReasonNotLogged {
		t.Errorf("reason %v", r)
	}
	bad = q.request(t)
	bad.Compartments = bad.Compartments[:1] // never narrowed
	out, err = send(t, c, client, bad)
	if r := refusal(t, c, out, err); r != unseal.ReasonNotice {
		t.Errorf("reason %v", r)
	}
	r := q.request(t)
	releases := make([][]byte, 8)
	var calls sync.WaitGroup
	for i := range releases {
		calls.Go(func() {
			if out, err := send(t, c, client, r); err == nil {
				releases[i] = out.GetGranted().GetRelease()
			}
		})
	}
	calls.Wait()
	for _, b := range releases {
		if b == nil || !bytes.Equal(b, releases[0]) {
			t.Fatal("calls at once got different releases")
		}
	}
	if _, entries := w.Book(); count(entries, func(e *ledger.Entry) bool { return e.Release != nil }) != 1 {
		t.Error("not one intent")
	}
}

// Entries are public, so anybody can send junk beside them. It is refused, and who sent it
// tries to put that refusal on the ledger, where it would stand for good, under a reason that
// the junk chose, in place of the custodian's own.
func TestRefusalOfAStrangerIsNotLogged(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	q := prepare(w, 1).log()
	c := w.Custodians[0]
	s, client := w.StartCustodian(w.CustodianConfig(c))
	desk := serveDesk(t, s)
	other, _ := w.Warrant("ann")
	for name, junk := range map[string]func(r *unseal.Request){
		"no warrant":      func(r *unseal.Request) { r.Warrant = nil },
		"another warrant": func(r *unseal.Request) { r.Warrant = other.Encode() },
		"another salt":    func(r *unseal.Request) { r.WarrantSalt = [32]byte{1} },
	} {
		r := q.request(t)
		junk(r)
		out, err := send(t, c, client, r)
		if refusal(t, c, out, err); out.GetRefused().Logged {
			t.Errorf("%s: the refusal is logged", name)
		}
		if at, err := w.Follower().Add(ctx, out.GetRefused().GetRefusal()); err == nil {
			t.Errorf("%s: the stranger logs a refusal at %d", name, at)
		}
	}
	if _, err := desk.Object(ctx, &api.ObjectRequest{WarrantIndex: q.warrantIndex, Reason: "conscience"}); err != nil {
		t.Fatal(err)
	}
	out, err := send(t, c, client, q.request(t))
	if r := refusal(t, c, out, err); r != unseal.ReasonObjection || !out.GetRefused().Logged {
		t.Errorf("reason %v, logged %v", r, out.GetRefused().Logged)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		book, _ := w.Book()
		reason, ok := book.Refusal(ledger.HashEntry(q.requestEntry), c.Office, c.Custodian)
		if ok && reason == uint8(unseal.ReasonObjection) {
			break
		}
		if ok || time.Now().After(deadline) {
			t.Fatalf("the ledger shows reason %d, %v", reason, ok)
		}
	}
}

// Strangers wait for nobody, and nobody for them: their refusal takes no turn, though it
// names a request that is on the ledger.
func TestStrangersTakeNoTurn(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	q := prepare(w, 1).log()
	c := w.Custodians[0]
	config := w.CustodianConfig(c)
	config.LogWait = 3 * time.Second
	s, client := w.StartCustodian(config)
	if out, err := send(t, c, client, q.request(t)); out.GetGranted() == nil { // its copy is fresh now
		t.Fatal(out, err)
	}
	s.TakeTurn()
	stranger := q.request(t)
	stranger.WarrantSalt = [32]byte{1}
	out, err := send(t, c, client, stranger)
	refusal(t, c, out, err)
	if _, err := send(t, c, client, q.another().request(t)); connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("decided out of turn: %v", err)
	}
}

// R36: with no fresh checkpoint a custodian stops; it does not refuse for ever.
func TestStaleLedgerStops(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	q := prepare(w, 1).log()
	c := w.Custodians[0]
	config := w.CustodianConfig(c)
	config.MaxAge = time.Second
	_, client := w.StartCustodian(config)
	r := q.request(t)
	w.Witness.Shut(true) // no quorum cosigns any more
	time.Sleep(2500 * time.Millisecond)
	out, err := send(t, c, client, r)
	if connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("stale: %v, %v", out, err)
	}
	if s, err := client.Status(ctx, &api.StatusRequest{}); err != nil || s.Ready || s.Forked || !strings.Contains(s.Why, "old") || s.Released != 0 {
		t.Errorf("status %v, %v", s, err)
	}
	w.Witness.Shut(false)
	if out := eventually(t, func() (*api.ReleaseResponse, error) { return send(t, c, client, q.request(t)) }); out.GetGranted() == nil {
		t.Errorf("when the witness is back: %v", out.GetRefused())
	}
}

// A custodian whose copy is stale gives what it released to who knows the warrant, and to
// nobody else.
func TestReleaseIsNotForStrangers(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	q := prepare(w, 1).log()
	c := w.Custodians[0]
	config := w.CustodianConfig(c)
	config.MaxAge = time.Second
	_, client := w.StartCustodian(config)
	r := q.request(t)
	stranger := *r
	stranger.WarrantSalt = [32]byte{1}
	first := eventually(t, func() (*api.ReleaseResponse, error) { return send(t, c, client, r) })
	w.Witness.Shut(true)
	for {
		s, err := client.Status(ctx, &api.StatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if !s.Ready {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if out, err := send(t, c, client, &stranger); out.GetGranted() != nil || connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("to a stranger: released %v, %v", out.GetGranted() != nil, err)
	}
	if out, err := send(t, c, client, r); err != nil || !bytes.Equal(out.GetGranted().GetRelease(), first.GetGranted().GetRelease()) {
		t.Errorf("again: %v", err)
	}
}

func eventually(t *testing.T, call func() (*api.ReleaseResponse, error)) *api.ReleaseResponse {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		out, err := call()
		if err == nil {
			return out
		}
		if connect.CodeOf(err) != connect.CodeUnavailable || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// A notary that takes the intent but never shows it gets no share out; when it
// shows it, the same call releases, with the one intent.
func TestLyingNotary(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	q := prepare(w, 1).log()
	c := w.Custodians[0]
	config := w.CustodianConfig(c)
	config.LogWait = 2 * time.Second
	_, client := w.StartCustodian(config)
	r := q.request(t)
	w.Gate.Freeze(true)
	out, err := send(t, c, client, r)
	if connect.CodeOf(err) != connect.CodeUnavailable || out.GetGranted() != nil {
		t.Fatalf("without a proof of its intent: %v, %v", out, err)
	}
	w.Gate.Freeze(false)
	out = eventually(t, func() (*api.ReleaseResponse, error) { return send(t, c, client, q.request(t)) })
	q.open(t, c, out)
	if _, entries := w.Book(); count(entries, func(e *ledger.Entry) bool { return e.Release != nil }) != 1 {
		t.Error("not one intent")
	}
}

// R33: an objection makes every later request fail, and comes too late after
// a release.
func TestObjection(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	q, other := prepare(w, 1).log(), prepare(w, 1).log()
	c := w.Custodians[0]
	s, client := w.StartCustodian(w.CustodianConfig(c))
	desk := serveDesk(t, s)
	if out, err := send(t, c, client, other.request(t)); err != nil || out.GetGranted() == nil {
		t.Fatal(out, err)
	}
	if _, err := desk.Object(ctx, &api.ObjectRequest{WarrantIndex: other.warrantIndex}); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("objection after a release: %v", err)
	}
	if _, err := desk.Object(ctx, &api.ObjectRequest{WarrantIndex: q.requestIndex}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("objection to no warrant: %v", err)
	}
	if _, err := desk.Object(ctx, &api.ObjectRequest{WarrantIndex: q.warrantIndex, Reason: "conscience"}); err != nil {
		t.Fatal(err)
	}
	out, err := send(t, c, client, q.request(t))
	if r := refusal(t, c, out, err); r != unseal.ReasonObjection {
		t.Errorf("reason %v", r)
	}
}

// The same warrant logged again, with another salt at another index, meets the
// objection too: it is the warrant that the operator objects to.
func TestObjectionToAWarrantLoggedAgain(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	q := prepare(w, 1).log()
	c := w.Custodians[0]
	s, client := w.StartCustodian(w.CustodianConfig(c))
	if _, err := send(t, c, client, &unseal.Request{Compartments: make([]unseal.Compartment, 1)}); err != nil { // it reads the ledger
		t.Fatal(err)
	}
	if _, err := serveDesk(t, s).Object(ctx, &api.ObjectRequest{WarrantIndex: q.warrantIndex}); err != nil {
		t.Fatal(err)
	}
	out, err := send(t, c, client, q.request(t))
	if r := refusal(t, c, out, err); r != unseal.ReasonObjection {
		t.Errorf("reason %v", r)
	}
	rand.Read(q.salt[:])
	q.log()
	out, err = send(t, c, client, q.request(t))
	if r := refusal(t, c, out, err); r != unseal.ReasonObjection {
		t.Errorf("logged again: reason %v", r)
	}
}

// What isn't sealed to the custodian, or isn't a request, is an error.
func TestBadEnvelope(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	c, other := w.Custodians[0], w.Custodians[1]
	_, client := w.StartCustodian(w.CustodianConfig(c))
	seal := func(id string, k charter.MailKey, content string) []byte {
		b, err := warrant.Seal([]byte(content), []warrant.Recipient{{ID: id, MailKey: k}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, sealed := range map[string][]byte{"empty": nil, "junk": []byte("junk"),
		"to another": seal(other.Who(), other.Public.Custodian.Mail, "x"), "another's key": seal(c.Who(), other.Public.Custodian.Mail, "x"),
		"junk inside": seal(c.Who(), c.Public.Custodian.Mail, "junk")} {
		if _, err := client.Release(ctx, &api.ReleaseRequest{SealedRequest: sealed}); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// CHR-45: a custodian that is told no law serves none: it would take the first of that name
// which the notary put on the log.
func TestLawIsNamed(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	config := w.CustodianConfig(w.Custodians[0])
	config.Charters = nil
	if s, err := custodian.Open(ctx, config); err == nil {
		s.Close()
		t.Error("opened without a law")
	}
}

// Keys at rest are encrypted: the directory of a custodian that has worked shows
// no private key. A wrong passphrase is a clear error.
func TestKeysAtRest(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	c := w.Custodians[0]
	wrong := w.CustodianConfig(c)
	wrong.Passphrase = []byte("wrong")
	if _, err := custodian.Open(ctx, wrong); !errors.Is(err, keyfile.ErrPassphrase) || !strings.Contains(err.Error(), "passphrase") {
		t.Errorf("wrong passphrase: %v", err)
	}
	if _, err := custodian.CreateKeys(c.Dir, []byte("x"), 5, c.Names, charter.XWing, 1); err == nil {
		t.Error("a key file was replaced")
	}
	q := prepare(w, 1).log()
	_, client := w.StartCustodian(w.CustodianConfig(c))
	out, err := send(t, c, client, q.request(t))
	if err != nil {
		t.Fatal(err)
	}
	shares := q.open(t, c, out)
	secrets := custodian.RawKeys(t, c.Dir, []byte(testlaw.Passphrase))
	if len(secrets) < 3 {
		t.Fatalf("%d secrets", len(secrets))
	}
	secrets = append(secrets, shares[0].Secret[:], []byte(testlaw.Passphrase))
	files := 0
	err = filepath.WalkDir(c.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		for i, s := range secrets {
			if bytes.Contains(b, s) {
				t.Errorf("%s shows secret %d", path, i)
			}
		}
		info, _ := d.Info()
		if info.Mode().Perm()&0o077 != 0 && filepath.Base(path) == "keys.age" {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil || files < 3 {
		t.Fatalf("%d files, %v", files, err)
	}
}
