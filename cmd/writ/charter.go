package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"writ/charter"
	"writ/ledger"
	"writ/setup"
)

func newCharter() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "charter",
		GroupID: "law",
		Short:   "Draft, check, sign, publish and read the law of a deployment",
		Long: `A charter is the public law of a deployment: who must approve, who holds keys,
how many of them must agree, and within which limits.

  writ charter new --parts DIR --name NAME ... > charter.json
  writ charter check charter.json
  writ charter sign charter.json --key judge-1.key --out charter.signed
  writ charter publish charter.signed --deployment deployment.json
  writ charter show charter.signed

To change it:

  writ charter amend charter.signed > next.json       then edit next.json
  writ charter diff charter.signed next.json          what people will be shown
  writ charter sign next.json --key judge-1.key --out next.signed
  writ charter publish next.signed --deployment deployment.json`,
	}
	cmd.AddCommand(newCharterNew(), newCharterCheck(), newCharterSign(), newCharterPublish(), newCharterShow(),
		newCharterAmend(), newCharterDiff())
	return cmd
}

func newCharterNew() *cobra.Command {
	var c charter.Charter
	cmd := &cobra.Command{
		Use:   "new --parts DIR --policy FILE --name NAME --jurisdiction J --legal-basis TEXT",
		Short: "Draft a charter of the public parts that key holders handed in",
		Long: `New prints a charter as JSON, made of the *.public.json files in a directory, to
be edited and checked before anybody signs it. Every office that has custodians
must take part in an opening; each can spare one custodian if it has several.`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	parts := f.String("parts", ".", "directory with the files NAME.public.json")
	policy := f.String("policy", setup.PolicyFile, "file with the witness policy of the ledger")
	group := f.String("beacon", "beacon.group", "file with the group of the beacon's operators (writ beacon finish)")
	directory := f.String("directory-policy", setup.DirectoryFile, "file with the witness policy of the directory")
	f.StringVar(&c.Name, "name", "", "the law's name")
	f.StringVar(&c.Jurisdiction, "jurisdiction", "", "whose law it is")
	f.StringVar(&c.LegalBasis, "legal-basis", "", "the statute it rests on")
	f.StringVar(&c.Language, "language", "en", "language of record")
	f.StringSliceVar(&c.CaseTypes, "case-types", []string{"serious-crime"}, "what a warrant may be for")
	review := f.Duration("review-in", 365*24*time.Hour, "after this nothing new is authorised")
	for _, name := range []string{"name", "jurisdiction", "legal-basis"} {
		cmd.MarkFlagRequired(name)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ledgerPolicy, err := readPolicy(*policy)
		if err != nil {
			return err
		}
		directoryPolicy, err := readPolicy(*directory)
		if err != nil {
			return err
		}
		list, err := setup.LoadParts(*parts)
		if err != nil {
			return fail(codeFailed, err, "writ keygen writes them beside the keys")
		}
		c.Number, c.Mode, c.Policy = 1, charter.AccountableAccess, ledgerPolicy.String()
		c.Directory.Policy = directoryPolicy.String()
		operators, err := readGroup(*group)
		if err != nil {
			return err
		}
		c.Beacon = operators.Beacon()
		c.Review, c.Limits = uint64(time.Now().Add(*review).Unix()), setup.UsualLimits()
		if err := setup.Assemble(&c, list); err != nil {
			return fail(codeFailed, err, "in "+*parts+" belong the parts of approvers, custodians, docket, delivery and directory; an agency's goes to the docket, a person's to the agency")
		}
		if err := c.Validate(); err != nil {
			return fail(codeRefused, err, "the parts of all offices must be in "+*parts)
		}
		_, err = cmd.OutOrStdout().Write(c.JSON())
		return err
	}
	return cmd
}

// readCharter reads a charter in one of its forms: JSON, or signed.
func readCharter(path string) (*charter.Charter, *charter.Signed, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fail(codeFailed, err, "FILE is a charter as writ charter new or sign wrote it")
	}
	c, s, err := parseCharter(b)
	if err != nil {
		return nil, nil, fail(codeInvalid, fmt.Errorf("%s: %w", path, err), "writ charter new writes a charter, writ charter sign signs it; doc/operate.md and spec/charter.md say what the rules are")
	}
	return c, s, nil
}

