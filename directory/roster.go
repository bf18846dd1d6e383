package directory

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"writ/internal/wire"
)

// ErrNotMember is the error of a roster proof that does not hold.
var ErrNotMember = errors.New("directory: invalid: account not proven in the roster")

// maxRoster bounds the size a proof may claim; a tree of it is 32 levels deep.
const maxRoster = 1 << 32

// hashes holds the interior and leaf hashes of a tree in the order of
// [tlog.StoredHashIndex].
type hashes []tlog.Hash

// ReadHashes implements [tlog.HashReader].
func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = h[x]
	}
	return out, nil
}

// RosterRoot returns the root of the distinct names among accounts. Their
// order and repetitions don't matter.
func RosterRoot(accounts []string) [32]byte {
	sorted := distinct(accounts)
	head, err := tlog.TreeHash(int64(len(sorted)), tree(sorted))
	if err != nil {
		panic("directory: tree hash over own hashes: " + err.Error())
	}
	return rootOf(int64(len(sorted)), head)
}

// rootOf binds the size too: an RFC 6962 inclusion proof alone holds for
// several sizes, so that a proof could be changed and still be accepted.
func rootOf(size int64, head tlog.Hash) [32]byte {
	var w wire.Writer
	w.Uint64(uint64(size))
	return wire.Hash("roster", w.Bytes(), head[:])
}

// ProveRoster returns the proof that account is among accounts:
//
//	struct { uint64 index; uint64 size; opaque hashes<V>; } RosterProof;
//
// hashes being 32 bytes each, from the leaf up. It fails if account is absent.
func ProveRoster(accounts []string, account string) ([]byte, error) {
	sorted := distinct(accounts)
	index, found := slices.BinarySearch(sorted, account)
	if !found {
		return nil, fmt.Errorf("directory: refused: %q is not in the roster", account)
	}
	path, err := tlog.ProveRecord(int64(len(sorted)), int64(index), tree(sorted))
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	var w wire.Writer
	w.Uint64(uint64(index))
	w.Uint64(uint64(len(sorted)))
	w.Vector(func(w *wire.Writer) {
		for _, h := range path {
			w.Fixed(h[:])
		}
	})
	return w.Bytes(), nil
}

// VerifyRoster reports whether proof shows account in the roster with that
// root: nil, an error that wraps [wire.ErrMalformed], or [ErrNotMember].
func VerifyRoster(root [32]byte, account string, proof []byte) error {
	p, err := parseProof(proof)
	if err != nil {
		return err
	}
	head, ok := p.head(tlog.RecordHash([]byte(account)))
	if !ok || rootOf(p.size, head) != root {
		return ErrNotMember
	}
	return nil
}

type rosterProof struct {
	index, size int64
	path        tlog.RecordProof
}

func parseProof(b []byte) (*rosterProof, error) {
	r := wire.NewReader(b)
	index, size := r.Uint64(), r.Uint64()
	if index >= size || size > maxRoster {
		r.Fail("index %d of %d accounts", index, size)
	}
	v := r.Vector(32 * 32)
	var path tlog.RecordProof
	for v.More() {
		path = append(path, v.Array32())
	}
	r.Check(v.Done())
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("directory: roster proof: %w", err)
	}
	return &rosterProof{int64(index), int64(size), path}, nil
}

// head runs the inclusion proof of RFC 9162 section 2.1.3.2 up from the leaf.
// It fails if the path's length is not that of the index and size, as the RFC
// demands; here the size in the root would refuse such a path as well.
func (p *rosterProof) head(leaf tlog.Hash) (head tlog.Hash, ok bool) {
	fn, sn, h := p.index, p.size-1, leaf
	for _, sibling := range p.path {
		if sn == 0 {
			return head, false
		}
		if fn&1 == 1 || fn == sn {
			h = tlog.NodeHash(sibling, h)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			h = tlog.NodeHash(h, sibling)
		}
		fn, sn = fn>>1, sn>>1
	}
	return h, sn == 0
}

func distinct(accounts []string) []string {
	sorted := slices.Clone(accounts)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// tree computes the hashes of the tree over the given leaves.
func tree(leaves []string) hashes {
	var h hashes
	for i, leaf := range leaves {
		more, err := tlog.StoredHashes(int64(i), []byte(leaf), h)
		if err != nil {
			panic("directory: own hashes missing: " + err.Error())
		}
		h = append(h, more...)
	}
	return h
}
