package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"writ/api"
	"writ/charter"
	"writ/etsi"
	"writ/examine"
	"writ/internal/wire"
	"writ/ledger"
	"writ/replica"
	"writ/warrant"
)

func newWarrant() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "warrant",
		GroupID: "law",
		Short:   "Draft, approve, publish and follow a warrant",
		Long: `A warrant names one account, a window of time and its grounds. The agency:

  writ warrant template --subject ACCOUNT > draft.json    then write the grounds
  writ warrant draft draft.json --case NAME               seal and lodge it
  writ warrant publish NAME                               once it is approved
  writ warrant request NAME                               ask for the compartments
  writ open NAME --out sealed.writ                        gather shares, open
  writ bundle read sealed.writ --key PERSON.key           read it; that is recorded

Approvers of the offices that the charter names, each with their own key:

  writ warrant list
  writ warrant approve HASH --key judge-1.key             read it, then sign it
  writ warrant review HASH --confirm ...                  look again at an emergency
  writ warrant cancel HASH ...                            end it before its life does
  writ warrant error HASH --kind wrong-person ...         state that it was a mistake`,
	}
	cmd.AddCommand(newWarrantTemplate(), newWarrantDraft(), newWarrantList(), newWarrantShow(),
		newWarrantApprove(), newWarrantPublish(), newWarrantRequest(),
		newWarrantReview(), newWarrantCancel(), newWarrantError(), newWarrantExport())
	return cmd
}

// template is what a draft begins with.
type template struct {
	subject, again                   string
	law, caseType                    string
	window, life, notice             time.Duration
	from                             string
	received, test, urgent, preserve bool
	privileged                       bool
	renews                           string
	conversations                    []string
	reference, legalType             string
	entity, necessity, least         string
	readers                          []string
}

func newWarrantTemplate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "template --subject ACCOUNT",
		Short: "Print a draft with every field, to be completed by hand",
		Long: `Template prints a draft as JSON under the charter in force. The grounds are left
empty unless given: a warrant without them is malformed.`,
		Args: cobra.NoArgs,
	}
	var t template
	dir := agencyFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&t.subject, "subject", "", "the account")
	f.StringVar(&t.again, "subject-again", "", "the account once more: a slip of the hand must not open another person's words")
	f.StringVar(&t.law, "law", "", "hash of the charter; needed only if several are in force")
	f.StringVar(&t.caseType, "case-type", "", "one of the charter's (default its first)")
	f.StringVar(&t.from, "from", "", "start of the window, RFC 3339 (default: the window ends now)")
	f.DurationVar(&t.window, "window", 24*time.Hour, "length of the window")
	f.DurationVar(&t.life, "life", 24*time.Hour, "how long it may be used, from now")
	f.DurationVar(&t.notice, "notice", 30*24*time.Hour, "when the subject is told, from the window's end")
	f.BoolVar(&t.received, "received", false, "also what others sent to the subject's conversations")
	f.BoolVar(&t.preserve, "preserve", false, "only to keep it beyond the horizon (writ hold); nothing is opened")
	f.BoolVar(&t.test, "test", false, "a drill on synthetic accounts, counted apart")
	f.BoolVar(&t.urgent, "emergency", false, "under the charter's urgent procedure")
	f.BoolVar(&t.privileged, "privileged", false, "privileged conversations too; needs the charter's further office")
	f.StringVar(&t.renews, "renews", "", "the agency's case of the warrant that this one renews")
	f.StringSliceVar(&t.conversations, "conversation", nil, "only this conversation (may be repeated; default all)")
	f.StringVar(&t.reference, "reference", "", "the agency's reference")
	f.StringVar(&t.legalType, "legal-type", "interception warrant", "what the law calls it")
	f.StringVar(&t.entity, "entity", "", "the requesting authority")
	f.StringVar(&t.necessity, "necessity", "", "why it is needed")
	f.StringVar(&t.least, "least-intrusive", "", "why less intrusive means fail")
	f.StringSliceVar(&t.readers, "reader", nil, "public part of a person who may read (default all in the agency's readers directory)")
	cmd.MarkFlagRequired("subject")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		a, err := openAgency(*dir)
		if err != nil {
			return err
		}
		c, err := a.inForce(cmd, t.law)
		if err != nil {
			return err
		}
		readers, err := a.readers(t.readers)
		if err != nil {
			return err
		}
		w, err := t.warrant(c, a.reader.Public(), time.Now())
		if err != nil {
			return err
		}
		w.Readers = readers
		if t.renews != "" {
			old, err := a.loadCase(t.renews)
			if err != nil {
				return err
			}
			w.Renews = warrant.Commitment(old.Salt, old.Warrant.Hash())
		}
		_, err = cmd.OutOrStdout().Write(w.JSON())
		return err
	}
	return cmd
}

