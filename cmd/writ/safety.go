package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func newSafety() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "safety ACCOUNT",
		GroupID: "people",
		Short:   "Show the number that you and another compare in person",
		Long: `Safety shows sixty digits that are the same on the other's devices if, and only if,
both of you see the same devices of both. Compare them in person or over a call in
which you know the voice. --verified remembers that you did compare what was shown last;
a later change of the other's devices is told.`,
		Args: cobra.ExactArgs(1),
	}
	dir := homeFlag(cmd)
	verified := cmd.Flags().Bool("verified", false, "you compared the number, and it is the same")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := accounts(args[0]); err != nil {
			return err
		}
		return withHome(cmd, *dir, func(h *home) error {
			if args[0] == h.device.Identity().Account {
				return usage(fmt.Errorf("%s is your own account", args[0]), "name the other; your own devices: writ devices")
			}
			if *verified { // what was shown before, not what is now
				if err := h.device.Compared(args[0]); err != nil {
					return fail(codeRefused, err, "writ safety "+args[0]+" shows the number as it is now: compare that")
				}
			}
			number, version, compared, err := h.device.Safety(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			result := struct {
				Account  string `json:"account"`
				Number   string `json:"number"`
				Version  uint64 `json:"version"`
				Compared uint64 `json:"compared"` // version at which it was; 0 never
			}{args[0], number, version, compared}
			return show(cmd, result, func(w io.Writer) { printSafety(w, args[0], number, version, compared) })
		})
	}
	return cmd
}

func printSafety(w io.Writer, account, number string, version, compared uint64) {
	half := len(number) / 2
	fmt.Fprintf(w, "  %s\n  %s\n\n", number[:half], number[half+1:])
	switch {
	case compared == 0:
		fmt.Fprintf(w, "Not compared with %s yet. If the digits are the same there: writ safety %s --verified\n", account, account)
	case compared == version:
		fmt.Fprintf(w, "You compared it with %s.\n", account)
	default:
		fmt.Fprintf(w, "%s changed devices since you compared it (version %d then, %d now): compare again.\n", account, compared, version)
	}
}
