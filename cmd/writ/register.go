package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"writ/charter"
	"writ/client"
	"writ/directory"
	"writ/internal/wire"
	"writ/ledger"
	"writ/setup"
)

func newRegister() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "register ACCOUNT[/DEVICE] --deployment FILE",
		GroupID: "people",
		Short:   "Make a device and an account, under a law you can read first",
		Long: `Register makes this device's keys in --home, states the account's first device in
the public directory, and registers it at the deployment's delivery service. It
prints the law under which what you say will be sealed; everybody you talk with
sees the same.

It prints a recovery code too, once. Write it down and keep it off all devices:
with it you throw out a thief, or begin again when all devices are lost. Nobody
can make it again. --recovery-file writes it to a file instead.

--further is for a second device of an account: it prints what to type on an
earlier one, and repeated afterwards it registers.

The deployment file says which services to use and what to trust: the witness
policy and the charter. It should reach you in public.`,
		Args: cobra.ExactArgs(1),
	}
	dir := homeFlag(cmd)
	file := cmd.Flags().String("deployment", "", "the deployment file")
	law := cmd.Flags().String("law", "", "hash of the charter; needed only if several are in force")
	code := cmd.Flags().String("recovery-file", "", "write the recovery code to this file, which must not be there yet, instead of printing it")
	further := cmd.Flags().Bool("further", false, "this is a further device of an account that exists")
	cmd.MarkFlagRequired("deployment")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		account, device, ok := strings.Cut(args[0], "/")
		if !ok {
			device = "device-1"
		}
		if !wire.ValidName(account) || !wire.ValidName(device) {
			return usage(fmt.Errorf("%q is not ACCOUNT or ACCOUNT/DEVICE", args[0]), "names are a-z, 0-9 and . _ @ -, such as anna/phone")
		}
		d, err := setup.LoadDeployment(*file)
		if err != nil {
			return fail(codeFailed, err, "--deployment names the deployment file; writ localnet keeps its own in DIR/deployment.json")
		}
		id := directory.Identity{Account: account, Device: device}
		if *further {
			return register(cmd, *dir, d, id, *law, nil)
		}
		return register(cmd, *dir, d, id, *law, func(h *home) (directory.RecoveryKey, error) { return newRecovery(cmd, h, *code) })
	}
	return cmd
}

// register makes a device one of its account. Recover gives the recovery key of a new
// account; without it the account has to list the device already.
func register(cmd *cobra.Command, dir string, d *setup.Deployment, id directory.Identity, law string, recover func(*home) (directory.RecoveryKey, error)) error {
	return enroll(cmd, dir, d, id, law, func(h *home, c *charter.Charter) error {
		var key directory.RecoveryKey
		var err error
		if recover != nil {
			if err := h.device.Claim(cmd.Context(), id, c.Hash()); err != nil {
				return err
			}
			if key, err = recover(h); err != nil {
				return err
			}
		}
		err = h.device.Register(cmd.Context(), id, c.Hash(), key)
		if recover == nil && errors.Is(err, client.ErrUnlisted) {
			return askSponsor(h, id, c)
		}
		return err
	})
}

// enroll opens a home, chooses the law, and lets enter make the device one of its account.
func enroll(cmd *cobra.Command, dir string, d *setup.Deployment, id directory.Identity, law string, enter func(*home, *charter.Charter) error) error {
	if err := keepDeployment(dir, d); err != nil {
		return err
	}
	h, err := newHome(cmd.Context(), dir, d)
	if err != nil {
		return err
	}
	defer h.close()
	if was := h.device.Identity(); was != id && was != (directory.Identity{}) {
		return fail(codeFailed, fmt.Errorf("the device in %s is %s already", dir, was), "another device needs a directory of its own: --home")
	}
	if err := h.laws.copy.Refresh(cmd.Context()); err != nil {
		return fail(codeUnavailable, fmt.Errorf("the ledger can't be read: %w", err), "a device begins with a law it has seen on the ledger; try again")
	}
	c, err := h.laws.choose(law, time.Now())
	if err != nil {
		return err
	}
	if err := enter(h, c); err != nil {
		return personError(err)
	}
	result := struct {
		Account string   `json:"account"`
		Device  string   `json:"device"`
		Charter string   `json:"charter"`
		Law     []string `json:"law"`
	}{id.Account, id.Device, c.Hash().String(), c.Explain()}
	return show(cmd, result, func(w io.Writer) {
		fmt.Fprintf(w, "%s is registered. What it says is sealed under this law:\n\n", id)
		printLaw(w, c.Explain())
	})
}

// keepDeployment writes the deployment file into a home, or demands that the one
// that is there is the same: a device doesn't change what it trusts.
func keepDeployment(dir string, d *setup.Deployment) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, setup.DeploymentFile)
	old, err := setup.LoadDeployment(path)
	if errors.Is(err, os.ErrNotExist) {
		return d.Save(path)
	}
	if err == nil && (old.Policy != d.Policy || !slices.Equal(old.Charters, d.Charters) ||
		old.Delivery != d.Delivery || old.Directory != d.Directory || old.Ledger != d.Ledger) {
		return fail(codeRefused, fmt.Errorf("the device in %s belongs to another deployment", dir), "choose another --home")
	}
	return err
}

// choose returns the charter in force that a hash names, or the only one.
func (l laws) choose(hash string, now time.Time) (*charter.Charter, error) {
	var found []*charter.Charter
	l.copy.View(func(b *ledger.Book) {
		for _, name := range b.Names() {
			c, ok := b.InForce(name, now)
			if ok && strings.HasPrefix(c.Hash().String(), hash) {
				found = append(found, c)
			}
		}
	})
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0:
		return nil, fail(codeRefused, errors.New("no such charter is in force on the ledger"), "a new charter is in force after its activation delay")
	}
	hint := "choose with --law:"
	for _, c := range found {
		hint += fmt.Sprintf(" %s (%s)", c.Hash().String()[:12], c.Name)
	}
	return nil, usage(errors.New("several charters are in force"), hint)
}

// printLaw prints the sentences of a law, each on its line.
func printLaw(w io.Writer, sentences []string) {
	for _, s := range sentences {
		fmt.Fprintf(w, "  - %s\n", s)
	}
}