// warrant fills a warrant. What is said nowhere stays empty, and is refused
// when the draft is read.
func (t *template) warrant(c *charter.Charter, reader []byte, now time.Time) (*warrant.Warrant, error) {
	now = now.UTC().Truncate(time.Second)
	start := now.Add(time.Second - t.window) // up to now, this second included
	if t.from != "" {
		var err error
		if start, err = time.Parse(time.RFC3339, t.from); err != nil {
			return nil, usage(fmt.Errorf("--from %q is not RFC 3339", t.from), "such as 2026-11-23T09:00:00+01:00")
		}
	}
	end := start.Add(t.window)
	w := &warrant.Warrant{
		Charter: c.Hash(), Action: warrant.Disclose, Reference: t.reference, LegalType: t.legalType, CaseType: t.caseType,
		Jurisdiction: c.Jurisdiction, LegalEntity: t.entity, Subject: t.subject, SubjectAgain: t.again,
		Direction: warrant.Sent, WindowStart: start.Format(time.RFC3339), WindowEnd: end.Format(time.RFC3339),
		NotBefore: uint64(now.Unix()), NotAfter: uint64(now.Add(t.life).Unix()), Necessity: t.necessity,
		LeastIntrusive: t.least, ReaderKey: reader, NoticeDue: uint64(end.Add(t.notice).Unix()),
	}
	rand.Read(w.ID[:])
	if w.CaseType == "" && len(c.CaseTypes) > 0 {
		w.CaseType = c.CaseTypes[0]
	}
	if t.received {
		w.Direction = warrant.SentAndReceived
	}
	if t.preserve {
		w.Action = warrant.Preserve
	}
	if t.test {
		w.Flags |= warrant.IsTest
	}
	if t.urgent {
		w.Flags |= warrant.IsEmergency
	}
	if t.privileged {
		w.Flags |= warrant.IsPrivileged
	}
	for _, s := range t.conversations {
		id, err := hex.DecodeString(s)
		if err != nil {
			return nil, usage(fmt.Errorf("--conversation %q is not hexadecimal", s), "it is the id of a conversation, such as evidence of an earlier warrant names it")
		}
		w.Conversations = append(w.Conversations, id)
	}
	return w, nil
}

func newWarrantDraft() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "draft FILE --case NAME",
		Short: "Check a draft, seal it to the approvers and lodge it at the docket",
		Long: `Draft reads a warrant as JSON (writ warrant template prints one; - reads standard
input), keeps it as a case of the agency, seals it to every approver the charter
names and lodges it. The docket can't read it. FILE may also be an order as a
message of ETSI TS 103 120, as writ warrant export --etsi prints it; approvals in
it are not taken over, since approvers hand theirs to the docket.

The subject stands in it twice, on purpose: a slip of the hand must not open
another person's words.`,
		Args: cobra.ExactArgs(1),
	}
	dir := agencyFlag(cmd)
	name := cmd.Flags().String("case", "", "the agency's name for it, a-z, 0-9 and . _ @ -")
	cmd.MarkFlagRequired("case")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !wire.ValidName(*name) {
			return usage(fmt.Errorf("%q is not a name", *name), "a-z, 0-9 and . _ @ -, such as case-17")
		}
		a, err := openAgency(*dir)
		if err != nil {
			return err
		}
		w, err := readDraft(cmd, args[0])
		if err != nil {
			return err
		}
		c, err := a.lodge(cmd, *name, w)
		if err != nil {
			return err
		}
		return showCase(cmd, *name, c, "lodged", "next: writ warrant approve, by each office the charter names")
	}
	return cmd
}

func readDraft(cmd *cobra.Command, path string) (*warrant.Warrant, error) {
	var b []byte
	var err error
	if path == "-" {
		b, err = io.ReadAll(io.LimitReader(cmd.InOrStdin(), etsi.MaxSize+1))
	} else {
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fail(codeFailed, err, "writ warrant template prints a draft")
	}
	if etsi.IsMessage(b) {
		o, err := etsi.Import(b)
		if err != nil {
			return nil, fail(codeInvalid, err, "spec/etsi.md lists what a message must hold; writ warrant export CASE --etsi prints one")
		}
		return o.Warrant, nil
	}
	w, err := warrant.ParseDraft(b)
	if err != nil {
		return nil, fail(codeInvalid, err, "writ warrant template prints every field; it takes readers from the agency's readers directory, or --reader FILE (writ keygen person)")
	}
	return w, nil
}

// lodge keeps a warrant as a case and lodges it. A case of that name with the
// same warrant is lodged again, which changes nothing.
func (a *agency) lodge(cmd *cobra.Command, name string, w *warrant.Warrant) (*examine.Case, error) {
	law, err := a.law(cmd, w.Charter)
	if err != nil {
		return nil, err
	}
	c, err := a.loadCase(name)
	isNew := errors.Is(err, os.ErrNotExist)
	if isNew {
		if c, err = a.newCase(w); err == nil {
			err = a.saveCase(name, c)
		}
	}
	if err != nil {
		return nil, err
	}
	if c.Warrant.Hash() != w.Hash() {
		return nil, usage(fmt.Errorf("case %s holds another warrant", name), "choose another --case")
	}
	err = a.agency.Lodge(cmd.Context(), c, law)
	if isNew && connect.CodeOf(err) == connect.CodeInvalidArgument { // nor will it be lodged later
		return nil, errors.Join(fail(codeInvalid, callError(err), "nothing is lodged or kept: correct the draft, then repeat this"), a.dropCase(name))
	}
	if err != nil {
		return nil, callError(err)
	}
	return c, nil
}

