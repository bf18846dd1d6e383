package mls

import (
	"fmt"
	"slices"
)

// erase overwrites all secrets and returns the deletion of their records.
func (t *secretTree) erase() delta {
	d := t.records()
	for _, s := range t.nodes {
		clear(s)
	}
	for _, r := range t.ratchets {
		clear(r.secret)
		for _, k := range r.skipped {
			k.erase()
		}
	}
	clear(t.nodes)
	clear(t.ratchets)
	return d.deletion()
}

func (t *secretTree) nodeName(x nodeIndex) string {
	return fmt.Sprintf("secret/%016x/%08x", t.epoch, uint32(x))
}

func (t *secretTree) ratchetName(id ratchetID) string {
	return fmt.Sprintf("ratchet/%016x/%08x/%d", t.epoch, uint32(id.leaf), id.kind)
}

func (t *secretTree) skippedName(id ratchetID, g uint32) string {
	return fmt.Sprintf("skipped/%016x/%08x/%d/%08x", t.epoch, uint32(id.leaf), id.kind, g)
}

func (t *secretTree) ratchetRecord(id ratchetID, r *ratchet) Record {
	var w writer
	w.uint32(r.generation)
	w.raw(r.secret)
	return Record{t.ratchetName(id), w.buf}
}

func (t *secretTree) skippedRecord(id ratchetID, g uint32, k messageKey) Record {
	return Record{t.skippedName(id, g), slices.Concat(k.key, k.nonce)}
}

// records lists everything in the tree.
func (t *secretTree) records() delta {
	var d delta
	for x, secret := range t.nodes {
		d = append(d, Record{t.nodeName(x), secret}.clone())
	}
	for id, r := range t.ratchets {
		d = append(d, t.ratchetRecord(id, r))
		for g, k := range r.skipped {
			d = append(d, t.skippedRecord(id, g, k))
		}
	}
	return d
}
