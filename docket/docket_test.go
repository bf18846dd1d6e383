package docket_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/charter"
	"writ/docket"
	"writ/examine"
	"writ/internal/testlaw"
	"writ/internal/wire"
	"writ/ledger"
	"writ/notice/beacon"
	"writ/warrant"
)

var ctx = context.Background()

// lodge drafts and lodges a warrant on ann.
func lodge(t *testing.T, w *testlaw.World, a *examine.Agency) *examine.Case {
	t.Helper()
	x, reader := w.Warrant("ann-the-target")
	c, err := examine.NewCase(x, reader)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // again: the same
		if err := a.Lodge(ctx, c, w.Charter); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func code(t *testing.T, what string, err error, want connect.Code) {
	t.Helper()
	if connect.CodeOf(err) != want || err == nil {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// lock has the form of a timelock, which is all that a docket can check.
var lock = make([]byte, beacon.TimelockSize)

// The way of a warrant: lodged, approved by two offices, published, requested.
// R30: the docket can't read it, and its directory names nobody.
func TestLodgeApprovePublishRequest(t *testing.T) {
	t.Parallel()
	w, dir := testlaw.New(t, nil, testlaw.Small...), t.TempDir()
	_, d := w.StartDocket(dir)
	a := &examine.Agency{Name: testlaw.Agency, Key: examine.AgencyKey(w.AgencyKey), Docket: d}
	c := lodge(t, w, a)
	h := c.Warrant.Hash()

	if _, err := a.Publish(ctx, h); true {
		code(t, "published without approvals", err, connect.CodeFailedPrecondition)
	}
	if _, err := a.Request(ctx, h, [][]byte{make([]byte, 32)}, 1, lock); true {
		code(t, "requested before publication", err, connect.CodeFailedPrecondition)
	}
	first := w.ReadAndApproveAs(d, h, "judicial", "judicial-approver-1")
	if first.State != api.WarrantState_WARRANT_STATE_LODGED || !slices.Equal(first.Missing, []string{"oversight"}) {
		t.Errorf("after one office: %v", first)
	}
	if _, err := a.Publish(ctx, h); true {
		code(t, "published with one office", err, connect.CodeFailedPrecondition)
	}
	if out := w.ReadAndApprove(d, h); out.State != api.WarrantState_WARRANT_STATE_APPROVED || len(out.Missing) > 0 {
		t.Errorf("after both offices: %v", out)
	}
	entry, err := a.Publish(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	again, err := a.Publish(ctx, h)
	if err != nil || again.Index != entry.Index || !bytes.Equal(again.Entry, entry.Entry) {
		t.Errorf("published again: %v, %v", again, err)
	}
	leaf := bytes.Repeat([]byte{7}, 32)
	request, err := a.Request(ctx, h, [][]byte{leaf}, 1, lock)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := a.Request(ctx, h, [][]byte{leaf}, 1, lock); err != nil || again.Index != request.Index {
		t.Errorf("requested again: %v, %v", again, err)
	}
	book, entries := w.Book()
	if len(book.Findings()) > 0 || len(entries) != 3 {
		t.Fatalf("%d entries, findings %v", len(entries), book.Findings())
	}
	if x := entries[entry.Index].Warrant; x == nil || x.Differs(c.Warrant.Public(c.Salt, w.Charter)) != "" {
		t.Errorf("warrant entry %+v", x)
	}
	if x := entries[request.Index].Request; x == nil || x.WarrantIndex != entry.Index || x.Leaves[0] != [32]byte(leaf) {
		t.Errorf("request entry %+v", x)
	}
	list, err := d.ListWarrants(ctx, &api.ListWarrantsRequest{})
	if err != nil || len(list.Warrants) != 1 || list.Warrants[0].State != api.WarrantState_WARRANT_STATE_PUBLISHED || list.Warrants[0].Requests != 1 {
		t.Errorf("list %v, %v", list, err)
	}
	dumped := dump(t, dir)
	for _, secret := range [][]byte{[]byte("ann-the-target"), []byte("necessity of it"), []byte("nothing milder"), []byte("AZ 12/26"),
		c.Salt[:], c.Warrant.Encode()[2:40]} {
		if bytes.Contains(dumped, secret) {
			t.Errorf("the docket's directory shows %q", secret)
		}
	}
	if !bytes.Contains(dumped, h[:]) || !bytes.Contains(dumped, []byte(testlaw.Agency)) {
		t.Error("the dump is not of the docket's records")
	}
}

func dump(t *testing.T, dir string) []byte {
	t.Helper()
	var all []byte
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all = append(all, b...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// CHR-45: a docket that is told no law serves none.
func TestLawIsNamed(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	if s, err := docket.Open(ctx, docket.Config{Dir: t.TempDir(), Key: ledger.DocketSigner(w.Docket), Ledger: w.Ledger, Policy: w.Policy, MaxAge: time.Minute}); err == nil {
		s.Close()
		t.Error("opened without a law")
	}
}

// Whoever isn't entitled is refused, and a bad call changes nothing.
func TestRefuses(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	_, d := w.StartDocket(t.TempDir())
	a := &examine.Agency{Name: testlaw.Agency, Key: examine.AgencyKey(w.AgencyKey), Docket: d}
	c := lodge(t, w, a)
	h := c.Warrant.Hash()

	stranger := &examine.Agency{Name: "stranger", Key: examine.AgencyKey(w.AgencyKey), Docket: d}
	code(t, "unknown agency", stranger.Lodge(ctx, c, w.Charter), connect.CodePermissionDenied)
	imposter := &examine.Agency{Name: testlaw.Agency, Key: examine.AgencyKey(w.Docket), Docket: d}
	code(t, "wrong key", imposter.Lodge(ctx, c, w.Charter), connect.CodePermissionDenied)
	_, err := imposter.Publish(ctx, h)
	code(t, "publish with a wrong key", err, connect.CodePermissionDenied)

	other := *c
	other.Salt[0] ^= 1
	code(t, "other content under the hash", a.Lodge(ctx, &other, w.Charter), connect.CodeAlreadyExists)

	for name, change := range map[string]func(*warrant.Warrant){
		"other charter": func(x *warrant.Warrant) { x.Charter = charter.Hash{1} },
		"case type":     func(x *warrant.Warrant) { x.CaseType = "parking" },
		"long life":     func(x *warrant.Warrant) { x.NotAfter = x.NotBefore + w.Charter.Limits.MaxWarrantLife + 1 },
		"ended life":    func(x *warrant.Warrant) { x.NotBefore, x.NotAfter = 1000, 2000 },
	} {
		x, reader := w.Warrant("bob")
		change(x)
		bad, err := examine.NewCase(x, reader)
		if err != nil {
			t.Fatal(err)
		}
		code(t, name, a.Lodge(ctx, bad, w.Charter), connect.CodeInvalidArgument)
	}

	got, err := d.GetWarrant(ctx, &api.GetWarrantRequest{WarrantHash: h[:]})
	if err != nil {
		t.Fatal(err)
	}
	signed := ed25519.Sign(w.AgencyKey, wire.SignContent("docket lodge", got.Lodgement))
	_, err = d.Lodge(ctx, &api.LodgeRequest{Agency: testlaw.Agency, Lodgement: got.Lodgement, Envelope: []byte("another"), Signature: signed})
	code(t, "another envelope than signed", err, connect.CodeInvalidArgument)

	next := *w.Charter // on the ledger, and in force only after the activation delay
	next.Number, next.Previous = 2, w.Charter.Hash()
	w.Add(ledger.CharterEntry(w.Sign(&next)))
	x, reader := w.Warrant("bob")
	x.Charter = next.Hash()
	early, err := examine.NewCase(x, reader)
	if err != nil {
		t.Fatal(err)
	}
	code(t, "a charter not yet in force", a.Lodge(ctx, early, w.Charter), connect.CodeInvalidArgument)

	good := w.Entry(c.Warrant, c.Salt).Approvals[0]
	for name, change := range map[string]func(*warrant.Approval){
		"signature":       func(x *warrant.Approval) { x.Signature = append([]byte{1}, x.Signature[1:]...) },
		"other office":    func(x *warrant.Approval) { x.Office, x.Approver = "oversight", "oversight-approver-1" },
		"not an approver": func(x *warrant.Approval) { x.Approver = "nobody" },
	} {
		bad := good
		change(&bad)
		_, err := d.Approve(ctx, &api.ApproveRequest{WarrantHash: h[:], Approval: warrant.EncodeApprovals([]warrant.Approval{bad})})
		code(t, name, err, connect.CodePermissionDenied)
	}
	_, err = d.Approve(ctx, &api.ApproveRequest{WarrantHash: make([]byte, 32), Approval: warrant.EncodeApprovals([]warrant.Approval{good})})
	code(t, "unknown warrant", err, connect.CodeNotFound)
	_, err = d.Approve(ctx, &api.ApproveRequest{WarrantHash: h[:], Approval: []byte("junk")})
	code(t, "junk", err, connect.CodeInvalidArgument)
	got, err = d.GetWarrant(ctx, &api.GetWarrantRequest{WarrantHash: h[:]})
	if err != nil || len(got.Approvals) > 0 || got.Warrant.State != api.WarrantState_WARRANT_STATE_LODGED {
		t.Errorf("after refusals: %v, %v", got, err)
	}
	w.ReadAndApprove(d, h)
	if _, err := a.Publish(ctx, h); err != nil {
		t.Fatal(err)
	}
	for name, leaves := range map[string][][]byte{"none": nil, "short": {{1}}, "twice": {make([]byte, 32), make([]byte, 32)},
		"too many": slices.Repeat([][]byte{make([]byte, 32)}, ledger.MaxLeaves+1)} {
		_, err := a.Request(ctx, h, leaves, 1, lock)
		code(t, "leaves: "+name, err, connect.CodeInvalidArgument)
	}
	leaves := [][]byte{make([]byte, 32)}
	_, err = a.Request(ctx, h, leaves, 0, lock)
	code(t, "no round", err, connect.CodeInvalidArgument)
	_, err = a.Request(ctx, h, leaves, 1, lock[1:])
	code(t, "no timelock", err, connect.CodeInvalidArgument)
}

// One agency's key doesn't act on another's warrant: it could publish it before its
// time, or use up its requests.
func TestOtherAgency(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	_, customs, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, d := w.StartDocketFor(t.TempDir(), map[string]ed25519.PrivateKey{testlaw.Agency: w.AgencyKey, "customs": customs})
	a := &examine.Agency{Name: testlaw.Agency, Key: examine.AgencyKey(w.AgencyKey), Docket: d}
	b := &examine.Agency{Name: "customs", Key: examine.AgencyKey(customs), Docket: d}
	c := lodge(t, w, a)
	h := c.Warrant.Hash()
	w.ReadAndApprove(d, h)
	_, err = b.Publish(ctx, h)
	code(t, "publish another agency's warrant", err, connect.CodePermissionDenied)
	if _, err := a.Publish(ctx, h); err != nil {
		t.Fatal(err)
	}
	_, err = b.Request(ctx, h, [][]byte{bytes.Repeat([]byte{7}, 32)}, 1, lock)
	code(t, "request under another agency's warrant", err, connect.CodePermissionDenied)
	if _, entries := w.Book(); len(entries) != 2 {
		t.Errorf("%d entries on the ledger, want charter and warrant", len(entries))
	}
}

// The bound on requests holds against calls at the same time: a record that grew past
// what is parsed would end the whole list of warrants.
func TestRequestsAtOnce(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	s, d := w.StartDocket(t.TempDir())
	a := &examine.Agency{Name: testlaw.Agency, Key: examine.AgencyKey(w.AgencyKey), Docket: d}
	h := lodge(t, w, a).Warrant.Hash()
	w.ReadAndApprove(d, h)
	if _, err := a.Publish(ctx, h); err != nil {
		t.Fatal(err)
	}
	if err := s.Fill(ctx, h[:], docket.MaxRequests-1); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 4)
	for i := range cap(errs) {
		go func() {
			_, err := a.Request(ctx, h, [][]byte{bytes.Repeat([]byte{byte(i + 1)}, 32)}, 1, lock)
			errs <- err
		}()
	}
	taken := 0
	for range cap(errs) {
		if err := <-errs; err == nil {
			taken++
		} else {
			code(t, "one request too many", err, connect.CodeResourceExhausted)
		}
	}
	if _, entries := w.Book(); taken != 1 || len(entries) != 3 {
		t.Errorf("%d requests taken where one was left; %d entries on the ledger", taken, len(entries))
	}
}

// An agency's key, stolen perhaps, can't fill the docket's disk.
func TestLodgedWithinADay(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	s, d := w.StartDocket(t.TempDir())
	a := &examine.Agency{Name: testlaw.Agency, Key: examine.AgencyKey(w.AgencyKey), Docket: d}
	s.Lodged(testlaw.Agency, docket.MaxLodged, time.Now().Add(-25*time.Hour))
	s.Lodged(testlaw.Agency, docket.MaxLodged-1, time.Now())
	lodge(t, w, a)
	x, reader := w.Warrant("bob")
	c, err := examine.NewCase(x, reader)
	if err != nil {
		t.Fatal(err)
	}
	code(t, "one too many", a.Lodge(ctx, c, w.Charter), connect.CodeResourceExhausted)
}

// A docket that is killed between adding an entry and storing it finds the
// entry on the ledger: no entry is logged twice. Here the store is put back to
// what it was before.
func TestRestartFindsWhatWasAdded(t *testing.T) {
	t.Parallel()
	w, dir := testlaw.New(t, nil, testlaw.Small...), t.TempDir()
	_, d := w.StartDocket(dir)
	a := &examine.Agency{Name: testlaw.Agency, Key: examine.AgencyKey(w.AgencyKey), Docket: d}
	c := lodge(t, w, a)
	h := c.Warrant.Hash()
	w.ReadAndApprove(d, h)
	old := t.TempDir()
	if err := os.CopyFS(old, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	entry, err := a.Publish(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	_, a.Docket = w.StartDocket(old)
	again, err := a.Publish(ctx, h)
	if err != nil || again.Index != entry.Index {
		t.Errorf("published again as %v, %v; first at %d", again, err, entry.Index)
	}
	if book, entries := w.Book(); len(book.Findings()) > 0 || len(entries) != 2 {
		t.Errorf("%d entries, findings %v", len(entries), book.Findings())
	}
}

// R36: without the ledger nothing is published, and the error says so; when it
// is back the same call succeeds.
func TestLedgerGone(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	_, d := w.StartDocket(t.TempDir())
	a := &examine.Agency{Name: testlaw.Agency, Key: examine.AgencyKey(w.AgencyKey), Docket: d}
	c := lodge(t, w, a)
	w.ReadAndApprove(d, c.Warrant.Hash())
	w.Gate.Shut(true)
	_, err := a.Publish(ctx, c.Warrant.Hash())
	code(t, "without the ledger", err, connect.CodeUnavailable)
	w.Gate.Shut(false)
	if _, err := a.Publish(ctx, c.Warrant.Hash()); err != nil {
		t.Error(err)
	}
}

// A notary that takes an entry and shows it to nobody doesn't hold the turn for ever: the
// call ends, others have theirs, and the same call later finds the entry.
func TestNotaryThatShowsNothing(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	_, d := w.StartDocket(t.TempDir())
	a := &examine.Agency{Name: testlaw.Agency, Key: examine.AgencyKey(w.AgencyKey), Docket: d}
	h := lodge(t, w, a).Warrant.Hash()
	w.ReadAndApprove(d, h)
	w.Gate.Freeze(true)
	patient, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	_, err := a.Publish(patient, h)
	code(t, "while nothing is shown", err, connect.CodeUnavailable)
	w.Gate.Freeze(false)
	if _, err := a.Publish(patient, h); err != nil {
		t.Error(err)
	}
	if book, entries := w.Book(); len(book.Findings()) > 0 || len(entries) != 2 {
		t.Errorf("%d entries, findings %v", len(entries), book.Findings())
	}
}

func FuzzParseLodgement(f *testing.F) {
	f.Add((&docket.Lodgement{Public: warrant.Public{Commitment: [32]byte{1}, Action: warrant.Disclose, CaseType: "serious-crime",
		Offices: []string{"judicial", "oversight"}, Window: 7, NotBefore: 1, NotAfter: 2, Readers: [][32]byte{{1}}}}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := docket.ParseLodgement(b)
		if err == nil && !bytes.Equal(l.Encode(), b) {
			t.Fatalf("%x encodes as %x", b, l.Encode())
		}
		if err != nil && l != nil {
			t.Fatal("a value beside an error")
		}
	})
}
