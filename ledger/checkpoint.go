package ledger

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"writ/internal/wire"
)

// MaxCheckpoint is the largest signed checkpoint in bytes.
const MaxCheckpoint = 32 << 10

// MaxSkew is how far a cosignature may lie in the future of the reader's clock
// and still count, where freshness is asked for.
const MaxSkew = time.Minute

// Checkpoint is a checkpoint that a [Policy] accepted.
type Checkpoint struct {
	tree   tlog.Tree
	origin string
	time   time.Time
	signed []byte
}

// Origin returns the name of the log.
func (c *Checkpoint) Origin() string { return c.origin }

// Size returns the number of entries.
func (c *Checkpoint) Size() uint64 { return uint64(c.tree.N) }

// Tree returns the size and the root hash (RFC 6962).
func (c *Checkpoint) Tree() tlog.Tree { return c.tree }

// Time returns the latest time at which a quorum of witnesses stood by the
// checkpoint: the youngest t such that those who cosigned at t or later are a
// quorum.
func (c *Checkpoint) Time() time.Time { return c.time }

// Signed returns the checkpoint with the signatures of the policy's keys and
// no others, which the policy accepts again.
func (c *Checkpoint) Signed() []byte { return bytes.Clone(c.signed) }

// Checkpoint verifies a signed checkpoint: the log's signature and a quorum of
// cosignatures of distinct witnesses. A cosignature counts if it is not older than
// maxAge and not more than min(maxAge, [MaxSkew]) in the future; if maxAge is
// 0, every time counts, as for reading old evidence. Signatures of
// unknown keys are ignored, a wrong one of a known key is not.
func (p *Policy) Checkpoint(signed []byte, now time.Time, maxAge time.Duration) (*Checkpoint, error) {
	if len(signed) > MaxCheckpoint {
		return nil, malformed("checkpoint of %d bytes", len(signed))
	}
	n, err := note.Open(signed, p)
	if err != nil {
		return nil, refused("checkpoint: %v", err)
	}
	origin, tree, err := parseTree(n.Text)
	if err != nil {
		return nil, err
	}
	if origin != p.Origin() {
		return nil, refused("checkpoint is of log %q, not %q", origin, p.Origin())
	}
	if !slices.ContainsFunc(n.Sigs, p.isLog) {
		return nil, refused("checkpoint without the log's signature")
	}
	t, err := p.quorumTime(n.Sigs, now, maxAge)
	if err != nil {
		return nil, err
	}
	return &Checkpoint{tree: tree, origin: origin, time: t, signed: formatNote(n)}, nil
}

// Remembered reads a checkpoint that its reader accepted before and kept, maybe under an
// earlier policy of the same log. The log's signature must verify; without a quorum of this
// policy its time is zero. Signed returns it as it was kept.
func (p *Policy) Remembered(signed []byte) (*Checkpoint, error) {
	n, err := note.Open(signed, p)
	if err != nil {
		return nil, refused("checkpoint: %v", err)
	}
	origin, tree, err := parseTree(n.Text)
	if err != nil {
		return nil, err
	}
	if origin != p.Origin() || !slices.ContainsFunc(n.Sigs, p.isLog) {
		return nil, refused("checkpoint is not of log %q", p.Origin())
	}
	t, _ := p.quorumTime(n.Sigs, time.Time{}, 0)
	return &Checkpoint{tree: tree, origin: origin, time: t, signed: bytes.Clone(signed)}, nil
}

// Cosignature says when a witness last stood by a checkpoint.
type Cosignature struct {
	Witness string    // its name in the policy
	Time    time.Time // zero if it did not cosign
}

// Cosignatures returns one for each witness of the policy, in its order, of a
// checkpoint that this policy accepted.
func (p *Policy) Cosignatures(c *Checkpoint) []Cosignature {
	list := make([]Cosignature, len(p.witnesses))
	for i, w := range p.witnesses {
		list[i].Witness = w.Name
	}
	n, err := note.Open(c.signed, p)
	if err != nil {
		return list // of another policy
	}
	for _, s := range n.Sigs {
		if i := p.witness(s.Name, s.Hash); i >= 0 {
			list[i].Time = time.Unix(cosignatureTime(s), 0)
		}
	}
	return list
}

