package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"writ/bundle"
	"writ/etsi"
	"writ/examine"
	"writ/ledger"
	"writ/setup"
)

func newOpen() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "open CASE",
		GroupID: "law",
		Short:   "Gather the custodians' shares of a published warrant and open what it names",
		Long: `Open asks for the compartments in the warrant's scope (writ warrant request does
so alone), sends the request to every custodian, combines what they release,
checks every capsule and every signature, asks the directory whose the keys are, and
writes one file of evidence, sealed to the people whom the warrant names as readers
(writ bundle read). Nothing is left on this machine in the clear.

It can be repeated: an opening that was interrupted goes on where it stopped. If the
directory does not prove whose key signed, the evidence is written and says so, and
open ends with 7. Once the directory answers, the same command completes the
evidence; no custodian releases anything more.`,
		Args: cobra.ExactArgs(1),
	}
	dir := agencyFlag(cmd)
	out := cmd.Flags().String("out", "", "the bundle to write (default CASE.writ among the agency's cases)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a, c, err := openCase(*dir, args[0])
		if err != nil {
			return err
		}
		if *out == "" {
			*out = filepath.Join(a.dir, "cases", args[0]+".writ")
		}
		o, err := a.open(cmd, c)
		if err != nil {
			return err
		}
		list, err := a.writeBundles(cmd.Context(), c, o, *out)
		if err != nil {
			return err
		}
		if err := show(cmd, resultOf(o, list), func(w io.Writer) { printOpening(w, o, list) }); err != nil {
			return err
		}
		for _, e := range list {
			if err := provenKeys(e.report, "the evidence is written and says so; if the directory gave no answer, the same command completes it later"); err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}

// provenKeys fails for evidence that does not show whose key signed. Every command that
// shows or hands on evidence ends with it, after it did so.
func provenKeys(r *bundle.Report, hint string) error {
	if r.KeysProven {
		return nil
	}
	return fail(codeUnproven, fmt.Errorf("whose key signed is not proven for %s", count(len(r.Unproven), "compartment")), hint)
}

// open opens what a case names, with a line of progress.
func (a *agency) open(cmd *cobra.Command, c *examine.Case) (*examine.Opening, error) {
	config, err := a.examiner(cmd, c)
	if err != nil {
		return nil, err
	}
	defer config.Ledger.Close()
	bars := map[string]*progress{}
	config.Progress = func(p examine.Progress) {
		if bars[p.Stage] == nil {
			bars[p.Stage] = newProgress(p.Stage + ":")
		}
		bars[p.Stage].at(p.Done, p.Total)
	}
	defer func() {
		for _, b := range bars {
			b.end()
		}
	}()
	o, err := examine.Open(cmd.Context(), config, c)
	if err != nil {
		return nil, openingError(config.Ledger, c, err)
	}
	return o, nil
}

// evidence is a bundle that was written, one for each request of an opening.
type evidence struct {
	path   string
	opened *examine.Opened
	report *bundle.Report
}

// writeBundles makes evidence of an opening and keeps it sealed: in the file
// named, and for each further request in another beside it.
func (a *agency) writeBundles(ctx context.Context, c *examine.Case, o *examine.Opening, path string) (list []evidence, err error) {
	for i, part := range o.Parts {
		e := evidence{path: path, opened: part}
		if i > 0 {
			ext := filepath.Ext(path)
			e.path = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(path, ext), i+1, ext)
		}
		if e.report, err = a.writeBundle(ctx, c, part, e.path); err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

// writeBundle makes evidence of one request and keeps it in a file, sealed to the
// warrant's readers. The docket has its part of the key before the file is there.
func (a *agency) writeBundle(ctx context.Context, c *examine.Case, o *examine.Opened, path string) (*bundle.Report, error) {
	b, report, err := bundle.Build(contents(o), a.trust.policy, a.trust.firsts...)
	if err != nil {
		return nil, fail(codeInvalid, err, "nothing was written: what was opened does not hold as evidence")
	}
	file, kept, err := bundle.Seal(b, o.RequestEntry.Index, ledger.HashEntry(o.RequestEntry.Entry), c.Warrant.Readers, c.Salt)
	if err != nil {
		return nil, fail(codeRefused, err, "")
	}
	s, err := bundle.ParseSealed(file)
	if err != nil {
		return nil, err
	}
	if err := a.agency.KeepPart(ctx, c.Warrant.Hash(), o.RequestEntry.Index, s.ID, kept); err != nil {
		return nil, callError(err)
	}
	return report, setup.Write(path, file, 0o600)
}

// contents puts what was opened into the form of a bundle.
func contents(o *examine.Opened) bundle.Contents {
	c := bundle.Contents{
		Warrant: o.Warrant, WarrantSalt: o.WarrantSalt, NoticeSalt: o.NoticeSalt,
		WarrantEntry: proven(o.WarrantEntry), RequestEntry: proven(o.RequestEntry),
	}
	for _, p := range o.Charters {
		c.Charters = append(c.Charters, proven(p))
	}
	for _, p := range o.Keys {
		c.Keys = append(c.Keys, proven(p))
	}
	for _, r := range o.Releases {
		c.Releases = append(c.Releases, proven(r.Intent))
	}
	for _, x := range o.Compartments {
		part := bundle.Compartment{Capsule: x.Capsule, Ratchet: x.Ratchet, SenderData: x.SenderData, Shares: x.Shares,
			GroupContext: x.GroupContext, LeafProof: x.LeafProof, RosterProof: x.RosterProof,
			Count: x.Count, Statement: x.Statement}
		for _, m := range x.Messages {
			part.Messages = append(part.Messages, bundle.Message{Seq: m.Seq, Received: m.Received, Ciphertext: m.Ciphertext})
		}
		c.Compartments = append(c.Compartments, part)
	}
	for _, p := range o.Accounts {
		c.Accounts = append(c.Accounts, p.Encode())
	}
	return c
}

func proven(p examine.Proven) bundle.Proven { return bundle.Proven{Entry: p.Entry, Proof: p.Proof} }

// resultOf is what --json prints of an opening.
func resultOf(o *examine.Opening, list []evidence) any {
	type part struct {
		Bundle       string   `json:"bundle"`
		Compartments int      `json:"compartments"`
		Complete     bool     `json:"complete"`
		KeysProven   bool     `json:"keys_proven"`
		Releases     int      `json:"releases"`
		Bad          []string `json:"bad_custodians"`
	}
	result := struct {
		Parts  []part `json:"bundles"`
		Closed int    `json:"left_closed"`
	}{Closed: len(o.Outside)}
	for _, e := range list {
		result.Parts = append(result.Parts, part{e.path, len(e.report.Compartments), e.report.Complete, e.report.KeysProven,
			len(e.report.Releases), append([]string{}, e.opened.Bad...)})
	}
	return result
}

func printOpening(w io.Writer, o *examine.Opening, list []evidence) {
	for _, e := range list {
		fmt.Fprintf(w, "opened %s with the shares of %d custodians\n", count(len(e.report.Compartments), "compartment"), len(e.report.Releases))
		for _, r := range e.opened.Refusals {
			fmt.Fprintf(w, "%s/%s refused: %s\n", r.Office, r.Custodian, r.Reason)
		}
		for _, name := range e.opened.Bad {
			fmt.Fprintf(w, "WRONG SHARE from custodian %s: it failed its commitment and was left out\n", name)
		}
		for _, account := range slices.Sorted(maps.Keys(e.opened.Unproven)) {
			fmt.Fprintf(w, "NO PROOF of the keys of %s: %s\n", account, oneLine(e.opened.Unproven[account].Error()))
		}
		fmt.Fprintf(w, "%s\nevidence: %s, sealed to its readers: writ bundle read\n", e.report.Verdict(), e.path)
	}
	for _, s := range o.Outside {
		fmt.Fprintf(w, "left closed: %x, epoch %d, leaf %d: %s\n", s.Conversation, s.Epoch, s.Leaf, oneLine(s.Why))
	}
}

// count is a number of things in words.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// notTheirs is for who reads evidence that does not show whose key signed.
const notTheirs = "do not take those words for the person's; whoever opened the case can complete the evidence with writ open"

func newVerify() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "verify BUNDLE",
		GroupID: "law",
		Short:   "Check a bundle of evidence offline, with a witness policy and nothing else",
		Long: `Verify recomputes everything in a bundle: law, approvals, log entries, custodians'
releases, capsules, the signature of every message, and whose key made it, by the
directory's log. It needs no server and trusts nobody but the witnesses in the
policy, and those of the directory that the law names.

It ends with 0 if all holds, with 4 if anything does not, and with 7 if all holds but
that the keys of some compartments are proven to be their people's: those are marked
as not proven. A bundle that holds but lacks messages says so, and ends with 4 unless
--allow-gaps is given.`,
		Args: cobra.ExactArgs(1),
	}
	f := cmd.Flags()
	policy := f.String("policy", "", "file with the witness policy (default policy.txt beside the bundle, else here)")
	html := f.String("html", "", "also write the report as a page to this file")
	manifest := f.String("etsi", "", "also write the ETSI TS 103 120 delivery manifest to this file")
	gaps := f.Bool("allow-gaps", false, "accept a bundle that lacks messages")
	known := f.StringSlice("charter", nil, "hash of the first version of a law you know; without it compare the law's fingerprint yourself")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		report, err := verify(args[0], *policy, *known)
		if err != nil {
			return err
		}
		for path, b := range map[string][]byte{*html: report.HTML(), *manifest: etsi.Manifest(report)} {
			if path == "" {
				continue
			}
			if err := setup.Write(path, b, 0o600); err != nil {
				return err
			}
		}
		if err := show(cmd, report, func(w io.Writer) { fmt.Fprint(w, report.Text()) }); err != nil {
			return err
		}
		return lacking(report, *gaps)
	}
	return cmd
}

