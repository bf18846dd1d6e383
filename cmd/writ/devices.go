package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"writ/charter"
	"writ/directory"
	"writ/internal/wire"
	"writ/setup"
)

func newDevices() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "devices [ACCOUNT]",
		GroupID: "people",
		Short:   "List your devices, or another's; add, revoke, recover",
		Long: `Devices shows which devices an account has, as the public directory proves it.
Without ACCOUNT it is your own.`,
		Args: cobra.MaximumNArgs(1),
	}
	dir := homeFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := accounts(args...); err != nil {
			return err
		}
		return withHome(cmd, *dir, func(h *home) error { return listDevices(cmd, h, strings.Join(args, "")) })
	}
	cmd.AddCommand(newDevicesAdd(dir), newDevicesRevoke(dir), newDevicesRecover(dir))
	return cmd
}

type listedDevice struct {
	Device      string    `json:"device"`
	Key         string    `json:"key"`
	Fingerprint string    `json:"fingerprint"`
	Added       time.Time `json:"added"`
	Revoked     bool      `json:"revoked,omitempty"`
}

func listDevices(cmd *cobra.Command, h *home, account string) error {
	list, version, err := h.device.Devices(cmd.Context(), account)
	if err != nil {
		return err
	}
	result := struct {
		Version uint64         `json:"version"`
		Devices []listedDevice `json:"devices"`
	}{Version: version}
	for _, d := range list {
		result.Devices = append(result.Devices, listedDevice{d.Name, hex.EncodeToString(d.Key[:]), directory.Fingerprint(d.Key), d.Added.UTC(), !d.Listed})
	}
	return show(cmd, result, func(w io.Writer) {
		for _, d := range result.Devices {
			state := "since " + d.Added.Format(time.DateOnly)
			if d.Revoked {
				state = "revoked"
			}
			fmt.Fprintf(w, "%-12s %s  %s\n", d.Device, d.Fingerprint, state)
		}
	})
}

func newDevicesAdd(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "add DEVICE KEY",
		Short: "Add a device to your account; writ register --further on it prints both",
		Long: `Add lists a further device of your account. On the new device, writ register
--further prints its name and key. Compare the key's fingerprint with what the new
device shows: whoever you add speaks in your name and reads what you read.

Conversations you are in already: writ conversations invite CONVERSATION YOU
brings the new device in once it is registered.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := hex.DecodeString(args[1])
			if err != nil || len(key) != len(directory.DeviceKey{}) || !wire.ValidName(args[0]) {
				return usage(fmt.Errorf("%q %q is not a device and its key", args[0], args[1]), "writ register --further on the new device prints both")
			}
			return withHome(cmd, *dir, func(h *home) error {
				if err := h.device.AddDevice(cmd.Context(), args[0], directory.DeviceKey(key)); err != nil {
					return err
				}
				result := struct {
					Device      string `json:"device"`
					Fingerprint string `json:"fingerprint"`
				}{args[0], directory.Fingerprint(directory.DeviceKey(key))}
				return show(cmd, result, func(w io.Writer) {
					fmt.Fprintf(w, "%s is a device of yours now, with the key %s.\nRepeat writ register --further on it.\n", result.Device, result.Fingerprint)
				})
			})
		},
	}
}

func newDevicesRevoke(dir *string) *cobra.Command {
	self := false
	cmd := &cobra.Command{
		Use:   "revoke DEVICE",
		Short: "Take a device off your account for good",
		Long: `Revoke takes a device off your account's list. Its name and its key never come
back. It is removed from this device's conversations at once; others' devices hold
what it says, and remove it, when they next look. The device that runs this command
goes only with --this-device: it can do nothing more afterwards, and an account that
has no other device comes back by its recovery code alone.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withHome(cmd, *dir, func(h *home) error {
				own := args[0] == h.device.Identity().Device
				if own && !self {
					return fail(codeRefused, fmt.Errorf("%s is the device you are using", args[0]),
						"revoke it on another device of yours, or here with --this-device; it is your only one? then keep the recovery code at hand")
				}
				if err := h.device.RevokeDevice(cmd.Context(), args[0]); err != nil {
					return err
				}
				if !own { // delivery answers a revoked device no more
					if _, err := h.device.Sync(cmd.Context()); err != nil {
						return err
					}
				}
				return show(cmd, map[string]string{"revoked": args[0]}, func(w io.Writer) { fmt.Fprintf(w, "%s is no device of yours any more.\n", args[0]) })
			})
		},
	}
	cmd.Flags().BoolVar(&self, "this-device", false, "revoke the device that runs this command, for good")
	return cmd
}

