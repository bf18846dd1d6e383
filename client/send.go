package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/capsule"
	"writ/mls"
)

// speak says a text: it renews an old epoch, seals the text, with the capsule of the
// compartment if it is the first there, and posts what is sealed. One of these at a turn.
func (c *conversation) speak(ctx context.Context, i *item) error {
	if len(i.sealed) > 0 {
		return c.post(ctx, i)
	}
	if c.halted != nil {
		return fmt.Errorf("client: %w: %w", ErrHalted, c.halted)
	}
	if err := errors.Join(c.knownLaws(), c.readLaws(), c.device.checkClock()); err != nil {
		return err
	}
	if err := c.mayTalk(ctx); err != nil {
		return err
	}
	if leaves := c.revoked(); len(leaves) > 0 {
		return c.commit(0, mls.CommitOptions{Remove: leaves})
	}
	if c.stale() {
		return c.commit(0, mls.CommitOptions{})
	}
	p := place{c.group.Epoch(), c.group.OwnLeaf()}
	s := &step{}
	own, err := c.ownCapsule(s, p, i)
	if err != nil {
		return err
	}
	message, delta, err := c.group.Protect(own.want, capsule.Content(c.group.Generation(), []byte(i.text)))
	if err != nil {
		return fmt.Errorf("client: send: %w", err)
	}
	c.compartments[p], c.spoken = own, true
	i.sealed, i.epoch = message, p.epoch
	s.records = append(s.records, groupRecords(delta)...)
	s.put(numbered(keyOutbox, i.number), i.encode())
	return c.finish(s)
}

// stale reports whether the epoch has to be renewed before this device may speak: it
// is old, or its capsule went with a message that never arrived, and can't be made again.
func (c *conversation) stale() bool {
	n := c.group.Epoch()
	if n == 0 || c.renew {
		return true
	}
	if own := c.compartments[place{n, c.group.OwnLeaf()}]; own != nil && !own.stored {
		return true
	}
	e := c.epochs[n]
	own := e.members[c.group.OwnLeaf()]
	if own.law != c.device.self.law {
		return true
	}
	age := c.maxAge(own)
	opened := time.Unix(int64(e.opened), 0)
	return c.device.cfg.Now().After(opened.Add(age - age/epochMargin))
}

// maxAge is how old an epoch may be in which a member speaks.
func (c *conversation) maxAge(m member) time.Duration {
	law, ok := c.device.cfg.Laws.Charter(m.law)
	if !ok || law.Limits.MaxEpochAge == 0 {
		return openAge
	}
	return time.Duration(law.Limits.MaxEpochAge) * time.Second
}

// ownCapsule returns an own compartment, and gives an item that is the first in it the
// capsule to bring along.
func (c *conversation) ownCapsule(s *step, p place, i *item) (*compartment, error) {
	if own := c.compartments[p]; own != nil {
		return own, nil
	}
	sealed, err := c.seal(p)
	if err != nil {
		return nil, err
	}
	own := &compartment{stored: sealed == nil}
	if sealed != nil {
		if err := c.device.remember(sealed); err != nil {
			return nil, err
		}
		hash := sealed.Hash()
		own.want, i.capsule = hash[:], sealed.Bytes()
	}
	s.put(p.key(), own.encode())
	return own, nil
}

// post hands a sealed message to delivery.
func (c *conversation) post(ctx context.Context, i *item) error {
	if i.seq == 0 {
		res, err := call(ctx, c.device, c.device.cfg.Delivery.Append,
			&api.AppendRequest{Conversation: c.id[:], Mid: i.mid[:], Message: i.sealed, Capsule: i.capsule})
		if err != nil {
			return c.notPosted(ctx, i, err)
		}
		if res.Seq == c.cursor+1 {
			return c.posted(i, res.Seq, c.device.cfg.Now())
		}
		i.seq = res.Seq
		s := &step{}
		s.put(numbered(keyOutbox, i.number), i.encode())
		if err := c.finish(s); err != nil {
			return err
		}
	}
	if err := c.read(ctx); err != nil {
		return err
	}
	if c.item(i.number) != nil {
		return fmt.Errorf("client: %w: it took a message at %d and does not show it", ErrDelivery, i.seq)
	}
	return nil
}

// posted notes that an own message stands next in the conversation.
func (c *conversation) posted(i *item, seq uint64, at time.Time) error {
	s := &step{}
	c.cursor = seq
	c.done(s, i.number)
	p := place{i.epoch, c.group.OwnLeaf()}
	if own := c.compartments[p]; own != nil && !own.stored {
		own.stored = true
		s.put(p.key(), own.encode())
	}
	s.tell(Event{Kind: Message, Seq: seq, Epoch: i.epoch, Time: at, Sender: c.device.self.Identity, Text: i.text})
	return c.finish(s)
}

// notPosted decides what to do after delivery refused a sealed message. The mid
// stays, so that it can't arrive twice.
func (c *conversation) notPosted(ctx context.Context, i *item, why error) error {
	switch connect.CodeOf(why) {
	case connect.CodeFailedPrecondition, connect.CodeAlreadyExists, connect.CodeAborted, connect.CodePermissionDenied:
	default:
		return fmt.Errorf("client: send: %w", why)
	}
	before := c.group.Epoch()
	if err := c.read(ctx); err != nil {
		return err
	}
	if c.gone || c.item(i.number) == nil {
		return nil // carry looks
	}
	if connect.CodeOf(why) == connect.CodePermissionDenied {
		return fmt.Errorf("client: send: %w", why)
	}
	// It is not stored: read has shown everything that is. Seal it again, in a
	// newer epoch.
	c.renew = c.renew || before == c.group.Epoch() && i.epoch == before
	i.sealed, i.capsule, i.epoch = nil, nil, 0
	s := &step{}
	s.put(numbered(keyOutbox, i.number), i.encode())
	return errors.Join(c.finish(s), c.superseded(why))
}

// ErrSuperseded is wrapped where delivery takes nothing more under this device's version
// of its law, and the device's own copy of the ledger does not show the next one in force
// yet.
var ErrSuperseded = errors.New("a newer version of the law is in force")

// superseded returns an error if delivery refused a message for its law's version and
// this device can't move to the next by itself: an [*UnreadError] if the person has to
// acknowledge it first, or [ErrSuperseded].
func (c *conversation) superseded(why error) error {
	h := hint(why)
	if h == nil || len(h.Law) == 0 {
		return nil
	}
	if err := c.readLaws(); err != nil {
		return err
	}
	d := c.device
	if own := c.epochs[c.group.Epoch()].members[c.group.OwnLeaf()]; own.law == d.self.law && d.inForce(own.law) == own.law {
		return fmt.Errorf("client: %w: %w", ErrSuperseded, why)
	}
	return nil
}
