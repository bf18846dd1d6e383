package client

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"writ/charter"
	"writ/charter/chartertest"
	"writ/directory/directorytest"
	"writ/ledger"
)

// cut is a network that lets no message through while it is down.
type cut struct{ down bool }

func (c *cut) between() connect.Interceptor {
	return between(func(_ context.Context, procedure string, _ any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error) {
		if c.down && procedure == "Append" {
			return nil, connect.NewError(connect.CodeUnavailable, errors.New("no network"))
		}
		return send()
	})
}

// supersede amends the law, and lets pass the time until delivery takes nothing more under
// the version before.
func (w *world) supersede() charter.Hash {
	w.Helper()
	next := *w.law.Charter
	next.Number, next.Previous = 2, w.access
	next.Limits.CapSubjects++
	h := w.enact(w.law.Sign(&next))
	w.laws[h] = &next
	w.wait(time.Duration(next.Limits.ActivationDelay+next.Limits.MaxEpochAge) * time.Second)
	return h
}

// stays wants texts to wait in a device's outbox, and none to be given up.
func (w *world) stays(d *Device, id ConversationID, texts ...string) {
	w.Helper()
	var waiting []string
	for _, i := range d.convs[id].outbox {
		waiting = append(waiting, i.text)
	}
	w.want(waiting, texts...)
	w.want(w.history(d, id, Unsent))
}

// DEL-36, R32: a device that was away while its law was amended, and delivery takes nothing
// more under the version before, comes back: what it had queued waits, sealed or not, until
// its person has read the new version, and then goes out under it.
func TestSupersededDeviceComesBack(t *testing.T) {
	w, net := newWorld(t), &cut{}
	storage := NewMemory()
	anna, err := Open(w.config(storage, net.between()))
	w.check(err)
	w.register(anna, phone("a-away"), w.access)
	ben := w.device("b-away", w.access)
	id := w.talk(anna, ben)
	w.send(anna, id, "before")
	w.sync(ben)
	net.down = true
	for _, text := range []string{"sealed before", "only queued"} {
		if err := anna.Send(background, id, text); !errors.Is(err, ErrQueued) {
			t.Fatalf("without a network: %v", err)
		}
	}
	if c := anna.convs[id]; len(c.outbox[0].sealed) == 0 || len(c.outbox[1].sealed) != 0 {
		t.Fatal("not one sealed and one queued")
	}
	h := w.supersede()
	w.check(ben.Acknowledge(h))
	w.send(ben, id, "where are you")

	net.down = false
	anna, err = Open(w.config(storage, net.between()))
	w.check(err)
	for range 2 {
		if _, err := anna.Sync(background); !errors.Is(err, ErrQueued) || !errors.Is(err, ErrUnread) {
			t.Fatalf("before the new version is read: %v", err)
		}
		w.stays(anna, id, "sealed before", "only queued")
	}
	w.check(anna.Acknowledge(h))
	w.sync(anna, ben)
	w.stays(anna, id)
	w.want(w.history(ben, id, Message, Held), "message a-away: before", "message b-away: where are you", "message a-away: sealed before", "message a-away: only queued")
	c := ben.convs[id]
	for _, m := range c.epochs[c.group.Epoch()].members {
		if m.law != h {
			t.Errorf("%v is under %v", m.Identity, m.law)
		}
	}
}

// A device whose copy of the ledger does not show the new version yet keeps what it said,
// does not commit again and again, and goes on when the ledger is there.
func TestSupersededWithoutTheLedger(t *testing.T) {
	w := newWorld(t)
	old := ledger.NewBook()
	w.check(old.Apply(0, ledger.CharterEntry(w.law.Sign(w.law.Charter)), chartertest.Now))
	config := w.config(NewMemory())
	config.Laws = old
	anna, err := Open(config)
	w.check(err)
	w.check(anna.Register(background, phone("a-old"), w.access, directorytest.Recovery("a-old").Public()))
	ben := w.device("b-old", w.access)
	id := w.talk(anna, ben)
	w.send(anna, id, "before")
	h := w.supersede()
	epoch := anna.convs[id].group.Epoch()
	err = anna.Send(background, id, "after")
	if !errors.Is(err, ErrQueued) || !errors.Is(err, ErrSuperseded) || !strings.Contains(err.Error(), "version 2") {
		t.Fatalf("under a superseded law: %v", err)
	}
	if n := anna.convs[id].group.Epoch(); n > epoch+1 { // one because the epoch was old
		t.Errorf("%d epochs for a message that can't be sent", n-epoch)
	}
	w.stays(anna, id, "after")
	w.check(old.Apply(1, ledger.CharterEntry(w.law.Sign(w.laws[h])), chartertest.Now.Add(time.Second)))
	w.check(anna.Acknowledge(h))
	w.check(ben.Acknowledge(h))
	w.sync(anna, ben)
	w.stays(anna, id)
	w.want(w.history(ben, id, Message), "message a-old: before", "message a-old: after")
}
