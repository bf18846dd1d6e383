package delivery

import (
	"context"
	"sync"
	"time"

	"writ/capsule"
	"writ/charter"
	"writ/directory"
	"writ/engine"
	"writ/mls"
)

// conversation is a copy of what is stored of one conversation. It may lag behind
// the store, which decides; when the store contradicts it, it is read again.
type conversation struct {
	id    []byte
	users int // guarded by Service.mu; one that is in use stays in the map

	mu     sync.Mutex           // guards epochs and sealed; never held while waiting for a commit
	epochs []*epoch             // the last ones that take application messages, oldest first; empty: not read
	sealed map[capsuleName]bool // that are stored, which stays true; others may be too

	// commits is held through a commit or proposal from its checks to its end, so
	// that they don't check for nothing. It guards group.
	commits sync.Mutex
	group   *group // nil: not read
}

// capsuleName is a capsule of a conversation's compartment.
type capsuleName struct {
	epoch uint64
	leaf  uint32
	hash  [32]byte
}

// maxSealed bounds conversation.sealed; when it is full, it begins again.
const maxSealed = 4 * maxMembers

// isSealed reports whether a capsule is known to be stored.
func (c *conversation) isSealed(n capsuleName) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sealed[n]
}

func (c *conversation) setSealed(n capsuleName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sealed == nil || len(c.sealed) >= maxSealed {
		c.sealed = map[capsuleName]bool{}
	}
	c.sealed[n] = true
}

// epoch is what the checks of messages and capsules need of one epoch. It doesn't
// change.
type epoch struct {
	engine.Epoch
	suite   mls.CipherSuite
	flags   capsule.Flags
	members map[directory.Identity]engine.Member // shared with the epoch before if nobody came or went
}

// openedAt is the opening time that the epoch's commit stated.
func (e *epoch) openedAt() time.Time { return time.Unix(int64(e.Opened), 0) }

func (e *epoch) accounts() []string {
	list := make([]string, 0, len(e.members))
	for id := range e.members {
		list = append(list, id.Account)
	}
	return list
}

// use returns the copy of a conversation, making one that reads what it needs. The
// caller calls done.
func (s *Service) use(id []byte) (c *conversation, done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c = s.conversations[string(id)]
	if c == nil {
		s.makeRoom()
		c = &conversation{id: append([]byte{}, id...)}
		s.conversations[string(id)] = c
	}
	c.users++
	return c, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		// One that holds nothing, of a made-up id perhaps, makes room for none that does.
		if c.users--; c.users == 0 && c.empty() {
			delete(s.conversations, string(id))
		}
	}
}

func (c *conversation) empty() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.epochs) == 0
}

// makeRoom drops copies that nobody uses, whichever the map yields first.
func (s *Service) makeRoom() {
	for key, c := range s.conversations {
		if len(s.conversations) < s.config.Conversations {
			return
		}
		if c.users == 0 {
			delete(s.conversations, key)
		}
	}
}

// recent returns the epochs that may take messages, oldest first; the last is the
// current one.
func (s *Service) recent(ctx context.Context, c *conversation) ([]*epoch, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.epochs) > 0 {
		return c.epochs, nil
	}
	current, err := s.store.CurrentEpoch(ctx, c.id)
	if err != nil {
		return nil, s.storeFault(err, "conversation")
	}
	first := current - min(current, engine.LateEpochs)
	list, err := s.readEpochs(ctx, c.id, first, engine.LateEpochs+1)
	if err != nil {
		return nil, err
	}
	c.epochs = list
	return list, nil
}

// recentTo is recent, read again if it does not reach an epoch: its commit may have
// been pushed to members before the copy was told.
func (s *Service) recentTo(ctx context.Context, c *conversation, number uint64) ([]*epoch, error) {
	list, err := s.recent(ctx, c)
	if err != nil || number <= list[len(list)-1].Epoch.Epoch {
		return list, err
	}
	c.doubt()
	return s.recent(ctx, c)
}

// readEpochs reads at most limit epochs from one on.
func (s *Service) readEpochs(ctx context.Context, id []byte, first uint64, limit int) ([]*epoch, error) {
	stored, err := s.store.Epochs(ctx, id, first, limit)
	if err != nil {
		return nil, s.storeFault(err, "conversation")
	}
	var list []*epoch
	for _, e := range stored {
		members, err := s.store.Members(ctx, id, e.Epoch)
		if err != nil {
			return nil, s.storeFault(err, "conversation")
		}
		next, err := newEpoch(e, members)
		if err != nil {
			return nil, s.storeFault(err, "conversation")
		}
		list = append(list, next)
	}
	return list, nil
}

func newEpoch(e engine.Epoch, members []engine.Member) (*epoch, error) {
	context, err := mls.ParseGroupContext(e.Context)
	if err != nil {
		return nil, err
	}
	flags, err := flagsOf(context)
	if err != nil {
		return nil, err
	}
	out := &epoch{e, context.Suite, flags, make(map[directory.Identity]engine.Member, len(members))}
	for _, m := range members {
		out.members[directory.Identity{Account: m.Account, Device: m.Device}] = m
	}
	return out, nil
}

// anyEpoch returns an epoch of a conversation, recent or not.
func (s *Service) anyEpoch(ctx context.Context, c *conversation, number uint64) (*epoch, error) {
	list, err := s.recentTo(ctx, c, number)
	if err != nil {
		return nil, err
	}
	if e := find(list, number); e != nil {
		return e, nil
	}
	if number >= list[0].Epoch.Epoch {
		return nil, notFound("epoch")
	}
	list, err = s.readEpochs(ctx, c.id, number, 1)
	if err != nil {
		return nil, err
	}
	if len(list) != 1 || list[0].Epoch.Epoch != number {
		return nil, notFound("epoch")
	}
	return list[0], nil
}

func find(list []*epoch, number uint64) *epoch {
	for _, e := range list {
		if e.Epoch.Epoch == number {
			return e
		}
	}
	return nil
}

// advance adds the epoch that a commit started, if c was read before that.
func (c *conversation) advance(e *epoch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.epochs) == 0 || c.epochs[len(c.epochs)-1].Epoch.Epoch+1 != e.Epoch.Epoch {
		return
	}
	list := append(c.epochs[:len(c.epochs):len(c.epochs)], e)
	c.epochs = list[max(0, len(list)-engine.LateEpochs-1):]
}

// doubt makes c be read again.
func (c *conversation) doubt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epochs = nil
}

// lawOf returns the law of a member.
func (s *Service) lawOf(m engine.Member) (*charter.Charter, error) {
	l, ok := s.config.Laws.Charter(charter.Hash(m.Charter))
	if !ok {
		return nil, refused("%s/%s is under a charter unknown here", m.Account, m.Device)
	}
	return l, nil
}
