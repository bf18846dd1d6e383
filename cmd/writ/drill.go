package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"writ/api"
	"writ/directory"
	"writ/examine"
	"writ/internal/wire"
	"writ/ledger"
	"writ/setup"
	"writ/warrant"
)

func newDrill() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "drill",
		GroupID: "law",
		Short:   "Run a test warrant from intake to verified evidence, and time each stage",
		Long: `Drill proves that a deployment can answer an order in time. Two synthetic
accounts (test.*) talk; a test warrant for one of them, which the ledger shows as
such and counts apart, goes the whole way: lodged, approved, published, released
by custodians, opened, verified. Each stage is timed, and machines are told apart
from people.

Approvers approve as always (writ warrant approve); the drill says what it waits
for and goes on when they have. --approver signs with key files at hand, as in a
world on one machine. An interrupted drill goes on with --case.

It ends with 0 if the whole took no longer than --within: 8 hours, which Regulation
(EU) 2023/1543 gives in an emergency.`,
		Args: cobra.NoArgs,
	}
	dir := agencyFlag(cmd)
	d := &drill{}
	f := cmd.Flags()
	f.StringVar(&d.record.Case, "case", "", "name of the drill; one that exists is continued (default: drill-TIME)")
	f.StringVar(&d.law, "law", "", "hash of the charter; needed only if several are in force")
	f.StringSliceVar(&d.keys, "approver", nil, "key file of an approver who signs at once (may be repeated)")
	f.DurationVar(&d.within, "within", 8*time.Hour, "how long the whole may take")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if d.a, err = openAgency(*dir); err != nil {
			return err
		}
		if err := d.load(); err != nil {
			return err
		}
		if err := d.run(cmd); err != nil {
			return err
		}
		return d.report(cmd)
	}
	return cmd
}

// drill is a drill under way. What it has done is kept beside the agency's cases.
type drill struct {
	a      *agency
	law    string
	keys   []string
	within time.Duration
	record drillRecord
	c      *examine.Case
}

// drillRecord is what is kept of a drill, and what --json prints.
type drillRecord struct {
	Case     string    `json:"case"`
	Warrant  string    `json:"warrant"`
	Began    time.Time `json:"began"` // of the intake
	Stages   []stage   `json:"stages"`
	Within   float64   `json:"within_seconds"`
	Machines float64   `json:"machines_seconds"`
	People   float64   `json:"people_seconds"`
	Holds    bool      `json:"holds"`
	Released []string  `json:"released"`
	Away     []string  `json:"gave_no_share"`
	Parts    int       `json:"compartments"`
	Bundle   string    `json:"bundle"`
}

// stage is a part of a drill that is done.
type stage struct {
	Name    string    `json:"stage"`
	By      string    `json:"by"` // machines or people
	Seconds float64   `json:"seconds"`
	Ended   time.Time `json:"ended"`
}

func (d *drill) path() string { return filepath.Join(d.a.dir, "cases", d.record.Case+".drill.json") }

// load reads a drill that is to be continued, or begins one.
func (d *drill) load() error {
	if d.record.Case == "" {
		d.record.Case = "drill-" + time.Now().UTC().Format("20060102-150405")
	}
	if !wire.ValidName(d.record.Case) {
		return usage(fmt.Errorf("%q is not a name", d.record.Case), "a-z, 0-9 and . _ @ -, such as drill-1")
	}
	b, err := os.ReadFile(d.path())
	if errors.Is(err, os.ErrNotExist) {
		return os.MkdirAll(filepath.Dir(d.path()), 0o700)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &d.record); err != nil {
		return fmt.Errorf("%s: malformed: %w", d.path(), err)
	}
	return nil
}

// run does the stages that are not done yet.
func (d *drill) run(cmd *cobra.Command) error {
	for _, s := range []struct {
		name, by string
		do       func(*cobra.Command) error
	}{
		{"synthetic accounts talk", "", d.talk},
		{"intake: drafted, sealed, lodged", "machines", d.intake},
		{"approval", "people", d.approval},
		{"publication on the ledger", "machines", d.publish},
		{"opening: request, releases, combining", "machines", d.open},
		{"evidence written and verified", "machines", d.verify},
	} {
		if slices.ContainsFunc(d.record.Stages, func(done stage) bool { return done.Name == s.name }) {
			continue
		}
		began := time.Now()
		if s.by == "people" { // who may have begun before a restart
			began = d.record.Stages[len(d.record.Stages)-1].Ended
		}
		if err := s.do(cmd); err != nil {
			return err
		}
		now := time.Now()
		d.record.Stages = append(d.record.Stages, stage{s.name, s.by, now.Sub(began).Seconds(), now.UTC()})
		if err := d.save(); err != nil {
			return err
		}
	}
	return nil
}

