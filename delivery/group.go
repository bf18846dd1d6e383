package delivery

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"connectrpc.com/connect"
	"writ/api"
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
	waiting int       // proposals stored in this epoch
	clock   time.Time // what its checks take for now; stored with the message, so that a replay decides alike
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
		g.waiting++
		return g.HandleProposal(m.Body)
	}
	staged, err := g.Stage(m.Body)
	if err != nil {
		return err
	}
	return g.advance(staged)
}

// advance goes on to the next epoch.
func (g *group) advance(staged *mls.StagedCommit) error {
	g.waiting = 0
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
