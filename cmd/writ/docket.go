package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"writ/docket"
	"writ/ledger"
	"writ/setup"
)

func newDocket() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "docket --dir DIR",
		GroupID: "services",
		Short:   "Take warrants, collect approvals, publish what is approved",
		Long: `Docket takes sealed warrants from agencies, collects the approvers' signatures,
and puts what the charter's approval rule allows on the ledger. It can't read a
warrant.

DIR holds config.json, docket.key (writ keygen docket) and the database.`,
		Args: cobra.NoArgs,
	}
	s := serviceFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return runDocket(cmd, s) }
	return cmd
}

func runDocket(cmd *cobra.Command, s *service) error {
	c, err := setup.LoadConfig[setup.Docket](s.dir)
	if err != nil {
		return err
	}
	d, err := setup.Beside(s.dir, c.Deployment)
	if err != nil {
		return err
	}
	t, err := trustOf(d)
	if err != nil {
		return err
	}
	key, err := signingKey(s.dir, "docket.key", setup.RoleDocket)
	if err != nil {
		return err
	}
	agencies := map[string]docket.AgencyKey{}
	for name, k := range c.Agencies {
		if len(k) != len(docket.AgencyKey{}) {
			return fmt.Errorf("malformed: key of agency %q has %d bytes", name, len(k))
		}
		agencies[name] = docket.AgencyKey(k)
	}
	ctx, cancel := s.context(cmd.Context(), cmd.InOrStdin())
	defer cancel()
	server, err := docket.Open(ctx, docket.Config{
		Dir: s.dir, Key: ledger.DocketSigner(key), Agencies: agencies, Ledger: d.Ledger,
		Charters: t.firsts, Policy: t.policy, Poll: time.Duration(c.Poll),
		MaxAge: cmp.Or(time.Duration(c.Freshness), ledgerAge), Log: logger(cmd), Fatal: endProcess,
	})
	if err != nil {
		return err
	}
	defer server.Close()
	return together(ctx, server.Run, func() error { return s.serve(ctx, cmd, c.Listen, server.Handler()) })
}

// signingKey loads the Ed25519 key of a service.
func signingKey(dir, name string, role setup.Role) ([]byte, error) {
	file, err := setup.LoadKeyFile(filepath.Join(dir, name), role)
	if err != nil {
		return nil, err
	}
	return file.SigningKey()
}
