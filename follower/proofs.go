package follower

import (
	"context"
	"fmt"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"writ/ledger"
)

// Proofs proves entries that the caller has, like [Follower.Proof], all under one fresh
// checkpoint. It fetches each tile of hashes once, 8 kB, and no entry; it keeps them until
// it returns.
func (f *Follower) Proofs(ctx context.Context, indexes []uint64) ([][]byte, error) {
	c, err := f.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	tiles := &once{f.tiles, map[tlog.Tile][]byte{}}
	proofs := make([][]byte, len(indexes))
	for i, index := range indexes {
		if proofs[i], err = prove(ctx, c, tiles, index); err != nil {
			return nil, err
		}
	}
	return proofs, nil
}

func prove(ctx context.Context, c *ledger.Checkpoint, tiles torchwood.TileReader, index uint64) ([]byte, error) {
	if index >= c.Size() {
		return nil, fmt.Errorf("follower: %w: log of size %d has no entry %d yet", ErrRefused, c.Size(), index)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	path, err := tlog.ProveRecord(c.Tree().N, int64(index), torchwood.TileHashReaderWithContext(ctx, c.Tree(), tiles))
	if err != nil {
		return nil, fmt.Errorf("follower: %w", err)
	}
	return ledger.FormatProof(index, path, c), nil
}

// once remembers the tiles it was asked for. Who reads hashes through it checks every tile
// against the tree each time.
type once struct {
	torchwood.TileReader
	seen map[tlog.Tile][]byte
}

// ReadTiles is part of [torchwood.TileReader].
func (o *once) ReadTiles(ctx context.Context, tiles []tlog.Tile) ([][]byte, error) {
	var missing []tlog.Tile
	for _, t := range tiles {
		if o.seen[t] == nil {
			missing = append(missing, t)
		}
	}
	if len(missing) > 0 {
		data, err := o.TileReader.ReadTiles(ctx, missing)
		if err != nil {
			return nil, err
		}
		for i, t := range missing {
			o.seen[t] = data[i]
		}
	}
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		data[i] = o.seen[t]
	}
	return data, nil
}
