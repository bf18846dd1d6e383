package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"writ/api"
)

// busy is a desk that can't do it now, and says why.
type busy struct{ api.CustodianDeskHandler }

func (busy) Rotate(context.Context, *api.RotateRequest) (*api.RotateResponse, error) {
	err := connect.NewError(connect.CodeUnavailable, errors.New("the ledger does not answer"))
	if d, detailErr := connect.NewErrorDetail(&api.Hint{Hint: "try again"}); detailErr == nil {
		err.AddDetail(d)
	}
	return nil, err
}

// A custodian that runs and can't is not told as one that does not run.
func TestDeskThatCanNot(t *testing.T) {
	dir := t.TempDir()
	var f *failure
	_, err := deskClient(dir).Rotate(t.Context(), &api.RotateRequest{})
	if err = deskError(err); !errors.As(err, &f) || f.code != codeUnavailable || f.hint != "the custodian must be running on this directory: writ custodian --dir DIR" {
		t.Errorf("nobody there: %+v", f)
	}
	l, err := net.Listen("unix", filepath.Join(dir, deskSocket))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(api.NewCustodianDeskHandler(busy{}))
	server := &http.Server{Handler: mux}
	go server.Serve(l)
	defer server.Close()
	_, err = deskClient(dir).Rotate(t.Context(), &api.RotateRequest{})
	if err = deskError(err); !errors.As(err, &f) || f.code != codeUnavailable || f.hint != "try again" {
		t.Errorf("it can't: %+v", f)
	}
}

// A custodian whom the ledger showed two histories is not told as one that waits for news.
func TestStatusTellsForkFromAge(t *testing.T) {
	for name, x := range map[string]struct {
		status    *api.StatusResponse
		says, not string
	}{
		"fresh":  {&api.StatusResponse{Ready: true}, "ready: ", "hint: "},
		"old":    {&api.StatusResponse{Why: "the newest checkpoint is 3h0m0s old"}, "NOT READY: no fresh checkpoint, so it releases nothing: the newest checkpoint is 3h0m0s old\nhint: do notary", "STOPPED"},
		"forked": {&api.StatusResponse{Forked: true, Why: "the ledger has forked"}, "STOPPED: the ledger showed it two histories, so it releases nothing until you have looked\nhint: ledger.db", "NOT READY"},
	} {
		var out strings.Builder
		printStatus(&out, x.status)
		if text := out.String(); !strings.Contains(text, x.says) || strings.Contains(text, x.not) {
			t.Errorf("%s: %s", name, text)
		}
		if s := statusOf(x.status); s.Ready != (name == "fresh") || s.Forked != (name == "forked") || s.Why != x.status.Why {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
