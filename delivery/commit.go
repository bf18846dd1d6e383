package delivery

import (
	"context"
	"errors"
	"maps"
	"slices"

	"connectrpc.com/connect"
	"writ/api"
	"writ/directory"
	"writ/engine"
	"writ/mls"
)

// Commit implements api.Delivery.
func (s *Service) Commit(ctx context.Context, r *api.CommitRequest) (*api.CommitResponse, error) {
	id, err := device(ctx)
	if err != nil {
		return nil, err
	}
	outside, err := inspect(r.Conversation, r.Mid, r.Message, maxCommit)
	if err != nil {
		return nil, err
	}
	if outside.Private || outside.Kind != mls.KindCommit {
		return nil, malformed("not a PublicMessage with a commit")
	}
	c, done := s.use(r.Conversation)
	defer done()
	c.commits.Lock()
	defer c.commits.Unlock()
	if done, err := s.committedBefore(ctx, c, r); done != nil || err != nil {
		return done, err
	}
	current, leaf, err := s.committer(ctx, c, id, outside)
	if err != nil {
		return nil, err
	}
	if outside.Epoch < current.Epoch.Epoch {
		return nil, s.lost(ctx, c, outside.Epoch)
	}
	if outside.Epoch > current.Epoch.Epoch {
		return nil, malformed("commit of epoch %d in epoch %d", outside.Epoch, current.Epoch.Epoch)
	}
	staged, next, err := s.stage(ctx, c, current, r)
	if err != nil {
		return nil, err
	}
	t, change := transition(current, next, staged)
	t.Welcome = r.Welcome
	t.Message = message(c.id, r.Mid, outside.Epoch, engine.Commit, leaf, c.group.clock, r.Message)
	s.hub.expect(t.Message, change)
	defer s.hub.forget(t.Message)
	return s.commit(ctx, c, t, next, staged)
}

// committedBefore answers a commit whose first answer was lost.
func (s *Service) committedBefore(ctx context.Context, c *conversation, r *api.CommitRequest) (*api.CommitResponse, error) {
	m, err := s.store.FindMid(ctx, c.id, r.Mid)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, s.storeFault(err, "mid")
	}
	if string(m.Body) != string(r.Message) {
		return nil, s.storeFault(engine.ErrExists, "mid")
	}
	return &api.CommitResponse{Seq: m.Seq, Epoch: m.Epoch + 1}, nil
}

// lost tells who won the epoch that a commit wanted to end.
func (s *Service) lost(ctx context.Context, c *conversation, epoch uint64) error {
	winner, err := s.store.Epochs(ctx, c.id, epoch+1, 1)
	if err != nil || len(winner) == 0 {
		return s.storeFault(errors.Join(err, engine.ErrNotFound), "epoch")
	}
	current, err := s.store.CurrentEpoch(ctx, c.id)
	if err != nil {
		return s.storeFault(err, "conversation")
	}
	return fault(connect.CodeAborted, &api.Hint{Hint: "Read and apply the commit that won, then commit again if still needed.", WinnerSeq: winner[0].Seq, Epoch: current},
		"epoch %d has ended by the commit at seq %d", epoch, winner[0].Seq)
}

// stage verifies a commit against the public group and works out the epoch that it
// starts. Nothing has changed when it returns.
func (s *Service) stage(ctx context.Context, c *conversation, current *epoch, r *api.CommitRequest) (*mls.StagedCommit, *epoch, error) {
	g, err := s.liveGroup(ctx, c, current.Epoch.Epoch)
	if err != nil {
		return nil, nil, err
	}
	staged, err := g.Stage(r.Message)
	if err != nil {
		return nil, nil, refused("%v", err)
	}
	opened, err := s.checkOpened(staged.AuthenticatedData)
	if err != nil {
		return nil, nil, err
	}
	if err := checkWelcome(r.Welcome, staged); err != nil {
		return nil, nil, err
	}
	if err := s.checkMark(current, staged); err != nil {
		return nil, nil, err
	}
	next, err := current.after(staged, opened)
	return staged, next, err
}

// checkWelcome wants a welcome for as many as are added (RFC 9420 section 12.4.3).
// Whether it can be opened only they can tell.
func checkWelcome(welcome []byte, staged *mls.StagedCommit) error {
	if len(staged.Added) == 0 {
		if len(welcome) != 0 {
			return malformed("welcome without anybody to welcome")
		}
		return nil
	}
	if len(welcome) > maxWelcome {
		return malformed("welcome of %d bytes where at most %d are allowed", len(welcome), maxWelcome)
	}
	outside, err := mls.Inspect(welcome)
	if err != nil {
		return malformed("%v", err)
	}
	if outside.Kind != mls.KindWelcome || outside.Suite != staged.Context.Suite || len(outside.KeyPackageRefs) != len(staged.Added) {
		return malformed("the welcome is not for the %d who are added", len(staged.Added))
	}
	return nil
}

