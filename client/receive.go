package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"connectrpc.com/connect"

	"writ/api"
	"writ/capsule"
	"writ/internal/wire"
	"writ/mls"
)

// receivedAt is when a message came, as delivery says: at most the end of the year 9999,
// so that it can be shown.
func receivedAt(m *api.Message) time.Time {
	return time.UnixMilli(int64(min(m.ReceivedMs, wire.MaxTime*1000+999))).UTC()
}

// read takes everything that delivery has after the cursor, in order.
func (c *conversation) read(ctx context.Context) error {
	for !c.gone {
		now := c.device.cfg.Now()
		res, err := call(ctx, c.device, c.device.cfg.Delivery.Read, &api.ReadRequest{Conversation: c.id[:], AfterSeq: c.cursor})
		if err != nil {
			return fmt.Errorf("client: read: %w", err)
		}
		if err := c.receiveAll(ctx, res.Messages); err != nil {
			return err
		}
		switch {
		case c.cursor == res.LastSeq:
			c.synced, c.halted = now, nil
			return nil
		case c.cursor > res.LastSeq && !c.gone:
			return c.fault(fmt.Errorf("client: %w: its last message is %d, and %d was read before", ErrDelivery, res.LastSeq, c.cursor))
		case len(res.Messages) == 0:
			return c.fault(fmt.Errorf("client: %w: it withholds messages %d to %d", ErrDelivery, c.cursor+1, res.LastSeq))
		}
	}
	return nil
}

func (c *conversation) receiveAll(ctx context.Context, messages []*api.Message) error {
	for _, m := range messages {
		if c.gone {
			return nil
		}
		if !bytes.Equal(m.Conversation, c.id[:]) || m.Seq != c.cursor+1 {
			return c.fault(fmt.Errorf("client: %w: message %d of conversation %x where %d of %v is next",
				ErrDelivery, m.Seq, m.Conversation, c.cursor+1, c.id))
		}
		if err := c.receive(ctx, m); err != nil {
			return c.fault(err)
		}
	}
	return nil
}

// fault tells the person why a conversation does not go on, once.
func (c *conversation) fault(err error) error {
	if c.device.broken != nil || passing(err) {
		return err
	}
	told := c.halted != nil && (err.Error() == c.halted.Error() || errors.Is(err, ErrClock) && errors.Is(c.halted, ErrClock))
	c.halted = err
	if told {
		return err
	}
	s := &step{}
	s.tell(Event{Kind: Fault, Time: c.device.cfg.Now(), Reason: err.Error()})
	return errors.Join(err, c.finish(s))
}

