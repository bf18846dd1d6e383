package mls

import (
	"bytes"
	"errors"
	"slices"
)

// verify checks a whole tree that comes from outside (RFC 9420 12.4.3.1): hashes,
// signatures and structure. Credentials are put before authenticate.
func (t *ratchetTree) verify(context *GroupContext, authenticate func(*LeafNode) error) error {
	if !bytes.Equal(t.rootHash(), context.TreeHash) {
		return invalid("tree hash differs from the group context") // 12.4.3.1
	}
	if err := t.verifyUnmerged(); err != nil {
		return err
	}
	if err := t.verifyParentHashes(); err != nil {
		return err
	}
	if err := t.verifyLeaves(context.GroupID); err != nil {
		return err
	}
	var errs []error // of all leaves, so that who has to look keys up can do it at once
	for _, l := range t.members() {
		errs = append(errs, ask(authenticate, l))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return t.verifyMembers(context.Extensions, true)
}

// verifyLeaves checks the signature of every leaf, on all cores (RFC 9420 7.3).
func (t *ratchetTree) verifyLeaves(groupID []byte) error {
	var places []LeafIndex
	for i := range t.members() {
		places = append(places, i)
	}
	return parallel(len(places), func(k int) error {
		l := t.leaf(places[k])
		if err := l.verifyAlone(t.suite, l.source); err != nil {
			return err
		}
		return l.verifySignature(t.suite, groupID, places[k]) // 12.4.3.1
	})
}

// verifyUnmerged checks each parent's unmerged leaves (RFC 9420 12.4.3.1). All lists
// are known to ascend before one is searched.
func (t *ratchetTree) verifyUnmerged() error {
	for _, verify := range []func(nodeIndex, []LeafIndex) error{t.verifyAscending, t.verifyBelow} {
		for x := nodeIndex(1); int(x) < t.size(); x += 2 {
			if p := t.node(x).parent; p == nil {
				continue
			} else if err := verify(x, p.unmerged); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *ratchetTree) verifyAscending(x nodeIndex, unmerged []LeafIndex) error {
	for k, i := range unmerged {
		if k > 0 && unmerged[k-1] >= i {
			return invalid("unmerged leaves of node %d are not ascending", x) // 7.1
		}
		if t.leaf(i) == nil || !x.covers(i.node()) {
			return invalid("unmerged leaf %d is not a member below node %d", i, x) // 12.4.3.1
		}
	}
	return nil
}

func (t *ratchetTree) verifyBelow(x nodeIndex, unmerged []LeafIndex) error {
	for _, i := range unmerged {
		for y := i.node().parent(); y != x; y = y.parent() {
			if q := t.node(y).parent; q == nil {
				continue
			} else if _, ok := slices.BinarySearch(q.unmerged, i); !ok {
				return invalid("leaf %d is unmerged at node %d but not below it", i, x) // 12.4.3.1
			}
		}
	}
	return nil
}

// verifyMembers checks what the members of a tree owe each other (RFC 9420 7.3):
// support for the group's extensions and for each other's credentials, and keys
// that occur once. What a tree before this one was checked for is not checked again,
// unless the group's extensions are new.
func (t *ratchetTree) verifyMembers(extensions []Extension, all bool) error {
	all = all || !t.verified || slices.ContainsFunc(t.credentials, func(c credentialCount) bool { return c.fresh })
	required, err := requiredCapabilities(extensions)
	if err != nil {
		return err
	}
	if all {
		for i := range t.members() {
			if err := t.verifyMember(i, required, extensions); err != nil {
				return err
			}
		}
		return t.verifyUniqueKeys()
	}
	for _, i := range t.fresh {
		if t.leaf(i) == nil {
			continue // set, and blank again
		}
		if err := t.verifyMember(i, required, extensions); err != nil {
			return err
		}
	}
	return t.verifyUniqueKeys()
}

func (t *ratchetTree) verifyMember(i LeafIndex, required Capabilities, extensions []Extension) error {
	have := t.leaf(i).Capabilities
	if err := required.satisfiedBy(have); err != nil { // 7.3
		return err
	}
	for _, e := range extensions {
		if !have.hasExtension(e.Type) {
			return invalid("member %d lacks group extension %#04x", i, uint16(e.Type)) // 13.4
		}
	}
	for _, c := range t.credentials {
		if c.count > 0 && !have.hasCredential(c.kind) {
			return invalid("member %d lacks credential type %#04x of another", i, uint16(c.kind)) // 7.3
		}
	}
	return nil
}

// verifyUniqueKeys looks for keys that occur twice. Only a tree in which one did at
// some time has to be searched.
func (t *ratchetTree) verifyUniqueKeys() error {
	if !t.encryption.ambiguous && !t.signature.ambiguous {
		return nil
	}
	t.encryption, t.signature = newKeySet(), newKeySet()
	for x := range t.size() {
		n := t.node(nodeIndex(x))
		if n.blank() {
			continue
		}
		if t.encryption.insert(nodeIndex(x), t.encryptionKey); t.encryption.ambiguous {
			return invalid("encryption key of node %d occurs twice", x) // 7.3
		}
		if n.leaf == nil {
			continue
		}
		if t.signature.insert(nodeIndex(x), t.signatureKey); t.signature.ambiguous {
			return invalid("signature key of leaf %d occurs twice", x/2) // 7.3
		}
	}
	return nil
}