func (p *Policy) isLog(s note.Signature) bool {
	return s.Name == p.log.Name() && s.Hash == p.log.KeyHash()
}

// quorumTime returns the youngest time at which a quorum had cosigned, and an
// error if there is no quorum or it is too old.
func (p *Policy) quorumTime(sigs []note.Signature, now time.Time, maxAge time.Duration) (time.Time, error) {
	type cosignature struct {
		time    int64
		witness int
	}
	var all []cosignature
	for _, s := range sigs {
		if i := p.witness(s.Name, s.Hash); i >= 0 {
			all = append(all, cosignature{cosignatureTime(s), i})
		}
	}
	slices.SortFunc(all, func(a, b cosignature) int { return cmp.Compare(b.time, a.time) })
	set, early := make([]bool, len(p.witnesses)), 0
	for _, c := range all {
		t := time.Unix(c.time, 0)
		if maxAge > 0 && t.Sub(now) > min(maxAge, MaxSkew) {
			early++
			continue
		}
		set[c.witness] = true
		if !p.quorum.satisfied(set) {
			continue
		}
		if maxAge > 0 && now.Sub(t) > maxAge {
			return time.Time{}, refused("checkpoint is stale: a quorum stood by it %v ago", now.Sub(t).Round(time.Second))
		}
		return t, nil
	}
	return time.Time{}, fail(ErrNoQuorum, "%d cosignatures, %d of them dated in the future; not by %s", []any{len(all), early, p.without(set)})
}

// without names the witnesses that are not in a set.
func (p *Policy) without(set []bool) string {
	var names []string
	for i, w := range p.witnesses {
		if !set[i] {
			names = append(names, w.Name)
		}
	}
	return strings.Join(names, ", ")
}

// maxTime is a day before the year 9999 ends in Greenwich, so that it has not ended anywhere.
// JSON has no later year: a single witness who states one could keep everybody's report from
// being written.
const maxTime = wire.MaxTime - 24*3600

// cosignatureTime reads the time of a verified cosignature, in seconds since
// the Unix epoch. A later one than maxTime is read as that.
func cosignatureTime(s note.Signature) int64 {
	b, err := base64.StdEncoding.DecodeString(s.Base64)
	if err != nil || len(b) < 12 {
		return 0
	}
	return int64(min(binary.BigEndian.Uint64(b[4:]), maxTime))
}

// parseTree parses the text of a checkpoint (c2sp.org/tlog-checkpoint): origin,
// size, root hash, then non-empty extension lines, which mean nothing here.
func parseTree(text string) (origin string, tree tlog.Tree, err error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 3 || slices.Contains(lines, "") {
		return "", tree, malformed("checkpoint text %q", text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return "", tree, malformed("checkpoint size %q", lines[1])
	}
	hash, err := tlog.ParseHash(lines[2])
	if err != nil || hash.String() != lines[2] {
		return "", tree, malformed("checkpoint hash %q", lines[2])
	}
	return lines[0], tlog.Tree{N: size, Hash: hash}, nil
}

// formatNote writes a note with its verified signatures only.
func formatNote(n *note.Note) []byte {
	var b strings.Builder
	b.WriteString(n.Text + "\n")
	for _, s := range n.Sigs {
		raw, _ := base64.StdEncoding.DecodeString(s.Base64) // note.Open decoded it
		fmt.Fprintf(&b, "— %s %s\n", s.Name, base64.StdEncoding.EncodeToString(raw))
	}
	return []byte(b.String())
}

// cosignatureVerifier verifies cosignatures of c2sp.org/tlog-cosignature, type
// 0x04: uint64 time || Ed25519 signature over "cosignature/v1\ntime <time>\n" ||
// checkpoint text.
type cosignatureVerifier struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (v cosignatureVerifier) Name() string    { return v.name }
func (v cosignatureVerifier) KeyHash() uint32 { return v.hash }

func (v cosignatureVerifier) Verify(text, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	t := binary.BigEndian.Uint64(sig)
	if t > math.MaxInt64 {
		return false
	}
	m := fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", t, text)
	return ed25519.Verify(v.key, m, sig[8:])
}
