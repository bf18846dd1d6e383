package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"writ/setup"
	"writ/witness"
)

func newWitness() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "witness --dir DIR",
		GroupID: "services",
		Short:   "Cosign the ledger's checkpoints, so that it can't show two histories",
		Long: `Witness cosigns checkpoints of the logs it knows, after checking that each only
grew since the last one (c2sp.org/tlog-witness). A fork is refused, logged, kept
as evidence in DIR and shown at its address.

DIR holds config.json, witness.key (writ keygen witness) and the state.`,
		Args: cobra.NoArgs,
	}
	s := serviceFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return runWitness(cmd, s) }
	return cmd
}

func runWitness(cmd *cobra.Command, s *service) error {
	c, err := setup.LoadConfig[setup.Witness](s.dir)
	if err != nil {
		return err
	}
	file, err := setup.LoadKeyFile(filepath.Join(s.dir, "witness.key"), setup.RoleWitness)
	if err != nil {
		return err
	}
	key, err := witness.ParseKey(file.Note)
	if err != nil {
		return err
	}
	w, err := witness.New(witness.Config{
		Dir: filepath.Join(s.dir, "state"), Key: key, Logs: c.Logs, Log: logger(cmd), Fatal: endProcess,
	})
	if err != nil {
		return err
	}
	defer w.Close()
	ctx, cancel := s.context(cmd.Context(), cmd.InOrStdin())
	defer cancel()
	return s.serve(ctx, cmd, c.Listen, w)
}
