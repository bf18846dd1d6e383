package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/directory"
	"writ/mls"
)

func (c *conversation) has(account string) bool {
	for _, m := range c.epochs[c.group.Epoch()].members {
		if m.Account == account {
			return true
		}
	}
	return false
}

// missing returns the listed devices of an account that are not in the conversation.
func (c *conversation) missing(account string) (names []string) {
	a := c.device.accounts[account]
	if a == nil {
		return nil
	}
	for _, k := range a.devices {
		if k.listed && !c.hasDevice(directory.Identity{Account: account, Device: k.Name}) {
			names = append(names, k.Name)
		}
	}
	return names
}

func (c *conversation) invite(ctx context.Context, i *item) error {
	v, err := c.device.lookUp(ctx, i.text)
	if err == nil && v[0].Chain() == nil {
		err = ErrNoAccount
	}
	if err != nil {
		return fmt.Errorf("client: invite %s: %w", i.text, err)
	}
	want := c.missing(i.text)
	if len(want) == 0 && c.has(i.text) {
		return c.finishItem(i.number)
	}
	res, err := call(ctx, c.device, c.device.cfg.Delivery.TakeKeyPackages,
		&api.TakeKeyPackagesRequest{Account: i.text, Suite: uint32(Suite), RequestId: i.mid[:]})
	if err != nil {
		return fmt.Errorf("client: invite %s: %w", i.text, err)
	}
	var add []*mls.KeyPackage
	refused := errors.New("client: refused: no device can be invited now")
	s := &step{}
	for _, k := range res.KeyPackages {
		id := directory.Identity{Account: i.text, Device: k.Device}
		if c.hasDevice(id) {
			continue
		}
		kp, err := c.keyPackage(id, k.KeyPackage)
		switch {
		case err == nil:
			add = append(add, kp)
			continue
		case !c.wasListed(id) && !slices.Contains(i.told, k.Device):
			i.told = append(i.told, k.Device)
			s.put(numbered(keyOutbox, i.number), i.encode())
			s.tell(Event{Kind: Fault, Time: c.device.cfg.Now(), Member: id, Reason: "delivery offers a device that was not let in: " + err.Error()})
		}
		refused = err
	}
	if err := c.finish(s); err != nil {
		return err
	}
	if len(add) == 0 && c.has(i.text) {
		return c.finishItem(i.number)
	}
	if len(add) == 0 {
		return fmt.Errorf("client: invite %s: %w", i.text, refused)
	}
	return c.commit(i.number, mls.CommitOptions{Add: add})
}

// wasListed reports whether an account dropped a device of that name: that delivery still
// has it is no lie.
func (c *conversation) wasListed(id directory.Identity) bool {
	a := c.device.accounts[id.Account]
	if a == nil {
		return false
	}
	k, ok := find(a.devices, id.Device)
	return ok && !k.listed
}

// keyPackage checks that a key package is what delivery says it is.
func (c *conversation) keyPackage(id directory.Identity, b []byte) (*mls.KeyPackage, error) {
	kp, err := mls.ParseKeyPackage(b)
	if err != nil {
		return nil, err
	}
	if kp.Suite != Suite {
		return nil, fmt.Errorf("client: refused: key package of suite %#04x", uint16(kp.Suite))
	}
	if err := kp.Verify(c.device.admit, c.device.cfg.Now()); err != nil {
		return nil, err
	}
	if m, err := memberOf(kp.Leaf); err != nil || m.Identity != id {
		return nil, fmt.Errorf("client: refused: key package of another device than %v", id)
	}
	return kp, nil
}

func (c *conversation) remove(i *item) error {
	if i.text == c.device.self.Account {
		return errors.New("client: refused: a device does not remove its own account")
	}
	var leaves []mls.LeafIndex
	e := c.epochs[c.group.Epoch()]
	for _, leaf := range sortedKeys(e.members) {
		if e.members[leaf].Account == i.text {
			leaves = append(leaves, leaf)
		}
	}
	if leaves == nil {
		return c.finishItem(i.number)
	}
	return c.commit(i.number, mls.CommitOptions{Remove: leaves})
}

func (c *conversation) finishItem(number uint64) error {
	s := &step{}
	c.done(s, number)
	return c.finish(s)
}

// commit makes and stores a commit that opens an epoch now; settle sends it. item is
// 0 for one that only renews.
func (c *conversation) commit(item uint64, o mls.CommitOptions) error {
	if err := c.device.checkClock(); err != nil {
		return err
	}
	opened := encodeTime(uint64(c.device.cfg.Now().Unix()))
	o.ByReference = true
	o.AuthenticatedData = opened
	o.LeafExtensions = c.device.homeLaw()
	o.GroupInfoExtensions = []mls.Extension{{Type: openedExtension, Data: opened}}
	p := &pending{item: item}
	if _, err := rand.Read(p.mid[:]); err != nil {
		return err
	}
	made, err := c.group.Commit(o)
	if err != nil {
		return fmt.Errorf("client: commit: %w", err)
	}
	if err := c.checkMark(made.Staged); err != nil {
		c.group.DropPending() // of which nothing is stored yet
		return err
	}
	c.pending = p
	s := &step{records: groupRecords(made.Delta)}
	s.put(keyPending, p.encode())
	return c.finish(s)
}

