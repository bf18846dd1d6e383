package mls

import (
	"errors"
	"maps"
	"math"
	"slices"
)

// ErrConsumed says that a key has been used and erased, or its ratchet moved on.
var ErrConsumed = errors.New("mls: key already consumed")

// A secretTree is the secret tree of one epoch with its ratchets (RFC 9420 9).
// Only secrets that aren't consumed are in it: a node's secret is replaced by its
// children's, a leaf's by its two ratchets', a ratchet's by the next generation's.
type secretTree struct {
	suite    *suite
	epoch    uint64
	width    uint32 // leaves
	nodes    map[nodeIndex][]byte
	ratchets map[ratchetID]*ratchet
}

func newSecretTree(s *suite, epoch uint64, width uint32, encryption []byte) *secretTree {
	return &secretTree{s, epoch, width, map[nodeIndex][]byte{root(width): encryption}, make(map[ratchetID]*ratchet)}
}

// An expansion is the part of the secret tree that a leaf's first message unfolds:
// the secret of node from gives way to those of the copath and to two ratchets.
type expansion struct {
	from     nodeIndex
	copath   map[nodeIndex][]byte
	ratchets map[ratchetID]*ratchet
}

// expand derives the secrets down to leaf i (RFC 9420 9) and changes nothing. Left
// unused, they are garbage; secret ones, so the caller erases them.
func (t *secretTree) expand(i LeafIndex) (*expansion, error) {
	if uint32(i) >= t.width {
		return nil, invalid("leaf %d outside the tree", i)
	}
	path := append([]nodeIndex{i.node()}, directPath(i, t.width)...)
	k := slices.IndexFunc(path, func(x nodeIndex) bool { return t.nodes[x] != nil })
	if k < 0 {
		return nil, ErrConsumed
	}
	e := &expansion{path[k], make(map[nodeIndex][]byte), make(map[ratchetID]*ratchet)}
	secret := slices.Clone(t.nodes[path[k]])
	for ; k > 0; k-- {
		left := t.suite.expandWithLabel(secret, "tree", []byte("left"), t.suite.nh)
		right := t.suite.expandWithLabel(secret, "tree", []byte("right"), t.suite.nh)
		clear(secret)
		secret = left
		if path[k-1] == path[k].right() {
			secret, right = right, left
		}
		e.copath[path[k-1].sibling()] = right
	}
	for _, kind := range []ratchetKind{ratchetHandshake, ratchetApplication} {
		first := t.suite.expandWithLabel(secret, kind.label(), nil, t.suite.nh)
		e.ratchets[ratchetID{i, kind}] = &ratchet{secret: first}
	}
	clear(secret)
	return e, nil
}

func (e *expansion) erase() {
	for _, s := range e.copath {
		clear(s)
	}
	for _, r := range e.ratchets {
		clear(r.secret)
	}
}

// A keyUse is a message key together with what consuming it does to the tree.
type keyUse struct {
	id         ratchetID
	generation uint32
	key        messageKey
	expansion  *expansion            // nil when the leaf's ratchets are there
	skipped    map[uint32]messageKey // new keys for generations that were jumped over
	next       []byte                // nil when an old skipped key is used
}

// find derives the key of one message, at most maxSkip generations ahead, and
// changes nothing. The caller gives the use to consume or to discard.
func (t *secretTree) find(id ratchetID, generation, maxSkip uint32) (*keyUse, error) {
	u := &keyUse{id: id, generation: generation}
	r := t.ratchets[id]
	if r == nil {
		e, err := t.expand(id.leaf)
		if err != nil {
			return nil, err
		}
		u.expansion, r = e, e.ratchets[id]
	}
	if generation < r.generation {
		k, ok := r.skipped[generation]
		if !ok {
			return nil, ErrConsumed
		}
		u.key = messageKey{slices.Clone(k.key), slices.Clone(k.nonce)}
		return u, nil
	}
	if generation-r.generation > maxSkip || generation == math.MaxUint32 {
		t.discard(u)
		return nil, refused("generation %d, the ratchet is at %d", generation, r.generation)
	}
	t.advance(u, r)
	return u, nil
}

func (t *secretTree) advance(u *keyUse, r *ratchet) {
	u.skipped = make(map[uint32]messageKey)
	secret := slices.Clone(r.secret)
	for g := r.generation; ; g++ {
		key := t.suite.ratchetKey(secret, g)
		next := t.suite.nextRatchetSecret(secret, g)
		clear(secret)
		secret = next
		if g == u.generation {
			u.key, u.next = key, next
			return
		}
		u.skipped[g] = key
	}
}

// discard erases a use that comes to nothing.
func (t *secretTree) discard(u *keyUse) {
	u.key.erase()
	clear(u.next)
	for _, k := range u.skipped {
		k.erase()
	}
	if u.expansion != nil {
		u.expansion.erase()
	}
}

// consume moves the tree on: after it the message's key exists nowhere. It keeps at
// most maxSkip skipped keys of the ratchet, the newest.
func (t *secretTree) consume(u *keyUse, maxSkip uint32) delta {
	var d delta
	if u.expansion != nil {
		d = t.unfold(u.expansion)
	}
	r := t.ratchets[u.id]
	u.key.erase()
	if u.next == nil {
		r.skipped[u.generation].erase()
		delete(r.skipped, u.generation)
		return append(d, Record{t.skippedName(u.id, u.generation), nil})
	}
	clear(r.secret)
	r.secret, r.generation = u.next, u.generation+1
	d = append(d, t.ratchetRecord(u.id, r))
	for _, g := range slices.Sorted(maps.Keys(u.skipped)) {
		if r.skipped == nil {
			r.skipped = make(map[uint32]messageKey)
		}
		r.skipped[g] = u.skipped[g]
		d = append(d, t.skippedRecord(u.id, g, u.skipped[g]))
	}
	return append(d, t.trim(u.id, r, int(maxSkip))...).last()
}

// unfold puts an expansion into the tree in place of the secret it came from.
func (t *secretTree) unfold(e *expansion) delta {
	clear(t.nodes[e.from])
	delete(t.nodes, e.from)
	d := delta{{t.nodeName(e.from), nil}}
	for _, x := range slices.Sorted(maps.Keys(e.copath)) {
		t.nodes[x] = e.copath[x]
		d = append(d, Record{t.nodeName(x), e.copath[x]}.clone())
	}
	for id, r := range e.ratchets {
		t.ratchets[id] = r
		d = append(d, t.ratchetRecord(id, r))
	}
	return d
}

// trim forgets the oldest skipped keys beyond n.
func (t *secretTree) trim(id ratchetID, r *ratchet, n int) delta {
	if len(r.skipped) <= n {
		return nil
	}
	var d delta
	old := slices.Sorted(maps.Keys(r.skipped))
	for _, g := range old[:len(old)-n] {
		r.skipped[g].erase()
		delete(r.skipped, g)
		d = append(d, Record{t.skippedName(id, g), nil})
	}
	return d
}

// generationZero returns a copy of a ratchet's first secret, or ErrConsumed.
func (t *secretTree) generationZero(id ratchetID) ([]byte, error) {
	if r := t.ratchets[id]; r != nil {
		if r.generation > 0 {
			return nil, ErrConsumed
		}
		return slices.Clone(r.secret), nil
	}
	e, err := t.expand(id.leaf)
	if err != nil {
		return nil, err
	}
	defer e.erase()
	return slices.Clone(e.ratchets[id].secret), nil
}

// generation is the next one of a ratchet.
func (t *secretTree) generation(id ratchetID) uint32 {
	if r := t.ratchets[id]; r != nil {
		return r.generation
	}
	return 0
}
