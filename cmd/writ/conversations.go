package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"writ/charter"
	"writ/client"
	"writ/directory"
)

func newConversations() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "conversations",
		GroupID: "people",
		Short:   "List your conversations; begin one, invite, remove, read its law",
		Args:    cobra.NoArgs,
	}
	dir := homeFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withHome(cmd, *dir, func(h *home) error { return listConversations(cmd, h) })
	}
	cmd.AddCommand(newCreate(dir), newInvite(dir), newRemove(dir), newLaw(dir))
	return cmd
}

// conversation is what a list shows of one.
type conversation struct {
	ID      string   `json:"conversation"`
	Members []string `json:"members"`
	Unread  int      `json:"unread"`
	// Privileged: a further office must agree before anything in it is opened.
	Privileged bool `json:"privileged"`
	// Left: this device was taken out of it, and sees nothing new.
	Left bool `json:"left"`
}

func listConversations(cmd *cobra.Command, h *home) error {
	if _, err := h.device.Sync(cmd.Context()); err != nil {
		return err
	}
	list := []conversation{}
	for _, id := range h.device.Conversations() {
		c, err := h.describe(id)
		if errors.Is(err, client.ErrNotMember) {
			c, err = h.describeLeft(id)
		}
		if err != nil {
			return err
		}
		list = append(list, *c)
	}
	return show(cmd, list, func(w io.Writer) {
		if len(list) == 0 {
			fmt.Fprintln(w, "no conversations yet: writ conversations new ACCOUNT...")
		}
		for _, c := range list {
			mark, members := "", strings.Join(c.Members, ", ")
			if c.Privileged {
				mark = "  privileged"
			}
			if c.Left {
				members = "this device is no longer in it"
			}
			fmt.Fprintf(w, "%s  %d unread%s  %s\n", c.ID, c.Unread, mark, members)
		}
	})
}

func (h *home) describe(id client.ConversationID) (*conversation, error) {
	members, err := h.device.Members(id)
	if err != nil {
		return nil, err
	}
	unread, err := h.device.Unread(id)
	if err != nil {
		return nil, err
	}
	c := &conversation{ID: id.String(), Members: []string{}, Unread: len(unread)}
	if c.Privileged, err = h.device.Privileged(id); err != nil {
		return nil, err
	}
	for _, m := range members {
		c.Members = append(c.Members, m.String())
	}
	return c, nil
}

// describeLeft is describe for a conversation that this device is no longer in.
func (h *home) describeLeft(id client.ConversationID) (*conversation, error) {
	unread, err := h.device.Unread(id)
	return &conversation{ID: id.String(), Members: []string{}, Unread: len(unread), Left: true}, err
}

// find returns the conversation that a word names: a prefix of its id, or "-"
// for the only one that this device is in.
func (h *home) find(word string) (client.ConversationID, error) {
	var found []client.ConversationID
	for _, id := range h.device.Conversations() {
		_, err := h.device.Members(id)
		if word == "-" && err == nil || strings.HasPrefix(id.String(), strings.ToLower(word)) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return client.ConversationID{}, usage(fmt.Errorf("no conversation %q", word), "writ conversations lists them; a prefix of the id is enough")
	}
	return client.ConversationID{}, usage(fmt.Errorf("%q names %d conversations", word, len(found)), "give more of the id; writ conversations lists them")
}

