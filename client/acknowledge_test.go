package client

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"writ/charter"
	"writ/directory/directorytest"
	"writ/mls"
)

// newcomer is a registered device whose person has read nothing but their own law.
func (w *world) newcomer(account string, law charter.Hash) *Device {
	w.Helper()
	d, err := Open(w.config(NewMemory()))
	w.check(err)
	w.check(d.Register(background, phone(account), law, directorytest.Recovery(account).Public()))
	return d
}

// unread wants a message to be refused for a law that was not acknowledged, and returns
// what is to be read.
func (w *world) unread(d *Device, id ConversationID) []LawToRead {
	w.Helper()
	var e *UnreadError
	if err := d.Send(background, id, "x"); !errors.As(err, &e) || !errors.Is(err, ErrUnread) || errors.Is(err, ErrQueued) {
		w.Fatalf("sent under an unread law: %v", err)
	}
	laws, err := d.ToRead(id)
	w.check(err)
	if len(laws) != len(e.Laws) || len(d.convs[id].outbox) > 0 {
		w.Fatalf("to read %+v, refused for %+v, queued %d", laws, e.Laws, len(d.convs[id].outbox))
	}
	return laws
}

// R34: nobody says anything before they acknowledged under whose law everyone speaks, in
// words that name it, its horizon and its cap. It holds after a restart.
func TestLawIsAcknowledgedFirst(t *testing.T) {
	w := newWorld(t)
	anna, eve := w.newcomer("a-ack", w.access), w.newcomer("e-ack", w.open)
	id := w.talk(anna, eve)
	laws := w.unread(eve, id)
	text := strings.Join(laws[0].Explain, " ")
	if len(laws) != 1 || laws[0].Charter != w.access || laws[0].Own || laws[0].Accounts[0] != "a-ack" || laws[0].Changes != nil ||
		!strings.Contains(text, "are destroyed") || !strings.Contains(text, "At most") || !strings.Contains(text, "Office") {
		t.Errorf("to read: %+v", laws)
	}
	w.check(eve.Acknowledge(w.access))
	w.send(eve, id, "now I know")
	again, err := Open(eve.cfg)
	w.check(err)
	w.send(again, id, "and remember")
	if err := eve.Acknowledge(charter.Hash{1}); !errors.Is(err, ErrUnknownLaw) {
		t.Errorf("acknowledged what is not on the ledger: %v", err)
	}
	w.unread(anna, id)
	w.check(anna.Acknowledge(w.open))
	w.send(anna, id, "so do I")
	w.sync(anna, again)
	w.want(w.history(again, id, Message), "message e-ack: now I know", "message e-ack: and remember", "message a-ack: so do I")
}

// R34, R32: when a new version of a law comes into force, who speaks under it is told what
// changed, acknowledges, and then speaks under it: the leaf names it, and capsules are
// sealed to its custodians. Others in the conversation are told too.
func TestNewVersionIsAcknowledged(t *testing.T) {
	w := newWorld(t)
	anna, eve := w.device("a-new", w.access), w.device("e-new", w.open)
	id := w.talk(anna, eve)
	w.send(anna, id, "before")
	next := *w.law.Charter
	next.Number, next.Previous = 2, w.access
	next.Limits.CapSubjects++
	h := w.enact(w.law.Sign(&next))
	w.laws[h] = &next
	w.send(anna, id, "it waits")
	w.wait(time.Duration(w.law.Charter.Limits.ActivationDelay) * time.Second)
	for _, d := range []*Device{anna, eve} {
		laws := w.unread(d, id)
		if len(laws) != 1 || laws[0].Charter != h || laws[0].Own != (d == anna) || len(laws[0].Changes) != 2 ||
			laws[0].Changes[1] != "The cap of subjects is 11 warrants. Before: 10 warrants." {
			t.Fatalf("to read: %+v", laws)
		}
		w.check(d.Acknowledge(h))
	}
	if m := anna.convs[id].epochs[anna.convs[id].group.Epoch()].members[anna.convs[id].group.OwnLeaf()]; m.law != w.access {
		t.Errorf("moved before it spoke: %v", m.law)
	}
	w.send(anna, id, "after")
	w.sync(anna, eve)
	c := eve.convs[id]
	for _, m := range c.epochs[c.group.Epoch()].members {
		if m.Account == "a-new" && m.law != h {
			t.Errorf("anna's leaf names %v, not the version in force", m.law)
		}
	}
	p := place{c.group.Epoch(), mls.LeafIndex(0)}
	if l, err := c.label(p); err != nil || l.Charter != h {
		t.Errorf("sealed under %v: %v", l, err)
	}
	w.want(w.history(eve, id, Message), "message a-new: before", "message a-new: it waits", "message a-new: after")
}

// TestQueuedTextWaits: what was written while delivery was away and is not sealed yet is
// not sealed under a law that came into force meanwhile and was not acknowledged.
func TestQueuedTextWaits(t *testing.T) {
	w, away := newWorld(t), false
	gate := between(func(_ context.Context, procedure string, _ any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error) {
		if away && (procedure == "Append" || procedure == "Commit") {
			return nil, connect.NewError(connect.CodeUnavailable, errors.New("away"))
		}
		return send()
	})
	anna, ben := w.device("a-away", w.access, gate), w.device("b-away", w.access)
	id := w.talk(anna, ben)
	w.send(anna, id, "before")
	away = true
	for _, text := range []string{"one", "two"} {
		if err := anna.Send(background, id, text); !errors.Is(err, ErrQueued) {
			t.Fatalf("%s: %v", text, err)
		}
	}
	next := *w.law.Charter
	next.Number, next.Previous = 2, w.access
	next.Limits.CapSubjects++
	h := w.enact(w.law.Sign(&next))
	w.laws[h] = &next
	w.wait(time.Duration(w.law.Charter.Limits.ActivationDelay) * time.Second)
	away = false
	anna.Sync(background)
	w.sync(ben)
	w.want(w.history(ben, id, Message), "message a-away: before")
	for _, d := range []*Device{anna, ben} {
		w.check(d.Acknowledge(h))
	}
	w.sync(anna, ben)
	w.want(w.history(ben, id, Message), "message a-away: before", "message a-away: one", "message a-away: two")
}

// TestVersionThatWaits: who is under a version that is not in force yet is asked about
// that one, and not about the one before it.
func TestVersionThatWaits(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("a-waits", w.access), w.device("b-waits", w.access)
	w.wait(time.Hour)
	next := *w.law.Charter
	next.Number, next.Previous = 2, w.access
	next.Limits.CapSubjects++
	h := w.enact(w.law.Sign(&next))
	w.laws[h] = &next
	carl := w.newcomer("c-waits", h)
	if c, ok := w.book.InForce(next.Name, w.Now()); !ok || c.Number != 1 {
		t.Fatalf("in force: %v", c)
	}
	id := w.talk(anna, ben, carl)
	if laws := w.unread(anna, id); len(laws) != 1 || laws[0].Charter != h || laws[0].Accounts[0] != "c-waits" {
		t.Errorf("to read: %+v", laws)
	}
}
