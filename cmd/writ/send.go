package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"writ/client"
)

func newSend() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "send CONVERSATION [TEXT...]",
		GroupID: "people",
		Short:   "Send a message; without a text, what standard input holds",
		Long: `Send encrypts and sends one message. CONVERSATION is the id or a prefix of it,
or - for your only one. Without TEXT the message is read from standard input.

When delivery doesn't answer the message is kept, and sent by the next command
that reaches it. It arrives once.`,
		Args: cobra.MinimumNArgs(1),
	}
	dir := homeFlag(cmd)
	read := cmd.Flags().StringSlice("acknowledge", nil, "hash of a law that you have read (for scripts; see writ law)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		text := strings.Join(args[1:], " ")
		if len(args) == 1 {
			b, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), client.MaxText+1))
			if err != nil {
				return err
			}
			text = strings.TrimRight(string(b), "\n")
		}
		if err := sayable(text); err != nil {
			return err
		}
		return withHome(cmd, *dir, func(h *home) error {
			id, err := h.current(cmd, args[0])
			if away := codeOf(personError(err)) == codeUnavailable; err != nil && (id == client.ConversationID{} || !away) {
				return err
			}
			for _, word := range *read {
				if err := h.acknowledge(word); err != nil {
					return err
				}
			}
			if err := h.device.Send(cmd.Context(), id, text); err != nil {
				return err
			}
			sent := map[string]string{"conversation": id.String()}
			return show(cmd, sent, func(w io.Writer) { fmt.Fprintln(w, "sent") })
		})
	}
	return cmd
}

// sayable refuses what no message holds.
func sayable(text string) error {
	switch {
	case text == "":
		return usage(errors.New("nothing to send"), "give the text as an argument or on standard input")
	case !utf8.ValidString(text):
		return usage(errors.New("the message is no text: its bytes are not UTF-8"), "Writ sends text; a file can go as text too, such as by base64")
	case len(text) > client.MaxText:
		return usage(fmt.Errorf("a message holds at most %d bytes", client.MaxText), "send it in parts")
	}
	return nil
}
