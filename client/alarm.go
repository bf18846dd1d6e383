package client

import (
	"fmt"
	"slices"
	"time"

	"writ/directory"
	"writ/internal/wire"
	"writ/mls"
)

// An Alarm is something about devices, the person's own or others', that the person
// has to know. It is shown until it was answered.
type Alarm struct {
	Number   uint64 // 1, 2, ...
	Time     time.Time
	Account  string   // whose devices; empty if it is the directory as a whole
	Text     string   // what was found and what to do
	Evidence [][]byte // signed checkpoints and the answer, where there are any
	Answered bool
}

const adviceTell = "Tell the people you write with, and compare safety numbers with them in person."

// maxAlarms bounds the alarms that are kept; the oldest answered ones go first.
const maxAlarms = 256

func (a *Alarm) encode() []byte {
	var w wire.Writer
	w.Uint64(a.Number)
	w.Uint64(uint64(a.Time.Unix()))
	w.Opaque([]byte(a.Account))
	w.Opaque([]byte(a.Text))
	w.Vector(func(w *wire.Writer) {
		for _, e := range a.Evidence {
			w.Opaque(e)
		}
	})
	w.Uint8(flag(a.Answered))
	return w.Bytes()
}

func parseAlarm(b []byte) (*Alarm, error) {
	r := wire.NewReader(b)
	a := &Alarm{Number: r.Uint64(), Time: time.Unix(int64(r.Uint64()), 0), Account: string(r.Opaque(maxText)), Text: string(r.Opaque(maxText))}
	v := r.Vector(maxRecord)
	for v.More() {
		a.Evidence = append(a.Evidence, slices.Clone(v.Opaque(maxRecord)))
	}
	r.Check(v.Done())
	a.Answered = readFlag(r)
	return a, r.Done()
}

// raise stores an alarm, unless the same one waits for an answer or was answered
// within a day. So its text holds nothing that is another at each look-up.
func (d *Device) raise(account, text string, evidence ...[]byte) error {
	now := d.cfg.Now()
	text = text[:min(len(text), maxText-1)]
	next := uint64(1)
	for _, a := range d.alarms {
		if a.Account == account && a.Text == text && (!a.Answered || now.Sub(a.Time) < 24*time.Hour) {
			return nil
		}
		next = max(next, a.Number+1)
	}
	a := &Alarm{Number: next, Time: now, Account: account, Text: text, Evidence: evidence}
	d.alarms = append(d.alarms, a)
	records := []mls.Record{{Key: numbered(keyAlarm, a.Number), Value: a.encode()}}
	if i := slices.IndexFunc(d.alarms, func(a *Alarm) bool { return a.Answered }); len(d.alarms) > maxAlarms && i >= 0 {
		records = append(records, mls.Record{Key: numbered(keyAlarm, d.alarms[i].Number)})
		d.alarms = slices.Delete(d.alarms, i, i+1)
	}
	return d.save(deviceSpace, records)
}

// Alarms returns the alarms, oldest first, also those that were answered.
func (d *Device) Alarms() (list []Alarm) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.alarms {
		list = append(list, *a)
	}
	return list
}

// Answer says that the person has read an alarm and knows what it is.
func (d *Device) Answer(number uint64) error {
	if err := d.lock(); err != nil {
		return err
	}
	defer d.mu.Unlock()
	for _, a := range d.alarms {
		if a.Number == number {
			a.Answered = true
			return d.save(deviceSpace, []mls.Record{{Key: numbered(keyAlarm, a.Number), Value: a.encode()}})
		}
	}
	return fmt.Errorf("client: there is no alarm %d", number)
}

// watchOwn compares what the log has of the own account with the statements that this
// device knows, and raises an alarm for what differs (DIR-31).
func (d *Device) watchOwn(v *directory.Verified) error {
	known := d.own
	if d.drafted != nil && holds(v.Chain(), d.drafted) { // what this device stated itself
		known = v.Chain().Until(d.drafted.Version)
	}
	if known == nil { // before this device is one of the account's
		return nil
	}
	for _, a := range directory.Watch(known, v.Leaves()) {
		if err := d.raise(v.Account(), a.Text); err != nil {
			return err
		}
	}
	if v.Chain() == nil || d.own != nil && v.Chain().Version() == d.own.Version() {
		return nil
	}
	return d.adopt(v.Chain())
}

func holds(c *directory.Chain, s *directory.Statement) bool {
	return c != nil && s.Version <= c.Version() && c.Statement(s.Version).Hash() == s.Hash()
}

// adopt makes a chain the one that this device knows of its own account.
func (d *Device) adopt(c *directory.Chain) error {
	var records []mls.Record
	for version := uint64(1); version <= c.Version(); version++ {
		if d.own == nil || version > d.own.Version() {
			records = append(records, mls.Record{Key: numbered(keyStatement, version), Value: c.Statement(version).Encode()})
		}
	}
	if d.drafted != nil && d.drafted.Version <= c.Version() {
		records = append(records, mls.Record{Key: keyDrafted})
		d.drafted = nil
	}
	d.own = c
	return d.save(deviceSpace, records)
}
