package custodian_test

import (
	"bytes"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/charter"
	"writ/custodian"
	"writ/internal/testlaw"
	"writ/ledger"
)

func serveDesk(t *testing.T, s *custodian.Server) api.CustodianDeskClient {
	t.Helper()
	srv := httptest.NewServer(s.DeskHandler())
	t.Cleanup(srv.Close)
	return api.NewCustodianDeskClient(http.DefaultClient, srv.URL)
}

// A custodian makes and logs its key of the next period by itself. When a
// period is over its key can be destroyed, in the file and on the ledger.
func TestRotateAndDestroy(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, func(c *charter.Charter) { c.Limits.KeyPeriod = 3600 }, testlaw.Small...)
	c := w.Custodians[0]
	config := w.CustodianConfig(c)
	var ahead atomic.Int64
	config.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	config.MaxAge = 24 * time.Hour
	s, _ := w.StartCustodian(config)
	desk := serveDesk(t, s)
	now := w.Charter.Period(time.Now())
	var periods []uint32
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if out, err := desk.Rotate(ctx, &api.RotateRequest{}); err == nil {
			periods = out.Periods
			break
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	book, _ := w.Book()
	if _, ok := book.Key(c.Charter, c.Office, c.Custodian, now+1); !ok || !slices.Contains(periods, now+1) {
		t.Fatalf("no key for period %d: %v", now+1, periods)
	}
	if _, err := desk.Destroy(ctx, &api.DestroyRequest{Period: now}); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("destroyed the present period: %v", err)
	}
	before := custodian.RawKeys(t, c.Dir, []byte(testlaw.Passphrase))
	for i, key := range before {
		if slices.Equal(key, make([]byte, len(key))) {
			t.Errorf("key %d in the file is zero", i)
		}
	}
	if _, err := desk.Destroy(ctx, &api.DestroyRequest{Period: now - 1}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("destroyed a key that never was: %v", err)
	}
	ahead.Store(int64(2 * time.Hour))
	for range 2 { // again: the same
		if _, err := desk.Destroy(ctx, &api.DestroyRequest{Period: now}); err != nil {
			t.Fatal(err)
		}
	}
	if book, _ = w.Book(); !book.Destroyed(c.Charter, c.Office, c.Custodian, now) || len(book.Findings()) > 0 {
		t.Errorf("not destroyed on the ledger, or twice: %v", book.Findings())
	}
	gone := before[2] // of the lowest period
	for _, key := range custodian.RawKeys(t, c.Dir, []byte(testlaw.Passphrase)) {
		if bytes.Equal(key, gone) {
			t.Error("the key is still in the key file")
		}
	}
}

// An intent that is decided is carried out, whatever is objected to later: it may be
// on the log. A docket that logs one warrant twice, so that the objection names
// another entry, changes nothing.
func TestIntentOutlivesObjection(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	q := prepare(w, 1).log()
	again := *q
	rand.Read(again.salt[:])
	again.log()
	c := w.Custodians[0]
	config := w.CustodianConfig(c)
	config.LogWait = 2 * time.Second
	s, client := w.StartCustodian(config)
	desk := serveDesk(t, s)
	r := q.request(t)
	second := again.request(t)
	time.Sleep(time.Second)
	w.Gate.Freeze(true)
	if out, err := send(t, c, client, r); connect.CodeOf(err) != connect.CodeUnavailable { // the intent is decided and sent
		t.Fatal(out, err)
	}
	w.Gate.Freeze(false)
	if _, err := desk.Object(ctx, &api.ObjectRequest{WarrantIndex: again.warrantIndex, Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	if out, err := answerOf(t, c, client, second); out.GetRefused() == nil {
		t.Errorf("the second request under the same warrant: %v, %v", out, err)
	}
	out, err := answerOf(t, c, client, q.request(t))
	book, _ := w.Book()
	_, logged := book.Release(ledger.HashEntry(q.requestEntry), c.Office, c.Custodian)
	if out.GetGranted() == nil {
		t.Errorf("the intent is on the log (%v), the warrant lives, and the request is refused with %d, %v", logged, out.GetRefused().GetReason(), err)
	}
}
