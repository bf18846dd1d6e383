package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"writ/api"
	"writ/bundle"
	"writ/ledger"
	"writ/reading"
	"writ/replica"
	"writ/setup"
	"writ/warrant"
)

func newBundle() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "bundle",
		GroupID: "law",
		Short:   "Read what was opened, as one of the people whom the warrant names",
		Long: `Writ open leaves a sealed bundle. Each reading of it is put on the public ledger,
signed by the reader's own key, before a word is shown:

  writ keygen person NAME                              once; NAME.public.json goes into warrants
  writ bundle read FILE --key NAME.key                 read it
  writ bundle export FILE --key NAME.key --out PLAIN   hand it on, such as to a court

An exported bundle is in the clear: anyone who has it reads and verifies it
(writ verify), and nobody sees that.

As with writ verify, a bundle that holds but does not prove whose key signed is
shown or written all the same, says so, and ends with 7.`,
	}
	cmd.AddCommand(newBundleRead(), newBundleExport())
	return cmd
}

// readerFlags are the flags of who reads.
type readerFlags struct{ deployment, key *string }

func newReaderFlags(cmd *cobra.Command) readerFlags {
	f := readerFlags{deploymentFlag(cmd), cmd.Flags().String("key", "", "the reader's key file (writ keygen person)")}
	cmd.MarkFlagRequired("key")
	return f
}

func newBundleRead() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "read FILE --key NAME.key",
		Short: "Record a reading on the ledger, then show the bundle",
		Args:  cobra.ExactArgs(1),
	}
	f := newReaderFlags(cmd)
	html := cmd.Flags().String("html", "", "also write the report as a page to this file")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := writable(*html); err != nil {
			return err
		}
		_, report, err := f.read(cmd, args[0], ledger.PurposeRead)
		if err != nil {
			return err
		}
		if *html != "" {
			if err := setup.Write(*html, report.HTML(), 0o600); err != nil {
				return err
			}
		}
		if err := show(cmd, report, func(w io.Writer) { fmt.Fprint(w, report.Text()) }); err != nil {
			return err
		}
		return provenKeys(report, notTheirs)
	}
	return cmd
}

func newBundleExport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export FILE --key NAME.key --out PLAIN",
		Short: "Record an export on the ledger, then write the bundle in the clear",
		Args:  cobra.ExactArgs(1),
	}
	f := newReaderFlags(cmd)
	out := cmd.Flags().String("out", "", "the file to write; never over another")
	cmd.MarkFlagRequired("out")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := os.Lstat(*out); err == nil {
			return usage(fmt.Errorf("%s is there already", *out), "choose another --out")
		}
		if err := writable(*out); err != nil {
			return err
		}
		r, report, err := f.read(cmd, args[0], ledger.PurposeExport)
		if err != nil {
			return err
		}
		if err := setup.WriteNew(*out, r.Bundle, 0o600); err != nil {
			return err
		}
		result := map[string]any{"bundle": *out, "entry": r.Index, "readings": len(report.Readings), "keys_proven": report.KeysProven}
		err = show(cmd, result, func(w io.Writer) {
			fmt.Fprintf(w, "the export is entry %d of the ledger\n%s\nevidence: %s (in the clear: as secret as what was said)\n", r.Index, report.Verdict(), *out)
		})
		if err != nil {
			return err
		}
		return provenKeys(report, "the file is written; "+notTheirs)
	}
	return cmd
}

// writable refuses a file, of which there need be none, whose directory takes no new one:
// nothing is recorded for what then can't be written.
func writable(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		err = fmt.Errorf("write %s: %w", path, p.Err)
	}
	if err == nil {
		err = errors.Join(f.Close(), os.Remove(f.Name()))
	}
	if err != nil {
		return fail(codeFailed, err, "nothing was recorded: name a file in a directory that can be written")
	}
	return nil
}

