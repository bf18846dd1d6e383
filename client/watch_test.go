package client

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/capsule"
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

// While delivery leaves open whether it lets the device subscribe, the device is free for
// other things.
func TestWatchHoldsNothing(t *testing.T) {
	w := newWorld(t)
	asked, end := make(chan struct{}, 1), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == api.DeliverySubscribeProcedure {
			asked <- struct{}{}
			<-end
		}
		w.service.Handler().ServeHTTP(rw, r)
	}))
	defer server.Close()
	defer close(end)
	config := w.config(NewMemory())
	config.Delivery = api.NewDeliveryClient(http.DefaultClient, server.URL)
	anna, err := Open(config)
	w.check(err)
	w.register(anna, phone("anna"), w.access)
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	go func() {
		for range anna.Watch(ctx) {
		}
	}()
	<-asked
	done := make(chan error)
	go func() { _, err := anna.Sync(background); done <- err }()
	select {
	case err := <-done:
		w.check(err)
	case <-time.After(20 * time.Second):
		t.Fatal("the device waits for delivery's answer to Watch")
	}
}

// The capsule that delivery shows beside a message is compared; only where it is
// missing or another does the device ask for what is stored.
func TestShownCapsule(t *testing.T) {
	w := newWorld(t)
	asked := 0
	count := between(func(_ context.Context, procedure string, _ any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error) {
		if procedure == "GetCapsules" {
			asked++
		}
		return send()
	})
	anna, ben := w.device("a-shn", w.access), w.device("b-shn", w.access, count)
	id := w.talk(anna, ben)
	c := anna.convs[id]
	p := place{c.group.Epoch(), c.group.OwnLeaf()}
	i := &item{}
	own, err := c.ownCapsule(&step{}, p, i)
	w.check(err)
	message, _, err := c.group.Protect(own.want, capsule.Content(0, []byte("hello")))
	w.check(err)
	wrong := append([]byte{}, i.capsule...)
	wrong[len(wrong)-1] ^= 1
	for _, shown := range []struct {
		capsule []byte
		asked   int
	}{{nil, 1}, {wrong, 2}, {i.capsule, 2}} {
		b := ben.convs[id]
		delete(b.compartments, p)
		_, why, err := b.checkCapsule(background, &step{}, p, shown.capsule)
		w.check(err)
		if why != "" || asked != shown.asked {
			t.Fatalf("asked %d times, want %d: %s", asked, shown.asked, why)
		}
	}
	if s, why, err := ben.convs[id].open(background, &received{seq: 9, epoch: p.epoch, time: w.Now(), body: message, capsule: i.capsule}); err != nil || why != "" || s.events[0].Kind != Message {
		t.Fatal(s, why, err)
	}
}