func parseCharter(b []byte) (*charter.Charter, *charter.Signed, error) {
	if len(b) > 0 && b[0] == '{' {
		c, err := charter.ParseJSON(b)
		if err != nil {
			return nil, nil, err
		}
		return c, &charter.Signed{Charter: c.Encode()}, nil
	}
	s, err := charter.ParseSigned(b)
	if err != nil {
		return nil, nil, fmt.Errorf("it is no charter, neither as JSON nor signed: %w", err)
	}
	c, err := charter.Parse(s.Charter)
	return c, s, err
}

func newCharterCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Check every rule of a charter, and say what it means",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := readCharter(args[0])
			if err != nil {
				return err
			}
			return showCharter(cmd, c, nil)
		},
	}
}

func newCharterShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show FILE",
		Short: "Say a charter in plain words",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, s, err := readCharter(args[0])
			if err != nil {
				return err
			}
			return showCharter(cmd, c, s)
		},
	}
}

func showCharter(cmd *cobra.Command, c *charter.Charter, s *charter.Signed) error {
	result := struct {
		Hash   string   `json:"hash"`
		Number uint32   `json:"number"`
		Name   string   `json:"name"`
		Law    []string `json:"law"`
		Signed []string `json:"signed_by"`
	}{c.Hash().String(), c.Number, c.Name, c.Explain(), []string{}}
	if s != nil {
		for _, sig := range s.Signatures {
			result.Signed = append(result.Signed, sig.Office+"/"+sig.Approver)
		}
	}
	return show(cmd, result, func(w io.Writer) {
		fmt.Fprintf(w, "charter %s\n", result.Hash)
		printLaw(w, result.Law)
		for _, who := range result.Signed {
			fmt.Fprintf(w, "signed by %s (writ charter publish and every reader verify it)\n", who)
		}
	})
}

func newCharterSign() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sign FILE --key APPROVER.key --out FILE",
		Short: "Add an approver's signature to a charter",
		Args:  cobra.ExactArgs(1),
	}
	keyFile := cmd.Flags().String("key", "", "the approver's key file")
	out := cmd.Flags().String("out", "", "where the signed charter goes; may be the file itself")
	cmd.MarkFlagRequired("key")
	cmd.MarkFlagRequired("out")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, s, err := readCharter(args[0])
		if err != nil {
			return err
		}
		k, err := setup.LoadKeyFile(*keyFile, setup.RoleApprover)
		if err != nil {
			return fail(codeFailed, err, "--key names the key file of an approver (writ keygen approver)")
		}
		private, err := k.SigningKey()
		if err != nil {
			return err
		}
		s.Sign(k.Office, k.Name, private)
		if err := setup.Write(*out, s.Encode(), 0o644); err != nil {
			return err
		}
		return showCharter(cmd, c, s)
	}
	return cmd
}

func newCharterPublish() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "publish FILE --deployment FILE",
		Short: "Put a signed charter on the ledger",
		Args:  cobra.ExactArgs(1),
	}
	deployment := cmd.Flags().String("deployment", setup.DeploymentFile, "the deployment file")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, s, err := readCharter(args[0])
		if err != nil {
			return err
		}
		d, err := setup.LoadDeployment(*deployment)
		if err != nil {
			return fail(codeFailed, err, "--deployment names the deployment file")
		}
		index, err := publishCharter(cmd, d, s)
		if err != nil {
			return err
		}
		result := map[string]any{"hash": c.Hash().String(), "index": index}
		return show(cmd, result, func(w io.Writer) {
			fmt.Fprintf(w, "charter %s stands on the ledger at index %d\n", c.Hash(), index)
			if c.Number > 1 {
				fmt.Fprintln(w, "After the activation delay each person is shown what it changes, and acknowledges it before speaking on.")
			}
		})
	}
	return cmd
}

func publishCharter(cmd *cobra.Command, d *setup.Deployment, s *charter.Signed) (uint64, error) {
	return logEntry(cmd, d, ledger.CharterEntry(s),
		"a first charter must be named in the notary's config.json; a later one needs the signatures that its predecessor demands")
}
