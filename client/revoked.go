package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"writ/directory"
	"writ/mls"
)

// revoked returns the leaves of devices that their accounts have dropped since they came
// in. It costs nothing while neither the epoch nor an account changed.
func (c *conversation) revoked() []mls.LeafIndex {
	if c.gone {
		return nil
	}
	at := judged{c.group.Epoch(), c.device.changes}
	if c.judged == at {
		return c.dropped
	}
	c.judged, c.dropped = at, nil
	e := c.epochs[at.epoch]
	for _, i := range sortedKeys(e.members) {
		if i != c.group.OwnLeaf() && !c.device.lists(e.members[i].Identity) {
			c.dropped = append(c.dropped, i)
		}
	}
	return c.dropped
}

// judged is up to when revoked has looked.
type judged struct{ epoch, changes uint64 }

// lists reports whether an account's newest statement lists a device of that name,
// which has one key as long as it is listed (DIR-8, DIR-10).
func (d *Device) lists(id directory.Identity) bool {
	a := d.accounts[id.Account]
	if a == nil {
		return false
	}
	k, ok := find(a.devices, id.Device)
	return ok && k.listed
}

// expel tells the person of devices that were revoked, and asks for their removal.
func (c *conversation) expel() error {
	if len(c.revoked()) == 0 || c.device.selfDropped() {
		return nil
	}
	for _, i := range c.outbox {
		if i.kind == itemExpel {
			return nil
		}
	}
	s := &step{}
	for _, leaf := range c.dropped {
		m := c.epochs[c.group.Epoch()].members[leaf]
		s.tell(Event{Kind: Fault, Time: c.device.cfg.Now(), Member: m.Identity,
			Reason: fmt.Sprintf("%s has revoked the device %q: it is removed, and what it says is held", m.Account, m.Device)})
	}
	if err := c.finish(s); err != nil {
		return err
	}
	return c.enqueue(itemExpel, "")
}

// expelNow commits the removal.
func (c *conversation) expelNow(i *item) error {
	leaves := c.revoked()
	if len(leaves) == 0 || c.device.selfDropped() {
		return c.finishItem(i.number)
	}
	return c.commit(i.number, mls.CommitOptions{Remove: leaves})
}

// selfDropped reports whether the own account no longer lists this device.
func (d *Device) selfDropped() bool {
	return d.accounts[d.self.Account] != nil && !d.lists(d.self.Identity)
}

// unasked returns the accounts that have to be looked up before this device speaks: a
// member's of which the directory said nothing for a day, since that may be a revocation
// it holds back (DIR-48), and the own one, also if this device first speaks in the
// conversation and its look-up is not minutes old (DIR-45).
func (c *conversation) unasked() []string {
	d, old := c.device, map[string]bool{}
	for _, m := range c.epochs[c.group.Epoch()].members {
		age := stayAge
		if m.Account == d.self.Account && !c.spoken {
			age = enterAge
		}
		if !d.asked(m.Account, age) {
			old[m.Account] = true
		}
	}
	return sortedKeys(old)
}

// asked reports whether an account was looked up lately.
func (d *Device) asked(account string, age time.Duration) bool {
	a := d.accounts[account]
	return a != nil && d.cfg.Now().Sub(a.seen) <= age
}

// mayTalk sees to it that this device knows whom it speaks to, and that it is still one of
// its own account's.
func (c *conversation) mayTalk(ctx context.Context) error {
	d := c.device
	if ask := c.unasked(); len(ask) > 0 {
		if _, err := d.lookUp(ctx, ask...); err != nil {
			return err
		}
	}
	if d.selfDropped() {
		return fmt.Errorf("client: refused: %v: %w", d.self.Identity, ErrUnlisted)
	}
	return nil
}

// refresh looks accounts up again whose look-up is older than refreshAge: the own one,
// and then those of the members of conversations, for one of which the directory may have
// no answer. That it can't be reached is an error only when the own account was not looked
// up for a day.
func (d *Device) refresh(ctx context.Context) error {
	now := d.cfg.Now()
	old := map[string]bool{}
	for _, id := range d.ids() {
		c := d.convs[id]
		if c.gone || c.group == nil {
			continue
		}
		for _, m := range c.epochs[c.group.Epoch()].members {
			if !d.asked(m.Account, refreshAge) {
				old[m.Account] = true
			}
		}
	}
	own := !d.asked(d.self.Account, refreshAge)
	delete(old, d.self.Account)
	if !own && len(old) == 0 || now.Sub(d.refreshed).Abs() < enterAge {
		return nil
	}
	d.refreshed = now
	var err error
	if own {
		_, err = d.lookUp(ctx, d.self.Account)
	}
	if err == nil {
		_, err = d.lookUp(ctx, sortedKeys(old)...)
	}
	if err != nil && !errors.Is(err, ErrDirectory) && d.asked(d.self.Account, stayAge) {
		return nil
	}
	return err
}
