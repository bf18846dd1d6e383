package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"writ/audit"
	"writ/examine"
	"writ/follower"
	"writ/ledger"
	"writ/setup"
)

// auditFlags are what an audit is asked for.
type auditFlags struct {
	policy, state, csv, html string
	maxAge, every            time.Duration
	charters                 []string
	from, to                 string
	watch, directory         bool
}

func newAudit() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "audit LOG",
		GroupID: "law",
		Short:   "Check a log from its first entry, make its public report, follow it",
		Long: `Audit reads a whole ledger, at an address or in a directory of its files, and
trusts only the witness policy: every entry is proven in the tree, every rule
checked again, every number counted anew. The report is text, --json, tables
(--csv) and a page (--html), by calendar year or for --from and --to. What a log
can't tell is listed as not recorded.

With --directory it is the log of a directory, of accounts and their devices:
each root of its tree is recomputed.

With --watch it goes on, and prints each entry and finding as it comes. --state
keeps what it saw: a log that shows another history later, after a restart too,
is found out. Of a ledger it can then say how long things took. Of a directory
it keeps all it knows, and reads no more than what is new.

Exit codes for monitors: 0 nothing is wrong; 6 there are findings (an entry that
doesn't count, something overdue, a stale checkpoint); 4 the log is not what it
should be (two histories, tiles that don't fit, another log); 5 it can't be
read.`,
		Args: cobra.ExactArgs(1),
	}
	var o auditFlags
	f := cmd.Flags()
	f.StringVar(&o.policy, "policy", setup.PolicyFile, "file with the witness policy")
	f.StringVar(&o.state, "state", "", "directory that keeps what was seen of this log; made if it isn't there")
	f.DurationVar(&o.maxAge, "max-age", 0, "oldest checkpoint without a finding; 0: any (default for an address the charters' freshness, 10m of a directory; any for files)")
	f.StringSliceVar(&o.charters, "charter", nil, "hash of a charter's first version that counts (default any)")
	f.StringVar(&o.from, "from", "", "only orders whose life begins at this day or time, RFC 3339, or later")
	f.StringVar(&o.to, "to", "", "only orders whose life begins before this day or time")
	f.StringVar(&o.csv, "csv", "", "also write the report as tables into this directory")
	f.StringVar(&o.html, "html", "", "also write the report as a page to this file")
	f.BoolVar(&o.watch, "watch", false, "follow the log and print what comes, until Ctrl-C")
	f.DurationVar(&o.every, "every", 2*time.Second, "pause between two looks with --watch")
	f.BoolVar(&o.directory, "directory", false, "it is a directory's log: recompute the roots of its tree")
	for _, ofLedger := range []string{"html", "csv", "charter", "from", "to"} {
		cmd.MarkFlagsMutuallyExclusive("directory", ofLedger)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		options, err := o.options()
		if err != nil {
			return err
		}
		a, err := o.open(args[0])
		if err != nil {
			return err
		}
		defer a.close()
		a.options, a.ownAge = options, !cmd.Flags().Changed("max-age") && !a.files
		if o.watch {
			return a.watch(cmd, &o)
		}
		return a.once(cmd, &o)
	}
	return cmd
}

func (o *auditFlags) options() (r audit.Options, err error) {
	r = audit.Options{MaxAge: o.maxAge, Reason: func(code uint8) string { return examine.Reason(code).String() }}
	for _, t := range []struct {
		text string
		to   *time.Time
	}{{o.from, &r.From}, {o.to, &r.To}} {
		if t.text == "" {
			continue
		}
		if *t.to, err = time.Parse(time.DateOnly, t.text); err == nil {
			continue
		}
		if *t.to, err = time.Parse(time.RFC3339, t.text); err != nil {
			return r, usage(fmt.Errorf("%q is neither a day nor a time", t.text), "such as 2026-01-01 (midnight UTC) or 2026-01-01T09:00:00+01:00")
		}
	}
	if !r.To.IsZero() && !r.From.Before(r.To) {
		return r, usage(fmt.Errorf("from %s to %s is no time at all", o.from, o.to), "--to is when it ends; a day begins at midnight UTC")
	}
	return r, nil
}

// auditing is an audit of one log under way.
type auditing struct {
	subject
	policy  *ledger.Policy
	follow  *follower.Follower
	state   *auditState // nil: nothing is kept
	options audit.Options
	ownAge  bool // the oldest checkpoint without a finding is the log's own [subject.Freshness]
	files   bool // it reads files, which do not come back as a service may
}