func (d *drill) save() error {
	b, err := json.MarshalIndent(d.record, "", "  ")
	if err != nil {
		return err
	}
	return setup.Write(d.path(), append(b, '\n'), 0o600)
}

// subject is the synthetic account of a drill, other the one it talks with.
func (d *drill) subject() string { return "test." + d.record.Case }
func (d *drill) other() string   { return "test." + d.record.Case + ".other" }

// talk has two synthetic accounts say something to each other.
func (d *drill) talk(cmd *cobra.Command) error {
	quiet := *cmd
	quiet.SetOut(io.Discard)
	for _, account := range []string{d.other(), d.subject()} {
		id := directory.Identity{Account: account, Device: "drill"}
		if err := register(&quiet, d.home(account), d.a.deployment, id, d.law, keepRecovery(&quiet, d.home(account))); err != nil {
			return fmt.Errorf("%s: %w", account, err)
		}
	}
	h, err := openHome(cmd, d.home(d.subject()))
	if err != nil {
		return err
	}
	defer h.close()
	id, err := h.device.Create(cmd.Context(), d.other())
	if err != nil {
		return personError(err)
	}
	if err := h.device.Send(cmd.Context(), id, "This is a drill."); err != nil {
		return personError(err)
	}
	_, err = nextSecond(cmd.Context()) // so that the window may end after it
	return err
}

func (d *drill) home(account string) string { return filepath.Join(d.a.dir, "drill", account) }

// intake drafts the warrant and lodges it.
func (d *drill) intake(cmd *cobra.Command) error {
	d.record.Began = time.Now().UTC()
	law, err := d.a.inForce(cmd, d.law)
	if err != nil {
		return err
	}
	t := template{subject: d.subject(), again: d.subject(), test: true, window: time.Hour, life: 24 * time.Hour, notice: time.Hour,
		reference: d.record.Case, legalType: "drill", entity: d.a.agency.Name,
		necessity: "A drill: it shows that an order can be answered in time.", least: "Nothing less runs the whole way."}
	t.life, t.notice = min(t.life, seconds(law.Limits.MaxWarrantLife)), min(t.notice, seconds(law.Limits.MaxNoticeDelay))
	t.window = min(t.window, seconds(law.Limits.MaxWindow))
	w, err := t.warrant(law, d.a.reader.Public(), time.Now())
	if err != nil {
		return err
	}
	k, _, err := d.reader()
	if err != nil {
		return err
	}
	p, err := k.Public()
	if err != nil {
		return err
	}
	w.Readers = []warrant.Reader{{ID: p.Name, Key: warrant.PersonKey(p.Key), Mail: p.Mail}}
	if d.c, err = d.a.loadCase(d.record.Case); err == nil {
		w = d.c.Warrant // lodged before an interruption
	}
	if d.c, err = d.a.lodge(cmd, d.record.Case, w); err != nil {
		return err
	}
	h := d.c.Warrant.Hash()
	d.record.Warrant = hex.EncodeToString(h[:])
	return nil
}

func seconds(n uint64) time.Duration { return time.Duration(n) * time.Second }

// approval signs with the keys at hand, and waits until the offices that the law
// names have approved.
func (d *drill) approval(cmd *cobra.Command) error {
	deployment := filepath.Join(d.a.dir, setup.DeploymentFile)
	for i := range d.keys {
		o, err := approverFlags{&deployment, &d.keys[i]}.read(cmd, d.record.Warrant)
		if err != nil {
			return err
		}
		if _, err := o.sign(cmd.Context()); err != nil {
			return err
		}
	}
	h, err := hex.DecodeString(d.record.Warrant)
	if err != nil {
		return err
	}
	for told := false; ; told = true {
		r, err := d.a.agency.Docket.GetWarrant(cmd.Context(), &api.GetWarrantRequest{WarrantHash: h})
		if err != nil {
			return callError(err)
		}
		if r.GetWarrant().GetState() > api.WarrantState_WARRANT_STATE_LODGED {
			return nil
		}
		if !told {
			fmt.Fprintf(cmd.ErrOrStderr(), "waiting for the approvers: writ warrant approve %.16s\n", d.record.Warrant)
		}
		if err := pause(cmd.Context(), time.Second); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, t time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(t):
		return nil
	}
}

