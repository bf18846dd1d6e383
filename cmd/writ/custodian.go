package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"writ/custodian"
	"writ/internal/keyfile"
	"writ/setup"
)

// deskSocket is where a running custodian takes its operator's orders: a socket
// in its directory that only its user can open.
const deskSocket = "desk.sock"

func newCustodian() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "custodian --dir DIR",
		GroupID: "services",
		Short:   "Hold one key of many, and check every warrant for yourself",
		Long: `Custodian holds one private key per key period. For each request it checks
warrant, approvals, ledger, limits and capsules by itself, logs its intent, and
only then releases its one share of each compartment; or it refuses, signed.

DIR holds config.json, keys.age (writ keygen custodian), its copy of the ledger
and its decisions. The passphrase of keys.age comes from --passphrase-file, from
WRIT_PASSPHRASE, or is asked for.`,
		Args: cobra.NoArgs,
	}
	s := serviceFlags(cmd)
	pass := passphraseFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return runCustodian(cmd, s, *pass) }
	cmd.AddCommand(newCustodianStatus(), newCustodianObject(), newCustodianRotate(), newCustodianDestroy())
	return cmd
}

func runCustodian(cmd *cobra.Command, s *service, passphraseFile string) error {
	c, err := setup.LoadConfig[setup.Custodian](s.dir)
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
	pass, err := passphrase(cmd, passphraseFile, false)
	if err != nil {
		return err
	}
	ctx, cancel := s.context(cmd.Context(), cmd.InOrStdin())
	defer cancel()
	server, err := custodian.Open(ctx, custodian.Config{
		Dir: s.dir, Passphrase: pass, WorkFactor: c.WorkFactor, Ledger: d.Ledger, Charters: t.firsts,
		Policy: t.policy, Poll: time.Duration(c.Poll),
		MaxAge: cmp.Or(time.Duration(c.Freshness), ledgerAge), Log: logger(cmd), Fatal: endProcess,
	})
	clear(pass)
	if errors.Is(err, keyfile.ErrPassphrase) {
		return fail(codeRefused, err, "the passphrase was chosen with writ keygen custodian; it can't be recovered")
	}
	if errors.Is(err, keyfile.ErrMalformed) {
		return fail(codeInvalid, err, "the file is damaged: put the one of your backup there")
	}
	if err != nil {
		return err
	}
	defer server.Close()
	desk, err := listenDesk(s.dir)
	if err != nil {
		return err
	}
	run := func(ctx context.Context) error {
		return together(ctx, server.Run, func() error { return (&service{}).answer(ctx, desk, server.DeskHandler()) })
	}
	return together(ctx, run, func() error { return s.serve(ctx, cmd, c.Listen, server.Handler()) })
}

// listenDesk takes the socket over from a process that was killed: the lock on
// the directory's database already says that no other runs. Who may enter the
// directory may give orders, so nobody else may.
func listenDesk(dir string) (net.Listener, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fail(codeRefused, fmt.Errorf("others may enter %s", dir), "chmod 700 "+dir)
	}
	path := filepath.Join(dir, deskSocket)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return net.Listen("unix", path)
}

// passphraseFlag adds --passphrase-file to a command.
func passphraseFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("passphrase-file", "", "file whose first line is the passphrase")
}

// passphrase finds a passphrase: in the file, in WRIT_PASSPHRASE, or by asking
// on the terminal, twice if it is new. The caller clears it.
func passphrase(cmd *cobra.Command, file string, isNew bool) ([]byte, error) {
	const hint = "give --passphrase-file, or set WRIT_PASSPHRASE"
	switch env := os.Getenv("WRIT_PASSPHRASE"); {
	case file != "":
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, fail(codeFailed, err, hint)
		}
		line, _, _ := bytes.Cut(b, []byte("\n"))
		if line = bytes.TrimSuffix(line, []byte("\r")); len(line) == 0 {
			return nil, fail(codeUsage, fmt.Errorf("no passphrase in the first line of %s", file), hint)
		}
		return line, nil
	case env != "":
		return []byte(env), nil
	case !term.IsTerminal(int(os.Stdin.Fd())):
		return nil, fail(codeUsage, errors.New("no passphrase"), hint)
	}
	first, err := ask(cmd, "Passphrase: ")
	if err == nil && len(first) == 0 {
		err = fail(codeUsage, errors.New("an empty passphrase protects nothing"), "repeat the command, and type one")
	}
	if err != nil || !isNew {
		return first, err
	}
	second, err := ask(cmd, "The same again: ")
	if err == nil && !bytes.Equal(first, second) {
		err = fail(codeUsage, errors.New("the two passphrases differ"), "nothing was made: repeat the command")
	}
	return first, err
}
