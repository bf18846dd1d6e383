package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"connectrpc.com/connect"

	"writ/api"
)

// ready sees to it that the device has a session and a right clock.
func (d *Device) ready(ctx context.Context) error {
	if err := d.freshLogin(ctx); err != nil {
		return err
	}
	return d.checkClock()
}

// freshLogin logs in again if the clocks differed at the last login, to compare them.
func (d *Device) freshLogin(ctx context.Context) error {
	if d.checkClock() != nil {
		d.session = session{}
	}
	return d.login(ctx)
}

// Sync takes everything that is new, looks again at what is held, and works the
// outboxes off. It returns the events since the last Sync or Watch, also beside an
// error: a failure in one conversation does not stop the others.
func (d *Device) Sync(ctx context.Context) ([]Event, error) {
	if err := d.lock(); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	err := d.sync(ctx)
	return d.takeNews(), err
}

func (d *Device) takeNews() []Event {
	news := d.news
	d.news = nil
	return news
}

func (d *Device) sync(ctx context.Context) error {
	if err := d.freshLogin(ctx); err != nil {
		return err
	}
	errs := []error{d.welcomes(ctx), d.checkClock(), d.refresh(ctx)}
	for _, id := range d.ids() {
		errs = append(errs, d.convs[id].sync(ctx))
	}
	return errors.Join(append(errs, d.replenish(ctx))...)
}

func (c *conversation) sync(ctx context.Context) error {
	if c.gone {
		return nil
	}
	if err := c.read(ctx); err != nil {
		return err
	}
	if err := c.retryHeld(ctx); err != nil {
		return err
	}
	if err := errors.Join(c.settle(ctx), c.expel()); err != nil {
		return err
	}
	return c.flush(ctx)
}

// welcomes enters the conversations the device was added to.
func (d *Device) welcomes(ctx context.Context) error {
	var confirm []uint64
	var errs []error
	for {
		res, err := call(ctx, d, d.cfg.Delivery.Welcomes, &api.WelcomesRequest{Confirm: confirm})
		if err != nil {
			return fmt.Errorf("client: welcomes: %w", err)
		}
		confirm = nil
		for _, w := range res.Welcomes {
			err := d.join(ctx, w)
			switch {
			case d.broken != nil:
				return d.broken
			case err == nil || !d.mayJoinLater(err):
				confirm = append(confirm, w.Id)
			}
			if err != nil && !d.joinedBefore(w, err) {
				errs = append(errs, err)
			}
		}
		if len(confirm) == 0 {
			return errors.Join(errs...)
		}
	}
}

// joinedBefore reports whether a Welcome has done its work: the key package is
// deleted and only the confirmation was lost.
func (d *Device) joinedBefore(w *api.Welcome, err error) bool {
	return errors.Is(err, errNoKeyPackage) && d.convs[ConversationID(w.Conversation)] != nil
}

// Watch yields events as they come, until ctx ends or the storage fails. An
// error is told and, unless it is the storage's, Watch goes on. Other methods may
// be called meanwhile.
func (d *Device) Watch(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		wait := firstWait
		for ctx.Err() == nil {
			start := time.Now()
			if !d.watch(ctx, yield) {
				return
			}
			if time.Since(start) > maxWait {
				wait = firstWait
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			wait = min(2*wait, maxWait)
		}
	}
}

// maxSilence is how long a stream may bring nothing: delivery says twice a minute that it
// is alive, and a connection can die without a word.
const maxSilence = 90 * time.Second

// watch follows one stream to its end. It returns false if the watching is over.
func (d *Device) watch(ctx context.Context, yield func(Event, error) bool) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silent := time.AfterFunc(maxSilence, cancel)
	defer silent.Stop()
	authorized, err := d.subscriber(ctx)
	if err != nil {
		return yield(Event{}, err) && d.usable()
	}
	stream, err := d.cfg.Delivery.Subscribe(authorized, &api.SubscribeRequest{})
	if err != nil {
		return yield(Event{}, d.parted(err)) && d.usable()
	}
	defer stream.Close()
	for stream.Receive() {
		silent.Reset(maxSilence)
		if !d.pass(yield, d.hear(ctx, stream.Msg())) {
			return false
		}
	}
	if err := stream.Err(); err != nil && ctx.Err() == nil {
		return yield(Event{}, d.parted(err))
	}
	return true
}

// parted notes that a stream ended with an error, perhaps since the session has.
func (d *Device) parted(err error) error {
	if connect.CodeOf(err) == connect.CodeUnauthenticated {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.session.token = ""
	}
	return fmt.Errorf("client: watch: %w", err)
}

func (d *Device) usable() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.broken == nil
}

// subscriber logs in. The device is free while delivery makes up its mind to answer.
func (d *Device) subscriber(ctx context.Context) (context.Context, error) {
	if err := d.lock(); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	if err := d.login(ctx); err != nil {
		return nil, err
	}
	return d.authorize(ctx), nil
}

// hear acts on an event of the stream. Events are hints: what is certain is read.
func (d *Device) hear(ctx context.Context, e *api.Event) error {
	if err := d.lock(); err != nil {
		return err
	}
	defer d.mu.Unlock()
	if m := e.GetMessage(); m != nil {
		return d.hearMessage(ctx, m)
	}
	if e.GetAlive() {
		return nil
	}
	return d.sync(ctx) // ready, a welcome, or lagged
}

func (d *Device) hearMessage(ctx context.Context, m *api.Message) error {
	if len(m.Conversation) != len(ConversationID{}) {
		return fmt.Errorf("client: %w: conversation id of %d bytes", ErrDelivery, len(m.Conversation))
	}
	c := d.convs[ConversationID(m.Conversation)]
	if c == nil || c.gone || m.Seq <= c.cursor {
		return nil
	}
	if m.Seq == c.cursor+1 && len(m.Body) > 0 {
		return c.receiveAll(ctx, []*api.Message{m})
	}
	return c.sync(ctx)
}

// pass yields what is new.
func (d *Device) pass(yield func(Event, error) bool, err error) bool {
	d.mu.Lock()
	news, broken := d.takeNews(), d.broken
	d.mu.Unlock()
	for _, e := range news {
		if !yield(e, nil) {
			return false
		}
	}
	return (err == nil || yield(Event{}, err)) && broken == nil
}
