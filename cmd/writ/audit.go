package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"writ/examine"
	"writ/follower"
	"writ/ledger"
	"writ/setup"
)

func newAudit() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "audit LOG",
		GroupID: "law",
		Short:   "Check a ledger from its first entry, and recompute its statistics",
		Long: `Audit reads the whole ledger, at an address or in a directory of its files,
and trusts only the witness policy: every entry is proven in the tree, every
signature and rule checked again, every number counted anew.

It ends with 0 if all holds, with 4 if anything does not: an entry that doesn't
count, a key whose destruction is overdue, a checkpoint older than --max-age, or
a log that shows two histories.`,
		Args: cobra.ExactArgs(1),
	}
	policy := cmd.Flags().String("policy", setup.PolicyFile, "file with the witness policy")
	maxAge := cmd.Flags().Duration("max-age", 0, "oldest checkpoint to accept; 0: any, as for files")
	firsts := cmd.Flags().StringSlice("charter", nil, "hash of a charter's first version that counts (default any)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p, err := readPolicy(*policy)
		if err != nil {
			return err
		}
		a, err := audit(cmd.Context(), args[0], p, *maxAge, *firsts)
		if err != nil {
			return err
		}
		if err := show(cmd, a, a.print); err != nil {
			return err
		}
		if !a.Holds {
			return fail(codeInvalid, fmt.Errorf("%d findings", len(a.Findings)), "each is listed above with its index on the log")
		}
		return nil
	}
	return cmd
}

// audited is what an audit found.
type audited struct {
	Log        string            `json:"log"`
	Entries    uint64            `json:"entries"`
	Root       string            `json:"root"`
	Witnessed  time.Time         `json:"witnessed"`
	Holds      bool              `json:"holds"`
	Findings   []ledger.Finding  `json:"findings"`
	Statistics ledger.Statistics `json:"statistics"`
}

// audit reads a log from its first entry.
func audit(ctx context.Context, log string, p *ledger.Policy, maxAge time.Duration, firsts []string) (*audited, error) {
	hashes, err := hashes(firsts)
	if err != nil {
		return nil, usage(err, "--charter takes what writ charter check prints as the hash")
	}
	config := follower.Config{URL: log, Policy: p, MaxAge: maxAge}
	files := !strings.Contains(log, "://")
	if files {
		if _, err := os.Stat(filepath.Join(log, "checkpoint")); err != nil {
			return nil, fail(codeFailed, err, logHint)
		}
		config.URL, config.HTTP = logFiles(log)
	}
	f, err := follower.New(config)
	if err != nil {
		return nil, err
	}
	book := ledger.NewBook(hashes...)
	bar := newProgress("entries read:")
	apply := func(index uint64, entry []byte, seen time.Time) error {
		bar.at(int(index), int(index)+1)
		return book.Apply(index, entry, seen)
	}
	_, err = f.Update(ctx, 0, apply)
	bar.end()
	var fork *follower.ForkError
	if errors.As(err, &fork) || errors.Is(err, follower.ErrRefused) || errors.Is(err, ledger.ErrRefused) {
		return nil, fail(codeInvalid, err, "the log or the policy is not what it should be: tell the witnesses")
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && files: // a service may come back, a file is there or not
		return nil, fail(codeInvalid, err, "the directory does not hold what its checkpoint says")
	case err != nil:
		return nil, fail(codeUnavailable, err, logHint)
	}
	return examineBook(p, f.Last(), book)
}

const logHint = "LOG is the address of a notary, or the directory of its log (DIR/log of a notary's DIR)"

// logFiles lets a follower read a directory as if a server had it; the name in
// the address means nothing.
func logFiles(dir string) (string, *http.Client) {
	return "http://files", &http.Client{Transport: http.NewFileTransport(http.Dir(dir))}
}

func examineBook(p *ledger.Policy, last []byte, book *ledger.Book) (*audited, error) {
	c, err := p.Checkpoint(last, time.Now(), 0)
	if err != nil {
		return nil, err
	}
	a := &audited{Log: c.Origin(), Entries: c.Size(), Root: c.Tree().Hash.String(), Witnessed: c.Time().UTC(),
		Findings: append([]ledger.Finding{}, slices.Concat(book.Findings(), book.Overdue(time.Now()))...), Statistics: book.Statistics()}
	a.Holds = len(a.Findings) == 0
	return a, nil
}

func (a *audited) print(w io.Writer) {
	fmt.Fprintf(w, "log %s: %d entries, root %s\nwitnessed %s\n", a.Log, a.Entries, a.Root, a.Witnessed.Format(time.RFC3339))
	for _, name := range slices.Sorted(maps.Keys(a.Statistics.Laws)) {
		fmt.Fprintf(w, "\n%s\n", name)
		printStatistics(w, a.Statistics.Laws[name])
	}
	for _, f := range a.Findings {
		fmt.Fprintf(w, "FINDING at %d (%s): %s\n", f.Index, f.Type, f.Problem)
	}
	if a.Holds {
		fmt.Fprintln(w, "\nevery entry counts, every signature and rule holds")
	}
}

func printStatistics(w io.Writer, s *ledger.LawStatistics) {
	fmt.Fprintf(w, "  versions of the charter   %d\n", s.Versions)
	fmt.Fprintf(w, "  custodians' keys          %d, destroyed %d\n", s.CustodianKeys, s.Destructions)
	printActivity(w, "", &s.Real)
	if s.Test.Warrants > 0 {
		printActivity(w, "drills: ", &s.Test)
	}
	refused := 0
	for _, n := range s.RefusalsByReason {
		refused += n
	}
	fmt.Fprintf(w, "  refusals                  %d\n", refused)
	for _, code := range slices.Sorted(maps.Keys(s.RefusalsByReason)) {
		fmt.Fprintf(w, "    %3d x  %s\n", s.RefusalsByReason[code], reasonText(code))
	}
}

func printActivity(w io.Writer, prefix string, a *ledger.Activity) {
	fmt.Fprintf(w, "  %-26s%d, of them emergencies %d\n", prefix+"warrants", a.Warrants, a.Emergencies)
	for _, t := range slices.Sorted(maps.Keys(a.WarrantsByCaseType)) {
		fmt.Fprintf(w, "    %3d x  %s\n", a.WarrantsByCaseType[t], t)
	}
	fmt.Fprintf(w, "  %-26s%d, for %d compartments\n", prefix+"requests", a.Requests, a.Compartments)
	if a.Readings > 0 {
		fmt.Fprintf(w, "  %-26s%d, of them exports %d\n", prefix+"readings", a.Readings, a.Exports)
	}
	released := 0
	for _, n := range a.ReleasesByCustodian {
		released += n
	}
	fmt.Fprintf(w, "  %-26s%d\n", prefix+"releases", released)
	for _, who := range slices.Sorted(maps.Keys(a.ReleasesByCustodian)) {
		fmt.Fprintf(w, "    %3d x  %s\n", a.ReleasesByCustodian[who], who)
	}
}

// reasonText is a reason code of the statistics in words.
func reasonText(code string) string {
	n, err := strconv.ParseUint(code, 10, 8)
	if err != nil {
		return "reason " + code
	}
	return examine.Reason(n).String()
}
