package directory

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"writ/internal/wire"
)

const (
	entryVersion = 1
	maxEntry     = 128 // bytes
)

// The types of entries on the directory's log. Another one is unsupported.
const (
	typeLeaf = 1
	typeRoot = 2
)

// Leaf is what the log shows of a statement: neither account nor device nor
// version can be read from it. Leaves of one account bear one label, so that
// anyone sees that some account changed its devices, and when.
type Leaf struct {
	Label      Label
	Commitment [32]byte
}

// Root is what the log shows of the prefix tree: its root over all entries
// before index Size. It stands at an index of Size or more.
type Root struct {
	Size uint64
	Hash [32]byte
}

// Entry is a parsed entry of the log: one of its pointers is not nil.
type Entry struct {
	Leaf *Leaf
	Root *Root
}

// NewLeaf commits to a statement: Hash("directory commitment", salt, label,
// version, statement hash). salt is 32 random bytes, new for every statement.
func NewLeaf(label Label, s *Statement, salt [32]byte) Leaf {
	h := s.Hash()
	version := binary.BigEndian.AppendUint64(nil, s.Version)
	return Leaf{label, wire.Hash("directory commitment", salt[:], label[:], version, h[:])}
}

// Entry returns the leaf as it stands on the log.
func (l Leaf) Entry() []byte {
	return encodeEntry(typeLeaf, l.Label[:], l.Commitment[:])
}

// Entry returns the root as it stands on the log.
func (r Root) Entry() []byte {
	return encodeEntry(typeRoot, binary.BigEndian.AppendUint64(nil, r.Size), r.Hash[:])
}

func encodeEntry(kind uint8, parts ...[]byte) []byte {
	var w wire.Writer
	w.Uint16(entryVersion)
	w.Uint8(kind)
	w.Vector(func(w *wire.Writer) {
		for _, p := range parts {
			w.Fixed(p)
		}
	})
	return w.Bytes()
}

// ParseEntry parses an entry of the directory's log.
func ParseEntry(b []byte) (Entry, error) {
	if len(b) > maxEntry {
		return Entry{}, malformed("entry of %d bytes", len(b))
	}
	r := wire.NewReader(b)
	version, kind, body := r.Uint16(), r.Uint8(), r.Vector(maxEntry)
	if err := r.Done(); err != nil {
		return Entry{}, malformed("entry: %v", err)
	}
	var e Entry
	switch {
	case version != entryVersion:
		return Entry{}, unsupported("entry version %d", version)
	case kind == typeLeaf:
		e.Leaf = &Leaf{Label: body.Array32(), Commitment: body.Array32()}
	case kind == typeRoot:
		e.Root = &Root{Size: body.Uint64(), Hash: body.Array32()}
	default:
		return Entry{}, unsupported("entry type %d", kind)
	}
	if err := body.Done(); err != nil {
		return Entry{}, malformed("entry: %v", err)
	}
	return e, nil
}

// frontier is the tree of a log's first entries, as far as more entries change it:
// the roots of the perfect subtrees into which RFC 6962 section 2.1 cuts them, the
// largest first. It is not changed in place.
type frontier struct {
	size  uint64
	roots []tlog.Hash
}

// valid reports whether there is a root for each bit set in a size below 2^63.
func (f frontier) valid() bool {
	return bits.OnesCount64(f.size) == len(f.roots) && f.size>>63 == 0
}

// with returns the frontier after more entries.
func (f frontier) with(entries ...[]byte) frontier {
	roots := slices.Clone(f.roots)
	for _, e := range entries {
		roots = append(roots, tlog.RecordHash(e))
		for size := f.size; size&1 == 1; size >>= 1 {
			n := len(roots)
			roots = append(roots[:n-2], tlog.NodeHash(roots[n-2], roots[n-1]))
		}
		f.size++
	}
	f.roots = roots
	return f
}

// head returns the root of the log; ok is false of an empty one, which answers nothing.
func (f frontier) head() (head tlog.Hash, ok bool) {
	for i, root := range slices.Backward(f.roots) {
		if i == len(f.roots)-1 {
			head = root
		} else {
			head = tlog.NodeHash(root, head)
		}
	}
	return head, len(f.roots) > 0
}

// span is a run of entries up to the end of the log, with what makes it
// provable: the [frontier] of the entries before it.
type span struct {
	start   uint64
	left    []tlog.Hash
	entries [][]byte
}

// head computes the root of the log of which the span is the end. It fails if
// left has not one hash for each bit set in start, or start is 2^63 or more.
func (s span) head() (head tlog.Hash, ok bool) {
	f := frontier{s.start, s.left}
	if !f.valid() {
		return head, false
	}
	return f.with(s.entries...).head()
}
