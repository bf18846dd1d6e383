package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"writ/internal/testlaw"
	"writ/ledger"
	"writ/setup"
)

// A notary that says where an entry stands is believed when the log shows it there, and
// not before.
func TestLogShowsWhatTheNotarySays(t *testing.T) {
	w := testlaw.New(t, nil, testlaw.Small...)
	to, err := url.Parse(w.Ledger)
	if err != nil {
		t.Fatal(err)
	}
	lie := ""
	pass := httputil.NewSingleHostReverseProxy(to)
	notary := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if lie != "" && r.URL.Path == "/add" {
			rw.Write([]byte(lie))
			return
		}
		pass.ServeHTTP(rw, r)
	}))
	defer notary.Close()
	d := &setup.Deployment{Ledger: notary.URL, Policy: w.Policy.String(), Charters: []string{w.Charter.Hash().String()}}
	log := func(salt byte, patience time.Duration) (uint64, error) {
		order, _ := w.Warrant("ann")
		x := w.Entry(order, [32]byte{salt})
		x.Sign(ledger.DocketSigner(w.Docket))
		cmd := &cobra.Command{}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		cmd.SetContext(ctx)
		return logEntry(cmd, d, x.Entry(), "")
	}
	if at, err := log(1, time.Minute); err != nil || at != 1 {
		t.Fatalf("an honest one: at %d, %v", at, err)
	}
	lie = `{"index":0}`
	if _, err := log(2, time.Minute); codeOf(err) != codeInvalid {
		t.Errorf("another's place: %v", err)
	}
	lie = `{"index":7}`
	if _, err := log(2, 2*time.Second); codeOf(err) != codeUnavailable || !strings.Contains(err.Error(), "does not show it") {
		t.Errorf("a place that is not there: %v", err)
	}
	lie = ""
	w.Gate.Freeze(true)
	if _, err := log(3, 2*time.Second); codeOf(err) != codeUnavailable || !strings.Contains(err.Error(), "does not show it") {
		t.Errorf("taken and not shown: %v", err)
	}
}
