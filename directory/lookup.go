package directory

import (
	"golang.org/x/mod/sumdb/tlog"

	"writ/internal/wire"
)

// MaxTail is how many entries at the end of the log a lookup may bring in full.
// So a log of at most this size is proven by a scan of all of it, and a longer
// one needs the root of a prefix tree among its last entries.
const MaxTail = 256

// MaxLookup is the largest lookup in bytes: an account's whole history.
const MaxLookup = 2 << 20

const lookupVersion = 1

// Opened is a statement with what its leaf on the log was made from.
type Opened struct {
	Statement *Statement
	Salt      [32]byte
	Index     uint64 // of the leaf
}

// Lookup is the directory's answer about one account, not verified: see
// [Verify].
//
//	struct { opaque statement<V>; opaque salt[32]; uint64 index; } Opened;
//	struct {
//	  uint16 version = 1;
//	  opaque label_proof[80];
//	  Opened chain<V>;        all statements, from version 1
//	  uint64 start;           entries before it are the tree's
//	  opaque left<V> of [32]; perfect subtrees of those entries, largest first
//	  opaque tail<V> of <V>;  all entries from start on
//	  opaque tree<V>;         TreeProof; empty if start is 0
//	  opaque path<V> of [32]; from the newest leaf before start to the log's root
//	} Lookup;
type Lookup struct {
	labelProof []byte
	chain      []Opened
	tail       span
	tree       *TreeProof // nil if the tail is the whole log
	path       tlog.RecordProof
}

// Encode returns the lookup's bytes.
func (l *Lookup) Encode() []byte {
	var w wire.Writer
	w.Uint16(lookupVersion)
	w.Fixed(l.labelProof)
	w.Vector(func(w *wire.Writer) {
		for _, o := range l.chain {
			w.Opaque(o.Statement.Encode())
			w.Fixed(o.Salt[:])
			w.Uint64(o.Index)
		}
	})
	w.Uint64(l.tail.start)
	writeHashes(&w, l.tail.left)
	w.Vector(func(w *wire.Writer) {
		for _, e := range l.tail.entries {
			w.Opaque(e)
		}
	})
	w.Vector(func(w *wire.Writer) {
		if l.tree != nil {
			w.Fixed(l.tree.Encode())
		}
	})
	writeHashes(&w, l.path)
	return w.Bytes()
}

func writeHashes(w *wire.Writer, hashes []tlog.Hash) {
	w.Vector(func(w *wire.Writer) {
		for _, h := range hashes {
			w.Fixed(h[:])
		}
	})
}

// ParseLookup parses a lookup: its form, and that of each statement.
func ParseLookup(b []byte) (*Lookup, error) {
	if len(b) > MaxLookup {
		return nil, malformed("lookup of %d bytes", len(b))
	}
	r := wire.NewReader(b)
	if version := r.Uint16(); r.Err() == nil && version != lookupVersion {
		return nil, unsupported("lookup version %d", version)
	}
	l := &Lookup{labelProof: r.Fixed(labelProofSize)}
	var statements [][]byte
	l.chain, statements = parseOpened(r)
	l.tail = span{start: r.Uint64(), left: parseHashes(r), entries: parseTail(r)}
	tree := r.Opaque(maxTreeProof)
	l.path = parseHashes(r)
	if err := r.Done(); err != nil {
		return nil, malformed("lookup: %v", err)
	}
	var err error
	for i, b := range statements {
		if l.chain[i].Statement, err = Parse(b); err != nil {
			return nil, err
		}
	}
	if l.tail.start == 0 && len(tree) == 0 {
		return l, nil
	}
	if l.tree, err = parseTreeProof(tree); err != nil {
		return nil, err
	}
	return l, nil
}

// parseOpened leaves the statements unparsed.
func parseOpened(r *wire.Reader) (all []Opened, statements [][]byte) {
	v := r.Vector(MaxLookup)
	for v.More() {
		statements = append(statements, v.Opaque(MaxStatement))
		all = append(all, Opened{Salt: v.Array32(), Index: v.Uint64()})
		if len(all) > MaxVersion {
			v.Fail("more than %d statements", MaxVersion)
		}
	}
	r.Check(v.Done())
	return all, statements
}

func parseHashes(r *wire.Reader) []tlog.Hash {
	var hashes []tlog.Hash
	v := r.Vector(63 * 32)
	for v.More() {
		hashes = append(hashes, v.Array32())
	}
	r.Check(v.Done())
	return hashes
}

func parseTail(r *wire.Reader) [][]byte {
	var entries [][]byte
	v := r.Vector(MaxTail * (maxEntry + 2))
	for v.More() {
		entries = append(entries, v.Opaque(maxEntry))
		if len(entries) > MaxTail {
			v.Fail("more than %d entries", MaxTail)
		}
	}
	r.Check(v.Done())
	return entries
}
