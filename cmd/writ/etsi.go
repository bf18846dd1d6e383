package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"writ/api"
	"writ/charter"
	"writ/etsi"
	"writ/examine"
	"writ/follower"
	"writ/ledger"
	"writ/notice/beacon"
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
entry as a NotificationObject: the warrant's own, its cancellation or review,
requests, what custodians answered, holds and their ends, readings, errors, and the
rounds at which the person is told. The delivery manifest comes from writ verify --etsi.`,
		Args: cobra.ExactArgs(1),
	}
	dir := agencyFlag(cmd)
	f := cmd.Flags()
	message := f.Bool("etsi", false, "as an ETSI TS 103 120 message")
	notices := f.Bool("notices", false, "with --etsi: what the ledger says of the case")
	country := f.String("country", "XX", "with --etsi: the sender's country, ISO 3166-1")
	receiver := f.String("receiver", "docket", "with --etsi: the receiver's name")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a, c, err := openCase(*dir, args[0])
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
	_, err = f.Update(ctx, 0, counting(a.trust.firsts, func(index uint64, entry []byte, seen time.Time) {
		if about(entry) {
			n.Logged = append(n.Logged, etsi.Logged{Index: index, Entry: entry, Seen: seen})
		}
	}))
	if err != nil {
		return nil, fail(codeUnavailable, err, "is the notary running?")
	}
	if len(n.Logged) == 0 {
		return nil, fail(codeRefused, errors.New("the ledger has nothing on this case"), "writ warrant publish CASE, after the approvals")
	}
	return n.Export()
}

// counting replays a log from its first entry and hands on the entries that count. Of the
// others, such as a cancellation that no approver signed, nobody is told as if they were one.
func counting(firsts []charter.Hash, each func(index uint64, entry []byte, seen time.Time)) func(uint64, []byte, time.Time) error {
	book := ledger.NewBook(firsts...)
	return func(index uint64, entry []byte, seen time.Time) error {
		if err := book.Apply(index, entry, seen); err != nil {
			return err
		}
		if at, counts := book.Find(ledger.HashEntry(entry)); counts && at == index {
			each(index, entry, seen)
		}
		return nil
	}
}

// entriesAbout says of the ledger's entries, asked in order, which are about a case: its
// warrant, what ends or reviews that, requests for it, what is said of them, and the rounds
// at which its person is told.
func entriesAbout(c *examine.Case) func(entry []byte) bool {
	s := selection{commitment: warrant.Commitment(c.Salt, c.Warrant.Hash()), law: c.Warrant.Charter,
		about: map[ledger.EntryHash]bool{}, rounds: map[uint64]bool{}}
	return func(entry []byte) bool {
		e, err := ledger.ParseEntry(entry)
		if err != nil || !s.takes(e) {
			return false
		}
		s.about[e.Hash()] = true
		return true
	}
}

type selection struct {
	commitment [32]byte
	law        charter.Hash
	beacon     *beacon.Beacon // of that law, once it stood on the ledger
	about      map[ledger.EntryHash]bool
	rounds     map[uint64]bool // that its requests wait for
}

func (s *selection) takes(e *ledger.Entry) bool {
	switch {
	case e.Charter != nil:
		if c, err := charter.Parse(e.Charter.Charter); err == nil && c.Hash() == s.law {
			s.beacon = c.Beacon
		}
		return false
	case e.Warrant != nil:
		return e.Warrant.Commitment == s.commitment
	case e.Cancellation != nil:
		return s.about[e.Cancellation.Warrant]
	case e.Review != nil:
		return s.about[e.Review.Warrant]
	case e.Request != nil:
		if s.about[e.Request.Warrant] {
			s.rounds[e.Request.Round] = true
			return true
		}
		return false
	case e.Round != nil:
		return s.tells(e.Round)
	}
	request, ok := answered(e)
	return ok && s.about[request]
}

// tells reports whether a round is one at which the case's person is told, by the beacon of
// its law: other laws' beacons have rounds of the same numbers.
func (s *selection) tells(x *ledger.Round) bool {
	if s.beacon == nil || !s.rounds[x.Round] {
		return false
	}
	_, err := s.beacon.Key.Verify(x.Round, x.Signature[:])
	return err == nil
}

// answered returns the request that an entry is about.
func answered(e *ledger.Entry) (request ledger.EntryHash, ok bool) {
	switch {
	case e.Release != nil:
		return e.Release.Request, true
	case e.Refusal != nil:
		return e.Refusal.Request, true
	case e.Error != nil:
		return e.Error.Request, true
	case e.Preservation != nil:
		return e.Preservation.Request, true
	case e.HoldEnd != nil:
		return e.HoldEnd.Request, true
	case e.Reading != nil:
		return e.Reading.Request, true
	}
	return request, false
}
