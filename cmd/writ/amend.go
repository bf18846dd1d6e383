package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"writ/charter"
	"writ/ledger"
)

func newCharterAmend() *cobra.Command {
	return &cobra.Command{
		Use:   "amend FILE",
		Short: "Draft the next version of a charter, to be edited",
		Long: `Amend prints the next version of a charter as JSON: the same, with the next number
and the hash of this one. Edit it; writ charter diff says what it changes and
whether it may follow. It is signed by the approvers of the version before.

An amendment can't lengthen the horizon, weaken the approval or the amendment rule,
change the key period or the log, or give a custodian's name to another key.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := readCharter(args[0])
			if err != nil {
				return err
			}
			if c.Mode == charter.NoAccess {
				return fail(codeRefused, errors.New("a charter without exceptional access is final"), "people under it move to another charter by themselves")
			}
			next := *c
			next.Number, next.Previous = c.Number+1, c.Hash()
			_, err = cmd.OutOrStdout().Write(next.JSON())
			return err
		},
	}
}

func newCharterDiff() *cobra.Command {
	return &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say what a version of a charter changes, as people will be shown it",
		Long: `Diff says in plain sentences what NEW changes against OLD, and whether it may
follow it. Whether the signatures suffice is told by the same rules that every
reader of the ledger applies; a draft has none yet.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			old, _, err := readCharter(args[0])
			if err != nil {
				return err
			}
			next, signed, err := readCharter(args[1])
			if err != nil {
				return err
			}
			result := struct {
				Old      string   `json:"old"`
				New      string   `json:"new"`
				Changes  []string `json:"changes"`
				Problem  string   `json:"problem,omitempty"` // why it may not follow
				Unsigned []string `json:"unsigned"`          // offices whose signatures are missing
			}{Old: old.Hash().String(), New: next.Hash().String(), Changes: charter.Changes(old, next), Unsigned: []string{}}
			if err := mayFollow(old, next, signed, &result.Unsigned); err != nil {
				result.Problem = strings.ReplaceAll(err.Error(), "\n", "; ")
			}
			if err := show(cmd, result, func(w io.Writer) {
				printLaw(w, result.Changes)
				for _, office := range result.Unsigned {
					fmt.Fprintf(w, "signatures of the office %s are missing\n", office)
				}
			}); err != nil {
				return err
			}
			if result.Problem != "" {
				return fail(codeRefused, errors.New(result.Problem), "spec/charter.md says what an amendment may not do")
			}
			return nil
		},
	}
}

// mayFollow applies the rules of a chain, as far as these two versions tell; missing
// signatures are no problem of a draft, and listed.
func mayFollow(old, next *charter.Charter, signed *charter.Signed, missing *[]string) error {
	_, policy := ledger.ParsePolicy(next.Policy)
	_, err := signed.Verify(old)
	var unsigned *charter.UnsignedError
	if errors.As(err, &unsigned) {
		*missing = unsigned.Offices
		return policy
	}
	return errors.Join(policy, err)
}
