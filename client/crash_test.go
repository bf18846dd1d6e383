package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"writ/directory/directorytest"

	"connectrpc.com/connect"

	"writ/mls"
)

// A reaper lets a device die after a chosen effect: a change of its storage, or a
// request that was carried out and whose answer it never sees. To die before an effect
// is to die after the one before it.
type reaper struct {
	Storage
	left int
	dead bool
	end  context.CancelFunc // of the device's life
	at   string
}

func (r *reaper) point(name string) bool {
	if r.left == 0 && !r.dead {
		r.dead, r.at = true, name
		r.end()
	}
	r.left--
	return r.dead
}

func (r *reaper) Load(space string) ([]mls.Record, error) {
	if r.dead {
		return nil, errCrash
	}
	return r.Storage.Load(space)
}

func (r *reaper) Apply(space string, records []mls.Record) error {
	if r.dead {
		return errCrash
	}
	if err := r.Storage.Apply(space, records); err != nil {
		return err
	}
	if r.point("after storing in " + space) {
		return errCrash
	}
	return nil
}

func (r *reaper) between() connect.Interceptor {
	return between(func(ctx context.Context, procedure string, _ any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error) {
		if r.dead {
			return nil, connect.NewError(connect.CodeUnavailable, errCrash)
		}
		res, err := send()
		if r.point("after " + procedure) {
			return nil, connect.NewError(connect.CodeUnavailable, errCrash)
		}
		return res, err
	})
}

// A life is a device that may die once and is then opened again.
type life struct {
	*world
	*Device
	reaper *reaper
	ctx    context.Context
	acked  []string
}

func (w *world) life(left int) *life {
	ctx, end := context.WithCancel(background)
	l := &life{world: w, reaper: &reaper{Storage: NewMemory(), left: left, end: end}, ctx: ctx}
	d, err := Open(w.config(l.reaper, l.reaper.between()))
	w.check(err)
	l.Device = d
	return l
}

// revive opens the device again after its death, as a person would, and reports
// whether it had died.
func (l *life) revive() bool {
	if !l.reaper.dead || l.ctx == background {
		return false
	}
	d, err := Open(l.world.config(l.reaper.Storage))
	l.world.check(err)
	l.Device, l.ctx = d, background
	return true
}

// try does something, after a death again unless it shows that it was done.
func (l *life) try(done func() bool, do func() error) {
	l.world.Helper()
	err := do()
	if l.revive() {
		if l.self != nil && l.self.registered {
			_, err := l.Sync(l.ctx)
			l.world.check(err)
		}
		if done() {
			return
		}
		err = do()
	}
	l.world.check(err)
}

func (l *life) say(id ConversationID, text string) {
	l.world.Helper()
	died := l.reaper.dead
	err := l.Send(l.ctx, id, text)
	switch {
	case err == nil:
		l.acked = append(l.acked, text)
	case l.revive() && !died:
	default:
		l.world.Fatal(err)
	}
	_, err = l.Sync(l.ctx)
	if l.revive() {
		_, err = l.Sync(l.ctx)
	}
	l.world.check(err)
}

// script is a conversation of two, in which the one or the other may die.
func (w *world) script(name string, anna, ben *life) {
	w.Helper()
	a, b := phone("a-"+name), phone("b-"+name)
	for _, x := range []struct {
		l  *life
		id func() error
	}{{anna, func() error { return w.enroll(anna, a.Account) }}, {ben, func() error { return w.enroll(ben, b.Account) }}} {
		x.l.try(func() bool { return false }, x.id)
	}
	var id ConversationID
	anna.try(func() bool {
		for _, c := range anna.Conversations() {
			if members, err := anna.Members(c); err == nil && len(members) == 2 {
				id = c
				return true
			}
		}
		return false
	}, func() (err error) {
		id, err = anna.Create(anna.ctx, b.Account)
		return err
	})
	both := func() {
		for _, l := range []*life{ben, anna} {
			l.try(func() bool { return true }, func() error { _, err := l.Sync(l.ctx); return err })
		}
	}
	both()
	anna.say(id, "one")
	ben.say(id, "two")
	w.wait(25 * time.Hour)
	ben.say(id, "three")
	anna.say(id, "four")
	both()
	both()
	w.compare(id, anna, ben)
	w.wait(-25 * time.Hour)
}

func (w *world) enroll(l *life, account string) error {
	return l.Register(l.ctx, phone(account), w.access, directorytest.Recovery(account).Public())
}

// compare wants both to have seen the same, all that was acknowledged, once.
func (w *world) compare(id ConversationID, anna, ben *life) {
	w.Helper()
	var seen [2][]string
	for i, l := range []*life{anna, ben} {
		events, err := l.History(id)
		w.check(err)
		for _, e := range events {
			switch e.Kind {
			case Message:
				seen[i] = append(seen[i], fmt.Sprintf("%d %v: %s", e.Seq, e.Sender, e.Text))
			case Joined, Left:
			default:
				w.Fatalf("%v: %+v", l.Identity(), e)
			}
		}
		if n := len(l.convs[id].outbox); n != 0 || l.convs[id].pending != nil {
			w.Fatalf("%v: %d still in the outbox", l.Identity(), n)
		}
	}
	w.want(seen[0], seen[1]...)
	for _, text := range slices.Concat(anna.acked, ben.acked) {
		if n := strings.Count(strings.Join(seen[0], "\n"), ": "+text); n != 1 {
			w.Fatalf("%q is there %d times in %q", text, n, seen[0])
		}
	}
	for _, text := range []string{"one", "two", "three", "four"} {
		if n := strings.Count(strings.Join(seen[0], "\n"), ": "+text); n > 1 {
			w.Fatalf("%q is there %d times", text, n)
		}
	}
}

const never = 1 << 30

// A device dies at every change of its storage and every request of a
// conversation, is opened again, and everything is as it should be.
func TestDeathAtEveryPoint(t *testing.T) {
	stride := 1
	if testing.Short() {
		stride = 7
	}
	for _, who := range []string{"anna", "ben"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			points := 0
			for k := 0; ; k += stride {
				a, b := w.life(never), w.life(never)
				mortal := a
				if who == "ben" {
					mortal = b
				}
				mortal.reaper.left = k
				w.script(fmt.Sprintf("%s%d", who, k), a, b)
				if !mortal.reaper.dead {
					break
				}
				points++
			}
			if points < 30/stride {
				t.Fatalf("only %d points", points)
			}
			t.Logf("%d points", points)
		})
	}
}

// An answer is lost and the request repeated, for every request of a conversation.
func TestLostAnswers(t *testing.T) {
	w := newWorld(t)
	lost := map[string]int{}
	lossy := between(func(_ context.Context, procedure string, _ any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error) {
		res, err := send()
		if lost[procedure]++; lost[procedure]%2 == 1 && err == nil && procedure != "Login" {
			return nil, connect.NewError(connect.CodeUnavailable, errors.New("connection lost"))
		}
		return res, err
	})
	anna, ben := w.device("a-los", w.access, lossy), w.device("b-los", w.access)
	id := w.talk(anna, ben)
	w.send(anna, id, "one")
	w.wait(25 * time.Hour)
	w.send(anna, id, "two")
	w.sync(ben, anna)
	for _, d := range []*Device{anna, ben} {
		w.want(w.history(d, id, Message, Held, Fault, Unsent), "message a-los: one", "message a-los: two")
	}
	for _, procedure := range []string{"Register", "PublishKeyPackages", "CreateConversation", "TakeKeyPackages", "Commit", "Append", "Read"} {
		if lost[procedure] < 2 {
			t.Errorf("%s was not repeated", procedure)
		}
	}
}