func newCreate(dir *string) *cobra.Command {
	privileged := false
	cmd := &cobra.Command{
		Use:   "new ACCOUNT...",
		Short: "Begin a conversation with one account or more",
		Long: `New begins a conversation. With --privileged it is marked for good as one with a
lawyer, a doctor or the like: a further office, which your law names, must agree before
anything in it is opened. Everyone in it must be under a law that knows such
conversations.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := accounts(args...); err != nil {
				return err
			}
			return withHome(cmd, *dir, func(h *home) error {
				if slices.Contains(args, h.device.Identity().Account) {
					return usage(fmt.Errorf("you are %s", h.device.Identity()), "name the others; you are in it anyway")
				}
				create := h.device.Create
				if privileged {
					create = h.device.CreatePrivileged
				}
				id, err := create(cmd.Context(), args...)
				if err != nil && id != (client.ConversationID{}) {
					err = personError(err)
					return fail(codeOf(err), err, fmt.Sprintf("conversation %.8s is there all the same; to bring in more: writ conversations invite %.8s ACCOUNT", id, id))
				}
				if err != nil {
					return err
				}
				return showLaws(cmd, h, id)
			})
		},
	}
	cmd.Flags().BoolVar(&privileged, "privileged", false, "a further office must agree before anything in it is opened")
	return cmd
}

func newInvite(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "invite CONVERSATION ACCOUNT",
		Short: "Bring an account into a conversation, with all its devices",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := accounts(args[1]); err != nil {
				return err
			}
			return withHome(cmd, *dir, func(h *home) error {
				id, err := h.current(cmd, args[0])
				if err == nil {
					err = h.device.Invite(cmd.Context(), id, args[1])
				}
				if err != nil {
					return err
				}
				return showLaws(cmd, h, id)
			})
		},
	}
}

func newRemove(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "remove CONVERSATION ACCOUNT",
		Short: "Take an account out of a conversation",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withHome(cmd, *dir, func(h *home) error {
				id, err := h.current(cmd, args[0])
				if err == nil {
					err = h.removable(id, args[1])
				}
				if err == nil {
					err = h.device.Remove(cmd.Context(), id, args[1])
				}
				if err != nil {
					return err
				}
				c, err := h.describe(id)
				if err != nil {
					return err
				}
				return show(cmd, c, func(w io.Writer) { fmt.Fprintf(w, "members now: %s\n", strings.Join(c.Members, ", ")) })
			})
		},
	}
}

// removable refuses an account that this device can't take out of a conversation.
func (h *home) removable(id client.ConversationID, account string) error {
	if account == h.device.Identity().Account {
		return fail(codeRefused, errors.New("nobody takes the own account out"), "another member can: writ conversations remove")
	}
	members, err := h.device.Members(id)
	if err == nil && !slices.ContainsFunc(members, func(m directory.Identity) bool { return m.Account == account }) {
		err = usage(fmt.Errorf("%q is not in the conversation", account), "writ conversations lists who is")
	}
	return err
}

func newLaw(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "law CONVERSATION",
		Short: "Say under whose law each member speaks, in plain words",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withHome(cmd, *dir, func(h *home) error {
				id, err := h.current(cmd, args[0])
				if err != nil {
					return err
				}
				return showLaws(cmd, h, id)
			})
		},
	}
}

// current reads what is new and then finds a conversation.
func (h *home) current(cmd *cobra.Command, word string) (client.ConversationID, error) {
	_, err := h.device.Sync(cmd.Context())
	id, findErr := h.find(word)
	if findErr != nil {
		return id, errors.Join(findErr, err)
	}
	return id, err
}

// lawOf is what a conversation's law list shows of an account.
type lawOf struct {
	Account string   `json:"account"`
	Charter string   `json:"charter"`
	Known   bool     `json:"on_the_ledger"`
	Law     []string `json:"law"`
}

func showLaws(cmd *cobra.Command, h *home, id client.ConversationID) error {
	list, err := h.device.Law(id)
	if err != nil {
		return err
	}
	result := struct {
		Conversation string  `json:"conversation"`
		Laws         []lawOf `json:"laws"`
	}{id.String(), []lawOf{}}
	for _, l := range list {
		result.Laws = append(result.Laws, lawOf{l.Account, l.Charter.String(), l.Known, l.Explain})
	}
	return show(cmd, result, func(w io.Writer) {
		fmt.Fprintf(w, "conversation %s\n", id)
		printLaws(w, list, h.laws.Charter)
	})
}

// printLaws prints each law once, below the accounts that speak under it. Of several
// versions of a law the newest is printed whole, and what it changed against each other.
func printLaws(w io.Writer, list []client.AccountLaw, find func(charter.Hash) (*charter.Charter, bool)) {
	who, newest := map[charter.Hash][]string{}, map[string]*charter.Charter{}
	for _, l := range list {
		who[l.Charter] = append(who[l.Charter], l.Account)
		if c, ok := find(l.Charter); ok && (newest[c.Name] == nil || newest[c.Name].Number < c.Number) {
			newest[c.Name] = c
		}
	}
	for _, l := range list {
		accounts := who[l.Charter]
		if accounts == nil {
			continue // printed
		}
		delete(who, l.Charter)
		fmt.Fprintf(w, "Said by %s: sealed under charter %.16s.\n", strings.Join(accounts, ", "), l.Charter)
		if !l.Known {
			fmt.Fprintln(w, "  - It is NOT on the ledger this device reads: nothing can be sent here.")
		}
		c, ok := find(l.Charter)
		if !ok || newest[c.Name].Number == c.Number {
			printLaw(w, l.Explain)
			continue
		}
		next := newest[c.Name]
		fmt.Fprintf(w, "  - It is version %d of %s. Version %d, which is printed whole here, changed:\n", c.Number, c.Name, next.Number)
		printLaw(w, charter.Changes(c, next)[1:])
	}
}
