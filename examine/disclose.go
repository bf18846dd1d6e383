package examine

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"writ/api"
	"writ/capsule"
	"writ/charter"
	"writ/mls"
	"writ/notice"
)

// disclose takes the compartments in scope from delivery and finds the capsules
// that may be theirs.
func (x *examiner) disclose(ctx context.Context) error {
	list, err := x.pages(ctx)
	if err != nil {
		return err
	}
	for _, c := range list {
		found := x.candidates(c)
		if len(found) == 0 {
			x.outside = append(x.outside, Skipped{c.Conversation, c.Epoch, c.Leaf, "no capsule of it under the warrant's charter, or one before it, is stored"})
			continue
		}
		x.sealed = append(x.sealed, sealed{c, found})
	}
	switch {
	case len(x.sealed) > 0:
		return nil
	case len(x.outside) > 0: // not the same: delivery may withhold capsules
		return fmt.Errorf("%w: %s", ErrSpoiled, x.outside[0].Why)
	}
	return ErrNothing
}

// Bounds of what is taken from delivery, which could go on for ever.
const (
	maxDisclosed   = 1 << 30  // bytes
	forCompartment = 16 << 10 // of them for each compartment, beside what is in it
)

// pages reads all pages and joins compartments that continue on the next.
func (x *examiner) pages(ctx context.Context) ([]*api.Compartment, error) {
	var list []*api.Compartment
	size := 0
	q := &api.DiscloseRequest{Warrant: x.out.Warrant, WarrantSalt: x.c.Salt[:],
		WarrantEntry: x.out.WarrantEntry.Entry, WarrantProof: x.out.WarrantEntry.Proof}
	for {
		page, err := x.Delivery.Disclose(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, c := range page.Compartments {
			size += forCompartment + proto.Size(c)
			if n := len(list); n > 0 && same(list[n-1], c) {
				list[n-1].Messages = append(list[n-1].Messages, c.Messages...)
				continue
			}
			list = append(list, c)
		}
		if size > maxDisclosed {
			return nil, fmt.Errorf("examine: refused: delivery discloses more than %d MiB, or does not end: a narrower warrant asks for less", maxDisclosed>>20)
		}
		x.Progress(Progress{Stage: "disclose", Done: len(list)})
		if len(page.Next) == 0 {
			return list, nil
		}
		if bytes.Equal(page.Next, q.After) {
			return nil, fmt.Errorf("examine: invalid: delivery repeats a page")
		}
		q.After = page.Next
	}
}

func same(a, b *api.Compartment) bool {
	return bytes.Equal(a.Conversation, b.Conversation) && a.Epoch == b.Epoch && a.Leaf == b.Leaf
}

// candidates returns the capsules of a compartment, first those that most of its
// messages carry in their authenticated data, else in the order they came. They are
// sealed under the warrant's charter or a version before it.
func (x *examiner) candidates(c *api.Compartment) []*capsule.Capsule {
	votes := map[capsule.Hash]int{}
	for _, m := range c.Messages {
		if e, err := mls.Inspect(m.Body); err == nil && len(e.AuthenticatedData) == 32 {
			votes[capsule.Hash(e.AuthenticatedData)]++
		}
	}
	var found []*capsule.Capsule
	for _, b := range c.Capsules {
		if parsed, err := capsule.Parse(b); err == nil && of(parsed.Label(), c) && x.version(parsed.Label().Charter) != nil {
			found = append(found, parsed)
		}
	}
	slices.SortStableFunc(found, func(a, b *capsule.Capsule) int { return votes[b.Hash()] - votes[a.Hash()] })
	return found
}

// of reports whether a label names the compartment.
func of(l *capsule.Label, c *api.Compartment) bool {
	return bytes.Equal(l.Conversation, c.Conversation) && l.Epoch == c.Epoch && l.Leaf == c.Leaf
}

// take keeps what a bundle needs. A roster proof is for others than the
// subject. Messages that came after delivery's statement are not covered by it
// and left for a later opening.
func take(c *api.Compartment, chosen *capsule.Capsule, subject string) Compartment {
	out := Compartment{Capsule: chosen.Bytes(), GroupContext: c.GroupContext, LeafProof: c.LeafProof,
		RosterProof: c.RosterProof, Opened: c.Opened, Count: c.Count, Statement: c.Statement}
	if chosen.Label().Account == subject {
		out.RosterProof = nil
	}
	for _, m := range c.Messages[:min(len(c.Messages), int(c.Count))] { // what came later is in no statement
		out.Messages = append(out.Messages, Message{m.Seq, m.ReceivedMs, m.Body})
	}
	return out
}

// request logs the request entry and waits for its proof.
func (x *examiner) request(ctx context.Context) error {
	x.Progress(Progress{Stage: "request", Total: len(x.out.Compartments)})
	leaves := make([][]byte, len(x.out.Compartments))
	for i, c := range x.out.Compartments {
		leaf := notice.Leaf(capsule.HashOf(c.Capsule), x.out.NoticeSalt)
		leaves[i] = leaf[:]
	}
	slices.SortFunc(leaves, bytes.Compare)
	round, timelock, err := notice.Lock(x.law, x.c.Warrant, x.out.NoticeSalt)
	if err != nil {
		return fmt.Errorf("examine: %w", err)
	}
	logged, err := x.Agency.Request(ctx, x.hash, leaves, round, timelock)
	if err != nil {
		return err
	}
	p, err := x.proven(ctx, logged.Index)
	if err != nil {
		return err
	}
	if !bytes.Equal(p.Entry, logged.Entry) {
		return fmt.Errorf("examine: invalid: the ledger has another entry at %d than the docket says", logged.Index)
	}
	x.out.RequestEntry = *p
	return nil
}

// sealedUnder is the version of the law and the key period of some compartments.
type sealedUnder struct {
	law    charter.Hash
	period uint32
}

// versions returns under which versions and in which periods the compartments were
// sealed, in order.
func (x *examiner) versions() []sealedUnder {
	var list []sealedUnder
	for _, c := range x.out.Compartments {
		if parsed, err := capsule.Parse(c.Capsule); err == nil {
			list = append(list, sealedUnder{parsed.Label().Charter, parsed.Label().Period})
		}
	}
	slices.SortFunc(list, func(a, b sealedUnder) int {
		return cmp.Or(bytes.Compare(a.law[:], b.law[:]), cmp.Compare(a.period, b.period))
	})
	return slices.Compact(list)
}

// periods returns the key periods of the compartments.
func (x *examiner) periods() []uint32 {
	var list []uint32
	for _, v := range x.versions() {
		list = append(list, v.period)
	}
	return list
}
