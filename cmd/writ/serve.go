package main

import (
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"writ/delivery"
	"writ/engine"
	"writ/replica"
	"writ/setup"
)

func newServe() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "serve --dir DIR",
		GroupID: "services",
		Short:   "Deliver messages: store and forward what it can't read",
		Long: `Serve runs the delivery service: accounts, key packages, conversations in order,
capsules. It can't read a message or open a capsule.

DIR holds config.json, delivery.key (writ keygen delivery) and the database.`,
		Args: cobra.NoArgs,
	}
	s := serviceFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return runServe(cmd, s) }
	return cmd
}

func runServe(cmd *cobra.Command, s *service) error {
	c, err := setup.LoadConfig[setup.Delivery](s.dir)
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
	key, err := signingKey(s.dir, "delivery.key", setup.RoleDelivery)
	if err != nil {
		return err
	}
	copy, err := replica.Open(cmd.Context(), replica.Config{
		Path: filepath.Join(s.dir, "ledger.db"), URL: d.Ledger, Policy: t.policy, Charters: t.firsts,
		MaxAge: ledgerAge, Every: time.Duration(c.Poll), Log: logger(cmd), Fatal: endProcess,
	})
	if err != nil {
		return err
	}
	defer copy.Close()
	server, err := delivery.Open(delivery.Config{
		Store: engine.Config{Path: filepath.Join(s.dir, "delivery.db"), Fatal: endProcess},
		Laws:  laws{copy}, Address: d.Delivery, StatementKey: delivery.StatementKey(key), Log: logger(cmd),
	})
	if err != nil {
		return err
	}
	defer server.Close()
	ctx, cancel := s.context(cmd.Context(), cmd.InOrStdin())
	defer cancel()
	return together(ctx, copy.Run, func() error { return s.serve(ctx, cmd, c.Listen, server.Handler()) })
}
