package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"writ/ledger"
	"writ/notary"
	"writ/setup"
)

func newNotary() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "notary --dir DIR",
		GroupID: "services",
		Short:   "Write the ledger: admit entries, publish witnessed checkpoints",
		Long: `Notary writes the ledger: it admits entries that the law on the log allows, and
publishes checkpoints once its witnesses have cosigned them.

DIR holds config.json, notary.key (writ keygen notary) and the log. Anyone may
read the log at its address (c2sp.org/tlog-tiles).`,
		Args: cobra.NoArgs,
	}
	s := serviceFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return runNotary(cmd, s) }
	return cmd
}

func runNotary(cmd *cobra.Command, s *service) error {
	c, err := setup.LoadConfig[setup.Notary](s.dir)
	if err != nil {
		return err
	}
	key, err := setup.LoadKeyFile(filepath.Join(s.dir, "notary.key"), setup.RoleNotary)
	if err != nil {
		return err
	}
	policy, err := ledger.ParsePolicy(c.Policy)
	if err != nil {
		return err
	}
	firsts, err := hashes(c.Charters)
	if err != nil {
		return err
	}
	klog.SetSlogLogger(logger(cmd).With("part", "tessera")) // the log library writes to it
	ctx, cancel := s.context(cmd.Context(), cmd.InOrStdin())
	defer cancel()
	n, err := notary.New(ctx, notary.Config{
		Dir: filepath.Join(s.dir, "log"), Signer: key.Note, Policy: policy, Witnesses: c.Witnesses,
		FirstCharters: firsts, Interval: time.Duration(c.Interval), Republish: time.Duration(c.Republish),
		Log: logger(cmd), Fatal: endProcess,
	})
	if err != nil {
		return err
	}
	defer func() {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		n.Close(late)
	}()
	return s.serve(ctx, cmd, c.Listen, n)
}