func (o *auditFlags) open(log string) (*auditing, error) {
	firsts, err := hashes(o.charters)
	if err != nil {
		return nil, usage(err, "--charter takes what writ charter check prints as the hash")
	}
	a := &auditing{subject: newLedgerSubject(firsts...)}
	if o.directory {
		a.subject = newDirectorySubject()
	}
	if a.policy, err = readPolicy(o.policy); err != nil {
		return nil, err
	}
	config := follower.Config{Policy: a.policy}
	if o.state != "" {
		if a.state, err = openAuditState(o.state); err != nil {
			return nil, err
		}
		if config.Last, err = a.recall(a.state, a.policy); err != nil {
			a.close()
			return nil, err
		}
	}
	if a.follow, a.files, err = openLog(log, config); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

func (a *auditing) close() {
	if a.state != nil {
		a.state.lock.Close()
	}
}

const (
	logHint  = "LOG is the address of a notary, or the directory of its log (DIR/log of a notary's DIR)"
	awayHint = "does it run there? " + logHint
)

// openLog returns a follower of a log at an address or in a directory of files.
func openLog(log string, c follower.Config) (f *follower.Follower, files bool, err error) {
	c.URL = log
	if files = !strings.Contains(log, "://"); files {
		if _, err := os.Stat(filepath.Join(log, "checkpoint")); err != nil {
			return nil, true, fail(codeFailed, err, logHint)
		}
		// A server of files as a follower wants one; the name means nothing.
		c.URL, c.HTTP = "http://files", &http.Client{Transport: http.NewFileTransport(http.Dir(log))}
	}
	f, err = follower.New(c)
	if err != nil {
		err = fail(codeInvalid, err, "--state is of another log than --policy")
	}
	return f, files, err
}

// once audits up to the newest checkpoint.
func (a *auditing) once(cmd *cobra.Command, o *auditFlags) error {
	bar := newProgress("entries read:")
	_, err := a.read(cmd.Context(), a.Size(), func(index uint64, _ []byte) { bar.at(int(index), int(index)+1) })
	bar.end()
	if err != nil {
		return a.explain(cmd.Context(), err)
	}
	r, err := a.finish(o)
	if err != nil {
		return err
	}
	if err := show(cmd, r.value, func(w io.Writer) { fmt.Fprint(w, r.text()) }); err != nil {
		return err
	}
	return verdict(len(r.findings))
}

// finish ends a run: it stores what is to be kept and writes the files that were asked for.
func (a *auditing) finish(o *auditFlags) (r result, err error) {
	c, err := a.last()
	if err != nil {
		return r, err
	}
	if err := a.rest(a.state); err != nil {
		return r, err
	}
	r = a.report(a.policy, c, a.now())
	return r, o.write(r)
}

// verdict is the failure of an audit with findings.
func verdict(findings int) error {
	if findings == 0 {
		return nil
	}
	return fail(codeFindings, errors.New(count(findings, "finding")), "each is listed above with its index on the log and the rule it breaks")
}

// read takes what is new on the log, and gives each the entries from an index on that is
// not beyond what was read. It keeps the checkpoint they came under before anyone is told.
func (a *auditing) read(ctx context.Context, from uint64, each func(index uint64, entry []byte)) (*ledger.Checkpoint, error) {
	_, err := a.follow.Update(ctx, from, func(index uint64, entry []byte, seen time.Time) error {
		if index >= a.Size() {
			if err := a.Apply(index, entry, seen); err != nil {
				return err
			}
		}
		each(index, slices.Clone(entry))
		return nil
	})
	if fork := (&follower.ForkError{}); errors.As(err, &fork) && a.state != nil {
		return nil, errors.Join(err, a.state.keepFork(fork))
	}
	if err != nil {
		return nil, err
	}
	c, err := a.last()
	if err != nil {
		return nil, err
	}
	return c, a.keep(a.state, c)
}

// last is the newest checkpoint that was accepted.
func (a *auditing) last() (*ledger.Checkpoint, error) {
	return a.policy.Checkpoint(a.follow.Last(), time.Now(), 0)
}

// now is what a report is asked for at this moment.
func (a *auditing) now() audit.Options {
	o := a.options
	o.Now = time.Now()
	if a.ownAge {
		o.MaxAge = a.Freshness()
	}
	return o
}

// explain says what an error of reading means.
func (a *auditing) explain(ctx context.Context, err error) error {
	var fork *follower.ForkError
	switch {
	case errors.As(err, &fork):
		return fail(codeInvalid, err, "the log has signed two histories: publish both checkpoints, and tell the witnesses")
	case errors.Is(err, follower.ErrRollback):
		return fail(codeInvalid, err, "an old answer of a cache, or a log that takes back what it said: look again, and tell the witnesses if it stays")
	case errors.Is(err, ledger.ErrNoQuorum):
		return fail(codeInvalid, err, quorumHint)
	case errors.Is(err, follower.ErrRefused) || errors.Is(err, ledger.ErrRefused):
		return fail(codeInvalid, err, "the log or the policy is not what it should be: tell the witnesses")
	case ctx.Err() != nil:
		return ctx.Err()
	case a.files: // a service may come back, a file is there or not
		return fail(codeInvalid, err, "the directory does not hold what its checkpoint says")
	}
	return fail(codeUnavailable, err, awayHint)
}

// write puts the report into the files that were asked for.
func (o *auditFlags) write(r result) error {
	if o.html != "" {
		if err := setup.Write(o.html, r.html(), 0o644); err != nil {
			return err
		}
	}
	if o.csv == "" {
		return nil
	}
	if err := os.MkdirAll(o.csv, 0o755); err != nil {
		return err
	}
	for name, b := range r.csv() {
		if err := setup.Write(filepath.Join(o.csv, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}
