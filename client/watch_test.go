package client

import (
	"context"
	"testing"
	"time"
)

// Watch tells what comes, live, and goes on when sessions end.
func TestWatch(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("a-wat", w.access), w.device("b-wat", w.access)
	ctx, cancel := context.WithTimeout(background, 20*time.Second)
	defer cancel()
	heard := make(chan Event, 100)
	go func() {
		defer close(heard)
		for e, err := range ben.Watch(ctx) {
			if err != nil {
				t.Log(err)
				continue
			}
			heard <- e
		}
	}()
	next := func(kind EventKind, text string) {
		t.Helper()
		for e := range heard {
			if e.Kind == kind && e.Text == text {
				return
			}
		}
		t.Fatalf("%v %q never came", kind, text)
	}
	id, err := anna.Create(ctx, "b-wat")
	w.check(err)
	next(Joined, "")
	for _, text := range []string{"one", "two", "three"} {
		w.send(anna, id, text)
		next(Message, text)
	}
	w.send(ben, id, "four") // while watching
	next(Message, "four")
	w.sync(anna)
	w.want(w.history(anna, id, Message), w.history(ben, id, Message)...)
	cancel()
	for range heard {
	}
}
