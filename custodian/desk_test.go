package custodian_test

import (
	"bytes"
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
