package delivery

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"connectrpc.com/connect"
	"writ/api"
	"writ/directory"
	"writ/engine"
	"writ/mls"
)

// openedExtension is the GroupInfo extension with the epoch's opening time: 8 bytes,
// Unix seconds, as in the authenticated data of commits.
const openedExtension mls.ExtensionType = 0xF0A2

// snapshotEvery is after how many epochs a public group is stored whole. The epochs
// between are found again by replaying their commits: a tree of a thousand members
// is megabytes.
const snapshotEvery = 16

// group is the public group of a conversation.
type group struct {
	*mls.PublicGroup
	clock time.Time // what its checks take for now
}

func (s *Service) groupConfig(g *group) mls.Config {
	return mls.Config{Authenticate: s.letIn, Now: func() time.Time { return g.clock }}
}

// loadGroup returns the public group as it was at the beginning of an epoch, or with
// its proposals if the epoch is the current one. Lifetimes of key packages are
// checked as of the time their commit came.
func (s *Service) loadGroup(ctx context.Context, id []byte, epoch uint64) (*group, error) {
	body, at, err := s.store.Snapshot(ctx, id, epoch)
	if err != nil {
		return nil, s.storeFault(err, "conversation")
	}
	g := &group{}
	if g.PublicGroup, err = mls.ParsePublicGroup(s.groupConfig(g), body); err != nil {
		return nil, s.storeFault(err, "conversation")
	}
	started, err := s.store.Epochs(ctx, id, at, 1)
	if err != nil || len(started) == 0 {
		return nil, s.storeFault(errors.Join(err, engine.ErrNotFound), "conversation")
	}
	return g, s.replay(ctx, g, engine.Range{Conversation: id, After: started[0].Seq, MaxCount: 64, MaxBytes: 16 << 20}, epoch)
}

// replay takes g from the beginning of the range to an epoch.
func (s *Service) replay(ctx context.Context, g *group, r engine.Range, epoch uint64) error {
	for {
		list, err := s.store.Handshake(ctx, r)
		if err != nil {
			return s.storeFault(err, "conversation")
		}
		for _, m := range list {
			if m.Kind == engine.Commit && m.Epoch == epoch {
				return nil
			}
			if err := g.handle(m); err != nil {
				return s.storeFault(err, "conversation")
			}
			r.After = m.Seq
		}
		if len(list) == 0 {
			return nil
		}
	}
}

// handle follows a stored message.
func (g *group) handle(m *engine.Message) error {
	g.clock = time.UnixMilli(int64(m.Received))
	if m.Kind == engine.Proposal {
		return g.HandleProposal(m.Body)
	}
	staged, err := g.Stage(m.Body)
	if err != nil {
		return err
	}
	return g.Apply(staged)
}

// liveGroup returns the group of the current epoch. The caller holds c.commits.
func (s *Service) liveGroup(ctx context.Context, c *conversation, current uint64) (*group, error) {
	if c.group == nil || c.group.Context().Epoch != current {
		g, err := s.loadGroup(ctx, c.id, current)
		if err != nil {
			return nil, err
		}
		c.group = g
	}
	c.group.clock = s.now()
	return c.group, nil
}

// checkOpened reads the opening time that a device states and compares it with the
// clock.
func (s *Service) checkOpened(b []byte) (uint64, error) {
	if len(b) != 8 {
		return 0, malformed("opening time of %d bytes", len(b))
	}
	opened := binary.BigEndian.Uint64(b)
	now := uint64(s.now().Unix())
	tolerance := uint64(s.config.Tolerance / time.Second)
	if opened > now+tolerance || opened+tolerance < now || opened > engine.Forever {
		return 0, fault(connect.CodeFailedPrecondition, &api.Hint{Hint: "Set the device's clock, then commit again."},
			"refused: the opening time %d is not within %d s of %d", opened, tolerance, now)
	}
	return opened, nil
}

