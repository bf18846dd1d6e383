package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/spf13/cobra"

	"writ/client"
)

func newChat() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "chat CONVERSATION",
		GroupID: "people",
		Short:   "Talk: each line you type is sent, what others say appears",
		Long: `Chat shows the law and the last messages of a conversation, then sends each line
you type and shows what others say as it comes. CONVERSATION is the id or a
prefix of it, or - for your only one. A law that you have not acknowledged is
asked for first, also when a new version of it comes into force. End with Ctrl-D or
Ctrl-C; nothing is lost.`,
		Args: cobra.ExactArgs(1),
	}
	dir := homeFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
			return usage(errors.New("a chat is no result to print as JSON"), "for scripts: writ send and writ read --json")
		}
		return withHome(cmd, *dir, func(h *home) error {
			id, err := h.current(cmd, args[0])
			if err != nil {
				return err
			}
			if err := showLaws(cmd, h, id); err != nil {
				return err
			}
			in := bufio.NewReader(cmd.InOrStdin())
			if err := askToRead(cmd, h, id, in); err != nil {
				return err
			}
			return chat(cmd, h, id, in)
		})
	}
	return cmd
}

func chat(cmd *cobra.Command, h *home, id client.ConversationID, input io.Reader) error {
	if err := showEvents(cmd, h, []client.ConversationID{id}, true); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	var beside sync.WaitGroup // uses the device, which its owner closes afterwards
	defer beside.Wait()
	defer cancel()
	beside.Go(func() { h.laws.copy.Run(ctx) })
	beside.Go(func() { h.watchNotices(ctx, cmd) })
	lines, unread := make(chan string), error(nil)
	go func() {
		defer close(lines)
		unread = readLines(ctx, input, lines)
	}()
	watched := make(chan error, 1)
	beside.Go(func() { watched <- h.tell(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr(), id) })
	for {
		select {
		case err := <-watched:
			return ended(ctx, err)
		case <-ctx.Done():
			return nil
		case text, ok := <-lines:
			if !ok {
				cancel()
				return errors.Join(ended(ctx, unread), ended(ctx, <-watched))
			}
			err := sayable(text)
			if err == nil {
				err = h.device.Send(ctx, id, text)
			}
			if err != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "error: %s\n", plain(personError(err)))
			}
		}
	}
}

// ended is the error of something that ended: none if ctx asked it to.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// tell prints what happens in a conversation until ctx ends. What this device
// says is on the screen already. What fails goes to errs.
func (h *home) tell(ctx context.Context, w, errs io.Writer, id client.ConversationID) error {
	for e, err := range h.device.Watch(ctx) {
		if err != nil && ctx.Err() == nil {
			fmt.Fprintf(errs, "(%s; trying again)\n", plain(err))
		}
		if err != nil || e.Conversation != id {
			continue
		}
		if e.Sender != h.device.Identity() || e.Kind != client.Message {
			fmt.Fprintln(w, showEvent(e).line())
		}
		if err := h.device.MarkRead(id, e.Number); err != nil {
			return err
		}
	}
	return nil
}

// readLines sends each line that is not empty, until one is longer than a message.
func readLines(ctx context.Context, r io.Reader, lines chan<- string) error {
	in := bufio.NewScanner(r)
	in.Buffer(nil, client.MaxText+len("\r\n"))
	for in.Scan() {
		if in.Text() == "" {
			continue
		}
		select {
		case lines <- in.Text():
		case <-ctx.Done():
			return nil
		}
	}
	if errors.Is(in.Err(), bufio.ErrTooLong) {
		return usage(fmt.Errorf("a message holds at most %d bytes", client.MaxText), "the line was not sent; send it in parts")
	}
	return in.Err()
}