func newDevicesRecover(dir *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "recover ACCOUNT/DEVICE --deployment FILE --recovery-code FILE",
		Short: "Make this new device the only one of an account, by its recovery code",
		Long: `Recover is for when all devices are lost, or a thief has one and threw out the
others. It makes this device, which must be new, the only one of the account, and
replaces the recovery code: the new one is printed once.

The code is read from a file, or asked for; with --recovery-code - standard input is read.`,
		Args: cobra.ExactArgs(1),
	}
	file := cmd.Flags().String("deployment", "", "the deployment file")
	law := cmd.Flags().String("law", "", "hash of the charter; needed only if several are in force")
	code := cmd.Flags().String("recovery-code", "-", "file with the code; - asks for it, or reads standard input")
	next := cmd.Flags().String("recovery-file", "", "write the new recovery code to this file instead of printing it")
	cmd.MarkFlagRequired("deployment")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		account, device, ok := strings.Cut(args[0], "/")
		if !ok || !wire.ValidName(account) || !wire.ValidName(device) {
			return usage(fmt.Errorf("%q is not ACCOUNT/DEVICE", args[0]), "a device needs a name that the account never had, such as anna/phone-2")
		}
		by, err := readRecovery(cmd, *code)
		if err != nil {
			return err
		}
		defer clear(by)
		d, err := setup.LoadDeployment(*file)
		if err != nil {
			return err
		}
		id := directory.Identity{Account: account, Device: device}
		return enroll(cmd, *dir, d, id, *law, func(h *home, c *charter.Charter) error {
			key, err := newRecovery(cmd, h, *next)
			if err != nil {
				return err
			}
			err = h.device.Recover(cmd.Context(), id, c.Hash(), by, key)
			if _, chosen := h.device.Recovery(); err != nil && !chosen && key != (directory.RecoveryKey{}) {
				fmt.Fprintln(cmd.ErrOrStderr(), "Nothing changed. The new recovery code holds for nothing: cross it out.")
			}
			return err
		})
	}
	return cmd
}

func readRecovery(cmd *cobra.Command, file string) (directory.RecoverySigner, error) {
	var b []byte
	var err error
	switch {
	case file == "-" && term.IsTerminal(int(os.Stdin.Fd())):
		b, err = ask(cmd, "Recovery code (it is not shown): ")
	case file == "-":
		b, err = io.ReadAll(io.LimitReader(cmd.InOrStdin(), 1024))
	default:
		b, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fail(codeFailed, err, "--recovery-code names a file with the code, or - for standard input")
	}
	defer clear(b)
	key, err := directory.ParseRecoveryCode(string(b))
	if err != nil {
		return nil, fail(codeRefused, err, "it is what writ register printed: eight groups of four, such as ABCD-EFGH-...")
	}
	return key, nil
}

// newRecovery makes a recovery key and gives its code to the person, before anything is
// stated under it. A key that is chosen already, in a try that did not end, stays.
func newRecovery(cmd *cobra.Command, h *home, file string) (directory.RecoveryKey, error) {
	if key, ok := h.device.Recovery(); ok {
		fmt.Fprintln(cmd.ErrOrStderr(), "The recovery code that was shown before stays.")
		return key, nil
	}
	if h.device.Registered() {
		return directory.RecoveryKey{}, nil
	}
	code := directory.NewRecoveryCode()
	key, err := directory.ParseRecoveryCode(code)
	if err != nil {
		return directory.RecoveryKey{}, err
	}
	defer clear(key)
	if file != "" {
		if err := setup.WriteNew(file, []byte(code+"\n"), 0o600); err != nil {
			return directory.RecoveryKey{}, fail(codeFailed, err, "--recovery-file names a file that is not there yet, in a directory that is")
		}
		return key.Public(), nil
	}
	fmt.Fprintf(cmd.ErrOrStderr(), `Your recovery code, shown this once:

  %s

Write it down and keep it off your devices. It throws out a thief who has a device
of yours, and gives your name back when all devices are lost.

`, code)
	return key.Public(), nil
}

// askSponsor tells what to do on an earlier device of the account.
func askSponsor(h *home, id directory.Identity, c *charter.Charter) error {
	key, err := h.device.Prepare(id, c.Hash())
	if err != nil {
		return err
	}
	return fail(codeRefused, fmt.Errorf("%s does not list this device yet; its key is %s", id.Account, directory.Fingerprint(directory.DeviceKey(key))),
		fmt.Sprintf("on an earlier device: writ devices add %s %x; then repeat this", id.Device, []byte(key)))
}