// CreateConversation implements api.Delivery.
func (s *Service) CreateConversation(ctx context.Context, r *api.CreateConversationRequest) (*api.CreateConversationResponse, error) {
	id, err := device(ctx)
	if err != nil {
		return nil, err
	}
	if len(r.GroupInfo) > maxGroupInfo {
		return nil, malformed("group info of %d bytes", len(r.GroupInfo))
	}
	info, err := mls.ParseGroupInfo(r.GroupInfo)
	if err != nil {
		return nil, malformed("%v", err)
	}
	data, _ := mls.FindExtension(info.Extensions, openedExtension)
	opened, err := s.checkOpened(data)
	if err != nil {
		return nil, err
	}
	g := &group{clock: s.now()}
	if g.PublicGroup, err = mls.NewPublicGroup(s.groupConfig(g), r.GroupInfo, nil); err != nil {
		return nil, refused("%v", err)
	}
	creator, err := soleMember(g, id)
	if err != nil {
		return nil, err
	}
	e := engine.Epoch{Opened: opened, Roster: directory.RosterRoot([]string{id.Account}), Context: g.Context().Bytes()}
	if err := s.store.PutConversation(ctx, info.Context.GroupID, r.GroupInfo, e, creator, g.Marshal()); err != nil {
		return nil, s.storeFault(err, "conversation")
	}
	s.hub.created(info.Context.GroupID, id)
	return &api.CreateConversationResponse{Conversation: info.Context.GroupID}, nil
}

// soleMember checks that a new group is in epoch 0 and has its creator only.
func soleMember(g *group, id directory.Identity) (engine.Member, error) {
	context := g.Context()
	if len(context.GroupID) != midSize || context.Epoch != 0 {
		return engine.Member{}, malformed("a new conversation has an id of %d bytes and epoch 0", midSize)
	}
	var members []engine.Member
	for i, leaf := range g.Members() {
		m, err := memberOf(leaf)
		if err != nil {
			return m, err
		}
		m.Leaf = uint32(i)
		members = append(members, m)
	}
	if len(members) != 1 || members[0].Account != id.Account || members[0].Device != id.Device {
		return engine.Member{}, refused("a new conversation has one member, the device that makes it")
	}
	return members[0], nil
}

// Propose implements api.Delivery.
func (s *Service) Propose(ctx context.Context, r *api.ProposeRequest) (*api.ProposeResponse, error) {
	id, err := device(ctx)
	if err != nil {
		return nil, err
	}
	outside, err := inspect(r.Conversation, r.Mid, r.Message, maxMessage)
	if err != nil {
		return nil, err
	}
	if outside.WireFormat != mls.WirePublicMessage || outside.ContentType != mls.ContentProposal {
		return nil, malformed("not a PublicMessage with a proposal")
	}
	c, done := s.use(r.Conversation)
	defer done()
	c.commits.Lock()
	defer c.commits.Unlock()
	if m, err := s.store.FindMid(ctx, c.id, r.Mid); err == nil && string(m.Body) == string(r.Message) {
		return &api.ProposeResponse{Seq: m.Seq}, nil
	}
	current, leaf, err := s.committer(ctx, c, id, outside)
	if err != nil {
		return nil, err
	}
	if outside.Epoch != current.Epoch.Epoch {
		return nil, s.oldEpoch(ctx, c)
	}
	g, err := s.liveGroup(ctx, c, outside.Epoch)
	if err != nil {
		return nil, err
	}
	c.group = nil // unless the proposal is stored
	if err := g.HandleProposal(r.Message); err != nil {
		return nil, refused("%v", err)
	}
	m := s.message(c.id, r.Mid, outside.Epoch, engine.Proposal, leaf, r.Message)
	if err := s.store.Append(context.WithoutCancel(ctx), m); err != nil {
		c.doubt()
		return nil, s.storeFault(err, "mid")
	}
	c.group = g
	return &api.ProposeResponse{Seq: m.Seq}, nil
}

// committer returns the current epoch and the caller's leaf, which must be the
// sender that the message names.
func (s *Service) committer(ctx context.Context, c *conversation, id directory.Identity, outside *mls.Envelope) (*epoch, uint32, error) {
	epochs, err := s.recent(ctx, c)
	if err != nil {
		return nil, 0, err
	}
	current := epochs[len(epochs)-1]
	m, ok := current.members[id]
	if !ok {
		return nil, 0, refused("not a member of the conversation")
	}
	if outside.SenderType != mls.SenderMember || outside.Epoch == current.Epoch.Epoch && uint32(outside.Sender) != m.Leaf {
		return nil, 0, refused("the message is not by this device")
	}
	return current, m.Leaf, nil
}