// lacking fails for evidence that lacks something. That a key is not proven is told last: a
// script that lives with it must not take what is incomplete besides.
func lacking(r *bundle.Report, gaps bool) error {
	if !r.Complete && !gaps {
		return fail(codeInvalid, errors.New("messages are missing from the bundle"), "what is there holds; --allow-gaps accepts it")
	}
	return provenKeys(r, notTheirs)
}

func verify(path, policyFile string, known []string) (*bundle.Report, error) {
	firsts, err := hashes(known)
	if err != nil {
		return nil, usage(err, "the deployment file and the printed charter have it")
	}
	b, err := readBundle(path)
	if err != nil {
		return nil, err
	}
	if bundle.IsSealed(b) {
		return nil, fail(codeRefused, errors.New("the bundle is sealed to its readers"), "writ bundle read shows it to one of them, writ bundle export hands it on; both are recorded")
	}
	policy, err := findPolicy(path, policyFile)
	if err != nil {
		return nil, err
	}
	report, err := bundle.Verify(b, policy, firsts...)
	if err != nil {
		return nil, fail(codeInvalid, err, "this file proves nothing; ask for it again from whoever made it")
	}
	return report, nil
}

// findPolicy reads the witness policy: the one named, else policy.txt beside the
// bundle, else here.
func findPolicy(bundle, named string) (*ledger.Policy, error) {
	if named != "" {
		return readPolicy(named)
	}
	p, err := readPolicy(filepath.Join(filepath.Dir(bundle), setup.PolicyFile))
	if errors.Is(err, os.ErrNotExist) {
		if here, hereErr := readPolicy(setup.PolicyFile); !errors.Is(hereErr, os.ErrNotExist) {
			return here, hereErr
		}
	}
	return p, err
}

// readPolicy reads a witness policy from a file.
func readPolicy(path string) (*ledger.Policy, error) {
	const hint = "--policy names the witness policy of the log; it is public, but take it from someone you trust"
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fail(codeFailed, err, hint)
	}
	p, err := ledger.ParsePolicy(string(b))
	if err != nil {
		return nil, fail(codeFailed, fmt.Errorf("%s: %w", path, err), hint)
	}
	return p, nil
}
