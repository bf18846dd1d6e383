package delivery

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"
	"writ/api"
	"writ/charter"
	"writ/directory"
	"writ/engine"
	"writ/mls"
)

// Append implements api.Delivery.
func (s *Service) Append(ctx context.Context, r *api.AppendRequest) (*api.AppendResponse, error) {
	id, err := device(ctx)
	if err != nil {
		return nil, err
	}
	outside, err := inspect(r.Conversation, r.Mid, r.Message, maxMessage)
	if err != nil {
		return nil, err
	}
	if !outside.Private || outside.Kind != mls.KindApplication {
		return nil, malformed("not a PrivateMessage with application data")
	}
	c, done := s.use(r.Conversation)
	defer done()
	leaf, sealed, err := s.checkSender(ctx, c, id, outside, r.Capsule)
	if err != nil {
		return s.appended(ctx, r, err)
	}
	m := message(r.Conversation, r.Mid, outside.Epoch, engine.Application, leaf, s.now(), r.Message)
	m.Deposit = sealed
	err = s.store.Append(ctx, m)
	switch {
	case errors.Is(err, engine.ErrConflict):
		c.doubt()
		return nil, s.oldEpoch(ctx, c)
	case errors.Is(err, engine.ErrFull):
		return nil, full(tooManyCapsules)
	case err != nil:
		return nil, s.storeFault(err, "mid")
	}
	return &api.AppendResponse{Seq: m.Seq}, nil
}

// appended answers a message that no longer passes the checks: if it was stored
// when it did, the caller only lost the answer.
func (s *Service) appended(ctx context.Context, r *api.AppendRequest, otherwise error) (*api.AppendResponse, error) {
	m, err := s.store.FindMid(ctx, r.Conversation, r.Mid)
	if err != nil || string(m.Body) != string(r.Message) {
		return nil, otherwise
	}
	return &api.AppendResponse{Seq: m.Seq}, nil
}

// inspect checks the bounds of a message and what its outside says.
func inspect(conversation, mid, message []byte, max int) (*mls.Envelope, error) {
	if len(conversation) != midSize || len(mid) != midSize {
		return nil, malformed("conversation and mid have %d bytes each", midSize)
	}
	if len(message) > max {
		return nil, malformed("message of %d bytes where at most %d are allowed", len(message), max)
	}
	outside, err := mls.Inspect(message)
	if err != nil {
		return nil, malformed("%v", err)
	}
	switch outside.Kind {
	case mls.KindApplication, mls.KindProposal, mls.KindCommit:
		if string(outside.GroupID) == string(conversation) {
			return outside, nil
		}
	}
	return nil, malformed("not a message of this conversation")
}

func message(conversation, mid []byte, epoch uint64, kind engine.Kind, leaf uint32, at time.Time, body []byte) *engine.Message {
	return &engine.Message{
		Conversation: conversation,
		Mid:          mid,
		Epoch:        epoch,
		Kind:         kind,
		Sender:       leaf,
		Received:     uint64(at.UnixMilli()),
		Body:         body,
	}
}

// checkSender makes the checks of an application message and returns its sender's
// leaf, and the capsule that it brings along, if any.
func (s *Service) checkSender(ctx context.Context, c *conversation, id directory.Identity, outside *mls.Envelope, sealed []byte) (uint32, *engine.Deposit, error) {
	epochs, err := s.recentTo(ctx, c, outside.Epoch)
	if err != nil {
		return 0, nil, err
	}
	current := epochs[len(epochs)-1]
	if _, ok := current.members[id]; !ok {
		return 0, nil, refused("not a member of the conversation")
	}
	e := find(epochs, outside.Epoch)
	if e == nil || outside.Epoch == 0 {
		return 0, nil, s.oldEpoch(ctx, c)
	}
	m, ok := e.members[id]
	if !ok {
		return 0, nil, refused("not a member in epoch %d", outside.Epoch)
	}
	law, err := s.lawOf(m)
	if err != nil {
		return 0, nil, err
	}
	if err := s.checkVersion(law); err != nil {
		return 0, nil, err
	}
	if law.Mode == charter.NoAccess {
		if len(outside.AuthenticatedData)+len(sealed) != 0 {
			return 0, nil, malformed("a capsule, or authenticated data to name one, under a law without exceptional access")
		}
		return m.Leaf, nil, nil
	}
	if age := s.now().Sub(e.openedAt()); age > time.Duration(law.Limits.MaxEpochAge)*time.Second {
		return 0, nil, fault(connect.CodeFailedPrecondition, &api.Hint{Hint: "Commit, then send in the new epoch.", Epoch: current.Epoch.Epoch},
			"refused: epoch %d is %s old, the charter allows %d s", outside.Epoch, age.Truncate(time.Second), law.Limits.MaxEpochAge)
	}
	if len(sealed) == 0 {
		return m.Leaf, nil, s.checkCapsuleStored(ctx, c, outside.Epoch, m.Leaf, outside.AuthenticatedData)
	}
	d, err := s.deposit(ctx, id, sealed)
	if err != nil {
		return 0, nil, err
	}
	if string(d.Conversation) != string(c.id) || d.Epoch != outside.Epoch || d.Leaf != m.Leaf || string(d.Name) != string(outside.AuthenticatedData) {
		return 0, nil, malformed("the capsule is not the one that the message names")
	}
	return m.Leaf, d, nil
}

