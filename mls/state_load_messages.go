package mls

import (
	"errors"
	"slices"
	"strings"
)

// past restores the past epochs from the newest back, each from the leaves of the
// one after it.
func (l *loader) past() error {
	after := l.group.now.tree
	list := l.records["past"]
	slices.SortFunc(list, func(a, b stored) int { return strings.Compare(b.name, a.name) })
	for _, rec := range list {
		e, err := parsePast(rec.value, after)
		if err != nil {
			return err
		}
		l.group.past = append([]*messageEpoch{e}, l.group.past...)
		after = e.tree
	}
	return l.numbered("resumption", 1, func(name []uint64, value []byte) error {
		l.group.resumption[name[0]] = slices.Clone(value)
		return nil
	})
}

func parsePast(value []byte, after *ratchetTree) (*messageEpoch, error) {
	r := reader{buf: value}
	contextBytes, secret, width := r.opaque(), r.opaque(), r.uint32()
	tree := after.clone()
	if r.err == nil && (width == 0 || width&(width-1) != 0 || width > 1<<30) {
		return nil, malformed("past tree of %d leaves", width)
	}
	tree.resize(max(width, tree.width()))
	decodeAll(&r, func(r *reader) LeafIndex {
		i, n := LeafIndex(r.uint32()), decodeTreeNode(r)
		if uint32(i) >= tree.width() || n.parent != nil {
			r.fail(malformed("past leaf %d", i))
			return 0
		}
		tree.set(i.node(), n)
		return i
	})
	if r.err != nil {
		return nil, r.err
	}
	tree.resize(width)
	context, err := ParseGroupContext(contextBytes)
	if err != nil {
		return nil, err
	}
	st := publicState{suite: after.suite, context: *context, contextBytes: contextBytes, tree: tree}
	t := newSecretTree(st.suite, context.Epoch, width, nil)
	clear(t.nodes)
	return &messageEpoch{&st, secret, t}, nil
}

// messages finds the secret tree of an epoch.
func (l *loader) messages(epoch uint64) (*secretTree, error) {
	e, err := l.group.epoch(epoch)
	if err != nil {
		return nil, malformed("secrets of epoch %d", epoch)
	}
	return e.messages, nil
}

func (l *loader) secretTrees() error {
	return errors.Join(
		l.numbered("secret", 2, l.secret),
		l.numbered("ratchet", 3, l.ratchet),
		l.numbered("skipped", 4, l.skipped),
	)
}

func (l *loader) secret(name []uint64, value []byte) error {
	t, err := l.messages(name[0])
	if err != nil {
		return err
	}
	t.nodes[nodeIndex(name[1])] = slices.Clone(value)
	return nil
}

func (l *loader) ratchet(name []uint64, value []byte) error {
	t, err := l.messages(name[0])
	if err != nil {
		return err
	}
	r := reader{buf: value}
	t.ratchets[ratchetID{LeafIndex(name[1]), ratchetKind(name[2])}] = &ratchet{generation: r.uint32(), secret: slices.Clone(r.buf)}
	return r.err
}

func (l *loader) skipped(name []uint64, value []byte) error {
	t, err := l.messages(name[0])
	if err != nil {
		return err
	}
	r := t.ratchets[ratchetID{LeafIndex(name[1]), ratchetKind(name[2])}]
	if r == nil || len(value) != t.suite.nk+nonceSize {
		return malformed("skipped key %x", name)
	}
	if r.skipped == nil {
		r.skipped = make(map[uint32]messageKey)
	}
	r.skipped[uint32(name[3])] = messageKey{slices.Clone(value[:t.suite.nk]), slices.Clone(value[t.suite.nk:])}
	return nil
}
