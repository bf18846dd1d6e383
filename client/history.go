package client

import (
	"slices"

	"writ/mls"
)

// maxPage is the size in bytes at which the newest events become a page of the
// history, which is stored apart and loaded only when it is asked for.
const maxPage = 16 << 10

// turnPage moves a full page to the history. It is stored there before it goes
// from here; History drops what is in both.
func (c *conversation) turnPage() error {
	if len(c.page) == 0 {
		return nil
	}
	b := encodeEvents(c.page)
	if len(b) < maxPage {
		return nil
	}
	page := mls.Record{Key: numbered("", c.page[0].Number), Value: b}
	if err := c.device.save(c.historySpace(), []mls.Record{page}); err != nil {
		return err
	}
	c.page = nil
	return nil
}

// History returns all events of a conversation that are kept, oldest first.
func (d *Device) History(id ConversationID) ([]Event, error) {
	if err := d.lock(); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	c, err := d.conversation(id)
	if err != nil {
		return nil, err
	}
	return c.history()
}

func (c *conversation) history() ([]Event, error) {
	records, err := c.device.cfg.Storage.Load(c.historySpace())
	if err != nil {
		return nil, err
	}
	var events []Event
	for _, r := range records {
		page, err := parseEvents(r.Value, c.id)
		if err != nil {
			return nil, err
		}
		events = append(events, page...)
	}
	for _, e := range c.page {
		if n := len(events); n == 0 || e.Number > events[n-1].Number {
			events = append(events, e)
		}
	}
	return events, nil
}

// Unread returns the events after the last MarkRead: what Sync returned, but also
// what a process that ended too early never showed.
func (d *Device) Unread(id ConversationID) ([]Event, error) {
	if err := d.lock(); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	c, err := d.conversation(id)
	if err != nil {
		return nil, err
	}
	events := c.page
	if len(events) == 0 || events[0].Number > c.seen+1 {
		if events, err = c.history(); err != nil {
			return nil, err
		}
	}
	return c.unread(events), nil
}

// MarkRead says that the person has seen the events up to a number.
func (d *Device) MarkRead(id ConversationID, number uint64) error {
	if err := d.lock(); err != nil {
		return err
	}
	defer d.mu.Unlock()
	c, err := d.conversation(id)
	if err != nil {
		return err
	}
	if number <= c.seen {
		return nil
	}
	c.seen = min(number, c.nextEvent-1)
	s := &step{}
	if d.cfg.ForgetHistory {
		if err := c.forgetPages(); err != nil {
			return err
		}
		c.page = c.unread(c.page)
		s.put(keyPage, encodeEvents(c.page))
	}
	return c.finish(s)
}

// forgetPages takes what was read out of the history.
func (c *conversation) forgetPages() error {
	records, err := c.device.cfg.Storage.Load(c.historySpace())
	if err != nil {
		return err
	}
	var changes []mls.Record
	for _, r := range records {
		page, err := parseEvents(r.Value, c.id)
		if err != nil {
			return err
		}
		left := c.unread(page)
		switch {
		case len(left) == 0:
			changes = append(changes, mls.Record{Key: r.Key})
		case len(left) < len(page):
			changes = append(changes, mls.Record{Key: r.Key, Value: encodeEvents(left)})
		}
	}
	if changes == nil {
		return nil
	}
	return c.device.save(c.historySpace(), changes)
}

// unread returns the events of a list that were not marked as read.
func (c *conversation) unread(list []Event) []Event {
	return slices.DeleteFunc(slices.Clone(list), func(e Event) bool { return e.Number <= c.seen })
}
