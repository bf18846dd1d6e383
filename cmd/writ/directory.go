package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"writ/engine"
	"writ/ledger"
	"writ/registry"
	"writ/scribe"
	"writ/setup"
)

func newDirectory() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "directory --dir DIR",
		GroupID: "services",
		Short:   "Keep the directory: which devices each account has, on a log of its own",
		Long: `Directory takes the statements by which accounts list their devices, writes their
salted hashes on a log that its witnesses cosign, and answers look-ups with proofs.
It can't make a statement for an account: the account's own keys sign them.

DIR holds config.json, directory.key (writ keygen directory), the statements and
the log. Anyone may read the log at its address (c2sp.org/tlog-tiles); it shows
whose devices changed to nobody.`,
		Args: cobra.NoArgs,
	}
	s := serviceFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return runDirectory(cmd, s) }
	return cmd
}

func runDirectory(cmd *cobra.Command, s *service) error {
	c, err := setup.LoadConfig[setup.Directory](s.dir)
	if err != nil {
		return err
	}
	key, err := setup.LoadKeyFile(filepath.Join(s.dir, "directory.key"), setup.RoleDirectory)
	if err != nil {
		return err
	}
	labels, err := key.Labels()
	if err != nil {
		return err
	}
	policy, err := ledger.ParsePolicy(c.Policy)
	if err != nil {
		return err
	}
	klog.SetSlogLogger(logger(cmd).With("part", "tessera")) // the log library writes to it
	ctx, cancel := s.context(cmd.Context(), cmd.InOrStdin())
	defer cancel()
	r, err := registry.Open(ctx, registry.Config{
		Labels: labels, Store: engine.Config{Path: filepath.Join(s.dir, "statements.db"), Fatal: endProcess},
		Log: scribe.Config{Dir: filepath.Join(s.dir, "log"), Signer: key.Note, Policy: policy, Witnesses: c.Witnesses,
			Interval: time.Duration(c.Interval), Republish: time.Duration(c.Republish), Log: logger(cmd), Fatal: endProcess},
	})
	if err != nil {
		return err
	}
	defer func() {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		r.Close(late)
	}()
	return s.serve(ctx, cmd, c.Listen, r.Handler())
}
