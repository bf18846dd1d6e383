package mls

import (
	"bytes"
	"errors"
	"slices"
	"time"
)

// A queuedProposal is a proposal with who made it and, unless it is in the commit
// itself, the ProposalRef that commits name it by (RFC 9420 5.2).
type queuedProposal struct {
	ref      []byte
	proposal *proposal
	sender   sender
}

// A proposalList is what one commit carries, sorted into the order in which RFC 9420
// 12.3 applies it.
type proposalList struct {
	extensions   []queuedProposal
	updates      []queuedProposal
	removes      []queuedProposal
	adds         []queuedProposal
	psks         []queuedProposal
	externalInit []queuedProposal
	reInit       []queuedProposal
	count        int
	needsPath    bool
}

func newProposalList(all []queuedProposal) *proposalList {
	l := &proposalList{count: len(all)}
	for _, q := range all {
		part := l.part(q.proposal.kind)
		*part = append(*part, q)
		l.needsPath = l.needsPath || q.proposal.kind.needsPath()
	}
	l.needsPath = l.needsPath || len(all) == 0 // 12.4
	return l
}

func (l *proposalList) part(kind proposalType) *[]queuedProposal {
	switch kind {
	case proposalGroupContextExtensions:
		return &l.extensions
	case proposalUpdate:
		return &l.updates
	case proposalRemove:
		return &l.removes
	case proposalAdd:
		return &l.adds
	case proposalPSK:
		return &l.psks
	case proposalExternalInit:
		return &l.externalInit
	default: // no other is ever parsed
		return &l.reInit
	}
}

func (l *proposalList) pskIDs() []pskID {
	var ids []pskID
	for _, q := range l.psks {
		ids = append(ids, q.proposal.psk)
	}
	return ids
}

// resolve replaces the references of a commit by the proposals of the epoch.
func resolve(c *commit, committer sender, queue []queuedProposal) ([]queuedProposal, error) {
	var all []queuedProposal
	byRef := make(map[string]queuedProposal, len(queue))
	for _, q := range queue {
		byRef[string(q.ref)] = q
	}
	for _, p := range c.proposals {
		if p.proposal != nil {
			all = append(all, queuedProposal{proposal: p.proposal, sender: committer})
			continue
		}
		if committer.kind == senderNewMemberCommit {
			return nil, invalid("external commit with a proposal by reference") // 12.4.3.2
		}
		q, ok := byRef[string(p.ref)]
		if !ok {
			return nil, invalid("commit names a proposal that was not received") // 12.4.2
		}
		all = append(all, q)
	}
	return all, nil
}

// verifyList checks a commit's proposals (RFC 9420 12.2).
func (st *publicState) verifyList(cfg *Config, committer sender, l *proposalList) error {
	if committer.kind == senderNewMemberCommit {
		if err := st.verifyExternalList(l); err != nil {
			return err
		}
	} else if err := st.verifyRegularList(committer, l); err != nil {
		return err
	}
	if len(l.extensions) > 1 {
		return invalid("two GroupContextExtensions proposals") // 12.2
	}
	if len(l.reInit) > 0 && l.count > 1 {
		return invalid("ReInit beside other proposals") // 12.2
	}
	seen := make(map[string]bool)
	for _, q := range l.psks {
		if name := q.proposal.psk.name(); seen[name] {
			return invalid("PSK proposed twice") // 12.2
		} else {
			seen[name] = true
		}
	}
	for _, part := range [][]queuedProposal{l.extensions, l.updates, l.removes, l.psks, l.reInit} {
		for _, q := range part {
			if err := st.verifyProposal(cfg, q); err != nil {
				return err
			}
		}
	}
	return st.verifyAdds(cfg, l.adds)
}

// verifyAdds verifies key packages on all cores, and asks about them in their order.
func (st *publicState) verifyAdds(cfg *Config, adds []queuedProposal) error {
	now := cfg.Now()
	err := parallel(len(adds), func(k int) error { return st.verifyKeyPackage(adds[k].proposal.add, now) })
	if err != nil {
		return err
	}
	var errs []error
	for _, q := range adds {
		errs = append(errs, ask(cfg.Authenticate, q.proposal.add.Leaf))
	}
	return errors.Join(errs...)
}

