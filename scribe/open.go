package scribe

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

	"writ/ledger"
)

const (
	defaultInterval  = 500 * time.Millisecond
	defaultRepublish = time.Minute
	minInterval      = 100 * time.Millisecond // the least the log's storage takes
	witnessTimeout   = 5 * time.Second
)

// options checks the configuration and turns it into that of the
// storage. A checkpoint without a quorum of witnesses is never published.
func (c *Config) options() (*tessera.AppendOptions, error) {
	if c.Interval == 0 {
		c.Interval = defaultInterval
	}
	if c.Republish == 0 {
		c.Republish = max(defaultRepublish, c.Interval)
	}
	if c.Interval < minInterval || c.Republish < c.Interval {
		return nil, fmt.Errorf("scribe: interval %v, republication every %v", c.Interval, c.Republish)
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
		return nil, errors.New("scribe: malformed signer key") // the error may quote the key
	}
	probe, err := note.Sign(&note.Note{Text: "probe\n"}, signer)
	if err != nil {
		return nil, fmt.Errorf("scribe: %w", err)
	}
	verifier, err := note.NewVerifier(c.Policy.LogVKey())
	if err != nil {
		return nil, fmt.Errorf("scribe: %w", err)
	}
	if _, err := note.Open(probe, note.VerifierList(verifier)); err != nil {
		return nil, fmt.Errorf("scribe: the signer is not the log %q of the policy", c.Policy.Origin())
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
			return group, fmt.Errorf("scribe: witness %q has no URL: %q", w.Name, c.Witnesses[w.Name])
		}
		to := u.JoinPath("/").String()
		if used[to] {
			return group, fmt.Errorf("scribe: two witnesses at %s", to)
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
		return group, fmt.Errorf("scribe: %w", err)
	}
	return group, nil
}

// open starts the storage and replays what is in it.
func (l *Log) open(ctx context.Context, c Config, opts *tessera.AppendOptions) error {
	driver, err := posix.New(l.ctx, posix.Config{Path: c.Dir, HTTPClient: &http.Client{Timeout: witnessTimeout}})
	if err != nil {
		return fmt.Errorf("scribe: %w", err)
	}
	l.appender, l.shutdown, l.reader, err = tessera.NewAppender(l.ctx, driver, opts)
	if err != nil {
		return fmt.Errorf("scribe: %w", err)
	}
	read := func(ctx context.Context) ([]byte, error) { return l.reader.ReadCheckpoint(ctx) }
	l.awaiter = tessera.NewPublicationAwaiter(l.ctx, read, min(c.Interval/2, 100*time.Millisecond))
	return l.replay(ctx, c.Replay)
}

// replay hands over the entries on disk. The tree that they and the tiles
// form must begin with that of the published checkpoint; it may be larger,
// if the process ended between the two.
func (l *Log) replay(ctx context.Context, replay func(uint64, []byte) error) error {
	size, err := l.reader.IntegratedSize(ctx)
	if err != nil {
		return fmt.Errorf("scribe: %w", err)
	}
	tiles := tesserax.NewTileReader(l.reader)
	hashes := ownHashes{ctx, tiles, int64(size)}
	if err := l.checkPublished(ctx, hashes); err != nil {
		return err
	}
	if size == 0 {
		return nil
	}
	root, err := tlog.TreeHash(int64(size), hashes)
	if err != nil {
		return fmt.Errorf("scribe: log on disk: %w", err)
	}
	client, err := torchwood.NewClient(tiles)
	if err != nil {
		return fmt.Errorf("scribe: %w", err)
	}
	for i, entry := range client.AllEntries(ctx, tlog.Tree{N: int64(size), Hash: root}, 0) {
		if err := replay(uint64(i), entry); err != nil {
			return fmt.Errorf("scribe: %w", err)
		}
		l.size = uint64(i) + 1
	}
	if err := client.Err(); err != nil {
		return fmt.Errorf("scribe: log on disk: %w", err)
	}
	if l.size != size {
		return fmt.Errorf("scribe: log on disk has %d entries of %d", l.size, size)
	}
	return nil
}

func (l *Log) checkPublished(ctx context.Context, hashes ownHashes) error {
	signed, err := l.reader.ReadCheckpoint(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("scribe: %w", err)
	}
	n, err := note.Open(signed, l.policy) // its witnesses may be those of an older policy
	if err != nil {
		return fmt.Errorf("scribe: published checkpoint: %w", err)
	}
	if _, err := l.policy.Checkpoint(signed, time.Now(), 0); errors.Is(err, ledger.ErrNoQuorum) {
		l.log.Info("scribe: the last checkpoint is of an older policy; the next is awaited", "reason", err)
	}
	c, err := torchwood.ParseCheckpoint(n.Text)
	if err != nil || c.Origin != l.policy.Origin() || c.N > hashes.size {
		return fmt.Errorf("scribe: log on disk has %d entries, its checkpoint is %q: %v", hashes.size, n.Text, err)
	}
	if c.N == 0 {
		return nil
	}
	root, err := tlog.TreeHash(c.N, hashes)
	if err != nil {
		return fmt.Errorf("scribe: log on disk: %w", err)
	}
	if root != c.Hash {
		return errors.New("scribe: log on disk is not that of its checkpoint")
	}
	return nil
}
