package directory

import (
	"encoding/binary"

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

// span is a run of entries up to the end of the log, with what makes it
// provable: the roots of the perfect subtrees into which RFC 6962 section 2.1
// cuts the entries before it, the largest first.
type span struct {
	start   uint64
	left    []tlog.Hash
	entries [][]byte
}

// head computes the root of the log of which the span is the end. It fails if
// left has not one hash for each bit set in start, or start is 2^63 or more.
func (s span) head() (head tlog.Hash, ok bool) {
	var sizes []uint64
	for bit := uint64(1) << 62; bit > 0; bit >>= 1 {
		if s.start&bit != 0 {
			sizes = append(sizes, bit)
		}
	}
	stack := append([]tlog.Hash{}, s.left...)
	if len(sizes) != len(stack) || s.start>>63 != 0 {
		return head, false
	}
	for _, e := range s.entries {
		stack, sizes = append(stack, tlog.RecordHash(e)), append(sizes, 1)
		for n := len(sizes); n > 1 && sizes[n-1] == sizes[n-2]; n-- {
			stack = append(stack[:n-2], tlog.NodeHash(stack[n-2], stack[n-1]))
			sizes = append(sizes[:n-2], 2*sizes[n-1])
		}
	}
	if len(stack) == 0 {
		return head, false // an empty log answers nothing
	}
	head = stack[len(stack)-1]
	for i := len(stack) - 2; i >= 0; i-- {
		head = tlog.NodeHash(stack[i], head)
	}
	return head, true
}

// subtrees reads the hashes of [span.left] for a start.
func subtrees(start uint64, log tlog.HashReader) ([]tlog.Hash, error) {
	var indexes []int64
	done := uint64(0)
	for level := 62; level >= 0; level-- {
		if size := uint64(1) << level; start&size != 0 {
			indexes = append(indexes, tlog.StoredHashIndex(level, int64(done>>level)))
			done += size
		}
	}
	if len(indexes) == 0 {
		return nil, nil
	}
	return log.ReadHashes(indexes)
}
