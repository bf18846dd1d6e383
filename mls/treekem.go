package mls

import (
	"bytes"
	"maps"
	"slices"
)

// treeKeys are the private keys that one member holds, by node: its leaf and the
// nodes of its direct path that it knows (RFC 9420 7.4).
type treeKeys map[nodeIndex]*hpkeKey

// keep returns the keys that still belong to nodes of tree.
func (k treeKeys) keep(tree *ratchetTree) treeKeys {
	kept := maps.Clone(k)
	maps.DeleteFunc(kept, func(x nodeIndex, key *hpkeKey) bool {
		return int(x) >= tree.size() || tree.node(x).blank() || !key.matches(tree.node(x).encryptionKey())
	})
	return kept
}

// eraseBut erases the keys that other doesn't share.
func (k treeKeys) eraseBut(other treeKeys) {
	for x, key := range k {
		if other[x] != key {
			key.erase()
		}
	}
}

// nextPathSecret and nodeKey are the derivations of RFC 9420 7.4.
func (s *suite) nextPathSecret(secret []byte) []byte { return s.deriveSecret(secret, "path") }

func (s *suite) nodeKey(pathSecret []byte) (*hpkeKey, error) {
	secret := s.deriveSecret(pathSecret, "node")
	defer clear(secret)
	return s.deriveHPKEKey(secret)
}

// setPath puts fresh public keys on the filtered direct path of leaf i, blanks the
// rest of the direct path (RFC 9420 7.5) and returns the parent hash for the leaf (7.9).
func (t *ratchetTree) setPath(i LeafIndex, path []pathStep, keys []hpkePublicKey) []byte {
	t.blankPath(i)
	hash := []byte{}
	for k, step := range slices.Backward(path) {
		t.set(step.node, treeNode{parent: &parentNode{encryptionKey: keys[k], parentHash: hash}})
		hash = parentHash(t.suite, keys[k], hash, t.treeHash(step.copath))
	}
	return hash
}

// A freshPath is a committer's new path before it is encrypted.
type freshPath struct {
	steps        []pathStep
	secrets      [][]byte // path secret of each step
	keys         []*hpkeKey
	commitSecret []byte
}

// newPath draws the path secrets of leaf i and derives their keys (RFC 9420 7.4).
func (t *ratchetTree) newPath(i LeafIndex) (*freshPath, error) {
	p := &freshPath{steps: t.filteredPath(i)}
	secret := t.suite.randomSecret()
	for range p.steps {
		p.secrets = append(p.secrets, secret)
		secret = t.suite.nextPathSecret(secret)
	}
	p.commitSecret = secret
	var err error
	p.keys, err = t.suite.nodeKeys(p.secrets)
	return p, err
}

// nodeKeys derives the keys of a path on all cores.
func (s *suite) nodeKeys(secrets [][]byte) ([]*hpkeKey, error) {
	keys := make([]*hpkeKey, len(secrets))
	return keys, parallel(len(secrets), func(k int) (err error) {
		keys[k], err = s.nodeKey(secrets[k])
		return err
	})
}

func (p *freshPath) publicKeys() []hpkePublicKey {
	var keys []hpkePublicKey
	for _, k := range p.keys {
		keys = append(keys, k.public)
	}
	return keys
}

// addTo adds the private keys of the path to those of its author.
func (p *freshPath) addTo(keys treeKeys) {
	for k, step := range p.steps {
		keys[step.node] = p.keys[k]
	}
}

func (p *freshPath) erase() {
	clear(p.commitSecret)
	for _, s := range p.secrets {
		clear(s)
	}
}

// encrypt seals each path secret to the resolution of its copath node, but for the
// leaves that the same commit adds (RFC 9420 7.5 and 12.4.1).
func (p *freshPath) encrypt(t *ratchetTree, added []LeafIndex, context []byte) ([]updatePathNode, error) {
	type seal struct {
		to     nodeIndex
		secret []byte
		out    *hpkeCiphertext
	}
	var seals []seal
	nodes := make([]updatePathNode, len(p.steps))
	for k, step := range p.steps {
		to := t.recipients(step, added)
		nodes[k] = updatePathNode{p.keys[k].public, make([]hpkeCiphertext, len(to))}
		for j, x := range to {
			seals = append(seals, seal{x, p.secrets[k], &nodes[k].secrets[j]})
		}
	}
	info := encryptContext("UpdatePathNode", context)
	return nodes, parallel(len(seals), func(k int) (err error) {
		s := seals[k]
		*s.out, err = t.suite.encrypt(t.node(s.to).encryptionKey(), info, s.secret)
		return err
	})
}

