package delivery

import (
	"context"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect"
	"writ/api"
	"writ/directory"
	"writ/engine"
)

// hub hands events to subscribers. Its committed method runs in the store's
// committer, after the fsync and in the order of seq, so it only appends to
// bounded queues: a subscriber that is too slow is told that it lagged.
type hub struct {
	mu             sync.Mutex
	closed         bool
	byConversation map[string]map[*subscriber]bool
	byDevice       map[directory.Identity][]*subscriber
	changes        map[*engine.Message]rosterChange // of commits on their way
}

// rosterChange is whom a commit brings in and puts out.
type rosterChange struct{ joined, left []directory.Identity }

type subscriber struct {
	device directory.Identity
	events chan *api.Event // closed when the hub ends the subscription

	// Guarded by hub.mu.
	lagged        bool
	changes       int // of the device's memberships since it subscribed
	conversations map[string]bool
	ended         bool
}

func newHub() *hub {
	return &hub{
		byConversation: map[string]map[*subscriber]bool{},
		byDevice:       map[directory.Identity][]*subscriber{},
		changes:        map[*engine.Message]rosterChange{},
	}
}

// expect announces what a commit will change, before it goes to the store.
func (h *hub) expect(m *engine.Message, c rosterChange) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changes[m] = c
}

// forget takes back expect, whether or not the commit won.
func (h *hub) forget(m *engine.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.changes, m)
}

func (h *hub) committed(m *engine.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	shown := wireMessage(m)
	if len(m.Body) > maxMessage {
		shown.Body = nil
	}
	if m.Deposit != nil {
		shown.Capsule = m.Deposit.Body
	}
	event := &api.Event{Event: &api.Event_Message{Message: shown}}
	for sub := range h.byConversation[string(m.Conversation)] {
		sub.push(event)
	}
	c := h.changes[m]
	for _, id := range c.left {
		for _, sub := range h.byDevice[id] {
			sub.changes++
			h.leave(string(m.Conversation), sub)
		}
	}
	for _, id := range c.joined {
		for _, sub := range h.byDevice[id] {
			sub.changes++
			h.join(string(m.Conversation), sub)
			sub.push(&api.Event{Event: &api.Event_Welcome{Welcome: true}})
		}
	}
}

// created lets a new conversation's events reach the device that made it.
func (h *hub) created(conversation []byte, id directory.Identity) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, sub := range h.byDevice[id] {
		sub.changes++
		h.join(string(conversation), sub)
	}
}

// push never blocks. One place in the queue is kept for the news of a lag.
func (sub *subscriber) push(e *api.Event) {
	if sub.lagged && len(sub.events) == 0 {
		sub.lagged = false
	}
	if sub.lagged {
		return
	}
	if len(sub.events) == cap(sub.events)-1 {
		sub.lagged = true
		e = &api.Event{Event: &api.Event_Lagged{Lagged: true}}
	}
	sub.events <- e
}

func (h *hub) join(conversation string, sub *subscriber) {
	set := h.byConversation[conversation]
	if set == nil {
		set = map[*subscriber]bool{}
		h.byConversation[conversation] = set
	}
	set[sub] = true
	sub.conversations[conversation] = true
}

func (h *hub) leave(conversation string, sub *subscriber) {
	delete(sub.conversations, conversation)
	delete(h.byConversation[conversation], sub)
	if len(h.byConversation[conversation]) == 0 {
		delete(h.byConversation, conversation)
	}
}

// add makes a subscriber that hears of changes of its memberships only, so far. It
// takes the place of the device's oldest if there are too many: a device that lost
// its network can't say goodbye.
func (h *hub) add(id directory.Identity) *subscriber {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.byDevice[id]) >= maxSubscriptions {
		h.end(h.byDevice[id][0])
	}
	sub := &subscriber{device: id, events: make(chan *api.Event, eventQueue), conversations: map[string]bool{}}
	h.byDevice[id] = append(h.byDevice[id], sub)
	if h.closed {
		h.end(sub)
	}
	return sub
}

