package mls

import (
	"bytes"
	"slices"
)

// verify checks a whole tree that comes from outside (RFC 9420 12.4.3.1): hashes,
// signatures and structure. Credentials are put before authenticate.
func (t *ratchetTree) verify(context *GroupContext, authenticate Authenticator) error {
	if !bytes.Equal(t.rootHash(), context.TreeHash) {
		return invalid("tree hash differs from the group context") // 12.4.3.1
	}
	if err := t.verifyUnmerged(); err != nil {
		return err
	}
	if err := t.verifyParentHashes(); err != nil {
		return err
	}
	for i, l := range t.members() {
		if err := l.verifyAlone(t.suite, l.source); err != nil {
			return err
		}
		if err := l.verifySignature(t.suite, context.GroupID, i); err != nil { // 12.4.3.1
			return err
		}
		if err := ask(authenticate, l); err != nil {
			return err
		}
	}
	return t.verifyMembers(context.Extensions)
}

// verifyUnmerged checks each parent's unmerged leaves (RFC 9420 12.4.3.1).
func (t *ratchetTree) verifyUnmerged() error {
	for x := nodeIndex(1); int(x) < len(t.nodes); x += 2 {
		p := t.nodes[x].parent
		if p == nil {
			continue
		}
		for k, i := range p.unmerged {
			if k > 0 && p.unmerged[k-1] >= i {
				return invalid("unmerged leaves of node %d are not ascending", x) // 7.1
			}
			if t.leaf(i) == nil || !x.covers(i.node()) {
				return invalid("unmerged leaf %d is not a member below node %d", i, x) // 12.4.3.1
			}
			for y := i.node().parent(); y != x; y = y.parent() {
				if q := t.nodes[y].parent; q != nil && !slices.Contains(q.unmerged, i) {
					return invalid("leaf %d is unmerged at node %d but not below it", i, x) // 12.4.3.1
				}
			}
		}
	}
	return nil
}

// verifyMembers checks what the members of a tree owe each other (RFC 9420 7.3):
// support for the group's extensions and for each other's credentials, and keys
// that occur once.
func (t *ratchetTree) verifyMembers(extensions []Extension) error {
	required, err := requiredCapabilities(extensions)
	if err != nil {
		return err
	}
	used := make(map[CredentialType]bool)
	for _, l := range t.members() {
		used[l.Credential.Type] = true
	}
	for i, l := range t.members() {
		if err := required.satisfiedBy(l.Capabilities); err != nil { // 7.3
			return err
		}
		for _, e := range extensions {
			if !l.Capabilities.hasExtension(e.Type) {
				return invalid("member %d lacks group extension %#04x", i, uint16(e.Type)) // 13.4
			}
		}
		for c := range used {
			if !l.Capabilities.hasCredential(c) {
				return invalid("member %d lacks credential type %#04x of another", i, uint16(c)) // 7.3
			}
		}
	}
	return t.verifyUniqueKeys()
}

func (t *ratchetTree) verifyUniqueKeys() error {
	signature, encryption := make(map[string]bool), make(map[string]bool)
	for x, n := range t.nodes {
		if n.blank() {
			continue
		}
		if key := string(n.encryptionKey()); encryption[key] {
			return invalid("encryption key of node %d occurs twice", x) // 7.3
		} else {
			encryption[key] = true
		}
		if n.leaf == nil {
			continue
		}
		if key := string(n.leaf.SignatureKey); signature[key] {
			return invalid("signature key of leaf %d occurs twice", x/2) // 7.3
		} else {
			signature[key] = true
		}
	}
	return nil
}