// passing reports whether an error is of the connection and not of the content.
func passing(err error) bool {
	var e *connect.Error
	return errors.As(err, &e) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// receive takes the next message. After an error the cursor stands where it stood.
func (c *conversation) receive(ctx context.Context, m *api.Message) error {
	switch m.Kind {
	case api.Kind_KIND_COMMIT:
		return c.receiveCommit(ctx, m)
	case api.Kind_KIND_PROPOSAL:
		return c.receiveProposal(ctx, m)
	case api.Kind_KIND_APPLICATION:
		return c.receiveApplication(ctx, m)
	}
	return fmt.Errorf("client: unsupported: message of kind %d", m.Kind)
}

// maxAside is how many proposals of an epoch are set aside: as many as delivery takes.
const maxAside = 128

// receiveProposal keeps a proposal for the commit that may name it. One that can't be
// accepted may be another time, and others may accept it: it is set aside, see
// [conversation.reconsider].
func (c *conversation) receiveProposal(ctx context.Context, m *api.Message) error {
	s := &step{}
	err := c.propose(ctx, s, m.Body)
	if waits(err) {
		return err
	}
	if err != nil {
		s.tell(Event{Kind: Fault, Seq: m.Seq, Epoch: m.Epoch, Time: receivedAt(m), Reason: "a proposal that is not valid now: " + err.Error()})
		if len(c.aside) < maxAside && len(m.Body) <= maxText {
			r := &received{seq: m.Seq, epoch: m.Epoch, time: receivedAt(m), body: m.Body}
			c.aside = append(c.aside, r)
			s.put(numbered(keyAside, r.seq), r.encode())
		}
	}
	c.cursor = m.Seq
	return c.finish(s)
}

// propose hands a proposal to the group.
func (c *conversation) propose(ctx context.Context, s *step, body []byte) error {
	return c.device.looked(ctx, func() error {
		delta, err := c.group.HandleProposal(body)
		s.records = append(s.records, groupRecords(delta)...)
		return err
	})
}

// waits reports whether an error is of what a device has to ask others for, without which
// it goes no further.
func waits(err error) bool { return err != nil && (passing(err) || errors.Is(err, ErrDirectory)) }

// reconsider hands the proposals that were set aside to the group again: a commit may name
// them. An error says what can't be asked now, or is the storage's.
func (c *conversation) reconsider(ctx context.Context) (later error) {
	for _, r := range slices.Clone(c.aside) {
		s := &step{}
		err := c.propose(ctx, s, r.body)
		if waits(err) {
			later = err
		}
		if err != nil {
			continue
		}
		c.aside = slices.DeleteFunc(c.aside, func(a *received) bool { return a == r })
		s.drop(numbered(keyAside, r.seq))
		if err := c.finish(s); err != nil {
			return err
		}
	}
	return later
}

// dropAside forgets them: the epoch is over.
func (c *conversation) dropAside(s *step) {
	for _, r := range c.aside {
		s.drop(numbered(keyAside, r.seq))
	}
	c.aside = nil
}

func (c *conversation) receiveApplication(ctx context.Context, m *api.Message) error {
	for _, i := range c.outbox {
		if bytes.Equal(i.mid[:], m.Mid) && len(i.sealed) > 0 && bytes.Equal(i.sealed, m.Body) {
			return c.posted(i, m.Seq, receivedAt(m))
		}
	}
	r := &received{seq: m.Seq, epoch: m.Epoch, time: receivedAt(m), body: m.Body, capsule: m.Capsule}
	if len(r.body) > maxText {
		c.cursor = m.Seq
		return c.finish(&step{events: []Event{{Kind: Fault, Seq: m.Seq, Epoch: m.Epoch, Time: r.time,
			Reason: fmt.Sprintf("a message of %d bytes, which is longer than any may be", len(r.body))}}})
	}
	s, why, err := c.open(ctx, r)
	if err != nil {
		return err
	}
	if why != "" {
		c.held = append(c.held, r)
		s.put(numbered(keyHeld, r.seq), r.encode())
		e := c.eventOf(r, place{})
		if h, err := c.group.Peek(r.body); err == nil {
			e = c.eventOf(r, place{h.Epoch, h.Sender})
		}
		e.Kind, e.Reason = Held, why
		s.tell(e)
	}
	c.cursor = m.Seq
	return c.finish(s)
}

func (c *conversation) eventOf(m *received, p place) Event {
	e := Event{Seq: m.seq, Epoch: m.epoch, Time: m.time}
	if x := c.epochs[p.epoch]; x != nil {
		e.Sender = x.members[p.leaf].Identity
	}
	return e
}

// open checks and decrypts an application message. If why is not empty the message
// can't be checked yet and nothing was consumed. An error is one of the
// connection or the storage.
func (c *conversation) open(ctx context.Context, m *received) (s *step, why string, err error) {
	s = &step{}
	h, err := c.group.Peek(m.body)
	if err != nil {
		s.tell(Event{Kind: Fault, Seq: m.seq, Epoch: m.epoch, Time: m.time, Reason: "a message that can't be read: " + err.Error()})
		return s, "", nil
	}
	p := place{h.Epoch, h.Sender}
	e := c.eventOf(m, p)
	if c.isOwn(p) {
		e.Kind, e.Reason = Fault, "a message under this device's own name that is not in its outbox: a repetition, or a forgery"
		s.tell(e)
		return s, "", nil
	}
	box, why, err := c.checkCapsule(ctx, s, p, m.capsule)
	if err != nil || why != "" {
		return s, why, err
	}
	message, delta, err := c.group.Unprotect(m.body)
	if err != nil {
		e.Kind, e.Reason = Fault, "a message that was changed on its way, or comes again: "+err.Error()
		s.tell(e)
		return s, "", nil
	}
	s.records = append(s.records, groupRecords(delta)...)
	c.tellMissing(s, e, box, message.Generation)
	s.put(p.key(), box.encode())
	s.tell(c.judge(e, p, m, box, message))
	return s, "", nil
}

// judge says what the person is told of an authentic message.
func (c *conversation) judge(e Event, p place, m *received, box *compartment, message *mls.ApplicationMessage) Event {
	text, err := capsule.Text(message.Generation, message.Data)
	if err != nil {
		e.Kind, e.Reason = Fault, err.Error()
	} else if reason := c.objection(p, m, box, message, text); reason != "" {
		e.Kind, e.Reason = Held, reason
	} else {
		e.Kind, e.Text = Message, string(text)
	}
	clear(message.Data)
	return e
}

// isOwn reports whether a place is this device's in the epoch it names.
func (c *conversation) isOwn(p place) bool {
	e := c.epochs[p.epoch]
	return e != nil && e.members[p.leaf].Identity == c.device.self.Identity
}

// objection says why an authentic message is not shown, empty if it is.
func (c *conversation) objection(p place, m *received, box *compartment, message *mls.ApplicationMessage, text []byte) string {
	sender := c.epochs[p.epoch].members[p.leaf]
	latest := time.Unix(int64(c.epochs[p.epoch].opened), 0).Add(c.maxAge(sender) + c.device.cfg.ClockTolerance)
	switch {
	case !c.device.lists(sender.Identity):
		return "it was sent by a device that its account has revoked"
	case !bytes.Equal(message.AuthenticatedData, box.want) && len(message.AuthenticatedData) == 0:
		return "it was sent without the capsule that the sender's law demands"
	case !bytes.Equal(message.AuthenticatedData, box.want):
		return "it was sealed with a wrong capsule; the right one has been deposited"
	case m.time.After(latest):
		return "it was sent in an epoch that is older than the sender's law allows"
	case !utf8.Valid(text):
		return "it is not text"
	}
	return ""
}

// tellMissing counts a sender's messages: they are numbered without gaps in each epoch.
func (c *conversation) tellMissing(s *step, e Event, box *compartment, generation uint32) {
	e.Kind = Fault
	switch {
	case generation > box.next:
		e.Reason = fmt.Sprintf("%d of the sender's messages before this one are missing", generation-box.next)
		s.tell(e)
	case generation < box.next:
		e.Reason = "the next message comes after later ones of the same sender"
		s.tell(e)
	}
	box.next = max(box.next, generation+1)
}
