package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"writ/api"
	"writ/etsi"
	"writ/examine"
	"writ/follower"
	"writ/ledger"
	"writ/warrant"
)

func newWarrantExport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export CASE",
		Short: "Print a case's warrant, as a draft or as an ETSI TS 103 120 message",
		Long: `Export prints the draft of a case. With --etsi it prints a message of ETSI TS 103
120 instead: the warrant as an AuthorisationObject with the approvals there are,
its task, and the binary form to which they are bound. writ warrant draft reads
both.

With --etsi --notices it prints what the ledger says of the case so far, each
entry as a NotificationObject: the warrant's own, requests, and what custodians
answered. The delivery manifest comes from writ verify --etsi.`,
		Args: cobra.ExactArgs(1),
	}
	dir := agencyFlag(cmd)
	f := cmd.Flags()
	message := f.Bool("etsi", false, "as an ETSI TS 103 120 message")
	notices := f.Bool("notices", false, "with --etsi: what the ledger says of the case")
	country := f.String("country", "XX", "with --etsi: the sender's country, ISO 3166-1")
	receiver := f.String("receiver", "docket", "with --etsi: the receiver's name")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a, err := openAgency(*dir)
		if err != nil {
			return err
		}
		c, err := a.loadCase(args[0])
		if err != nil {
			return err
		}
		if *notices && !*message {
			return usage(errors.New("--notices without --etsi"), "notices are ETSI messages")
		}
		head := etsi.Header{Sender: etsi.Party{Country: *country, Name: a.agency.Name},
			Receiver: etsi.Party{Country: *country, Name: *receiver}, Transaction: newUUID(), Time: time.Now()}
		out := c.Warrant.JSON()
		switch {
		case *notices:
			out, err = a.notices(cmd.Context(), head, c)
		case *message:
			out, err = a.order(cmd.Context(), head, c)
		}
		if err != nil {
			return err
		}
		_, err = cmd.OutOrStdout().Write(out)
		return err
	}
	return cmd
}

// newUUID returns a random UUID, version 4.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// order is a case as an ETSI message, with the approvals that the docket has.
func (a *agency) order(ctx context.Context, head etsi.Header, c *examine.Case) ([]byte, error) {
	h := c.Warrant.Hash()
	got, err := a.agency.Docket.GetWarrant(ctx, &api.GetWarrantRequest{WarrantHash: h[:]})
	if err != nil {
		return nil, callError(err)
	}
	approvals, err := warrant.ParseApprovals(got.Approvals)
	if err != nil {
		return nil, fail(codeInvalid, err, "the docket's answer does not parse")
	}
	return readBack((&etsi.Order{Header: head, Warrant: c.Warrant, Salt: c.Salt, Approvals: approvals, Document: true}).Export())
}

// readBack makes sure that what leaves can be read: a name that the standard
// has no room for must not surprise the receiver.
func readBack(b []byte) ([]byte, error) {
	if _, err := etsi.Import(b); err != nil {
		return nil, usage(err, "--country is two capital letters, --receiver a plain name")
	}
	return b, nil
}

// notices are the ledger's entries about a case as an ETSI message.
func (a *agency) notices(ctx context.Context, head etsi.Header, c *examine.Case) ([]byte, error) {
	f, err := follower.New(follower.Config{URL: a.deployment.Ledger, Policy: a.trust.policy, MaxAge: ledgerAge})
	if err != nil {
		return nil, err
	}
	n := etsi.Notices{Header: head, Warrant: c.Warrant.ID}
	about := entriesAbout(c)
	_, err = f.Update(ctx, 0, func(index uint64, entry []byte, seen time.Time) error {
		if about(entry) {
			n.Logged = append(n.Logged, etsi.Logged{Index: index, Entry: entry, Seen: seen})
		}
		return nil
	})
	if err != nil {
		return nil, fail(codeUnavailable, err, "is the notary running?")
	}
	if len(n.Logged) == 0 {
		return nil, fail(codeRefused, errors.New("the ledger has nothing on this case"), "writ warrant publish CASE, after the approvals")
	}
	return n.Export()
}

// entriesAbout says of the ledger's entries, asked in order, which are about a
// case: its warrant, requests for that, and answers to them.
func entriesAbout(c *examine.Case) func(entry []byte) bool {
	commitment := warrant.Commitment(c.Salt, c.Warrant.Hash())
	about := map[ledger.EntryHash]bool{}
	return func(entry []byte) bool {
		e, err := ledger.ParseEntry(entry)
		if err != nil {
			return false
		}
		hit := false
		switch {
		case e.Warrant != nil:
			hit = e.Warrant.Commitment == commitment
		case e.Request != nil:
			hit = about[e.Request.Warrant]
		case e.Release != nil:
			hit = about[e.Release.Request]
		case e.Refusal != nil:
			hit = about[e.Refusal.Request]
		case e.Reading != nil:
			hit = about[e.Reading.Request]
		}
		if hit {
			about[e.Hash()] = true
		}
		return hit
	}
}