// recipients are the nodes whose keys a step's path secret is encrypted to; added
// ascends.
func (t *ratchetTree) recipients(step pathStep, added []LeafIndex) []nodeIndex {
	return slices.DeleteFunc(t.resolution(step.copath), func(x nodeIndex) bool {
		_, ok := slices.BinarySearch(added, x.leaf())
		return ok && x.isLeaf()
	})
}

// secretFor returns the path secret of the lowest step above leaf i.
func (p *freshPath) secretFor(i LeafIndex) []byte {
	for k, step := range p.steps {
		if step.node.covers(i.node()) {
			return p.secrets[k]
		}
	}
	return nil
}

// verifyPath checks an UpdatePath of the leaf at node from (RFC 9420 7.5 and 12.4.2)
// against the tree before it: one node for each step, one ciphertext for each
// recipient, no key in use. The leaf of who joins by the path is in the tree already.
func (t *ratchetTree) verifyPath(from nodeIndex, steps []pathStep, added []LeafIndex, path *updatePath) error {
	if len(path.nodes) != len(steps) {
		return invalid("path of %d nodes, not %d", len(path.nodes), len(steps)) // 7.6
	}
	if t.inUse(path.leaf.EncryptionKey, path.leaf, from) {
		return invalid("leaf key of the path is in use") // 12.4.2
	}
	for k, n := range path.nodes {
		if len(n.secrets) != len(t.recipients(steps[k], added)) {
			return invalid("path node %d has %d ciphertexts", k, len(n.secrets)) // 7.6
		}
		if t.inUse(n.encryptionKey, path.leaf, from) {
			return invalid("key of path node %d is in use", k) // 12.4.2
		}
	}
	return parallel(len(path.nodes), func(k int) error { return t.suite.checkHPKEPublic(path.nodes[k].encryptionKey) })
}

// inUse says whether a node has this key, other than the leaf itself at its place.
func (t *ratchetTree) inUse(key hpkePublicKey, leaf *LeafNode, place nodeIndex) bool {
	if t.encryption.ambiguous {
		for x := range t.size() {
			if bytes.Equal(t.encryptionKey(nodeIndex(x)), key) && (nodeIndex(x) != place || t.node(place).leaf != leaf) {
				return true
			}
		}
		return false
	}
	x, ok := t.encryption.find(key, t.encryptionKey)
	return ok && (x != place || t.node(place).leaf != leaf)
}

// openPath decrypts the one path secret that is meant for leaf own, and derives
// what is above it (RFC 9420 7.5 and 12.4.2). tree already has the new public keys.
func (t *ratchetTree) openPath(own LeafIndex, keys treeKeys, steps []pathStep, added []LeafIndex, path *updatePath, context []byte) (treeKeys, []byte, error) {
	k := slices.IndexFunc(steps, func(s pathStep) bool { return s.copath.covers(own.node()) })
	if k < 0 {
		return nil, nil, invalid("no path node above leaf %d", own)
	}
	for j, x := range t.recipients(steps[k], added) {
		key := keys[x]
		if key == nil || !x.covers(own.node()) {
			continue
		}
		secret, err := t.suite.decryptWithLabel(key, "UpdatePathNode", context, path.nodes[k].secrets[j])
		if err != nil {
			return nil, nil, err
		}
		return t.climb(steps[k:], secret)
	}
	return nil, nil, invalid("no ciphertext of path node %d is for leaf %d", k, own)
}

// climb derives the keys of steps from the path secret of the first, checks them
// against the tree and returns the commit secret (RFC 9420 7.4).
func (t *ratchetTree) climb(steps []pathStep, secret []byte) (treeKeys, []byte, error) {
	var secrets [][]byte
	for range steps {
		secrets = append(secrets, secret)
		secret = t.suite.nextPathSecret(secret)
	}
	defer func() {
		for _, s := range secrets {
			clear(s)
		}
	}()
	derived, err := t.suite.nodeKeys(secrets)
	if err != nil {
		return nil, nil, err
	}
	keys := make(treeKeys)
	for k, step := range steps {
		if n := t.node(step.node); n.blank() || !derived[k].matches(n.encryptionKey()) {
			return nil, nil, invalid("path secret doesn't match the key of node %d", step.node) // 12.4.2
		}
		keys[step.node] = derived[k]
	}
	return keys, secret, nil
}
