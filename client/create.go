package client

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"writ/api"
	"writ/capsule"
	"writ/directory"
	"writ/mls"
)

// Create starts a conversation and invites accounts, with all their devices. The
// conversation exists once an id is returned, even beside an error that wraps
// ErrQueued. Nothing is begun by a device that its account does not list (ErrUnlisted),
// nor with an account that the directory does not have (ErrNoAccount).
func (d *Device) Create(ctx context.Context, accounts ...string) (ConversationID, error) {
	return d.createWith(ctx, 0, accounts)
}

// CreatePrivileged is Create for a conversation that is marked as privileged for
// good, such as one with a lawyer: before anything in it is opened a further
// office must agree. Only accounts whose law knows such conversations can be in it.
func (d *Device) CreatePrivileged(ctx context.Context, accounts ...string) (ConversationID, error) {
	return d.createWith(ctx, capsule.Privileged, accounts)
}

func (d *Device) createWith(ctx context.Context, flags capsule.Flags, accounts []string) (ConversationID, error) {
	if err := d.lock(); err != nil {
		return ConversationID{}, err
	}
	defer d.mu.Unlock()
	if err := d.ready(ctx); err != nil {
		return ConversationID{}, err
	}
	if err := d.mayBegin(ctx, accounts); err != nil {
		return ConversationID{}, err
	}
	c, err := d.create(ctx, flags)
	if err != nil {
		return ConversationID{}, err
	}
	for _, account := range accounts {
		if err := c.enqueue(itemInvite, account); err != nil {
			return c.id, err
		}
	}
	return c.id, c.flushOwn(ctx, c.nextItem-1)
}

// mayBegin looks this device's account and those that are to be invited up. While the
// directory is away, a device that saw itself listed within a day may begin, and who is
// invited is looked up when it is back.
func (d *Device) mayBegin(ctx context.Context, accounts []string) error {
	v, err := d.lookUp(ctx, append([]string{d.self.Account}, accounts...)...)
	switch {
	case d.selfDropped():
		return fmt.Errorf("client: refused: %v: %w", d.self.Identity, ErrUnlisted)
	case err != nil && temporary(err) && d.asked(d.self.Account, stayAge):
		return nil
	case err != nil:
		return err
	}
	for _, other := range v[1:] {
		if other.Chain() == nil {
			return fmt.Errorf("client: refused: %w %q", ErrNoAccount, other.Account())
		}
	}
	return nil
}

// create makes a group of one, stores it, and tells delivery.
func (d *Device) create(ctx context.Context, flags capsule.Flags) (*conversation, error) {
	if err := d.admits(flags, member{d.self.Identity, d.self.law}); err != nil {
		return nil, err
	}
	var id ConversationID
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	c := newConversation(d, id)
	var err error
	c.group, err = d.client().NewGroup(c.config(), id[:], marks(flags))
	if err != nil {
		return nil, fmt.Errorf("client: create: %w", err)
	}
	opened := uint64(d.cfg.Now().Unix())
	info, err := c.group.GroupInfo([]mls.Extension{{Type: openedExtension, Data: encodeTime(opened)}}, true)
	if err != nil {
		return nil, fmt.Errorf("client: create: %w", err)
	}
	// Nothing is stored until delivery has it: a group that nobody knows of is no loss.
	res, err := call(ctx, d, d.cfg.Delivery.CreateConversation, &api.CreateConversationRequest{GroupInfo: info})
	if err != nil {
		return nil, fmt.Errorf("client: create: %w", err)
	}
	if !slices.Equal(res.Conversation, id[:]) {
		return nil, fmt.Errorf("client: create: %w: another conversation id", ErrDelivery)
	}
	return c, c.begin(&step{}, opened, 0)
}

// begin stores a conversation that starts for this device after a seq.
func (c *conversation) begin(s *step, opened, cursor uint64) error {
	delta, err := c.group.State()
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	s.records = append(s.records, groupRecords(delta)...)
	c.cursor, c.synced, c.gone, c.judged = cursor, c.device.cfg.Now(), false, judged{}
	if err := c.startEpoch(s, opened); err != nil {
		return err
	}
	if err := c.device.save(deviceSpace, []mls.Record{{Key: keyConversation + c.id.String(), Value: []byte{}}}); err != nil {
		return err
	}
	if err := c.finish(s); err != nil {
		return err
	}
	c.device.convs[c.id] = c
	return nil
}

// startEpoch notes what the labels of the current epoch need, and forgets what is too
// old for late messages.
func (c *conversation) startEpoch(s *step, opened uint64) error {
	flags, err := flagsOf(c.group.Context())
	if err != nil {
		return err
	}
	e := &epoch{opened: opened, flags: flags, members: map[mls.LeafIndex]member{}}
	var accounts []string
	for i, leaf := range c.group.Members() {
		m, err := memberOf(leaf)
		if err != nil {
			return err
		}
		e.members[i] = m
		accounts = append(accounts, m.Account)
	}
	e.roster = directory.RosterRoot(accounts)
	n := c.group.Epoch()
	c.epochs[n] = e
	s.put(numbered(keyEpoch, n), e.encode())
	for old := range c.epochs {
		if old+maxPastEpochs < n {
			delete(c.epochs, old)
			s.drop(numbered(keyEpoch, old))
		}
	}
	for p := range c.compartments {
		if p.epoch+maxPastEpochs < n {
			delete(c.compartments, p)
			s.drop(p.key())
		}
	}
	c.dropAside(s)
	c.renew = false
	return nil
}

func encodeTime(t uint64) []byte { return binary.BigEndian.AppendUint64(nil, t) }

func parseTime(b []byte) (uint64, error) {
	if len(b) != 8 {
		return 0, errors.New("client: malformed: opening time of the epoch")
	}
	return binary.BigEndian.Uint64(b), nil
}