func (d *drill) publish(cmd *cobra.Command) (err error) {
	if d.c, err = d.a.loadCase(d.record.Case); err != nil {
		return err
	}
	_, err = d.a.agency.Publish(cmd.Context(), d.c.Warrant.Hash())
	return callError(err)
}

// open opens what the warrant names and writes the evidence.
func (d *drill) open(cmd *cobra.Command) (err error) {
	if d.c, err = d.a.loadCase(d.record.Case); err != nil {
		return err
	}
	o, err := d.a.open(cmd, d.c)
	if err != nil {
		return err
	}
	d.record.Bundle = filepath.Join(d.a.dir, "cases", d.record.Case+".writ")
	list, err := d.a.writeBundles(cmd.Context(), d.c, o, d.record.Bundle)
	if err != nil {
		return err
	}
	first := list[0].opened
	for _, r := range first.Releases {
		d.record.Released = append(d.record.Released, r.Office+"/"+r.Custodian)
	}
	d.record.Away = slices.Sorted(maps.Keys(first.Failed))
	return nil
}

// reader is the one reader of what a drill opens, with a key of the drill's own.
func (d *drill) reader() (*setup.KeyFile, string, error) {
	path := filepath.Join(d.a.dir, "drill", d.record.Case+".key")
	k, err := setup.LoadKeyFile(path, setup.RolePerson)
	if errors.Is(err, os.ErrNotExist) {
		if k, err = setup.NewKeyFile(setup.RolePerson, "", "drill"); err == nil {
			err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), k.Save(path))
		}
	}
	return k, path, err
}

// verify reads the evidence, which is recorded like any reading, and checks it
// again.
func (d *drill) verify(cmd *cobra.Command) error {
	_, key, err := d.reader()
	if err != nil {
		return err
	}
	deployment := filepath.Join(d.a.dir, setup.DeploymentFile)
	_, report, err := readerFlags{&deployment, &key}.read(cmd, d.record.Bundle, ledger.PurposeRead)
	if err != nil {
		return err
	}
	if !report.Complete {
		return fail(codeInvalid, errors.New("messages are missing from the evidence"), "")
	}
	if err := provenKeys(report, "is the directory running? writ open completes the evidence"); err != nil {
		return err
	}
	d.record.Parts = len(report.Compartments)
	return nil
}

// report prints the times, and fails if they are too long.
func (d *drill) report(cmd *cobra.Command) error {
	r := &d.record
	r.Machines, r.People, r.Within = 0, 0, d.within.Seconds()
	for _, s := range r.Stages {
		switch s.By {
		case "machines":
			r.Machines += s.Seconds
		case "people":
			r.People += s.Seconds
		}
	}
	r.Holds = r.Machines+r.People <= r.Within
	if err := d.save(); err != nil {
		return err
	}
	if err := show(cmd, r, r.print); err != nil {
		return err
	}
	if !r.Holds {
		return fail(codeFailed, fmt.Errorf("the drill took longer than %v", d.within), "the stages above say where the time went")
	}
	return nil
}

func (r *drillRecord) print(w io.Writer) {
	fmt.Fprintf(w, "drill %s, warrant %.16s\n", r.Case, r.Warrant)
	for _, s := range r.Stages {
		fmt.Fprintf(w, "  %9.1f s  %-9s %s\n", s.Seconds, s.By, s.Name)
	}
	fmt.Fprintf(w, "%s opened with the shares of %s; no share from: ", count(r.Parts, "compartment"), count(len(r.Released), "custodian"))
	if len(r.Away) == 0 {
		fmt.Fprint(w, "nobody")
	}
	for i, who := range r.Away {
		if i > 0 {
			fmt.Fprint(w, ", ")
		}
		fmt.Fprint(w, who)
	}
	fmt.Fprintf(w, "\nfrom intake to verified evidence: machines %.1f s, people %.1f s, of %.0f s allowed\n", r.Machines, r.People, r.Within)
}