// read records a reading, opens the bundle and verifies it.
func (f readerFlags) read(cmd *cobra.Command, path string, purpose ledger.Purpose) (r *reading.Reading, report *bundle.Report, err error) {
	d, err := setup.LoadDeployment(*f.deployment)
	if err != nil {
		return nil, nil, fail(codeFailed, err, "--deployment names the deployment file")
	}
	t, err := trustOf(d)
	if err != nil {
		return nil, nil, err
	}
	person, err := loadPerson(*f.key)
	if err != nil {
		return nil, nil, err
	}
	sealed, err := loadSealed(path)
	if err != nil {
		return nil, nil, err
	}
	copy, err := replica.Open(cmd.Context(), replica.Config{Path: strings.TrimSuffix(*f.key, ".key") + ".ledger.db", URL: d.Ledger,
		Policy: t.policy, Charters: t.firsts, MaxAge: ledgerAge, Fatal: endProcess})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, copy.Close()) }()
	c := reading.Config{Person: *person, Ledger: copy, Docket: api.NewDocketClient(http.DefaultClient, d.Docket)}
	if r, err = reading.Read(cmd.Context(), c, sealed, purpose); err != nil {
		return nil, nil, readingError(err)
	}
	if report, err = bundle.Verify(r.Bundle, t.policy, t.firsts...); err != nil {
		return nil, nil, fail(codeInvalid, err, "the reading is on the ledger, but what was sealed does not hold as evidence")
	}
	return r, report, nil
}

func readingError(err error) error {
	switch {
	case errors.Is(err, reading.ErrRefused):
		return fail(codeRefused, err, "the ledger says so; ask the office that approved the warrant")
	case errors.Is(err, warrant.ErrRefused), errors.Is(err, warrant.ErrInvalid):
		return fail(codeRefused, err, "only the people whom the warrant names read it, each with their own key")
	case errors.Is(err, ledger.ErrRefused):
		return fail(codeUnavailable, err, "are the notary and a quorum of witnesses up, and is this clock right? nothing is shown before the record is there")
	}
	return callError(err)
}

func loadPerson(path string) (*reading.Person, error) {
	k, err := setup.LoadKeyFile(path, setup.RolePerson)
	if err != nil {
		return nil, fail(codeFailed, err, "--key names the key file of a person (writ keygen person)")
	}
	signing, err := k.SigningKey()
	if err != nil {
		return nil, err
	}
	mail, err := warrant.ParseMailKey(k.Mail)
	if err != nil {
		return nil, err
	}
	return &reading.Person{Name: k.Name, Key: ledger.PersonSigner(signing), Mail: mail}, nil
}

// loadSealed reads a sealed bundle.
func loadSealed(path string) (*bundle.Sealed, error) {
	b, err := readBundle(path)
	if err != nil {
		return nil, err
	}
	s, err := bundle.ParseSealed(b)
	if err != nil {
		hint := "FILE is what writ open wrote"
		if len(b) > 0 && !bundle.IsSealed(b) {
			hint += "; an exported bundle is read with writ verify"
		}
		return nil, fail(codeInvalid, err, hint)
	}
	return s, nil
}

func readBundle(path string) ([]byte, error) {
	const hint = "name a file that writ open or writ bundle export wrote"
	f, err := os.Open(path)
	if err != nil {
		return nil, fail(codeFailed, err, hint)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, bundle.MaxSize+1<<20))
	if err != nil {
		return nil, fail(codeFailed, err, hint)
	}
	return b, nil
}

// readersDir holds, at an agency, the public parts of the people who may read.
const readersDir = "readers"

// readers returns those whom files name, or all of the agency's.
func (a *agency) readers(files []string) (list []warrant.Reader, err error) {
	if len(files) == 0 {
		if files, err = filepath.Glob(filepath.Join(a.dir, readersDir, "*.public.json")); err != nil {
			return nil, err
		}
	}
	for _, file := range files {
		p, err := setup.LoadPart(file)
		if err == nil && p.Role != setup.RolePerson {
			err = fmt.Errorf("%s is of role %q, not %q", file, p.Role, setup.RolePerson)
		}
		if err == nil && len(p.Key) != len(warrant.PersonKey{}) {
			err = fmt.Errorf("%s: malformed: a key of %d bytes", file, len(p.Key))
		}
		if err != nil {
			return nil, fail(codeFailed, err, "writ keygen person NAME makes NAME.public.json")
		}
		list = append(list, warrant.Reader{ID: p.Name, Key: warrant.PersonKey(p.Key), Mail: p.Mail})
	}
	return list, nil
}
