package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"writ/api"
	"writ/setup"
)

// deskClient talks to the custodian that runs on a directory.
func deskClient(dir string) api.CustodianDeskClient {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(dir, deskSocket))
	}
	return api.NewCustodianDeskClient(&http.Client{Transport: &http.Transport{DialContext: dial}}, "http://desk")
}

// deskError says what to do when the desk doesn't answer. What it answers it has said itself.
func deskError(err error) error {
	away := connect.CodeOf(err) == connect.CodeUnavailable && !connect.IsWireError(err)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || away {
		return fail(codeUnavailable, err, "the custodian must be running on this directory: writ custodian --dir DIR")
	}
	return callError(err)
}

func newCustodianStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status --dir DIR",
		Short: "Show what is public of this custodian",
		Args:  cobra.NoArgs,
	}
	dir := cmd.Flags().String("dir", ".", "the custodian's directory")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := setup.LoadConfig[setup.Custodian](*dir)
		if err != nil {
			return err
		}
		s, err := api.NewCustodianClient(http.DefaultClient, "http://"+c.Listen).Status(cmd.Context(), &api.StatusRequest{})
		if err != nil {
			return deskError(err)
		}
		return show(cmd, statusOf(s), func(w io.Writer) { printStatus(w, s) })
	}
	return cmd
}

// status is a custodian's status as JSON, with what is 0 or false too.
type status struct {
	Charter        string   `json:"charter"`
	Office         string   `json:"office"`
	Custodian      string   `json:"custodian"`
	Now            uint64   `json:"now"`
	Ready          bool     `json:"ready"`
	LedgerSize     uint64   `json:"ledger_size"`
	CheckpointTime uint64   `json:"checkpoint_time"` // Unix seconds; 0 before the first
	Periods        []uint32 `json:"periods"`
	Released       uint64   `json:"released"`
	Refused        uint64   `json:"refused"`
	Objections     uint64   `json:"objections"`
	Holds          uint64   `json:"holds"`
	Forked         bool     `json:"forked"` // the ledger showed it two histories
	Why            string   `json:"why"`    // it is not ready; empty if it is
}

func statusOf(s *api.StatusResponse) status {
	return status{s.Charter, s.Office, s.Custodian, s.Now, s.Ready, s.LedgerSize, s.CheckpointTime,
		append([]uint32{}, s.Periods...), s.Released, s.Refused, s.Objections, s.Holds, s.Forked, plain(errors.New(s.Why))}
}

func printStatus(w io.Writer, s *api.StatusResponse) {
	fmt.Fprintf(w, "%s/%s of %q\n", s.Office, s.Custodian, s.Charter)
	fmt.Fprintln(w, readiness(s))
	fmt.Fprintf(w, "ledger: %d entries", s.LedgerSize)
	if s.CheckpointTime > 0 {
		fmt.Fprintf(w, ", witnessed %s", time.Unix(int64(s.CheckpointTime), 0).UTC().Format(time.RFC3339))
	}
	fmt.Fprintf(w, "\nkey periods held: %s\nrequests granted %d, of these kept now %d, refused %d; warrants objected to: %d\n",
		list(s.Periods), s.Released, s.Holds, s.Refused, s.Objections)
}

// readiness says whether a custodian answers and, if not, why and what its operator does. A
// fork does not pass; a copy that is only old does when it gets news.
func readiness(s *api.StatusResponse) string {
	switch {
	case s.Forked:
		return "STOPPED: the ledger showed it two histories, so it releases nothing until you have looked\n" +
			"hint: ledger.db in its directory holds both checkpoints, signed: keep a copy as evidence and tell an auditor"
	case !s.Ready:
		return "NOT READY: no fresh checkpoint, so it releases nothing: " + plain(errors.New(s.Why)) + "\n" +
			"hint: do notary and witnesses answer, and is its clock right? Then it goes on by itself"
	}
	return "ready: its copy of the ledger is fresh"
}

