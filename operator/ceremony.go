package operator

import (
	"bytes"
	"fmt"
	"slices"

	"writ/notice/beacon"
)

// Deal posts the operator's deal. It can be repeated: what was dealt is on disk
// before it is posted, and the same is posted again.
func (k *Keys) Deal(b *Board) error {
	hash := b.ceremony.Hash()
	if k.dealtIn(hash) == nil {
		o := k.secret(hash)
		defer clear(o.Seed[:])
		doc, err := o.Deal(b.Board, k.shareBefore(b))
		if err != nil {
			return err
		}
		before := k.dealt
		k.dealt = append(slices.Clip(before), dealt{hash, o.Seed, doc})
		if err := k.save(); err != nil {
			k.dealt = before // what is not on disk must not be posted later
			return err
		}
	}
	return b.post(k.dealtIn(hash).deal)
}

// Respond posts what the operator says to the deals.
func (k *Keys) Respond(b *Board) error {
	o := k.secret(b.ceremony.Hash())
	defer clear(o.Seed[:])
	doc, err := o.Respond(b.Board)
	if err != nil {
		return err
	}
	return b.post(doc)
}

// Answer posts the operator's answer to complaints, if one is due.
func (k *Keys) Answer(b *Board) error {
	if k.dealtIn(b.ceremony.Hash()) == nil {
		return fmt.Errorf("operator: refused: %s did not deal in this ceremony", k.name)
	}
	o := k.secret(b.ceremony.Hash())
	defer clear(o.Seed[:])
	doc, err := o.Answer(b.Board, k.shareBefore(b))
	if err != nil || doc == nil {
		return err
	}
	return b.post(doc)
}

// Finish takes the operator's share of the group that was made, and forgets what
// it dealt from. A share of the group before stays until [Keys.Drop]: its
// operators sign until the new ones do.
func (k *Keys) Finish(b *Board) (*beacon.Group, error) {
	g, err := b.Group()
	if err != nil {
		return nil, err
	}
	if b.isMember(k) && k.share(g) == nil {
		o := k.secret(b.ceremony.Hash())
		defer clear(o.Seed[:])
		s, err := o.Share(b.Board)
		if err != nil {
			return nil, err
		}
		k.held = append(k.held, held{g, s})
	}
	k.dealt = slices.DeleteFunc(k.dealt, func(d dealt) bool {
		done := d.ceremony == b.ceremony.Hash()
		if done {
			clear(d.seed[:])
		}
		return done
	})
	return g, k.save()
}

// Drop erases the share of a group whose key was handed on to others.
func (k *Keys) Drop(group [32]byte) error {
	before := len(k.held)
	k.held = slices.DeleteFunc(k.held, func(h held) bool {
		gone := h.group.Hash() == group
		if gone {
			h.share.Erase()
		}
		return gone
	})
	if len(k.held) == before {
		return fmt.Errorf("operator: refused: %s has no share of the group %x", k.name, group)
	}
	return k.save()
}

// shareBefore returns the share that is handed on, nil in a ceremony for a new
// key.
func (k *Keys) shareBefore(b *Board) *beacon.Share {
	for _, h := range k.held {
		if h.group.Hash() == b.ceremony.Previous {
			return h.share
		}
	}
	return nil
}

func (b *Board) isMember(k *Keys) bool {
	return slices.ContainsFunc(b.ceremony.Members, func(m beacon.Member) bool { return m.Key == k.signer.Public() })
}

// post adds a document, unless it stands there. It tries it on a board read anew,
// so that nothing is posted that doesn't count.
func (b *Board) post(doc []byte) error {
	for n := 1; n < b.next; n++ {
		if old, err := b.peek(number(n)); err == nil && bytes.Equal(old, doc) {
			return nil
		}
	}
	trial, err := OpenBoard(b.dir)
	if err != nil {
		return err
	}
	if err := trial.Board.Post(doc); err != nil {
		return err
	}
	return b.add(doc)
}

// Close ends the phase for everybody. Who is to act in it and did not is left
// out.
func (b *Board) Close() error {
	trial, err := OpenBoard(b.dir)
	if err != nil {
		return err
	}
	if p := trial.Phase(); p == beacon.Done || p == beacon.Failed {
		return fmt.Errorf("operator: refused: the ceremony is over")
	}
	return b.add(nil)
}

// HoldCeremony has operators who are all in one place hold a whole ceremony for a
// new key.
func HoldCeremony(b *Board, operators []*Keys) (g *beacon.Group, err error) {
	for _, act := range []func(*Keys, *Board) error{(*Keys).Deal, (*Keys).Respond} {
		for _, k := range operators {
			if err := act(k, b); err != nil {
				return nil, err
			}
		}
		if err := b.Close(); err != nil {
			return nil, err
		}
	}
	for _, k := range operators {
		if g, err = k.Finish(b); err != nil {
			return nil, err
		}
	}
	return g, nil
}
