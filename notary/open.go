package notary

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"filippo.io/torchwood"
	"filippo.io/torchwood/tesserax"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	defaultInterval  = 500 * time.Millisecond
	defaultRepublish = time.Minute
	minInterval      = 100 * time.Millisecond // the least the log's storage takes
	witnessTimeout   = 5 * time.Second
)

// options checks the configuration and turns it into that of the log's
// storage. A checkpoint without a quorum of witnesses is never published.
func (c *Config) options() (*tessera.AppendOptions, error) {
	if c.Interval == 0 {
		c.Interval = defaultInterval
	}
	if c.Republish == 0 {
		c.Republish = max(defaultRepublish, c.Interval)
	}
	if c.Interval < minInterval || c.Republish < c.Interval {
		return nil, fmt.Errorf("notary: interval %v, republication every %v", c.Interval, c.Republish)
	}
	signer, err := c.signer()
	if err != nil {
		return nil, err
	}
	witnesses, err := c.witnesses()
	if err != nil {
		return nil, err
	}
	return tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithBatching(2*maxBatch, flushAfter).
		WithCheckpointInterval(c.Interval).
		WithCheckpointRepublishInterval(c.Republish).
		WithWitnesses(witnesses, &tessera.WitnessOptions{Timeout: witnessTimeout}), nil
}

// signer returns the log's signer, if it is the one that the policy names.
func (c *Config) signer() (note.Signer, error) {
	signer, err := note.NewSigner(c.Signer)
	if err != nil {
		return nil, errors.New("notary: malformed signer key") // the error may quote the key
	}
	probe, err := note.Sign(&note.Note{Text: "probe\n"}, signer)
	if err != nil {
		return nil, fmt.Errorf("notary: %w", err)
	}
	verifier, err := note.NewVerifier(c.Policy.LogVKey())
	if err != nil {
		return nil, fmt.Errorf("notary: %w", err)
	}
	if _, err := note.Open(probe, note.VerifierList(verifier)); err != nil {
		return nil, fmt.Errorf("notary: the signer is not the log %q of the policy", c.Policy.Origin())
	}
	return signer, nil
}

// witnesses gives the policy to the log's storage, with the URLs that it wants
// on each witness line. Two witnesses behind one URL would be asked as one.
func (c *Config) witnesses() (tessera.WitnessGroup, error) {
	var group tessera.WitnessGroup
	urls, used := map[string]string{}, map[string]bool{}
	for _, w := range c.Policy.Witnesses() {
		u, err := url.Parse(c.Witnesses[w.Name])
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.ContainsAny(u.String(), " #") {
			return group, fmt.Errorf("notary: witness %q has no URL: %q", w.Name, c.Witnesses[w.Name])
		}
		to := u.JoinPath("/").String()
		if used[to] {
			return group, fmt.Errorf("notary: two witnesses at %s", to)
		}
		urls[w.Name], used[to] = u.String(), true
	}
	var text strings.Builder
	for line := range strings.Lines(c.Policy.String()) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) > 0 && fields[0] == "witness" {
			fields = append(fields, urls[fields[1]])
		}
		text.WriteString(strings.Join(fields, " ") + "\n")
	}
	group, err := tessera.NewWitnessGroupFromPolicy([]byte(text.String()))
	if err != nil {
		return group, fmt.Errorf("notary: %w", err)
	}
	return group, nil
}

// open starts the log's storage and brings the book up to it.
func (s *Server) open(ctx context.Context, c Config, opts *tessera.AppendOptions) error {
	driver, err := posix.New(s.ctx, posix.Config{Path: c.Dir, HTTPClient: &http.Client{Timeout: witnessTimeout}})
	if err != nil {
		return fmt.Errorf("notary: %w", err)
	}
	s.appender, s.shutdown, s.reader, err = tessera.NewAppender(s.ctx, driver, opts)
	if err != nil {
		return fmt.Errorf("notary: %w", err)
	}
	read := func(ctx context.Context) ([]byte, error) { return s.reader.ReadCheckpoint(ctx) }
	s.awaiter = tessera.NewPublicationAwaiter(s.ctx, read, min(c.Interval/2, 100*time.Millisecond))
	return s.replay(ctx)
}

// replay applies the entries on disk to the book. The tree that they and the tiles
// form must begin with that of the published checkpoint; it may be larger,
// if the process ended between the two.
func (s *Server) replay(ctx context.Context) error {
	size, err := s.reader.IntegratedSize(ctx)
	if err != nil {
		return fmt.Errorf("notary: %w", err)
	}
	tiles := tesserax.NewTileReader(s.reader)
	hashes := ownHashes{ctx, tiles, int64(size)}
	if err := s.checkPublished(ctx, hashes); err != nil {
		return err
	}
	if size == 0 {
		return nil
	}
	root, err := tlog.TreeHash(int64(size), hashes)
	if err != nil {
		return fmt.Errorf("notary: log on disk: %w", err)
	}
	client, err := torchwood.NewClient(tiles)
	if err != nil {
		return fmt.Errorf("notary: %w", err)
	}
	now := time.Now()
	for i, entry := range client.AllEntries(ctx, tlog.Tree{N: int64(size), Hash: root}, 0) {
		if err := s.book.Apply(uint64(i), entry, now); err != nil {
			return fmt.Errorf("notary: %w", err)
		}
	}
	if err := client.Err(); err != nil {
		return fmt.Errorf("notary: log on disk: %w", err)
	}
	if s.book.Size() != size {
		return fmt.Errorf("notary: log on disk has %d entries of %d", s.book.Size(), size)
	}
	return nil
}

func (s *Server) checkPublished(ctx context.Context, hashes ownHashes) error {
	signed, err := s.reader.ReadCheckpoint(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("notary: %w", err)
	}
	n, err := note.Open(signed, s.policy) // its witnesses may be those of an older policy
	if err != nil {
		return fmt.Errorf("notary: published checkpoint: %w", err)
	}
	c, err := torchwood.ParseCheckpoint(n.Text)
	if err != nil || c.Origin != s.policy.Origin() || c.N > hashes.size {
		return fmt.Errorf("notary: log on disk has %d entries, its checkpoint is %q: %v", hashes.size, n.Text, err)
	}
	if c.N == 0 {
		return nil
	}
	root, err := tlog.TreeHash(c.N, hashes)
	if err != nil {
		return fmt.Errorf("notary: log on disk: %w", err)
	}
	if root != c.Hash {
		return errors.New("notary: log on disk is not that of its checkpoint")
	}
	return nil
}

// ownHashes reads hashes from the tiles on disk of a log of the given size. They are
// compared with the checkpoint by who uses them.
type ownHashes struct {
	ctx   context.Context
	tiles torchwood.TileReader
	size  int64
}

// ReadHashes implements [tlog.HashReader].
func (h ownHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		t := tlog.TileForIndex(torchwood.TileHeight, index)
		t.W = int(min(torchwood.TileWidth, h.size>>(t.L*t.H)-t.N*torchwood.TileWidth))
		data, err := h.tiles.ReadTiles(h.ctx, []tlog.Tile{t})
		if err != nil {
			return nil, err
		}
		if out[i], err = tlog.HashFromTile(t, data[0], index); err != nil {
			return nil, err
		}
	}
	return out, nil
}
