package ledger

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	proofHeader = "c2sp.org/tlog-proof@v1\n"
	maxPath     = 63 // hashes: the depth of a tree whose size fits an int64
)

// MaxProof is the largest proof in bytes.
const MaxProof = MaxCheckpoint + maxPath*45 + 64

// Included is an entry that a [Policy] found on its log. Only
// [Policy.Include] makes one.
type Included struct {
	entry      *Entry
	index      uint64
	checkpoint *Checkpoint
}

// Entry returns the entry. Its signature has not been verified: see [Book].
func (in *Included) Entry() *Entry { return in.entry }

// Index returns the position of the entry, from 0.
func (in *Included) Index() uint64 { return in.index }

// Checkpoint returns the checkpoint that the proof rests on.
func (in *Included) Checkpoint() *Checkpoint { return in.checkpoint }

// Include verifies that an entry is on the log: proof is a proof of
// c2sp.org/tlog-proof v1 whose checkpoint the policy accepts, with now and
// maxAge as for [Policy.Checkpoint]. The proof must be in the form that
// [FormatProof] gives, without extra data and with no signature of an unknown
// key, so that no bit of it can change unnoticed.
func (p *Policy) Include(entry, proof []byte, now time.Time, maxAge time.Duration) (*Included, error) {
	e, err := ParseEntry(entry)
	if err != nil {
		return nil, err
	}
	index, path, signed, err := parseProof(proof)
	if err != nil {
		return nil, err
	}
	c, err := p.Checkpoint(signed, now, maxAge)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(FormatProof(index, path, c), proof) {
		return nil, malformed("proof in another than its one form")
	}
	if err := tlog.CheckRecord(path, c.tree.N, c.tree.Hash, int64(index), tlog.Hash(e.Hash())); err != nil {
		return nil, refused("the proof does not show the entry at index %d", index)
	}
	return &Included{entry: e, index: index, checkpoint: c}, nil
}

// FormatProof writes a proof of c2sp.org/tlog-proof v1.
func FormatProof(index uint64, path tlog.RecordProof, c *Checkpoint) []byte {
	b := fmt.Appendf(nil, "%sindex %d\n", proofHeader, index)
	for _, h := range path {
		b = fmt.Appendf(b, "%s\n", h)
	}
	return append(append(b, '\n'), c.signed...)
}

// parseProof takes a proof apart. The signed checkpoint is not verified.
func parseProof(proof []byte) (index uint64, path tlog.RecordProof, signed []byte, err error) {
	if len(proof) > MaxProof {
		return 0, nil, nil, malformed("proof of %d bytes", len(proof))
	}
	head, signed, ok := bytes.Cut(proof, []byte("\n\n"))
	text, ok1 := strings.CutPrefix(string(head), proofHeader)
	text, ok2 := strings.CutPrefix(text, "index ")
	if !ok || !ok1 || !ok2 {
		return 0, nil, nil, malformed("not a tlog proof")
	}
	lines := strings.Split(text, "\n")
	index, err = strconv.ParseUint(lines[0], 10, 63)
	if err != nil || len(lines)-1 > maxPath {
		return 0, nil, nil, malformed("proof of index %q with %d hashes", lines[0], len(lines)-1)
	}
	for _, l := range lines[1:] {
		h, err := tlog.ParseHash(l)
		if err != nil {
			return 0, nil, nil, malformed("proof hash %q", l)
		}
		path = append(path, h)
	}
	return index, path, signed, nil
}
