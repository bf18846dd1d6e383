package client

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"writ/directory"
	"writ/mls"
)

// A conversation is what a device has of one: the MLS group and the records
// beside it. Device.mu guards it.
type conversation struct {
	device *Device
	id     ConversationID
	group  *mls.Group // nil once this device is no longer a member

	state
	stored       []byte  // encoding of the state as it is stored
	page         []Event // the newest events
	epochs       map[uint64]*epoch
	compartments map[place]*compartment
	outbox       []*item // oldest first
	held         []*received
	aside        []*received // proposals of this epoch that could not be accepted when they came
	pending      *pending

	judged  judged          // up to when dropped holds
	dropped []mls.LeafIndex // see revoked

	halted error // why it does not go on, since the last read; told once
}

func newConversation(d *Device, id ConversationID) *conversation {
	return &conversation{device: d, id: id, epochs: map[uint64]*epoch{}, compartments: map[place]*compartment{},
		state: state{nextEvent: 1, nextItem: 1}}
}

func (c *conversation) space() string        { return "c-" + c.id.String() }
func (c *conversation) historySpace() string { return "h-" + c.id.String() }

func (c *conversation) config() mls.Config {
	return mls.Config{Authenticate: c.authenticate, Now: c.device.cfg.Now, MaxPastEpochs: maxPastEpochs, Padding: 128}
}

// loadConversation reads a conversation; nil if its creation was never finished.
func (d *Device) loadConversation(id ConversationID) (*conversation, error) {
	c := newConversation(d, id)
	records, err := d.cfg.Storage.Load(c.space())
	if err != nil || len(records) == 0 {
		return nil, err
	}
	var group []mls.Record
	for _, r := range records {
		if name, ok := strings.CutPrefix(r.Key, keyGroup); ok {
			group = append(group, mls.Record{Key: name, Value: r.Value})
		} else if err := c.loadRecord(r); err != nil {
			return nil, fmt.Errorf("client: conversation %v, record %q: %w", id, r.Key, err)
		}
	}
	if !c.gone {
		if c.group, err = mls.LoadGroup(c.config(), group); err != nil {
			return nil, fmt.Errorf("client: conversation %v: %w", id, err)
		}
	}
	return c, nil
}

func (c *conversation) loadRecord(r mls.Record) (err error) {
	switch prefix, _ := cutKey(r.Key); prefix {
	case keyState:
		c.state, err = parseState(r.Value)
	case keyPage:
		c.page, err = parseEvents(r.Value, c.id)
	case keyPending:
		c.pending, err = parsePending(r.Value)
	case keyEpoch:
		var n uint64
		if n, err = numberOf(r.Key, keyEpoch); err == nil {
			c.epochs[n], err = parseEpoch(r.Value)
		}
	case keyCapsule:
		var p place
		if p, err = parsePlace(r.Key); err == nil {
			c.compartments[p], err = parseCompartment(r.Value)
		}
	case keyOutbox: // keys are in order
		var i *item
		i, err = parseItem(r.Value)
		c.outbox = append(c.outbox, i)
	case keyHeld:
		var m *received
		m, err = parseReceived(r.Value)
		c.held = append(c.held, m)
	case keyAside:
		var m *received
		m, err = parseReceived(r.Value)
		c.aside = append(c.aside, m)
	}
	return err
}

// groupRecords puts a group's records beside the conversation's.
func groupRecords(delta []mls.Record) []mls.Record {
	var records []mls.Record
	for _, r := range delta {
		records = append(records, mls.Record{Key: keyGroup + r.Key, Value: r.Value})
	}
	return records
}

// A step is a change of a conversation: what is stored, and what the person is told.
type step struct {
	records []mls.Record
	events  []Event
}

func (s *step) put(key string, value []byte) {
	s.records = append(s.records, mls.Record{Key: key, Value: value})
}
func (s *step) drop(key string) { s.records = append(s.records, mls.Record{Key: key}) }
func (s *step) tell(e Event)    { s.events = append(s.events, e) }

// finish stores a step as one, and gives its events their numbers.
func (c *conversation) finish(s *step) error {
	if len(s.events) > 0 {
		for i := range s.events {
			s.events[i].Conversation, s.events[i].Number = c.id, c.nextEvent
			s.events[i].Reason = short(s.events[i].Reason)
			c.nextEvent++
		}
		if err := c.turnPage(); err != nil {
			return err
		}
		c.page = append(c.page, s.events...)
		s.put(keyPage, encodeEvents(c.page))
	}
	if now := c.state.encode(); !bytes.Equal(now, c.stored) {
		s.put(keyState, now)
		c.stored = now
	}
	if err := c.device.save(c.space(), s.records); err != nil {
		return err
	}
	c.device.news = append(c.device.news, s.events...)
	return nil
}

// maxReason is how much of a reason is kept, in bytes: some of it are others' words.
const maxReason = 2 << 10

func short(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}
	return strings.ToValidUTF8(reason[:maxReason], "") + " ..."
}

// Conversations lists the conversations this device is or was in.
func (d *Device) Conversations() []ConversationID {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ids()
}

func (d *Device) ids() []ConversationID {
	return slices.SortedFunc(maps.Keys(d.convs), func(a, b ConversationID) int { return bytes.Compare(a[:], b[:]) })
}

// Members lists the devices in a conversation, sorted.
func (d *Device) Members(id ConversationID) ([]directory.Identity, error) {
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
	var ids []directory.Identity
	for _, m := range c.epochs[c.group.Epoch()].members {
		ids = append(ids, m.Identity)
	}
	slices.SortFunc(ids, func(a, b directory.Identity) int { return strings.Compare(a.String(), b.String()) })
	return ids, nil
}

func (d *Device) conversation(id ConversationID) (*conversation, error) {
	if c := d.convs[id]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("client: conversation %v: %w", id, ErrNotMember)
}

func (c *conversation) member() error {
	if c.gone {
		return fmt.Errorf("client: conversation %v: %w", c.id, ErrNotMember)
	}
	return nil
}
