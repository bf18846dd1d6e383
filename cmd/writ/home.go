package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"writ/api"
	"writ/client"
	"writ/directory"
	"writ/internal/wire"
	"writ/replica"
	"writ/setup"
)

// home is a person's directory: which deployment they trust, their device, and
// their copy of the ledger.
//
//	HOME/deployment.json  as it was when the device registered
//	HOME/device           the device's records, secrets among them
//	HOME/ledger.db        the copy of the ledger
type home struct {
	deployment *setup.Deployment
	device     *client.Device
	laws       laws
	files      *client.Files
}

// homeDir is the directory of a device where none is named.
func homeDir() string {
	if dir := os.Getenv("WRIT_HOME"); dir != "" {
		return dir
	}
	user, err := os.UserHomeDir()
	if err != nil {
		return ".writ"
	}
	return filepath.Join(user, ".writ")
}

// homeFlag adds --home to a command.
func homeFlag(cmd *cobra.Command) *string {
	return cmd.PersistentFlags().String("home", homeDir(), "the device's directory; the default is WRIT_HOME, else ~/.writ")
}

// openHome opens a device that is registered, and reads the ledger up to now.
func openHome(cmd *cobra.Command, dir string) (*home, error) {
	d, err := setup.LoadDeployment(filepath.Join(dir, setup.DeploymentFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fail(codeFailed, fmt.Errorf("no device in %s", dir), "writ register makes one; --home names another directory")
	}
	if err != nil {
		return nil, err
	}
	h, err := newHome(cmd.Context(), dir, d)
	if err != nil {
		return nil, err
	}
	if h.device.Identity() == (directory.Identity{}) {
		return nil, errors.Join(fail(codeFailed, fmt.Errorf("the device in %s is not registered", dir), "repeat writ register"), h.close())
	}
	if err := h.laws.copy.Refresh(cmd.Context()); err != nil {
		if errors.Is(err, replica.ErrForked) {
			return nil, errors.Join(fail(codeInvalid, err, "the ledger showed two histories; keep "+dir+" as evidence and tell an auditor"), h.close())
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: the ledger can't be read now, so laws are as last seen: %s\n", plain(err))
	}
	return h, nil
}

// newHome opens the parts of a home.
func newHome(ctx context.Context, dir string, d *setup.Deployment) (*home, error) {
	t, err := trustOf(d)
	if err != nil {
		return nil, err
	}
	files, err := client.OpenFiles(filepath.Join(dir, "device"))
	if err != nil {
		return nil, fail(codeFailed, err, "is another writ command using this device? only one may at a time")
	}
	copy, err := replica.Open(ctx, replica.Config{
		Path: filepath.Join(dir, "ledger.db"), URL: d.Ledger, Policy: t.policy, Charters: t.firsts, MaxAge: ledgerAge,
		Fatal: endProcess,
	})
	if err != nil {
		return nil, errors.Join(err, files.Close())
	}
	h := &home{deployment: d, laws: laws{copy}, files: files}
	h.device, err = client.Open(client.Config{
		Storage: files, Delivery: api.NewDeliveryClient(http.DefaultClient, d.Delivery, maxAnswer), Address: d.Delivery, Laws: h.laws,
		Directory: api.NewDirectoryClient(http.DefaultClient, d.Directory, maxAnswer), Now: time.Now,
	})
	if err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

// maxAnswer bounds what a service may answer: the largest are delivery's Welcomes, and the
// capsules of one compartment in a conversation of thousands who each deposited one.
var maxAnswer = connect.WithReadMaxBytes(64 << 20)

// ledgerAge is how old a witnessed checkpoint may be for a person's copy of the
// ledger. Custodians are stricter: their charter says how much.
const ledgerAge = 10 * time.Minute

func (h *home) close() error {
	return errors.Join(h.laws.copy.Close(), h.files.Close())
}

// withHome runs f with the device of a directory.
func withHome(cmd *cobra.Command, dir string, f func(*home) error) (err error) {
	h, err := openHome(cmd, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	err = f(h)
	tellAlarms(cmd, h)
	return personError(err)
}

// accounts refuses words that no account is called.
func accounts(words ...string) error {
	for _, w := range words {
		if !wire.ValidName(w) {
			return usage(fmt.Errorf("no account can be called %q", w), "names are a-z, 0-9 and . _ @ -, such as anna")
		}
	}
	return nil
}

// personError adds what a person can do about an error of their device.
func personError(err error) error {
	switch {
	case errors.Is(err, client.ErrQueued) && errors.Is(err, client.ErrUnread):
		return fail(codeRefused, err, "it is kept; writ law shows what is to be read, writ law acknowledge HASH and writ read send it")
	case errors.Is(err, client.ErrQueued) && errors.Is(err, client.ErrSuperseded):
		return fail(codeUnavailable, err, "it is kept; the ledger shows the new version of the law in a minute: then read it with writ law")
	case errors.Is(err, client.ErrQueued):
		return fail(codeUnavailable, err, "it is kept; writ read sends it when delivery answers again")
	case errors.Is(err, client.ErrClock):
		return fail(codeRefused, err, "set the clock of the machine that is off, then try again")
	case errors.Is(err, client.ErrUnread):
		return fail(codeRefused, err, "writ law shows it; writ law acknowledge HASH when you have read it")
	case errors.Is(err, client.ErrTaken):
		return fail(codeRefused, err, "choose another name; for a further device of your own account give --further")
	case errors.Is(err, client.ErrHasDevice):
		return fail(codeRefused, err, "writ devices lists them; if it is that key, repeat writ register --further on the device, if not, give the new one another name")
	case errors.Is(err, client.ErrNoDevice):
		return fail(codeRefused, err, "writ devices lists those there are")
	case errors.Is(err, client.ErrUnlisted):
		return fail(codeRefused, err, "writ devices says which devices the account has; an earlier one adds this one with writ devices add, or the recovery code makes it the only one: writ devices recover")
	case errors.Is(err, client.ErrDirectory):
		return fail(codeRefused, err, "nobody was let in by it; writ alarms shows what the person should know")
	case errors.Is(err, client.ErrNoAccount):
		return fail(codeRefused, err, "is the name right? an account begins with writ register")
	case errors.Is(err, client.ErrRecovery):
		return fail(codeRefused, err, "each recovery replaces the code: only the newest one holds")
	case errors.Is(err, client.ErrNotMember):
		return fail(codeRefused, err, "this device was taken out of it; writ read shows by whom, and what was said before stays")
	case errors.Is(err, client.ErrUnknownLaw):
		return fail(codeRefused, err, "nothing is sent under a law that can't be read on the ledger; try again in a minute")
	}
	return callError(err)
}