// settle brings a pending commit to its end: it won, or another did. The same mid
// settles it also after an answer that was lost.
func (c *conversation) settle(ctx context.Context) error {
	p := c.pending
	if p == nil {
		return nil
	}
	made := c.group.PendingCommit()
	if made == nil {
		return c.dropPending()
	}
	_, err := call(ctx, c.device, c.device.cfg.Delivery.Commit, &api.CommitRequest{Conversation: c.id[:], Mid: p.mid[:],
		Message: made.Message, Welcome: made.Welcome})
	code := connect.CodeOf(err)
	if err != nil && temporary(err) {
		return fmt.Errorf("client: commit: %w", err)
	}
	if err := c.read(ctx); err != nil {
		return err
	}
	switch {
	case c.pending != p:
		return nil
	case err == nil || code == connect.CodeAborted:
		return fmt.Errorf("client: %w: it took a commit and does not show it", ErrDelivery)
	}
	return errors.Join(fmt.Errorf("client: commit: %w", err), c.dropPending())
}

func (c *conversation) dropPending() error {
	c.pending = nil
	s := &step{records: groupRecords(c.group.DropPending())}
	s.drop(keyPending)
	return c.finish(s)
}

// receiveCommit moves to the next epoch, or says why it can't.
func (c *conversation) receiveCommit(ctx context.Context, m *api.Message) error {
	staged, err := c.stage(ctx, m.Body)
	if err != nil && len(c.aside) > 0 {
		later := c.reconsider(ctx)
		if staged, err = c.stage(ctx, m.Body); err != nil && later != nil {
			return later
		}
	}
	if err != nil {
		by := c.epochs[c.group.Epoch()].members[mls.LeafIndex(m.Sender)].Identity
		return fmt.Errorf("client: a commit that this device can't follow, by %v as delivery says; if others can't either, go on in a new conversation without them: %w", by, err)
	}
	opened, err := parseTime(staged.AuthenticatedData)
	if err != nil {
		return err
	}
	if err := c.checkOpened(opened); err != nil {
		return err
	}
	if err := c.checkMark(staged); err != nil {
		return err
	}
	before := c.epochs[c.group.Epoch()]
	delta, err := c.group.Apply(staged)
	if err != nil {
		return fmt.Errorf("client: commit: %w", err)
	}
	s := &step{records: groupRecords(delta)}
	c.cursor = m.Seq
	if p := c.pending; p != nil {
		c.pending = nil
		s.drop(keyPending)
		if own := c.device.self.Identity; p.item != 0 && before.members[staged.Sender].Identity == own {
			c.done(s, p.item)
		}
	}
	if staged.SelfRemoved {
		c.leave(s, m, before.members[staged.Sender].Identity)
		return c.finish(s)
	}
	if err := c.startEpoch(s, opened); err != nil {
		return err
	}
	c.tellChanges(s, m, before, staged)
	return c.finish(s)
}

func (c *conversation) stage(ctx context.Context, commit []byte) (staged *mls.StagedCommit, err error) {
	err = c.device.looked(ctx, func() error {
		staged, err = c.group.Stage(commit)
		return err
	})
	return staged, err
}

// checkOpened compares the opening time that a commit states with this device's own
// clock: the epoch began after the last time everything was read, and not later than now.
func (c *conversation) checkOpened(opened uint64) error {
	at, now, tolerance := time.Unix(int64(min(opened, 1<<62)), 0), c.device.cfg.Now(), c.device.cfg.ClockTolerance
	if ahead := at.Sub(now); ahead > tolerance {
		return fmt.Errorf("client: refused: an epoch that begins %v from now; your clock or theirs is off: %w", ahead.Round(time.Second), ErrClock)
	}
	if behind := c.synced.Sub(at); behind > tolerance {
		return fmt.Errorf("client: refused: an epoch that began %v before it can have; your clock or theirs is off: %w", behind.Round(time.Second), ErrClock)
	}
	return nil
}

// leave ends the conversation for this device.
func (c *conversation) leave(s *step, m *api.Message, by directory.Identity) {
	for n := range c.epochs {
		s.drop(numbered(keyEpoch, n))
	}
	for p := range c.compartments {
		s.drop(p.key())
	}
	for _, h := range c.held {
		s.drop(numbered(keyHeld, h.seq))
	}
	for _, i := range c.outbox {
		i.lost = true
		s.drop(numbered(keyOutbox, i.number))
		s.tell(Event{Kind: Unsent, Time: c.device.cfg.Now(), Text: i.text, Reason: "this device was removed from the conversation"})
	}
	c.dropAside(s)
	clear(c.epochs)
	clear(c.compartments)
	c.held, c.outbox, c.group, c.gone = nil, nil, nil, true
	s.tell(Event{Kind: Removed, Seq: m.Seq, Epoch: m.Epoch, Time: receivedAt(m), Sender: by, Member: c.device.self.Identity})
}

func (c *conversation) tellChanges(s *step, m *api.Message, before *epoch, staged *mls.StagedCommit) {
	after := c.epochs[staged.Epoch]
	e := Event{Seq: m.Seq, Epoch: staged.Epoch, Time: receivedAt(m), Sender: after.members[staged.Sender].Identity}
	for _, x := range staged.Removed {
		e.Kind, e.Member = Left, before.members[x.Index].Identity
		s.tell(e)
	}
	for _, x := range staged.Added {
		e.Kind, e.Member = Joined, after.members[x.Index].Identity
		s.tell(e)
	}
	for _, x := range staged.Updated {
		old, now := before.members[x.Index], after.members[x.Index]
		if law, ok := c.device.cfg.Laws.Charter(now.law); ok && old.law != now.law {
			s.tell(Event{Kind: NewLaw, Seq: m.Seq, Epoch: staged.Epoch, Time: receivedAt(m), Sender: now.Identity,
				Reason: fmt.Sprintf("speaks under %s, version %d, from now on", law.Name, law.Number)})
		}
	}
}
