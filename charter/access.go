package charter

import (
	"fmt"
	"slices"

	"writ/internal/wire"
)

// Access is the access structure of a charter with the custodians' public keys
// of one key period. It doesn't change and is safe for concurrent use.
type Access struct {
	charter Hash
	period  uint32
	root    *Gate
	leaves  []Leaf
	encoded []byte
}

// Gate is a node of a resolved access structure.
type Gate struct {
	Path      []byte // child indexes from the root, empty for the root
	Threshold uint8  // 0 for a custodian
	Children  []*Gate
	Leaf      int // index into Leaves for a custodian, -1 for a gate
}

// Leaf is a custodian in a resolved access structure.
type Leaf struct {
	Path      []byte // child indexes from the root
	Office    string
	Custodian string
	KEM       KEM
	PublicKey []byte
}

// Access resolves the access structure for one key period. Statements are
// those of the ledger in its order, for this and all other periods; those
// inside the charter come before them and needn't be among them.
//
// For each custodian and period the first sound statement counts. Sound is one
// that verifies and whose key nobody used before it: not a key of the charter,
// not another custodian's, not the same custodian's of another period, which
// would outlive its horizon. Others are passed over, because anybody may write
// to the ledger. A custodian without a sound key is an error.
func (c *Charter) Access(period uint32, statements []*KeyStatement) (*Access, error) {
	if c.Mode == NoAccess {
		return nil, fmt.Errorf("charter: %w: no exceptional access", ErrInvalid)
	}
	sound, err := c.soundKeys(statements)
	if err != nil {
		return nil, fmt.Errorf("charter: %w: %w", ErrInvalid, err)
	}
	a := &Access{charter: c.Hash(), period: period}
	if a.root, err = a.resolve(c.Structure, nil, sound); err != nil {
		return nil, err
	}
	var w wire.Writer
	a.encode(&w, a.root)
	a.encoded = w.Bytes()
	return a, nil
}

// soundKeys returns the sound statements among the charter's own, of which
// none may be unsound, and the given ones.
func (c *Charter) soundKeys(statements []*KeyStatement) ([]*KeyStatement, error) {
	used, err := c.rawKeys()
	if err != nil {
		return nil, err
	}
	var sound []*KeyStatement
	seen := map[string]bool{}
	for i, k := range slices.Concat(c.Keys, statements) {
		encoded := string(k.Encode())
		if seen[encoded] {
			continue
		}
		err := k.Verify(c)
		if err == nil {
			err = used.takeKEM(k.Custodian, k.PublicKey)
		}
		if err == nil {
			sound, seen[encoded] = append(sound, k), true
		} else if i < len(c.Keys) {
			return nil, err
		}
	}
	return sound, nil
}

func (a *Access) resolve(n *Node, path []byte, sound []*KeyStatement) (*Gate, error) {
	g := &Gate{Path: path, Threshold: n.Threshold, Leaf: -1}
	if len(n.Children) == 0 {
		mine := func(k *KeyStatement) bool { return k.Custodian == n.Custodian && k.Period == a.period }
		i := slices.IndexFunc(sound, mine)
		if i < 0 {
			return nil, fmt.Errorf("charter: %w: no key of custodian %s for period %d", ErrInvalid, n.Custodian, a.period)
		}
		g.Leaf = len(a.leaves)
		a.leaves = append(a.leaves, Leaf{path, n.Office, n.Custodian, sound[i].KEM, clone(sound[i].PublicKey)})
		return g, nil
	}
	for i, child := range n.Children {
		c, err := a.resolve(child, append(clone(path), byte(i)), sound)
		if err != nil {
			return nil, err
		}
		g.Children = append(g.Children, c)
	}
	return g, nil
}

// Encode returns the structure with its public keys, to which capsules are
// bound:
//
//	struct { uint8 type;  // 1 gate, 2 custodian
//	  select (type) { case 1: uint8 threshold; Node children<V>;
//	                  case 2: uint16 kem; opaque public_key<V>; } } Node;
func (a *Access) Encode() []byte { return clone(a.encoded) }

func (a *Access) encode(w *wire.Writer, g *Gate) {
	if g.Leaf >= 0 {
		l := &a.leaves[g.Leaf]
		w.Uint8(nodeLeaf)
		w.Uint16(uint16(l.KEM))
		w.Opaque(l.PublicKey)
		return
	}
	w.Uint8(nodeGate)
	w.Uint8(g.Threshold)
	vector(w, g.Children, a.encode)
}

// Charter returns the hash of the charter the structure is of.
func (a *Access) Charter() Hash { return a.charter }

// Period returns the key period.
func (a *Access) Period() uint32 { return a.period }

// Root returns the root of the structure; callers don't change it.
func (a *Access) Root() *Gate { return a.root }

// Leaves returns the custodians in the order of the structure, left to right;
// callers don't change them.
func (a *Access) Leaves() []Leaf { return a.leaves }

// Leaf returns a custodian's leaf, or nil.
func (a *Access) Leaf(custodian string) *Leaf {
	for i := range a.leaves {
		if a.leaves[i].Custodian == custodian {
			return &a.leaves[i]
		}
	}
	return nil
}

// Satisfied reports whether a set of custodians, by name, can open.
func (a *Access) Satisfied(set map[string]bool) bool { return a.satisfied(a.root, set) }

func (a *Access) satisfied(g *Gate, set map[string]bool) bool {
	if g.Leaf >= 0 {
		return set[a.leaves[g.Leaf].Custodian]
	}
	open := 0
	for _, c := range g.Children {
		if a.satisfied(c, set) {
			open++
		}
	}
	return open >= int(g.Threshold)
}
