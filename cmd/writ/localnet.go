package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"writ/directory"
	"writ/setup"
)

// people are the accounts of a world, each with one device.
var people = []string{"anna", "ben", "chloe"}

func newLocalnet() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "localnet",
		GroupID: "try",
		Short:   "Run the whole world on this machine, to use by hand",
		Long: `Localnet makes and runs a whole deployment on loopback: delivery, a notary and a
directory with three witnesses, a docket, seven custodians in three offices, and three people
with a device each. Every service is a process of its own with its own directory
below DIR; each person's device is DIR/people/NAME.

It stays up until Ctrl-C, and goes on where it was when it is started again on
the same DIR.`,
		Args: cobra.NoArgs,
	}
	dir := cmd.Flags().String("dir", "localnet", "the world's directory")
	options := worldFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		w, err := openOrBuild(*dir, *options)
		if err != nil {
			return err
		}
		p, err := runWorld(cmd, w)
		if err != nil {
			return err
		}
		defer p.stop()
		if err := registerPeople(cmd, w); err != nil {
			return err
		}
		if err := show(cmd, w.Deployment, func(out io.Writer) { printWorld(out, w) }); err != nil {
			return err
		}
		return p.watch(cmd)
	}
	return cmd
}

// worldFlags adds the flags that say what a world is like.
func worldFlags(cmd *cobra.Command) *setup.WorldOptions {
	var o setup.WorldOptions
	cmd.Flags().Uint32Var(&o.Cap, "cap", 0, "how many warrants its charter allows in a day (default 5)")
	cmd.Flags().DurationVar(&o.EpochAge, "epoch-age", 0, "longest age of an epoch (default 24h)")
	cmd.Flags().IntVar(&o.WorkFactor, "work-factor", 14, "scrypt work factor of the custodians' key files: small, so that seven start quickly")
	return &o
}

func openOrBuild(dir string, o setup.WorldOptions) (*setup.World, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	w, err := setup.OpenWorld(dir)
	if !errors.Is(err, os.ErrNotExist) {
		return w, err
	}
	if err := emptyDir(dir); err != nil {
		return nil, err
	}
	w, err = setup.BuildWorld(dir, o)
	if err != nil {
		return nil, fail(codeFailed, err, "what was made of the world in "+dir+" is of no use: remove it")
	}
	return w, nil
}

// emptyDir refuses a directory that holds anything: a world is not mixed with it.
func emptyDir(dir string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return usage(fmt.Errorf("%s is not empty, and no world", dir), "name an empty directory, or one that is not there yet")
	}
	return nil
}

// runWorld starts all services of a world and publishes its charter.
func runWorld(cmd *cobra.Command, w *setup.World) (*processes, error) {
	p, err := newProcesses(w)
	if err != nil {
		return nil, err
	}
	if err := p.startAll(cmd); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

func (p *processes) startAll(cmd *cobra.Command) error {
	ledger, rest, err := p.world.Services()
	if err != nil {
		return err
	}
	bar := newProgress("starting services:")
	defer bar.end()
	started, total := 0, len(ledger)+len(rest)
	for _, sub := range ledger { // witnesses first: the notary asks them to cosign the empty log
		if err := p.start(cmd.Context(), sub); err != nil {
			return err
		}
		started++
		bar.at(started, total)
	}
	if _, err := publishCharter(cmd, p.world.Deployment, p.world.Signed); err != nil {
		return err
	}
	if err := p.start(cmd.Context(), rest...); err != nil {
		return err
	}
	bar.at(total, total)
	return nil
}

// registerPeople gives each person a device, unless they have it already.
func registerPeople(cmd *cobra.Command, w *setup.World) error {
	for _, name := range people {
		quiet := *cmd
		quiet.SetOut(io.Discard)
		id := directory.Identity{Account: name, Device: "phone"}
		if err := register(&quiet, personHome(w, name), w.Deployment, id, "", keepRecovery(&quiet, personHome(w, name))); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// keepRecovery writes the recovery code of a person of a world into the file recovery.txt
// of a home, over that of a try that did not end.
func keepRecovery(cmd *cobra.Command, dir string) func(*home) (directory.RecoveryKey, error) {
	file := filepath.Join(dir, "recovery.txt")
	return func(h *home) (directory.RecoveryKey, error) {
		if _, chosen := h.device.Recovery(); !chosen && !h.device.Registered() {
			if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
				return directory.RecoveryKey{}, err
			}
		}
		return newRecovery(cmd, h, file)
	}
}

func personHome(w *setup.World, name string) string { return filepath.Join(w.Dir, "people", name) }

// quickEnd is how soon after its start a service that ends by itself is not
// started again.
const quickEnd = 5 * time.Second

// watch returns when the context ends. A service that ends, such as by kill -9,
// is started again on its directory; one that gives up at once is an error.
func (p *processes) watch(cmd *cobra.Command) error {
	ctx := cmd.Context()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
		for _, s := range p.gone() {
			if ctx.Err() != nil {
				return nil
			}
			if s.cmd.ProcessState.Exited() && time.Since(s.started) < quickEnd {
				return s.ended()
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%v; it is started again\n", s.ended())
			if err := p.start(ctx, s.sub); err != nil {
				return ended(ctx, err)
			}
		}
	}
}

// gone returns the processes that ended by themselves.
func (p *processes) gone() (list []*process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.running {
		select {
		case <-s.done:
			list = append(list, s)
		default:
		}
	}
	return list
}

func printWorld(out io.Writer, w *setup.World) {
	d := w.Deployment
	fmt.Fprintf(out, `The world is up in %[1]s

  delivery    %[2]s
  directory   %[8]s
  ledger      %[3]s
  docket      %[4]s
  custodians  %[5]d, in %[1]s/custodian
  the law     %[1]s/charter.json
  people      %[6]s, each with a device in %[1]s/people
  logs        %[1]s/log

%[7]sFrom another terminal, as anna:

  export WRIT_HOME=%[1]s/people/anna
  writ conversations new ben
  writ send - "It was me who moved the money."
  writ chat -

From a third, as ben:

  export WRIT_HOME=%[1]s/people/ben
  writ chat -

As the law, one step after the other:

  export WRIT_AGENCY=%[1]s/agency
  writ warrant template --subject anna --subject-again anna --reference R-1 \
    --entity "the agency" --necessity "why" --least-intrusive "why nothing less" > draft.json
  writ warrant draft draft.json --case case-1
  writ warrant approve latest --deployment %[1]s/deployment.json --key %[1]s/keys/judge-1.key
  writ warrant approve latest --deployment %[1]s/deployment.json --key %[1]s/keys/commissioner-1.key
  writ warrant publish case-1
  writ open case-1
  writ bundle read %[1]s/agency/cases/case-1.writ --deployment %[1]s/deployment.json --key %[1]s/keys/inspector-1.key
  writ audit %[3]s --policy %[1]s/policy.txt

Ctrl-C ends it; the same command starts it again where it was. A service that is
killed is started again.
`, w.Dir, d.Delivery, d.Ledger, d.Docket, len(d.Custodians), strings.Join(people, ", "), path(), d.Directory)
}

// path says what a terminal needs so that "writ" is this binary, if anything.
func path() string {
	if found, err := exec.LookPath("writ"); err == nil {
		if found, err = filepath.EvalSymlinks(found); err == nil && found == self() {
			return ""
		}
	}
	return "In each other terminal first:\n\n  export PATH=" + filepath.Dir(self()) + ":$PATH\n\n"
}

// self is the path of this binary.
func self() string {
	path, err := os.Executable()
	if err != nil {
		return "writ"
	}
	return path
}
