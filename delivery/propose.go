package delivery

import (
	"context"

	"connectrpc.com/connect"
	"writ/api"
	"writ/directory"
	"writ/engine"
	"writ/mls"
)

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
	if outside.Private || outside.Kind != mls.KindProposal {
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
	if g.waiting >= maxWaiting {
		return nil, fault(connect.CodeResourceExhausted, &api.Hint{Hint: "Commit, which settles the proposals that wait.", Epoch: outside.Epoch}, "too many proposals in epoch %d", outside.Epoch)
	}
	if err := g.HandleProposal(r.Message); err != nil {
		return nil, refused("%v", err)
	}
	c.group = nil // unless the proposal is stored
	m := message(c.id, r.Mid, outside.Epoch, engine.Proposal, leaf, g.clock, r.Message)
	if err := s.store.Append(context.WithoutCancel(ctx), m); err != nil {
		c.doubt()
		return nil, s.storeFault(err, "mid")
	}
	g.waiting++
	c.group = g
	return &api.ProposeResponse{Seq: m.Seq}, nil
}

// committer returns the current epoch and the caller's leaf, which must be the
// sender that the message names.
func (s *Service) committer(ctx context.Context, c *conversation, id directory.Identity, outside *mls.Envelope) (*epoch, uint32, error) {
	epochs, err := s.recentTo(ctx, c, outside.Epoch)
	if err != nil {
		return nil, 0, err
	}
	current := epochs[len(epochs)-1]
	m, ok := current.members[id]
	if !ok {
		return nil, 0, refused("not a member of the conversation")
	}
	if !outside.FromMember || outside.Epoch == current.Epoch.Epoch && uint32(outside.Sender) != m.Leaf {
		return nil, 0, refused("the message is not by this device")
	}
	return current, m.Leaf, nil
}