// after works out the epoch that a commit starts. No device is a member twice:
// signature keys are unique in a tree (RFC 9420 section 7.3), and letIn wants each
// device's own.
func (e *epoch) after(staged *mls.StagedCommit, opened uint64) (*epoch, error) {
	members := e.members
	if len(staged.Added)+len(staged.Removed) > 0 || changesLaw(members, staged.Updated) {
		members = maps.Clone(members)
	}
	for _, r := range staged.Removed {
		m, err := memberOf(r.Leaf)
		if err != nil {
			return nil, err
		}
		delete(members, directory.Identity{Account: m.Account, Device: m.Device})
	}
	for _, u := range staged.Updated {
		if err := update(members, u, staged.Epoch); err != nil {
			return nil, err
		}
	}
	for _, a := range staged.Added {
		m, err := memberOf(a.Leaf)
		if err != nil {
			return nil, err
		}
		m.Leaf, m.FromEpoch = uint32(a.Index), staged.Epoch
		members[directory.Identity{Account: m.Account, Device: m.Device}] = m
	}
	if len(members) > maxMembers {
		return nil, full("members")
	}
	next := &epoch{suite: e.suite, flags: e.flags, members: members}
	next.Epoch = engine.Epoch{Epoch: staged.Epoch, Opened: opened, Roster: directory.RosterRoot(next.accounts()), Context: staged.Context.Bytes()}
	return next, nil
}

// changesLaw reports whether an update moves a member to another charter.
func changesLaw(members map[directory.Identity]engine.Member, updated []mls.Member) bool {
	return slices.ContainsFunc(updated, func(u mls.Member) bool {
		m, err := memberOf(u.Leaf)
		return err == nil && members[directory.Identity{Account: m.Account, Device: m.Device}].Charter != m.Charter
	})
}

// update takes a member's new leaf. Who it is must stay; under which charter may
// change, which begins a new stay.
func update(members map[directory.Identity]engine.Member, u mls.Member, epoch uint64) error {
	m, err := memberOf(u.Leaf)
	if err != nil {
		return err
	}
	id := directory.Identity{Account: m.Account, Device: m.Device}
	old, ok := members[id]
	if !ok || old.Leaf != uint32(u.Index) {
		return refused("an update can't change whose leaf it is")
	}
	if old.Charter != m.Charter {
		old.Charter, old.FromEpoch = m.Charter, epoch
		members[id] = old
	}
	return nil
}

// transition compares two epochs: which stays end and which begin.
func transition(current, next *epoch, staged *mls.StagedCommit) (*engine.Transition, rosterChange) {
	t := &engine.Transition{Next: next.Epoch}
	var change rosterChange
	for id, m := range current.members {
		after, still := next.members[id]
		if !still {
			change.left = append(change.left, id)
		}
		if !still || after.FromEpoch == next.Epoch.Epoch {
			t.Left = append(t.Left, m.Leaf)
		}
	}
	for _, m := range next.members {
		if m.FromEpoch == next.Epoch.Epoch {
			t.Joined = append(t.Joined, m)
		}
	}
	for _, a := range staged.Added {
		for id, m := range next.members {
			if m.Leaf == uint32(a.Index) {
				change.joined = append(change.joined, id)
				t.Welcomed = append(t.Welcomed, engine.Addition{Account: id.Account, Device: id.Device, LeafKey: a.Leaf.EncryptionKey})
			}
		}
	}
	return t, change
}

// commit stores a transition and lets the copies in memory follow. It is not cut
// short by the caller's leaving, since the copies must know the outcome.
func (s *Service) commit(ctx context.Context, c *conversation, t *engine.Transition, next *epoch, staged *mls.StagedCommit) (*api.CommitResponse, error) {
	g := c.group
	c.group = nil // unless the commit is stored
	if err := g.advance(staged); err != nil {
		return nil, s.storeFault(err, "commit")
	}
	if t.Next.Epoch%snapshotEvery == 0 {
		t.Snapshot = g.Marshal()
	}
	_, err := s.store.CommitEpoch(context.WithoutCancel(ctx), t)
	if err != nil {
		c.doubt()
		switch {
		case errors.Is(err, engine.ErrConflict):
			return nil, s.lost(ctx, c, t.Message.Epoch)
		case errors.Is(err, engine.ErrSpent):
			return nil, fault(connect.CodeFailedPrecondition, &api.Hint{Hint: "Take a new key package of each device, then commit again."}, "refused: a key package adds its device once (RFC 9420 section 10)")
		}
		return nil, s.storeFault(err, "mid")
	}
	next.Epoch.Seq = t.Message.Seq
	c.advance(next)
	c.group = g
	return &api.CommitResponse{Seq: t.Message.Seq, Epoch: t.Next.Epoch}, nil
}

// Welcomes implements api.Delivery.
func (s *Service) Welcomes(ctx context.Context, r *api.WelcomesRequest) (*api.WelcomesResponse, error) {
	id, err := device(ctx)
	if err != nil {
		return nil, err
	}
	if len(r.Confirm) > maxStock {
		return nil, full("confirmations")
	}
	if len(r.Confirm) > 0 {
		if err := s.store.ForgetWelcomes(ctx, id.Account, id.Device, r.Confirm); err != nil {
			return nil, s.storeFault(err, "welcomes")
		}
	}
	list, err := s.store.Welcomes(ctx, id.Account, id.Device, maxReadBytes)
	if err != nil {
		return nil, s.storeFault(err, "welcomes")
	}
	out := &api.WelcomesResponse{More: len(list) > 0 && list[len(list)-1].More}
	for _, w := range list {
		out.Welcomes = append(out.Welcomes, &api.Welcome{Id: w.ID, Conversation: w.Conversation, Epoch: w.Epoch, Seq: w.Seq, Welcome: w.Body})
	}
	return out, nil
}
