package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"writ/examine"
)

func newHold() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "hold CASE",
		GroupID: "law",
		Short:   "Have the custodians keep what a published warrant names, beyond the horizon",
		Long: `Hold carries out a warrant that preserves (writ warrant template --preserve). The
custodians check it like any other, log that they keep their shares, and keep those
of the compartments it names after the keys of their period are destroyed, for as
long as the charter allows. Nothing is opened and nothing is handed over.

Opening them takes another warrant, approved anew. It can be repeated: what was
interrupted goes on where it stopped.`,
		Args: cobra.ExactArgs(1),
	}
	dir := agencyFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a, c, err := openCase(*dir, args[0])
		if err != nil {
			return err
		}
		config, err := a.examiner(cmd, c)
		if err != nil {
			return err
		}
		defer config.Ledger.Close()
		held, err := examine.Preserve(cmd.Context(), config, c)
		if err != nil {
			return openingError(config.Ledger, c, err)
		}
		return show(cmd, heldOf(held), func(w io.Writer) { printHeld(w, held) })
	}
	return cmd
}

// heldOf is what --json prints of a hold.
func heldOf(h *examine.Held) any {
	type part struct {
		Request      uint64   `json:"request_index"`
		Compartments int      `json:"compartments"`
		Custodians   []string `json:"custodians"`
		Until        string   `json:"until"`
	}
	result := struct {
		Parts []part `json:"holds"`
		Left  int    `json:"not_kept"`
	}{Parts: []part{}, Left: len(h.Outside)}
	for _, p := range h.Parts {
		result.Parts = append(result.Parts, part{p.Request.Index, p.Compartments, p.Custodians, untilText(p.Until)})
	}
	return result
}

func untilText(at uint64) string { return time.Unix(int64(at), 0).UTC().Format(time.RFC3339) }

func printHeld(w io.Writer, h *examine.Held) {
	for _, p := range h.Parts {
		fmt.Fprintf(w, "%s kept until %s by %s (request at index %d); nothing was opened\n",
			count(p.Compartments, "compartment"), untilText(p.Until), strings.Join(p.Custodians, ", "), p.Request.Index)
		for _, r := range p.Refusals {
			fmt.Fprintf(w, "%s/%s refused: %s\n", r.Office, r.Custodian, r.Reason)
		}
	}
	for _, s := range h.Outside {
		fmt.Fprintf(w, "not kept: %x, epoch %d, leaf %d: %s\n", s.Conversation, s.Epoch, s.Leaf, oneLine(s.Why))
	}
}
