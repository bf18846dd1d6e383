package mls

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// LoadGroup restores a group from all its records. They are trusted as the storage
// they come from: only what would show that a delta was lost is checked again.
func LoadGroup(cfg Config, records []Record) (*Group, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, err
	}
	l := &loader{cfg: cfg, records: make(map[string][]stored)}
	for _, r := range records {
		kind, name, _ := strings.Cut(r.Key, "/")
		l.records[kind] = append(l.records[kind], stored{name, r.Value})
	}
	for _, step := range []func() error{l.epoch, l.past, l.secretTrees, l.proposals, l.pending} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("mls: stored state: %w", err)
		}
	}
	return l.group, nil
}

type stored struct {
	name  string
	value []byte
}

// numbers parses a record's name: hexadecimal numbers between slashes.
func (s stored) numbers(n int) ([]uint64, error) {
	parts := strings.Split(s.name, "/")
	if len(parts) != n {
		return nil, malformed("record name %q", s.name)
	}
	var out []uint64
	for _, p := range parts {
		v, err := strconv.ParseUint(p, 16, 64)
		if err != nil {
			return nil, malformed("record name %q", s.name)
		}
		out = append(out, v)
	}
	return out, nil
}

// loader rebuilds a group step by step from its records, sorted by kind.
type loader struct {
	cfg     Config
	records map[string][]stored
	group   *Group
}

// numbered calls f for each record of a kind whose names are n numbers.
func (l *loader) numbered(kind string, n int, f func(name []uint64, value []byte) error) error {
	list := l.records[kind]
	slices.SortFunc(list, func(a, b stored) int { return strings.Compare(a.name, b.name) })
	for _, r := range list {
		name, err := r.numbers(n)
		if err != nil {
			return err
		}
		if err := f(name, r.value); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) epoch() error {
	if len(l.records[epochName]) != 1 {
		return malformed("%d epoch records", len(l.records[epochName]))
	}
	r := reader{buf: l.records[epochName][0].value}
	contextBytes, tag, own, signer := r.opaque(), r.opaque(), LeafIndex(r.uint32()), r.opaque()
	secrets := decodeEpochSecrets(&r)
	ended := decodeReInitIfAny(&r)
	if r.err != nil {
		return r.err
	}
	context, err := ParseGroupContext(contextBytes)
	if err != nil {
		return err
	}
	key, err := NewSignatureKey(context.Suite, signer)
	if err != nil {
		return err
	}
	tree, err := l.tree(key.suite)
	if err != nil {
		return err
	}
	if err := check(context, tree, own, key); err != nil {
		return err
	}
	e := &epoch{publicState: newPublicState(key.suite, *context, tree, tag), own: own, signer: key, keys: make(treeKeys), secrets: secrets}
	e.reInit = ended
	e.messages = newSecretTree(e.suite, context.Epoch, tree.width(), nil)
	clear(e.messages.nodes)
	l.group = newGroup(l.cfg, e)
	return l.numbered("key", 1, func(name []uint64, value []byte) error {
		e.keys[nodeIndex(name[0])], err = e.suite.parseHPKEKey(value)
		return err
	})
}

// check finds out whether the records of an epoch belong together.
func check(context *GroupContext, tree *ratchetTree, own LeafIndex, key *SignatureKey) error {
	if !bytes.Equal(tree.rootHash(), context.TreeHash) {
		return invalid("tree hash differs from the group context")
	}
	if l := tree.leaf(own); l == nil || !bytes.Equal(l.SignatureKey, key.public) {
		return invalid("own leaf %d has another signature key", own)
	}
	return nil
}

func decodeEpochSecrets(r *reader) epochSecrets {
	var e epochSecrets
	for _, s := range e.all() {
		*s = r.opaque()
	}
	return e
}

func (l *loader) tree(s *suite) (*ratchetTree, error) {
	nodes := make(map[uint64]treeNode)
	last := uint64(0)
	err := l.numbered("node", 1, func(name []uint64, value []byte) error {
		n, err := parse(value, decodeTreeNode)
		nodes[name[0]], last = n, max(last, name[0])
		return err
	})
	if err != nil {
		return nil, err
	}
	if last >= maxLoadedNodes {
		return nil, unsupported("stored tree of %d nodes", last)
	}
	t := emptyTree(s, treeWidth(uint32(last/2)+1))
	for x, n := range nodes {
		if nodeIndex(x).isLeaf() != (n.leaf != nil) {
			return nil, malformed("stored node %d", x)
		}
		t.set(nodeIndex(x), n)
	}
	return t, nil
}

// maxLoadedNodes bounds the tree that a broken record name can ask for.
const maxLoadedNodes = 1 << 25

func (l *loader) proposals() error {
	err := l.numbered("proposal", 1, func(_ []uint64, value []byte) error {
		q, err := parse(value, decodeQueued)
		l.group.proposals = append(l.group.proposals, q)
		return err
	})
	if err != nil {
		return err
	}
	for _, rec := range l.records["update"] {
		ref, err := hex.DecodeString(rec.name)
		if err != nil {
			return malformed("record name %q", rec.name)
		}
		if l.group.updates[string(ref)], err = l.group.now.suite.parseHPKEKey(rec.value); err != nil {
			return err
		}
	}
	return nil
}

func decodeQueued(r *reader) queuedProposal {
	q := queuedProposal{ref: r.opaque(), sender: decodeSender(r)}
	q.proposal = decodeProposal(r)
	return q
}

// pending replays the own commit's public half and puts its secrets beside.
func (l *loader) pending() error {
	if len(l.records[pendingName]) == 0 {
		return nil
	}
	now := l.group.now
	r := reader{buf: l.records[pendingName][0].value}
	p := &PendingCommit{Message: r.opaque(), Welcome: r.opaque()}
	content := r.opaque()
	next := &epoch{own: now.own, signer: now.signer, keys: decodeKeys(&r, now), secrets: decodeEpochSecrets(&r)}
	encryption := r.opaque()
	if len(r.buf) > 0 {
		key, err := NewSignatureKey(now.context.Suite, r.opaque())
		if err != nil {
			return err
		}
		next.signer = key
	}
	if r.err != nil {
		return r.err
	}
	if len(p.Welcome) == 0 {
		p.Welcome = nil
	}
	var err error
	if p.content, err = parse(content, decodeAuthenticatedContent); err != nil {
		return err
	}
	t, err := now.replay(p.content, l.group.proposals)
	if err != nil {
		return err
	}
	next.publicState = now.finish(t, p.content)
	next.messages = newSecretTree(now.suite, next.context.Epoch, next.tree.width(), encryption)
	p.Staged = now.changes(t, p.content, &next.publicState)
	p.Staged.base, p.Staged.next = now, next
	p.Delta = delta{p.record()}
	l.group.pending = p
	return nil
}

// decodeKeys reads private keys, and shares those that now has already.
func decodeKeys(r *reader, now *epoch) treeKeys {
	keys := make(treeKeys)
	decodeAll(r, func(r *reader) nodeIndex {
		x, raw := nodeIndex(r.uint32()), r.opaque()
		if old := now.keys[x]; old != nil && bytes.Equal(old.raw, raw) {
			keys[x] = old
			return x
		}
		key, err := now.suite.parseHPKEKey(raw)
		if err != nil {
			r.fail(err)
			return x
		}
		keys[x] = key
		return x
	})
	return keys
}