// checkVersion refuses to go on under a version of a charter when a newer one has been
// in force for as long as an epoch of the older may live (DEL-36).
func (s *Service) checkVersion(law *charter.Charter) error {
	grace := time.Duration(law.Limits.MaxEpochAge) * time.Second
	next, ok := s.config.Laws.InForce(law.Name, s.now().Add(-grace))
	if !ok || next.Number <= law.Number {
		return nil
	}
	h := next.Hash()
	return fault(connect.CodeFailedPrecondition, &api.Hint{Hint: "Read the version in force, acknowledge it, commit under it, then send.", Law: h[:]},
		"refused: version %d of the law %q is superseded: version %d has been in force for more than %v", law.Number, law.Name, next.Number, grace)
}

func (s *Service) checkCapsuleStored(ctx context.Context, c *conversation, epoch uint64, leaf uint32, hash []byte) error {
	if len(hash) != 32 {
		return malformed("authenticated data is not a capsule's hash")
	}
	name := capsuleName{epoch, leaf, [32]byte(hash)}
	if c.isSealed(name) {
		return nil
	}
	stored, err := s.store.HasCapsule(ctx, engine.Compartment{Conversation: c.id, Epoch: epoch, Leaf: leaf}, hash)
	if err != nil {
		return s.storeFault(err, "capsule")
	}
	if !stored {
		return fault(connect.CodeFailedPrecondition, &api.Hint{Hint: "Put the capsule of this compartment, then send again.", Epoch: epoch},
			"refused: no capsule of that hash is stored for epoch %d, leaf %d", epoch, leaf)
	}
	c.setSealed(name)
	return nil
}

// oldEpoch is the error for an epoch that takes no messages.
func (s *Service) oldEpoch(ctx context.Context, c *conversation) error {
	hint := &api.Hint{Hint: "Read the commits since, then send in the current epoch."}
	if list, err := s.recent(ctx, c); err == nil {
		hint.Epoch = list[len(list)-1].Epoch.Epoch
	}
	return fault(connect.CodeFailedPrecondition, hint, "refused: the epoch takes no messages")
}

// Read implements api.Delivery.
func (s *Service) Read(ctx context.Context, r *api.ReadRequest) (*api.ReadResponse, error) {
	id, err := device(ctx)
	if err != nil {
		return nil, err
	}
	if len(r.Conversation) != midSize || r.AfterSeq >= engine.Forever {
		return nil, malformed("conversation or cursor")
	}
	stays, err := s.store.Stays(ctx, r.Conversation, id.Account, id.Device)
	if err != nil {
		return nil, s.storeFault(err, "conversation")
	}
	if len(stays) == 0 {
		return nil, refused("never was a member of this conversation")
	}
	last, err := s.lastSeq(ctx, stays[len(stays)-1])
	if err != nil {
		return nil, err
	}
	limit := maxReadCount
	if r.Limit != 0 {
		limit = min(limit, int(r.Limit))
	}
	list, err := s.store.Read(ctx, engine.Range{Conversation: r.Conversation, After: r.AfterSeq, MaxCount: limit, MaxBytes: maxReadBytes}, id.Account, id.Device)
	if err != nil {
		return nil, s.storeFault(err, "conversation")
	}
	out := &api.ReadResponse{LastSeq: last}
	for _, m := range list {
		out.Messages = append(out.Messages, wireMessage(m))
		out.LastSeq = max(out.LastSeq, m.Seq) // one may have come since last was read
	}
	return out, nil
}

// lastSeq is the last seq that a stay lets its device see.
func (s *Service) lastSeq(ctx context.Context, stay engine.Member) (uint64, error) {
	if stay.ToSeq != engine.Forever {
		return stay.ToSeq, nil
	}
	last, err := s.store.LastSeq(ctx, stay.Conversation)
	return last, s.storeFault(err, "conversation")
}

// Conversations implements api.Delivery.
func (s *Service) Conversations(ctx context.Context, r *api.ConversationsRequest) (*api.ConversationsResponse, error) {
	const page = 200
	id, err := device(ctx)
	if err != nil {
		return nil, err
	}
	stays, err := s.store.StaysOfDevice(ctx, id.Account, id.Device, r.After, page+1)
	if err != nil {
		return nil, s.storeFault(err, "conversations")
	}
	out := &api.ConversationsResponse{}
	for _, m := range stays {
		list := out.Conversations
		if n := len(list); n > 0 && string(list[n-1].Conversation) == string(m.Conversation) {
			extend(list[n-1], m)
			continue
		}
		if len(list) == page {
			out.More = true
			break
		}
		next := &api.Conversation{Conversation: m.Conversation}
		extend(next, m)
		out.Conversations = append(list, next)
	}
	for _, c := range out.Conversations {
		if err := s.describe(ctx, c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// extend adds a later stay: one that goes on where the last ended makes it longer,
// another takes its place.
func extend(c *api.Conversation, m engine.Member) {
	if c.FirstSeq == 0 || c.LastSeq != m.FromSeq {
		c.FirstSeq = max(1, m.FromSeq)
	}
	c.LastSeq, c.Leaf, c.Member = m.ToSeq, m.Leaf, m.ToSeq == engine.Forever
}

func (s *Service) describe(ctx context.Context, c *api.Conversation) (err error) {
	if c.Epoch, err = s.store.CurrentEpoch(ctx, c.Conversation); err != nil {
		return s.storeFault(err, "conversation")
	}
	c.LastSeq, err = s.lastSeq(ctx, engine.Member{Conversation: c.Conversation, ToSeq: c.LastSeq})
	return err
}
