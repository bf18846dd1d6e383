package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"writ/custodian"
	"writ/examine"
	"writ/internal/keyfile"
	"writ/internal/wire"
	"writ/setup"
	"writ/witness"
)

func newKeygen() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "keygen ROLE",
		GroupID: "services",
		Short:   "Make the keys of a role",
		Long: `Keygen makes the private keys of a role in a file that only you can read, and
prints what others may know. What a charter names of it also goes into
NAME.public.json beside it, for whoever drafts the charter (writ charter new).`,
	}
	cmd.AddCommand(
		newKeygenRole(setup.RoleNotary, "NAME", "the name of the log, such as example.org/ledger"),
		newKeygenRole(setup.RoleDirectory, "NAME", "the name of the directory's log, such as example.org/directory"),
		newKeygenRole(setup.RoleWitness, "NAME", "the name of the witness, such as example.net/witness"),
		newKeygenRole(setup.RoleDocket, "", ""),
		newKeygenRole(setup.RoleDelivery, "", ""),
		newKeygenRole(setup.RoleApprover, "OFFICE/NAME", "which approver of which office"),
		newKeygenRole(setup.RoleAgency, "NAME", "the agency's name at the docket"),
		newKeygenRole(setup.RoleReader, "NAME", "whose key opens what custodians release"),
		newKeygenRole(setup.RolePerson, "NAME", "who may read what a warrant opens, a-z, 0-9 and . _ @ -"),
		newKeygenCustodian(),
	)
	return cmd
}

// article is a role in a sentence.
func article(role setup.Role) string {
	if role == setup.RoleDelivery {
		return "a delivery service"
	}
	if strings.ContainsRune("aeiou", rune(role[0])) {
		return "an " + string(role)
	}
	return "a " + string(role)
}

func newKeygenRole(role setup.Role, arg, meaning string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   strings.TrimSpace(string(role) + " " + arg),
		Short: "Make the keys of " + article(role),
		Args:  cobra.NoArgs,
	}
	if arg != "" {
		cmd.Args = cobra.ExactArgs(1)
		cmd.Long = fmt.Sprintf("Make the keys of %s. %s is %s.", article(role), arg, meaning)
	}
	out := cmd.Flags().String("out", "", "the file to write (default ROLE.key, or NAME.key)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		office, name := "", string(role)
		if len(args) == 1 {
			name = args[0]
		}
		if role == setup.RoleApprover {
			var ok bool
			if office, name, ok = strings.Cut(name, "/"); !ok || !wire.ValidName(office) || !wire.ValidName(name) {
				return usage(fmt.Errorf("%q is not OFFICE/NAME", args[0]), "names are a-z, 0-9 and . _ @ -, such as judicial/judge-1")
			}
		}
		if role == setup.RolePerson && !wire.ValidName(name) {
			return usage(fmt.Errorf("%q is not a name", name), "a-z, 0-9 and . _ @ -, such as inspector-1")
		}
		if *out == "" {
			*out = filepath.Base(name) + ".key"
		}
		return makeKey(cmd, role, office, name, *out)
	}
	return cmd
}

// published is what keygen prints.
type published struct {
	File   string      `json:"file"`
	VKey   string      `json:"vkey,omitempty"`       // c2sp.org/signed-note
	Reader []byte      `json:"reader_key,omitempty"` // X-Wing public key, for a warrant
	Part   *setup.Part `json:"public,omitempty"`
}

func makeKey(cmd *cobra.Command, role setup.Role, office, name, out string) error {
	k, err := setup.NewKeyFile(role, office, name)
	if err != nil {
		return err
	}
	p, err := publish(k)
	if err != nil {
		return err
	}
	if err := k.Save(out); err != nil {
		return fail(codeFailed, err, "choose another file with --out; a key is never overwritten")
	}
	p.File = out
	if p.Part != nil {
		if err := p.Part.Save(strings.TrimSuffix(out, ".key") + ".public.json"); err != nil {
			return err
		}
	}
	return show(cmd, p, func(w io.Writer) { printPublished(w, p) })
}

// publish returns what others may know of a key.
func publish(k *setup.KeyFile) (p *published, err error) {
	p = &published{}
	switch k.Role {
	case setup.RoleNotary:
		p.VKey, err = k.LogVKey()
	case setup.RoleWitness:
		var key *witness.Key
		if key, err = witness.ParseKey(k.Note); err == nil {
			p.VKey = key.VKey()
		}
	case setup.RoleReader:
		var key *examine.ReaderKey
		if key, err = examine.ParseReaderKey(k.Reader); err == nil {
			p.Reader = key.Public()
		}
	case setup.RoleDirectory:
		if p.VKey, err = k.LogVKey(); err == nil {
			p.Part, err = k.Public()
		}
	default:
		p.Part, err = k.Public()
	}
	return p, err
}

func printPublished(w io.Writer, p *published) {
	fmt.Fprintf(w, "private key: %s (keep it; nobody can make it again)\n", p.File)
	switch {
	case p.VKey != "":
		fmt.Fprintf(w, "public key:  %s\n", p.VKey)
	case p.Reader != nil:
		fmt.Fprintf(w, "public key:  %x...\n", p.Reader[:16])
	case p.Part != nil:
		fmt.Fprintf(w, "public key:  %x\n", p.Part.Key)
	}
}

func newKeygenCustodian() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "custodian OFFICE/NAME --dir DIR --charter NAME",
		Short: "Make the keys of a custodian",
		Long: `Make the keys of a custodian: DIR/keys.age under a passphrase, with its signing
key, its mail key, and its HPKE keys for this key period and the next.`,
		Args: cobra.ExactArgs(1),
	}
	dir := cmd.Flags().String("dir", ".", "the custodian's directory; made if need be")
	law := cmd.Flags().String("charter", "", "the name of the charter it will serve under")
	length := cmd.Flags().Duration("key-period", 30*24*time.Hour, "the charter's key period")
	work := cmd.Flags().Int("work-factor", 0, "of scrypt; 0: takes about a second")
	pass := passphraseFlag(cmd)
	cmd.MarkFlagRequired("charter")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		office, name, ok := strings.Cut(args[0], "/")
		if !ok || !wire.ValidName(office) || !wire.ValidName(name) {
			return usage(fmt.Errorf("%q is not OFFICE/NAME", args[0]), "names are a-z, 0-9 and . _ @ -, such as judicial/judicial-1")
		}
		if *length < time.Second {
			return usage(errors.New("a key period is at least a second"), "")
		}
		if err := keyfile.CheckWork(*work); err != nil {
			return usage(err, "without --work-factor it takes about a second")
		}
		phrase, err := passphrase(cmd, *pass, true)
		if err != nil {
			return err
		}
		defer clear(phrase)
		part, err := setup.NewCustodian(*dir, phrase, *work, custodian.Names{Charter: *law, Office: office, Custodian: name}, *length)
		if err != nil {
			return fail(codeFailed, err, "keys are never overwritten: --dir names a directory without keys.age")
		}
		p := &published{File: filepath.Join(*dir, "keys.age"), Part: part}
		return show(cmd, p, func(w io.Writer) { printPublished(w, p) })
	}
	return cmd
}
