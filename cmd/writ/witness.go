package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"writ/internal/keyfile"
	"writ/operator"
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

A witness that is an operator of the beacon (writ beacon) also signs each round
that has come, and brings the rounds that notices wait for to the ledger.

DIR holds config.json, witness.key (writ keygen witness) and the state; of an
operator also beacon.age, whose passphrase comes from --passphrase-file, from
WRIT_PASSPHRASE, or is asked for.`,
		Args: cobra.NoArgs,
	}
	s := serviceFlags(cmd)
	pass := passphraseFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return runWitness(cmd, s, *pass) }
	return cmd
}

func runWitness(cmd *cobra.Command, s *service, passphraseFile string) error {
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
	op, err := openOperator(ctx, cmd, s.dir, c, passphraseFile)
	if err != nil {
		return err
	}
	if op == nil {
		return s.serve(ctx, cmd, c.Listen, w)
	}
	defer op.Close()
	mux := http.NewServeMux()
	mux.Handle("/", w)
	mux.Handle("/beacon/", op.Handler())
	run := func(ctx context.Context) error {
		if err := op.Run(ctx); err != nil && ctx.Err() == nil {
			logger(cmd).Error("rounds are not brought to the ledger any more", "error", err)
			<-ctx.Done() // it still cosigns, and serves rounds to who asks
		}
		return nil
	}
	return together(ctx, run, func() error { return s.serve(ctx, cmd, c.Listen, mux) })
}

// openOperator opens the operator of a witness's directory, nil if it is none.
func openOperator(ctx context.Context, cmd *cobra.Command, dir string, c *setup.Witness, passphraseFile string) (*operator.Server, error) {
	if _, err := os.Stat(filepath.Join(dir, operator.KeyFile)); errors.Is(err, os.ErrNotExist) || c.Deployment == "" {
		return nil, nil
	}
	d, err := setup.Beside(dir, c.Deployment)
	if err != nil {
		return nil, err
	}
	t, err := trustOf(d)
	if err != nil {
		return nil, err
	}
	keys, err := openOperatorKeys(cmd, dir, passphraseFile, c.WorkFactor)
	if err != nil {
		return nil, err
	}
	return operator.Open(ctx, operator.Config{Dir: dir, Keys: keys, Peers: d.Beacon, Ledger: d.Ledger, Charters: t.firsts,
		Policy: t.policy, MaxAge: ledgerAge, Poll: time.Duration(c.Poll), Log: logger(cmd), Fatal: endProcess})
}

// openOperatorKeys opens beacon.age of a directory.
func openOperatorKeys(cmd *cobra.Command, dir, passphraseFile string, work int) (*operator.Keys, error) {
	pass, err := passphrase(cmd, passphraseFile, false)
	if err != nil {
		return nil, err
	}
	defer clear(pass)
	keys, err := operator.OpenKeys(dir, pass, work)
	if errors.Is(err, keyfile.ErrPassphrase) {
		return nil, fail(codeRefused, err, "the passphrase was chosen with writ beacon keygen; it can't be recovered")
	}
	return keys, err
}
