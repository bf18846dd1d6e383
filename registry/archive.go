package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"writ/api"
	"writ/engine"
	"writ/ledger"
)

// Published checkpoints, signed: of each size the first by size, and the last by the
// complement of the size, so that what lies before a size is found by what follows
// its key. They date what is on the log ([dates]).
const (
	firsts engine.Bucket = "first checkpoints"
	lasts  engine.Bucket = "last checkpoints"
)

func firstKey(size uint64) []byte { return binary.BigEndian.AppendUint64(nil, size) }
func lastKey(size uint64) []byte  { return binary.BigEndian.AppendUint64(nil, ^size) }

// archive keeps a checkpoint that is newer than those it has. The caller holds
// archiving.
func (s *Server) archive(ctx context.Context, c *ledger.Checkpoint) error {
	writes := []engine.Write{engine.Put(lasts, lastKey(c.Size()), c.Signed())}
	if _, err := s.store.Get(ctx, firsts, firstKey(c.Size())); errors.Is(err, engine.ErrNotFound) {
		writes = append(writes, engine.Put(firsts, firstKey(c.Size()), c.Signed()))
	} else if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	if err := s.store.Apply(ctx, writes...); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	return nil
}

// dates returns of each entry the last checkpoint that did not cover it and the first
// that did.
func (s *Server) dates(ctx context.Context, indexes []uint64) (*api.Dates, error) {
	out := &api.Dates{}
	for _, index := range indexes {
		before, err := s.store.Scan(ctx, lasts, lastKey(index+1), 1)
		if err != nil {
			return nil, fmt.Errorf("registry: %w", err)
		}
		after, err := s.store.Scan(ctx, firsts, firstKey(index), 1)
		if err != nil {
			return nil, fmt.Errorf("registry: %w", err)
		}
		out.Dates = append(out.Dates, &api.Date{Before: value(before), After: value(after)})
	}
	return out, nil
}

// value returns that of the one record, or nil.
func value(list []engine.Record) []byte {
	if len(list) == 0 {
		return nil
	}
	return list[0].Value
}
