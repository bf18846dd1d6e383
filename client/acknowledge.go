package client

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"writ/charter"
	"writ/mls"
)

// ErrUnread is wrapped, in an [*UnreadError], when the person has not acknowledged a law
// under which somebody in the conversation speaks.
var ErrUnread = errors.New("a law is not acknowledged")

// A LawToRead is a law that the person has to acknowledge before they send on.
type LawToRead struct {
	Charter  charter.Hash
	Name     string
	Own      bool     // it is the law of this device's account
	Accounts []string // of the conversation, that speak under it or a version before
	Explain  []string // the law in plain sentences
	Changes  []string // against the version acknowledged before; nil if there was none
}

// UnreadError lists the laws to read.
type UnreadError struct{ Laws []LawToRead }

func (e *UnreadError) Error() string {
	var names []string
	for _, l := range e.Laws {
		names = append(names, fmt.Sprintf("%s (%s)", l.Name, l.Charter.String()[:12]))
	}
	return fmt.Sprintf("client: refused: %v: %s", ErrUnread, strings.Join(names, ", "))
}

// Unwrap returns [ErrUnread].
func (e *UnreadError) Unwrap() error { return ErrUnread }

// ToRead returns the laws of a conversation that the person has not acknowledged: of
// each member the version in force of the law it names, which also binds what was sealed
// under one before.
func (d *Device) ToRead(id ConversationID) ([]LawToRead, error) {
	if err := d.lock(); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	c, err := d.conversation(id)
	if err != nil {
		return nil, err
	}
	if err := c.member(); err != nil {
		return nil, err
	}
	var unread *UnreadError
	if errors.As(c.readLaws(), &unread) {
		return unread.Laws, nil
	}
	return nil, nil
}

// Acknowledge notes that the person was shown a law. If it is the version in force of
// this device's own, the device speaks under it from then on: in each conversation its
// next message is in an epoch in which its leaf names it.
func (d *Device) Acknowledge(h charter.Hash) error {
	if err := d.lock(); err != nil {
		return err
	}
	defer d.mu.Unlock()
	if _, ok := d.cfg.Laws.Charter(h); !ok {
		return fmt.Errorf("client: refused: %v: %w", h, ErrUnknownLaw)
	}
	records := []mls.Record{acknowledged(h)}
	var moved *self
	if d.self != nil && d.self.law != h && d.inForce(d.self.law) == h {
		next := *d.self
		next.law, moved = h, &next
		records = append(records, mls.Record{Key: keySelf, Value: moved.encode()})
	}
	if err := d.save(deviceSpace, records); err != nil {
		return err
	}
	if d.acks[h] = true; moved != nil {
		d.self = moved
	}
	return nil
}

const keyAcknowledged = "acknowledged/" // + hash of a charter in hexadecimal

func acknowledged(h charter.Hash) mls.Record {
	return mls.Record{Key: keyAcknowledged + h.String(), Value: []byte{1}}
}

func (d *Device) loadAcknowledged(name string) error {
	b, err := hex.DecodeString(name)
	if err != nil || len(b) != len(charter.Hash{}) {
		return errors.New("client: invalid: not a charter's hash")
	}
	d.acks[charter.Hash(b)] = true
	return nil
}

// inForce returns the version in force of the law that a hash names, or that hash itself
// if it is newer, or none is in force for this device.
func (d *Device) inForce(h charter.Hash) charter.Hash {
	c, ok := d.cfg.Laws.Charter(h)
	if !ok {
		return h
	}
	now, ok := d.cfg.Laws.InForce(c.Name, d.cfg.Now())
	if !ok || now.Number <= c.Number {
		return h
	}
	return d.hashOf(now)
}

// hashOf remembers hashes: laws are few, and asked for with every message.
func (d *Device) hashOf(c *charter.Charter) charter.Hash {
	h, ok := d.hashes[c]
	if !ok {
		h = c.Hash()
		d.hashes[c] = h
	}
	return h
}

// readLaws refuses to go on under a law that the person has not acknowledged.
func (c *conversation) readLaws() error {
	d, found := c.device, map[charter.Hash]*LawToRead{}
	for _, m := range c.epochs[c.group.Epoch()].members {
		h := d.inForce(m.law)
		if d.acks[h] {
			continue
		}
		if found[h] == nil {
			found[h] = d.toRead(h)
		}
		l := found[h]
		l.Own = l.Own || m.Account == d.self.Account
		if !slices.Contains(l.Accounts, m.Account) {
			l.Accounts = append(l.Accounts, m.Account)
		}
	}
	if len(found) == 0 {
		return nil
	}
	e := &UnreadError{}
	for _, l := range found {
		slices.Sort(l.Accounts)
		e.Laws = append(e.Laws, *l)
	}
	slices.SortFunc(e.Laws, func(a, b LawToRead) int { return strings.Compare(a.Name+a.Charter.String(), b.Name+b.Charter.String()) })
	return e
}

// toRead says a law, and what changed since the version that was acknowledged last.
func (d *Device) toRead(h charter.Hash) *LawToRead {
	l := &LawToRead{Charter: h}
	c, ok := d.cfg.Laws.Charter(h)
	if !ok {
		return l
	}
	l.Name, l.Explain = c.Name, c.Explain()
	for at := c.Previous; ; {
		old, ok := d.cfg.Laws.Charter(at)
		if !ok {
			return l
		}
		if d.acks[at] {
			l.Changes = charter.Changes(old, c)
			return l
		}
		at = old.Previous
	}
}
