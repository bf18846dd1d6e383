package delivery

import (
	"context"

	"writ/api"
	"writ/directory"
	"writ/engine"
	"writ/mls"
)

// CreateConversation implements api.Delivery.
func (s *Service) CreateConversation(ctx context.Context, r *api.CreateConversationRequest) (*api.CreateConversationResponse, error) {
	id, err := device(ctx)
	if err != nil {
		return nil, err
	}
	if len(r.GroupInfo) > maxGroupInfo {
		return nil, malformed("group info of %d bytes", len(r.GroupInfo))
	}
	info, err := mls.Inspect(r.GroupInfo)
	if err != nil {
		return nil, malformed("%v", err)
	}
	if info.Kind != mls.KindGroupInfo {
		return nil, malformed("not a GroupInfo")
	}
	// Made before: the answer was lost, perhaps long ago, so the clock has no say.
	if err := s.store.MadeFrom(ctx, info.GroupID, r.GroupInfo); err == nil {
		return &api.CreateConversationResponse{Conversation: info.GroupID}, nil
	}
	data, _ := info.Extension(openedExtension)
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
	context := g.Context()
	flags, err := flagsOf(&context)
	if err != nil {
		return nil, refused("%v", err)
	}
	if err := s.admits(flags, creator); err != nil {
		return nil, err
	}
	e := engine.Epoch{Opened: opened, Roster: directory.RosterRoot([]string{id.Account}), Context: g.Context().Bytes()}
	if err := s.store.PutConversation(ctx, info.GroupID, r.GroupInfo, e, creator, g.Marshal()); err != nil {
		return nil, s.storeFault(err, "conversation")
	}
	s.hub.created(info.GroupID, id)
	return &api.CreateConversationResponse{Conversation: info.GroupID}, nil
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
