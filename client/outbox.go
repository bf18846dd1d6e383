package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"connectrpc.com/connect"

	"writ/internal/wire"
	"writ/mls"
)

// maxTurns bounds how often one item is tried again because somebody else was
// faster; each time it was because the conversation went on.
const maxTurns = 32

// epochMargin is how long before its end an epoch is renewed, in parts of its
// longest age, so that a message does not arrive too late.
const epochMargin = 10

// openAge is the longest age of an epoch under a law without exceptional access.
const openAge = 24 * time.Hour

// Send says something in a conversation. An error that wraps ErrQueued means that
// it is stored and the next Sync tries again; after any other error it isn't sent.
func (d *Device) Send(ctx context.Context, id ConversationID, text string) error {
	if len(text) > MaxText || !utf8.ValidString(text) {
		return fmt.Errorf("client: refused: text of %d bytes, or not UTF-8", len(text))
	}
	return d.ask(ctx, id, itemText, text)
}

// Invite adds an account, with all its devices.
func (d *Device) Invite(ctx context.Context, id ConversationID, account string) error {
	if !wire.ValidName(account) {
		return notAName(account)
	}
	return d.ask(ctx, id, itemInvite, account)
}

// Remove removes an account, with all its devices.
func (d *Device) Remove(ctx context.Context, id ConversationID, account string) error {
	if !wire.ValidName(account) {
		return notAName(account)
	}
	return d.ask(ctx, id, itemRemove, account)
}

func notAName(account string) error {
	return fmt.Errorf("client: refused: %.100q is no account's name", account)
}

// Renew opens a new epoch with fresh keys of this device, so that a thief of its
// state so far reads no further. Sending renews by itself when an epoch is old.
func (d *Device) Renew(ctx context.Context, id ConversationID) error {
	return d.ask(ctx, id, itemRenew, "")
}

func (d *Device) ask(ctx context.Context, id ConversationID, kind itemKind, text string) error {
	if err := d.lock(); err != nil {
		return err
	}
	defer d.mu.Unlock()
	c, err := d.conversation(id)
	if err != nil {
		return err
	}
	if err := c.member(); err != nil {
		return err
	}
	if err := d.ready(ctx); errors.Is(err, ErrClock) {
		return err
	}
	if err := c.knownLaws(); err != nil {
		return err
	}
	if kind == itemText {
		if err := c.readLaws(); err != nil {
			return err
		}
	}
	if err := c.enqueue(kind, text); err != nil {
		return err
	}
	return c.flushOwn(ctx, c.nextItem-1)
}

// enqueue stores what the person asked for. A text that can be sealed at once is
// stored by speak, sealed, before anything leaves.
func (c *conversation) enqueue(kind itemKind, text string) error {
	i := &item{number: c.nextItem, kind: kind, text: text}
	if _, err := rand.Read(i.mid[:]); err != nil {
		return err
	}
	atOnce := kind == itemText && c.canSeal()
	c.nextItem++
	c.outbox = append(c.outbox, i)
	if atOnce {
		return nil
	}
	s := &step{}
	s.put(numbered(keyOutbox, i.number), i.encode())
	return c.finish(s)
}

// canSeal reports whether nothing has to happen before the next text is sealed.
func (c *conversation) canSeal() bool {
	if len(c.outbox) > 0 || c.pending != nil || c.halted != nil || c.stale() || len(c.unasked()) > 0 || len(c.revoked()) > 0 {
		return false
	}
	own := c.compartments[place{c.group.Epoch(), c.group.OwnLeaf()}]
	return own != nil && !c.device.selfDropped() && c.knownLaws() == nil && c.readLaws() == nil && c.device.checkClock() == nil
}

func (c *conversation) item(number uint64) *item {
	for _, i := range c.outbox {
		if i.number == number {
			return i
		}
	}
	return nil
}

// done takes an item out of the outbox.
func (c *conversation) done(s *step, number uint64) {
	c.outbox = slices.DeleteFunc(c.outbox, func(i *item) bool { return i.number == number })
	s.drop(numbered(keyOutbox, number))
}

// flushOwn works the outbox off up to an item, and returns what became of that one.
func (c *conversation) flushOwn(ctx context.Context, number uint64) error {
	for len(c.outbox) > 0 {
		i := c.outbox[0]
		err := c.carry(ctx, i)
		if i.lost {
			return c.member()
		}
		if err == nil && c.item(i.number) != nil {
			return fmt.Errorf("client: item %d was carried out and is still there", i.number)
		}
		if err != nil && c.waits(i, err) {
			return fmt.Errorf("%w: %w", ErrQueued, err)
		}
		if err != nil {
			if err := c.abandon(i, err); err != nil {
				return err
			}
		}
		if i.number == number {
			return err
		}
	}
	return nil
}

// flush works the whole outbox off.
func (c *conversation) flush(ctx context.Context) error {
	if len(c.outbox) == 0 {
		return nil
	}
	return c.flushOwn(ctx, c.outbox[len(c.outbox)-1].number)
}

// waits reports whether an item stays in the outbox after an error: it may succeed
// later without the person.
func (c *conversation) waits(i *item, err error) bool {
	var e *connect.Error
	switch {
	case c.device.broken != nil, errors.Is(err, ErrClock), errors.Is(err, ErrDelivery), errors.Is(err, ErrHalted), errors.Is(err, errBusy), errors.Is(err, ErrDirectory),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return true
	case errors.Is(err, ErrUnknownLaw), errors.Is(err, ErrUnread), errors.Is(err, ErrSuperseded):
		return i.kind == itemText
	case errors.As(err, &e):
		return temporary(err)
	}
	return false
}

var errBusy = errors.New("others were faster too often")

// abandon gives an item up and tells the person.
func (c *conversation) abandon(i *item, why error) error {
	s := &step{}
	c.done(s, i.number)
	c.renew = c.renew || len(i.sealed) > 0 // so that the sender's generations have no gap within an epoch
	s.tell(Event{Kind: Unsent, Time: c.device.cfg.Now(), Text: i.text, Reason: why.Error()})
	return c.finish(s)
}

// carry carries an item out. When it returns nil, the item is no longer there.
func (c *conversation) carry(ctx context.Context, i *item) error {
	for range maxTurns {
		if err := c.settle(ctx); err != nil {
			return err
		}
		if c.item(i.number) == nil {
			return nil
		}
		if err := c.member(); err != nil {
			return err
		}
		if err := c.turn(ctx, i); err != nil {
			return err
		}
	}
	return fmt.Errorf("client: %w", errBusy)
}

// turn takes one step towards an item's end.
func (c *conversation) turn(ctx context.Context, i *item) error {
	switch i.kind {
	case itemText:
		return c.speak(ctx, i)
	case itemInvite:
		return c.invite(ctx, i)
	case itemRemove:
		return c.remove(i)
	case itemExpel:
		return c.expelNow(i)
	case itemRenew:
		return c.commit(i.number, mls.CommitOptions{})
	}
	return fmt.Errorf("client: invalid: item of kind %d", i.kind)
}