func (st *publicState) verifyKeyPackage(k *KeyPackage, now time.Time) error {
	if k.Suite != st.suite.id {
		return invalid("key package of suite %#04x", uint16(k.Suite)) // 10.1
	}
	return k.verifyAlone(now)
}

func (st *publicState) verifyRegularList(committer sender, l *proposalList) error {
	if len(l.externalInit) > 0 {
		return invalid("ExternalInit in a member's commit") // 12.2
	}
	touched := make(map[LeafIndex]bool)
	for _, q := range slices.Concat(l.updates, l.removes) {
		i := q.proposal.remove
		if q.proposal.kind == proposalUpdate {
			i = LeafIndex(q.sender.index)
		}
		if i == LeafIndex(committer.index) {
			return invalid("committer updates or removes itself by proposal") // 12.2
		}
		if touched[i] {
			return invalid("leaf %d updated or removed twice", i) // 12.2
		}
		touched[i] = true
	}
	return nil
}

// verifyExternalList checks the list of an external commit (RFC 9420 12.2).
func (st *publicState) verifyExternalList(l *proposalList) error {
	switch {
	case len(l.externalInit) != 1:
		return invalid("external commit with %d ExternalInit proposals", len(l.externalInit)) // 12.2
	case len(l.removes) > 1:
		return invalid("external commit with %d Remove proposals", len(l.removes)) // 12.2
	case len(l.externalInit)+len(l.removes)+len(l.psks) != l.count:
		return invalid("external commit with other proposals than ExternalInit, Remove, PSK") // 12.2
	}
	return nil
}

// verifyProposal checks one proposal by the section of RFC 9420 12.1 on its type.
func (st *publicState) verifyProposal(cfg *Config, q queuedProposal) error {
	p := q.proposal
	switch p.kind {
	case proposalAdd: // 12.1.1
		return st.verifyAdds(cfg, []queuedProposal{q})
	case proposalUpdate: // 12.1.2
		return st.verifyUpdate(cfg, q)
	case proposalRemove:
		if st.tree.leaf(p.remove) == nil {
			return invalid("Remove of blank leaf %d", p.remove) // 12.1.3
		}
	case proposalGroupContextExtensions: // 12.1.7
		if _, err := requiredCapabilities(p.extensions); err != nil {
			return err
		}
		if _, err := externalSenders(p.extensions); err != nil {
			return err
		}
	case proposalPSK:
		if len(p.psk.nonce) != st.suite.nh {
			return invalid("PSK nonce of %d bytes", len(p.psk.nonce)) // 8.4
		}
		if p.psk.kind == pskResumption && p.psk.usage != usageApplication && cfg.parent == nil {
			return invalid("PSK proposal with usage %d", p.psk.usage) // 12.1.4
		}
	case proposalReInit:
		if p.reInit.version < st.context.Version {
			return invalid("ReInit to version %d", p.reInit.version) // 12.1.5
		}
	}
	return nil
}

func (st *publicState) verifyUpdate(cfg *Config, q queuedProposal) error {
	i, leaf := LeafIndex(q.sender.index), q.proposal.update
	old := st.tree.leaf(i)
	if q.sender.kind != senderMember || old == nil {
		return invalid("Update from somebody who is no member") // 12.1.2
	}
	if err := leaf.verifyAlone(st.suite, sourceUpdate); err != nil { // 12.1.2
		return err
	}
	if bytes.Equal(leaf.EncryptionKey, old.EncryptionKey) {
		return invalid("Update keeps the encryption key") // 7.3
	}
	if err := leaf.verifySignature(st.suite, st.context.GroupID, i); err != nil { // 7.3
		return err
	}
	if err := ask(cfg.Authenticate, leaf); err != nil {
		return err
	}
	return cfg.replaces(old, leaf)
}
