package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"writ/api"
)

// checkCapsule returns a compartment whose right capsule is at delivery. On the
// first message it computes the capsule from the epoch's own secrets and compares
// it, byte for byte, with what delivery showed beside the message, or else with what it
// has when asked; if it is not there it deposits it. Then only the hash is kept. If
// why is not empty, that can't be done yet.
func (c *conversation) checkCapsule(ctx context.Context, s *step, p place, shown []byte) (box *compartment, why string, err error) {
	if box = c.compartments[p]; box != nil && box.stored {
		return box, "", nil
	}
	sealed, err := c.seal(p)
	switch {
	case errors.Is(err, ErrUnknownLaw):
		return nil, "the sender's law or its custodians' keys are not on the ledger as far as this device has it", nil
	case err != nil:
		return nil, "its capsule can't be computed: " + err.Error(), nil
	}
	box = &compartment{}
	if sealed != nil {
		if err = c.device.remember(sealed); err != nil {
			return nil, "", err
		}
		hash := sealed.Hash()
		box.want = hash[:]
		if why, err = c.deposited(ctx, p, sealed.Bytes(), shown); err != nil || why != "" {
			return nil, why, err
		}
	}
	box.stored = true
	c.compartments[p] = box
	s.put(p.key(), box.encode())
	return box, "", nil
}

// deposited sees to it that the right capsule is at delivery.
func (c *conversation) deposited(ctx context.Context, p place, want, shown []byte) (why string, err error) {
	if bytes.Equal(want, shown) {
		return "", nil
	}
	res, err := call(ctx, c.device, c.device.cfg.Delivery.GetCapsules,
		&api.GetCapsulesRequest{Conversation: c.id[:], Epoch: p.epoch, Leaf: uint32(p.leaf)})
	if err != nil {
		return "", fmt.Errorf("client: capsule: %w", err)
	}
	if slices.ContainsFunc(res.Capsules, func(b []byte) bool { return bytes.Equal(b, want) }) {
		return "", nil
	}
	_, err = call(ctx, c.device, c.device.cfg.Delivery.PutCapsule, &api.PutCapsuleRequest{Capsule: want})
	switch {
	case err == nil:
		return "", nil
	case temporary(err):
		return "", fmt.Errorf("client: capsule: %w", err)
	}
	return "its capsule is not at delivery, which refuses the right one: " + err.Error(), nil
}

// retryHeld looks again at what could not be checked before.
func (c *conversation) retryHeld(ctx context.Context) error {
	for _, m := range slices.Clone(c.held) {
		if c.gone {
			return nil
		}
		s, why, err := c.open(ctx, m)
		if err != nil {
			return err
		}
		if why != "" {
			continue
		}
		for i := range s.events {
			if s.events[i].Kind == Message {
				s.events[i].Kind = Released
			}
		}
		c.held = slices.DeleteFunc(c.held, func(h *received) bool { return h == m })
		s.drop(numbered(keyHeld, m.seq))
		if err := c.finish(s); err != nil {
			return err
		}
	}
	return nil
}