// listen adds the device's conversations, unless its memberships have changed
// since they were read: changes says how often they had then.
func (h *hub) listen(sub *subscriber, conversations []string, changes int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if sub.ended {
		return true
	}
	if sub.changes != changes {
		return false
	}
	for _, c := range conversations {
		h.join(c, sub)
	}
	return true
}

func (h *hub) changesOf(sub *subscriber) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return sub.changes
}

// remove ends a subscription, if it is not ended yet.
func (h *hub) remove(sub *subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.end(sub)
}

// endAll ends the subscriptions of a device.
func (h *hub) endAll(id directory.Identity) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, sub := range slices.Clone(h.byDevice[id]) {
		h.end(sub)
	}
}

func (h *hub) end(sub *subscriber) {
	if sub.ended {
		return
	}
	sub.ended = true
	close(sub.events)
	for c := range sub.conversations {
		h.leave(c, sub)
	}
	h.byDevice[sub.device] = slices.DeleteFunc(h.byDevice[sub.device], func(o *subscriber) bool { return o == sub })
	if len(h.byDevice[sub.device]) == 0 {
		delete(h.byDevice, sub.device)
	}
}

// close ends all subscriptions.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, list := range h.byDevice {
		for _, sub := range slices.Clone(list) {
			h.end(sub)
		}
	}
}

// Subscribe implements api.Delivery.
func (s *Service) Subscribe(ctx context.Context, _ *api.SubscribeRequest, stream *connect.ServerStream[api.Event]) error {
	id, err := device(ctx)
	if err != nil {
		return err
	}
	sub := s.hub.add(id)
	defer s.hub.remove(sub)
	session := ctx.Value(callerKey{}).(*caller).key
	if !s.sessions.lives(session, s.now()) { // it may have ended before there was a subscription to end
		return unauthenticated("the session has ended")
	}
	for listening := false; !listening; {
		changes := s.hub.changesOf(sub)
		conversations, err := s.presentConversations(ctx, id)
		if err != nil {
			return s.storeFault(err, "conversations")
		}
		listening = s.hub.listen(sub, conversations, changes)
	}
	if err := stream.Send(&api.Event{Event: &api.Event_Ready{Ready: true}}); err != nil {
		return err
	}
	return s.pass(ctx, sub, session, stream)
}

// pass sends events as they come, a sign of life when none did, and ends with the
// session.
func (s *Service) pass(ctx context.Context, sub *subscriber, session tokenHash, stream *connect.ServerStream[api.Event]) error {
	pulse := time.NewTicker(s.pulse)
	defer pulse.Stop()
	for quiet := true; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-pulse.C:
			if !s.sessions.lives(session, s.now()) {
				return unauthenticated("the session has ended")
			}
			if quiet {
				if err := stream.Send(&api.Event{Event: &api.Event_Alive{Alive: true}}); err != nil {
					return err
				}
			}
			quiet = true
		case e, open := <-sub.events:
			if !open {
				return fault(connect.CodeUnavailable, &api.Hint{Hint: "Subscribe again, unless another subscription of this device goes on.", RetryAfterMs: retryAfter}, "the subscription was ended")
			}
			if err := stream.Send(e); err != nil {
				return err
			}
			quiet = false
		}
	}
}

// presentConversations returns the conversations a device is a member of now.
func (s *Service) presentConversations(ctx context.Context, id directory.Identity) ([]string, error) {
	var list []string
	var after []byte
	for {
		stays, err := s.store.StaysOfDevice(ctx, id.Account, id.Device, after, 1000)
		if err != nil {
			return nil, err
		}
		if len(stays) == 0 {
			return list, nil
		}
		for _, m := range stays {
			if m.ToEpoch == engine.Forever {
				list = append(list, string(m.Conversation))
			}
			after = m.Conversation
		}
	}
}

func wireMessage(m *engine.Message) *api.Message {
	return &api.Message{
		Conversation: m.Conversation,
		Seq:          m.Seq,
		Mid:          m.Mid,
		Epoch:        m.Epoch,
		Kind:         api.Kind(m.Kind),
		Sender:       m.Sender,
		ReceivedMs:   m.Received,
		Body:         m.Body,
	}
}
