package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"writ/api"
	"writ/follower"
	"writ/ledger"
	"writ/setup"
	"writ/warrant"
)

// onLedger is a warrant that an approver read, and its entry as the docket says.
type onLedger struct {
	*opened
	approver *warrant.ApproverKey
	entry    ledger.EntryHash
	index    uint64
	offices  []string // that had to approve
	requests []*api.LoggedEntry
}

// published reads a warrant that is on the ledger.
func (f approverFlags) published(cmd *cobra.Command, prefix string) (*onLedger, error) {
	o, err := f.read(cmd, prefix)
	if err != nil {
		return nil, err
	}
	h := o.warrant.Hash()
	r, err := o.docket.GetWarrant(cmd.Context(), &api.GetWarrantRequest{WarrantHash: h[:]})
	if err != nil {
		return nil, callError(err)
	}
	return o.onLedger(r)
}

// onLedger takes the entries of a warrant from the docket's answer. They have to be of the
// warrant that the approver read: what is signed of another's would stop or confirm that.
func (o *opened) onLedger(r *api.GetWarrantResponse) (*onLedger, error) {
	const hint = "nothing was signed; tell the docket's operator"
	if len(r.Entry) == 0 {
		return nil, fail(codeRefused, errors.New("the warrant is not on the ledger"), "without its entry nobody acts on it")
	}
	e, err := ledger.ParseEntry(r.Entry)
	if err != nil || e.Warrant == nil {
		return nil, fail(codeInvalid, errors.Join(errors.New("the docket gave something else than the warrant's entry"), err), hint)
	}
	if field := e.Warrant.Differs(o.public); field != "" {
		return nil, fail(codeInvalid, fmt.Errorf("the docket gave the entry of another warrant: %s differs", field), hint)
	}
	for i, logged := range r.Requests {
		x, err := ledger.ParseEntry(logged.Entry)
		if err != nil || x.Request == nil || x.Request.Warrant != e.Hash() {
			return nil, fail(codeInvalid, errors.Join(fmt.Errorf("request %d that the docket gave is not under this warrant", i+1), err), hint)
		}
	}
	key, err := warrant.ParseApproverKey(o.key.Signing)
	if err != nil {
		return nil, err
	}
	return &onLedger{o, key, e.Hash(), r.Index, e.Warrant.Offices, r.Requests}, nil
}

// approve is the approver's signature over an entry.
func (p *onLedger) approve(h warrant.Hash) warrant.Approval {
	return p.approver.Approve(h, p.key.Office, p.key.Name)
}

// addEntry brings an entry to the notary, past the docket, and shows where it stands.
func addEntry(cmd *cobra.Command, deployment, what string, entry []byte, ifRefused string) error {
	d, err := setup.LoadDeployment(deployment)
	if err != nil {
		return fail(codeFailed, err, "--deployment names the deployment file")
	}
	index, err := logEntry(cmd, d, entry, ifRefused)
	if err != nil {
		return err
	}
	return showLogged(cmd, what, &api.LoggedEntry{Index: index})
}

// addTime is how long the notary may take for an entry, until the log shows it: one that
// was just started has no fresh checkpoint for a minute.
const addTime = 2 * time.Minute

// logEntry puts an entry on the ledger and returns its index, once the log itself shows it
// under a checkpoint that the witnesses cosigned: the notary's word is not enough.
func logEntry(cmd *cobra.Command, d *setup.Deployment, entry []byte, ifRefused string) (uint64, error) {
	t, err := trustOf(d)
	if err != nil {
		return 0, err
	}
	f, err := follower.New(follower.Config{URL: d.Ledger, Policy: t.policy, MaxAge: ledgerAge})
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), addTime)
	defer cancel()
	index, err := f.Add(ctx, entry)
	switch {
	case errors.Is(err, follower.ErrRefused):
		return 0, fail(codeRefused, err, ifRefused)
	case err != nil:
		return 0, fail(codeUnavailable, err, "is the notary running? the same command again goes on from here")
	}
	return index, awaitShown(ctx, f, t.policy, index, entry)
}

// awaitShown returns when the log shows an entry at the index that the notary gave.
func awaitShown(ctx context.Context, f *follower.Follower, policy *ledger.Policy, index uint64, entry []byte) error {
	for {
		stands, proof, err := f.Proof(ctx, index)
		if err == nil {
			_, err = policy.Include(stands, proof, time.Now(), ledgerAge)
		}
		switch {
		case err == nil && bytes.Equal(stands, entry):
			return nil
		case err == nil:
			return fail(codeInvalid, fmt.Errorf("the notary says that it stands at index %d, and the log has another entry there", index), "tell an auditor")
		case errors.Is(err, ledger.ErrNoQuorum):
			return fail(codeUnavailable, err, quorumHint)
		}
		select {
		case <-ctx.Done():
			return fail(codeUnavailable, fmt.Errorf("the notary says that it stands at index %d, and the log does not show it: %w", index, err),
				"the same command again asks again; if it stays so, tell an auditor")
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// onceHint is for what an approver says to the ledger.
const onceHint = "the ledger doesn't count it; an approver of an office that approved the warrant can say it, once"

func newWarrantCancel() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cancel HASH|latest --key APPROVER.key",
		Short: "End a published warrant before its life does",
		Long: `Cancel puts a cancellation on the ledger, past the docket. One approver of an office
that approved the warrant is enough. From there on no request and no release under
it counts. What was released before stays released. There is nothing to undo it.`,
		Args: cobra.ExactArgs(1),
	}
	f := newApproverFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p, err := f.published(cmd, args[0])
		if err != nil {
			return err
		}
		x := &ledger.Cancellation{WarrantIndex: p.index, Warrant: p.entry}
		x.Approval = p.approve(x.Hash())
		return addEntry(cmd, *f.deployment, "cancellation", x.Entry(), onceHint)
	}
	return cmd
}

