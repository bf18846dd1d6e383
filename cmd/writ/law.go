package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"writ/charter"
	"writ/client"
)

func newLawRoot() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "law",
		GroupID: "people",
		Short:   "Read the laws you have not acknowledged yet, and acknowledge them",
		Long: `Law shows, for all your conversations, each law under which somebody speaks and
that you have not acknowledged: in whole the first time, later what a new version
changes. Nothing is sent before you have.

  writ law
  writ law acknowledge HASH

writ conversations law CONVERSATION shows all laws of a conversation at any time.`,
		Args: cobra.NoArgs,
	}
	dir := homeFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withHome(cmd, *dir, func(h *home) error {
			if _, err := h.device.Sync(cmd.Context()); err != nil {
				return err
			}
			list, err := h.toRead(h.device.Conversations()...)
			if err != nil {
				return err
			}
			return show(cmd, unreadOf(list), func(w io.Writer) { printUnread(w, list) })
		})
	}
	cmd.AddCommand(newAcknowledge(dir))
	return cmd
}

func newAcknowledge(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "acknowledge HASH...",
		Short: "Say that you have read a law, so that you can speak where it holds",
		Long: `Acknowledge notes on this device that you have read a law. HASH is its
fingerprint, or enough of its beginning, as writ law shows it. A new version of
your own law then holds for what you say from your next message on.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withHome(cmd, *dir, func(h *home) error {
				for _, word := range args {
					if err := h.acknowledge(word); err != nil {
						return err
					}
				}
				return show(cmd, args, func(w io.Writer) { fmt.Fprintln(w, "acknowledged") })
			})
		},
	}
}

// acknowledge takes a law's hash, or the beginning of one that is to be read.
func (h *home) acknowledge(word string) error {
	if list, err := hashes([]string{word}); err == nil {
		return h.device.Acknowledge(list[0])
	}
	unread, err := h.toRead(h.device.Conversations()...)
	if err != nil {
		return err
	}
	var found []charter.Hash
	for _, l := range unread {
		if strings.HasPrefix(l.Charter.String(), strings.ToLower(word)) {
			found = append(found, l.Charter)
		}
	}
	if len(found) != 1 {
		return usage(fmt.Errorf("%q names %d of the laws to be read", word, len(found)), "writ law lists them")
	}
	return h.device.Acknowledge(found[0])
}

// toRead returns the laws of conversations that are not acknowledged, each once.
func (h *home) toRead(ids ...client.ConversationID) (list []client.LawToRead, err error) {
	seen := map[charter.Hash]bool{}
	for _, id := range ids {
		laws, err := h.device.ToRead(id)
		if err != nil && !errors.Is(err, client.ErrNotMember) {
			return nil, err
		}
		for _, l := range laws {
			if !seen[l.Charter] {
				seen[l.Charter] = true
				list = append(list, l)
			}
		}
	}
	return list, nil
}

// unreadLaw is what --json shows of one.
type unreadLaw struct {
	Charter  string   `json:"charter"`
	Name     string   `json:"name"`
	Own      bool     `json:"own"`
	Accounts []string `json:"accounts"`
	Law      []string `json:"law"`
	Changes  []string `json:"changes"`
}

func unreadOf(list []client.LawToRead) []unreadLaw {
	out := []unreadLaw{}
	for _, l := range list {
		out = append(out, unreadLaw{l.Charter.String(), l.Name, l.Own, l.Accounts, l.Explain, append([]string{}, l.Changes...)})
	}
	return out
}

func printUnread(w io.Writer, list []client.LawToRead) {
	if len(list) == 0 {
		fmt.Fprintln(w, "you have acknowledged every law of your conversations")
	}
	for _, l := range list {
		whose := "the law of " + strings.Join(l.Accounts, ", ")
		if l.Own {
			whose = "your own law"
		}
		if l.Changes != nil {
			fmt.Fprintf(w, "%s has a new version:\n", whose)
			printLaw(w, l.Changes)
		} else {
			fmt.Fprintf(w, "%s:\n", whose)
			printLaw(w, l.Explain)
		}
		fmt.Fprintf(w, "to speak on: writ law acknowledge %s\n", l.Charter.String()[:16])
	}
}

// askToRead shows the laws of a conversation that are to be read and takes "yes" for an
// acknowledgement of all of them.
func askToRead(cmd *cobra.Command, h *home, id client.ConversationID, in *bufio.Reader) error {
	list, err := h.toRead(id)
	if err != nil || len(list) == 0 {
		return err
	}
	printUnread(cmd.OutOrStdout(), list)
	fmt.Fprint(cmd.OutOrStdout(), "Have you read this, and do you want to go on? (yes/no) ")
	answer, err := in.ReadString('\n')
	if err != nil && err != io.EOF {
		return err
	}
	if strings.TrimSpace(answer) != "yes" {
		return fail(codeRefused, errors.New("nothing is sent before you have acknowledged"), "writ law shows what is to be read")
	}
	for _, l := range list {
		if err := h.device.Acknowledge(l.Charter); err != nil {
			return err
		}
	}
	return nil
}