// list is numbers for a person.
func list(numbers []uint32) string { return strings.Trim(fmt.Sprint(numbers), "[]") }

func newCustodianObject() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "object WARRANT-INDEX --dir DIR --reason TEXT",
		Short: "Refuse a warrant by hand: every later request under it is refused",
		Long: `Object makes this custodian refuse every request under the warrant entry at an
index of the ledger, unless it already released under it. The refusal is signed
and logged with the reason code "objection"; the reason's text stays here.`,
		Args: cobra.ExactArgs(1),
	}
	dir := cmd.Flags().String("dir", ".", "the custodian's directory")
	reason := cmd.Flags().String("reason", "", "why, for the custodian's own files")
	cmd.MarkFlagRequired("reason")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		index, err := strconv.ParseUint(args[0], 10, 63)
		if err != nil {
			return usage(fmt.Errorf("%q is not an index of the ledger", args[0]), "it is the number of the warrant's entry: writ warrant publish prints it, and writ audit --watch as it comes")
		}
		if strings.TrimSpace(*reason) == "" {
			return usage(errors.New("--reason is empty"), "say why, for the custodian's own files")
		}
		r, err := deskClient(*dir).Object(cmd.Context(), &api.ObjectRequest{WarrantIndex: index, Reason: *reason})
		if err != nil {
			return hinted(deskError(err), "WARRANT-INDEX is the number of a warrant's entry on the ledger: writ warrant publish prints it, writ audit --watch too")
		}
		return show(cmd, r, func(w io.Writer) { fmt.Fprintf(w, "warrant at index %d: objected to\n", index) })
	}
	return cmd
}

func newCustodianRotate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate --dir DIR",
		Short: "Make and log the keys of this and the next key period now",
		Args:  cobra.NoArgs,
	}
	dir := cmd.Flags().String("dir", ".", "the custodian's directory")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r, err := deskClient(*dir).Rotate(cmd.Context(), &api.RotateRequest{})
		if err != nil {
			return deskError(err)
		}
		return show(cmd, r, func(w io.Writer) { fmt.Fprintf(w, "key periods held: %s\n", list(r.Periods)) })
	}
	return cmd
}

func newCustodianDestroy() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "destroy PERIOD --dir DIR",
		Short: "Erase the private key of a key period that is over, and say so on the ledger",
		Args:  cobra.ExactArgs(1),
	}
	dir := cmd.Flags().String("dir", ".", "the custodian's directory")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		period, err := strconv.ParseUint(args[0], 10, 32)
		if err != nil {
			return usage(fmt.Errorf("%q is not a key period", args[0]), "writ custodian status lists the periods")
		}
		r, err := deskClient(*dir).Destroy(cmd.Context(), &api.DestroyRequest{Period: uint32(period)})
		if err != nil {
			return hinted(deskError(err), "writ custodian status lists the periods whose keys are held; one is destroyed once it is over")
		}
		return show(cmd, r, func(w io.Writer) {
			fmt.Fprintf(w, "key of period %d erased; destruction logged at index %d\n", period, r.Index)
		})
	}
	return cmd
}

// callError turns an error of a remote call into a failure with its hint.
func callError(err error) error {
	f := &failure{err: err, code: codeFailed}
	var remote *connect.Error
	if !errors.As(err, &remote) || errors.Is(err, context.Canceled) {
		return err
	}
	switch remote.Code() {
	case connect.CodePermissionDenied, connect.CodeFailedPrecondition:
		f.code = codeRefused
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded:
		f.code, f.hint = codeUnavailable, "is the service running? the same command again goes on from here"
	}
	for _, d := range remote.Details() {
		if v, err := d.Value(); err == nil {
			if h, ok := v.(*api.Hint); ok && h.Hint != "" {
				f.hint = h.Hint
			}
		}
	}
	f.err = errors.New(remote.Message())
	return f
}