func showCase(cmd *cobra.Command, name string, c *examine.Case, state, next string) error {
	h := c.Warrant.Hash()
	result := map[string]any{"case": name, "warrant": hex.EncodeToString(h[:]), "state": state}
	return show(cmd, result, func(w io.Writer) {
		fmt.Fprintf(w, "case %s, warrant %x\n%s; %s\n", name, h, state, next)
	})
}

func newWarrantPublish() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "publish CASE",
		Short: "Put an approved warrant on the ledger",
		Long: `Publish has the docket put the warrant's entry on the ledger, once the approvals
satisfy the charter. The entry shows neither the subject nor the grounds.`,
		Args: cobra.ExactArgs(1),
	}
	dir := agencyFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a, c, err := openCase(*dir, args[0])
		if err != nil {
			return err
		}
		e, err := a.agency.Publish(cmd.Context(), c.Warrant.Hash())
		if err != nil {
			return callError(err)
		}
		return showLogged(cmd, "warrant", e)
	}
	return cmd
}

// showLogged prints where an entry stands.
func showLogged(cmd *cobra.Command, what string, e *api.LoggedEntry) error {
	result := map[string]any{"entry": what, "index": e.Index}
	return show(cmd, result, func(w io.Writer) {
		fmt.Fprintf(w, "%s entry on the ledger at index %d\n", what, e.Index)
	})
}

func newWarrantRequest() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "request CASE",
		Short: "Ask for the compartments in a published warrant's scope",
		Long: `Request takes from delivery what is sealed in the warrant's scope and has the
docket log which compartments are asked for, hidden until the notice. Custodians
act on exactly these, all or nothing.`,
		Args: cobra.ExactArgs(1),
	}
	dir := agencyFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a, c, err := openCase(*dir, args[0])
		if err != nil {
			return err
		}
		config, err := a.examiner(cmd, c)
		if err != nil {
			return err
		}
		defer config.Ledger.Close()
		r, err := examine.Request(cmd.Context(), config, c)
		if err != nil {
			return openingError(config.Ledger, c, err)
		}
		return showRequested(cmd, r)
	}
	return cmd
}

// showRequested prints where the requests stand.
func showRequested(cmd *cobra.Command, r *examine.Requested) error {
	indexes := []uint64{}
	for _, e := range r.Entries {
		indexes = append(indexes, e.Index)
	}
	result := map[string]any{"entry": "request", "indexes": indexes, "compartments": r.Compartments}
	return show(cmd, result, func(w io.Writer) {
		fmt.Fprintf(w, "request entry on the ledger at index %s\ncompartments asked for: %d\n",
			strings.Trim(fmt.Sprint(indexes), "[]"), r.Compartments)
	})
}

// openingError is examineError, and says so where the ledger shows that the case's warrant
// was stopped.
func openingError(copy *replica.Replica, c *examine.Case, err error) error {
	err = examineError(err)
	if codeOf(err) != codeRefused {
		return err
	}
	copy.View(func(b *ledger.Book) {
		w, ok := b.WarrantOf(warrant.Commitment(c.Salt, c.Warrant.Hash()))
		if ok && w.Cancelled {
			err = fail(codeRefused, err, "an office that approved it cancelled it, and nothing undoes that: nothing more opens under it. A new warrant (writ warrant template) needs new approvals")
		}
	})
	return err
}

// examineError says what to do about an error of an opening.
func examineError(err error) error {
	var blocked *examine.BlockedError
	switch {
	case errors.As(err, &blocked):
		return fail(codeRefused, err, blockedHint(blocked))
	case errors.Is(err, examine.ErrSealed):
		return fail(codeRefused, err, "nobody may read what it opened; writ audit shows what the ledger says of it")
	case errors.Is(err, examine.ErrAction):
		return fail(codeRefused, err, "writ hold carries out a warrant that preserves, writ open one that opens")
	case errors.Is(err, examine.ErrNotPublished):
		return fail(codeRefused, err, "writ warrant publish CASE, after the approvals")
	case errors.Is(err, examine.ErrSpoiled):
		return fail(codeInvalid, err, "their senders sealed something else; the custodians' refusals on the ledger show it")
	case errors.Is(err, examine.ErrNothing):
		return fail(codeFailed, err, "is the window right, and the subject's name?")
	case errors.Is(err, ledger.ErrRefused):
		return fail(codeUnavailable, err, "are the notary and a quorum of witnesses up, and is this clock right? try again; if it stays, audit the log")
	}
	return callError(err)
}

// blockedHint lists who said what.
func blockedHint(b *examine.BlockedError) string {
	s := ""
	for _, r := range b.Refusals {
		s += fmt.Sprintf("%s/%s refused: %s; ", r.Office, r.Custodian, r.Reason)
	}
	for _, who := range slices.Sorted(maps.Keys(b.Unreachable)) {
		s += fmt.Sprintf("%s: %v; ", who, b.Unreachable[who])
	}
	return s + "those who refused have signed it, and the ledger shows it"
}
