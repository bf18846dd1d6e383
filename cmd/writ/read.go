package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"writ/bundle"
	"writ/client"
)

func newRead() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "read [CONVERSATION]",
		GroupID: "people",
		Short:   "Show what is new, in one conversation or in all",
		Args:    cobra.MaximumNArgs(1),
	}
	dir := homeFlag(cmd)
	all := cmd.Flags().Bool("all", false, "show the whole history that this device keeps")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withHome(cmd, *dir, func(h *home) error {
			_, syncErr := h.device.Sync(cmd.Context())
			ids := h.device.Conversations()
			if len(args) == 1 {
				id, err := h.find(args[0])
				if err != nil {
					return err
				}
				ids = []client.ConversationID{id}
			}
			if err := showEvents(cmd, h, ids, *all); err != nil {
				return err
			}
			return errors.Join(syncErr, h.showNotices(cmd))
		})
	}
	return cmd
}

// shown is how an event is printed.
type shown struct {
	Conversation string    `json:"conversation"`
	Number       uint64    `json:"number"`
	Kind         string    `json:"kind"`
	Time         time.Time `json:"time,omitzero"`
	Sender       string    `json:"sender,omitempty"`
	Member       string    `json:"member,omitempty"`
	Text         string    `json:"text,omitempty"`
	Reason       string    `json:"reason,omitempty"`
}

func showEvents(cmd *cobra.Command, h *home, ids []client.ConversationID, all bool) error {
	list := []shown{}
	last := map[client.ConversationID]uint64{}
	for _, id := range ids {
		read := h.device.Unread
		if all {
			read = h.device.History
		}
		events, err := read(id)
		if err != nil {
			return err
		}
		for _, e := range events {
			list = append(list, showEvent(e))
			last[id] = e.Number
		}
	}
	err := show(cmd, list, func(w io.Writer) { printEvents(w, list, len(ids) > 1) })
	if err != nil {
		return err
	}
	for id, number := range last {
		if err := h.device.MarkRead(id, number); err != nil {
			return err
		}
	}
	return nil
}

func showEvent(e client.Event) shown {
	s := shown{Conversation: e.Conversation.String(), Number: e.Number, Kind: e.Kind.String(),
		Time: e.Time, Text: e.Text, Reason: e.Reason}
	if e.Sender.Account != "" {
		s.Sender = e.Sender.String()
	}
	if e.Member.Account != "" {
		s.Member = e.Member.String()
	}
	return s
}

func printEvents(w io.Writer, list []shown, several bool) {
	conversation := ""
	for _, e := range list {
		if several && e.Conversation != conversation {
			conversation = e.Conversation
			fmt.Fprintf(w, "-- %s\n", conversation)
		}
		fmt.Fprintln(w, e.line())
	}
	if len(list) == 0 {
		fmt.Fprintln(w, "nothing new")
	}
}

// spoken is what somebody said, so that none of it can pass for another's words or change
// the screen: what controls or hides is written out, and each further line is marked as one.
func spoken(text string) string {
	return strings.ReplaceAll(bundle.Visible(strings.ReplaceAll(text, "\t", "    ")), "\n", "\n    | ")
}

// line is an event for a person, in one line but for what was said.
func (e shown) line() string {
	text, reason := spoken(e.Text), oneLine(e.Reason)
	at := ""
	if !e.Time.IsZero() {
		at = e.Time.Local().Format("15:04 ")
	}
	switch e.Kind {
	case client.Message.String():
		return fmt.Sprintf("%s%s: %s", at, e.Sender, text)
	case client.Released.String():
		return fmt.Sprintf("%s%s: %s (was held, now checked)", at, e.Sender, text)
	case client.Held.String():
		return fmt.Sprintf("%sa message of %s is HELD, not shown: %s", at, e.Sender, reason)
	case client.Joined.String():
		return fmt.Sprintf("%s%s brought in %s", at, e.Sender, e.Member)
	case client.Left.String():
		return fmt.Sprintf("%s%s took out %s", at, e.Sender, e.Member)
	case client.Removed.String():
		return fmt.Sprintf("%s%s removed this device from the conversation", at, e.Sender)
	case client.NewLaw.String():
		return fmt.Sprintf("%sWARNING: %s %s", at, e.Sender, reason)
	case client.Unsent.String():
		return fmt.Sprintf("%sNOT SENT: %q: %s", at, e.Text, reason)
	}
	return fmt.Sprintf("%sWARNING: %s", at, reason)
}