// kinds are the errors as people type them.
var kinds = map[string]ledger.ErrorKind{"wrong-person": ledger.WrongPerson, "unlawful": ledger.Unlawful, "beyond-scope": ledger.BeyondScope}

func newWarrantError() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "error HASH|latest --kind KIND --key APPROVER.key",
		Short: "State on the ledger that an opening was a mistake",
		Long: `Error puts on the ledger that a request was a mistake: wrong-person, unlawful or
beyond-scope. One approver of an office that approved the warrant is enough. Nothing
more is released under the warrant, and what was opened is sealed: neither the
examiner nor the reading room opens it any more.`,
		Args: cobra.ExactArgs(1),
	}
	f := newApproverFlags(cmd)
	kind := cmd.Flags().String("kind", "", "wrong-person, unlawful or beyond-scope")
	number := cmd.Flags().Int("request", 0, "which request under the warrant, from 1 (default the last)")
	cmd.MarkFlagRequired("kind")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		k, ok := kinds[*kind]
		if !ok {
			return usage(fmt.Errorf("--kind %q", *kind), "wrong-person, unlawful or beyond-scope")
		}
		p, err := f.published(cmd, args[0])
		if err != nil {
			return err
		}
		at := *number
		if at == 0 {
			at = len(p.requests)
		}
		if at < 1 || at > len(p.requests) {
			return usage(fmt.Errorf("there is no such request: under the warrant stand %s", count(len(p.requests), "request")), "an error is of a request; to end a warrant: writ warrant cancel")
		}
		r := p.requests[at-1]
		x := &ledger.Error{RequestIndex: r.Index, Request: ledger.HashEntry(r.Entry), Kind: k}
		x.Approval = p.approve(x.Hash())
		return addEntry(cmd, *f.deployment, "error", x.Entry(), onceHint)
	}
	return cmd
}

func newWarrantReview() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "review HASH|latest --confirm|--refuse --file FILE --key APPROVER.key",
		Short: "Confirm or refuse an emergency, after a second look",
		Long: `Review adds the approver's signature to FILE, which goes from office to office, and
puts the review on the ledger as soon as enough have signed. To confirm takes all who
must approve such a warrant; to refuse, one office. An emergency that nobody confirms
in time lapses, and what is refused is sealed.`,
		Args: cobra.ExactArgs(1),
	}
	f := newApproverFlags(cmd)
	cmd.Flags().Bool("confirm", false, "it was right")
	refused := cmd.Flags().Bool("refuse", false, "it should not have been")
	file := cmd.Flags().String("file", "", "where the signatures are gathered")
	cmd.MarkFlagRequired("file")
	cmd.MarkFlagsOneRequired("confirm", "refuse")
	cmd.MarkFlagsMutuallyExclusive("confirm", "refuse")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p, err := f.published(cmd, args[0])
		if err != nil {
			return err
		}
		if p.warrant.Flags&warrant.IsEmergency == 0 {
			return fail(codeRefused, errors.New("the warrant is no emergency"), "only emergencies are reviewed; to end a warrant: writ warrant cancel")
		}
		outcome := ledger.ReviewConfirmed
		if *refused {
			outcome = ledger.ReviewRefused
		}
		x, err := p.review(*file, outcome)
		if err != nil {
			return err
		}
		if err := setup.Write(*file, x.Entry(), 0o600); err != nil {
			return err
		}
		if missing := p.missing(x); len(missing) > 0 {
			result := map[string]any{"file": *file, "signatures": len(x.Approvals), "missing": missing}
			return show(cmd, result, func(w io.Writer) {
				fmt.Fprintf(w, "%s in %s; not on the ledger yet, still missing: %s\n", count(len(x.Approvals), "signature"), *file, strings.Join(missing, ", "))
			})
		}
		return addEntry(cmd, *f.deployment, "review", x.Entry(),
			"the signatures so far are in "+*file+": further approvers of an office go on with it; what was reviewed is not reviewed again")
	}
	return cmd
}

// missing returns the offices of which nobody has signed a confirmation yet. One
// office is enough to refuse. How many of an office must sign, the ledger says.
func (p *onLedger) missing(x *ledger.Review) []string {
	if x.Outcome == ledger.ReviewRefused {
		return nil
	}
	signed := func(office string) bool {
		return slices.ContainsFunc(x.Approvals, func(a warrant.Approval) bool { return a.Office == office })
	}
	return slices.DeleteFunc(slices.Clone(p.offices), signed)
}

// review returns the review in a file, or a new one, with this approver's
// signature.
func (p *onLedger) review(file string, o ledger.Outcome) (*ledger.Review, error) {
	x := &ledger.Review{WarrantIndex: p.index, Warrant: p.entry, Outcome: o}
	b, err := os.ReadFile(file)
	switch {
	case err == nil:
		e, err := ledger.ParseEntry(b)
		if err != nil || e.Review == nil || e.Review.Hash() != x.Hash() {
			return nil, usage(errors.New("the file holds no review of this warrant with this outcome"), "name a new --file")
		}
		x.Approvals = e.Review.Approvals
	case !errors.Is(err, os.ErrNotExist):
		return nil, err
	}
	mine := p.approve(x.Hash())
	x.Approvals = slices.DeleteFunc(x.Approvals, func(a warrant.Approval) bool { return warrant.CompareApprovals(a, mine) == 0 })
	x.Approvals = append(x.Approvals, mine)
	slices.SortFunc(x.Approvals, warrant.CompareApprovals)
	return x, nil
}
