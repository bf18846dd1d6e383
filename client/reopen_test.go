package client

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"writ/api"
	"writ/capsule"
	"writ/mls"
)

// refusing answers the next calls of a procedure with an error, as a delivery that took
// nothing.
func refusing(procedure string, code connect.Code, times *int) connect.Interceptor {
	return between(func(_ context.Context, p string, _ any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error) {
		if p != procedure || *times == 0 {
			return send()
		}
		*times--
		return nil, connect.NewError(code, errors.New("refused"))
	})
}

// A message that was sealed and will never arrive leaves no gap among the sender's
// messages, also if the device was opened anew since: others, and a court, would take it
// for one that somebody hid.
func TestRefusedMessageLeavesNoGap(t *testing.T) {
	for name, code := range map[string]connect.Code{
		"given up":     connect.CodePermissionDenied,
		"sealed again": connect.CodeFailedPrecondition,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			times := 0
			anna, ben := w.device("a-gap", w.access, refusing("Append", code, &times)), w.device("b-gap", w.access)
			id := w.talk(anna, ben)
			w.send(anna, id, "one")
			times = 1
			want := []string{"message a-gap: one", "message a-gap: three"}
			if code == connect.CodeFailedPrecondition {
				// It is sealed anew at once, unless the process ends in between.
				want = []string{"message a-gap: one", "message a-gap: two", "message a-gap: three"}
				c := anna.convs[id]
				w.check(c.enqueue(itemText, "two"))
				w.check(c.speak(background, c.outbox[0]))
				w.check(c.speak(background, c.outbox[0]))
			} else if err := anna.Send(background, id, "two"); err == nil {
				t.Fatal("sent")
			}
			again, err := Open(anna.cfg)
			w.check(err)
			w.sync(again)
			w.send(again, id, "three")
			w.sync(ben)
			w.want(w.history(ben, id, Message, Held, Fault), want...)
		})
	}
}

// What delivery and other members make the device write down can be read again: else one
// answer too long would lock the person out for good.
func TestLongWordsLockNobodyOut(t *testing.T) {
	long := strings.Repeat("long ", 50_000)
	w := newWorld(t)
	var refuse bool
	anna := w.device("a-long", w.access)
	ben := w.device("b-long", w.access, between(func(_ context.Context, p string, _ any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error) {
		if refuse && p == "Commit" {
			return nil, connect.NewError(connect.CodePermissionDenied, errors.New(long))
		}
		res, err := send()
		if r, ok := res.Any().(*api.ReadResponse); refuse && err == nil && ok {
			for _, m := range r.Messages {
				m.Conversation = []byte(long)
			}
		}
		return res, err
	}))
	id := w.talk(anna, ben)
	refuse = true
	if err := ben.Renew(background, id); err == nil { // Unsent, with delivery's reason
		t.Fatal("renewed")
	}
	w.send(anna, id, "hello")
	if _, err := ben.Sync(background); err == nil { // Fault, with delivery's id
		t.Fatal("took it")
	}
	refuse = false
	again, err := Open(ben.cfg)
	w.check(err)
	w.sync(again)
	w.want(w.history(again, id, Message), "message a-long: hello")
}

// What can't be an account's name is refused before it is written down.
func TestNoNameIsWrittenDown(t *testing.T) {
	w := newWorld(t)
	anna := w.device("a-name", w.access)
	id := w.talk(anna)
	for _, name := range []string{strings.Repeat("n", 1<<20), "", "no name"} {
		for what, f := range map[string]func(context.Context, ConversationID, string) error{"invite": anna.Invite, "remove": anna.Remove} {
			if err := f(background, id, name); err == nil || !strings.Contains(err.Error(), "is no account's name") {
				t.Errorf("%s: %.200v", what, err)
			}
		}
		if _, err := anna.Create(background, name); err == nil {
			t.Error("begun")
		}
	}
	_, err := Open(anna.cfg)
	w.check(err)
}

// A time that no calendar has keeps nobody from reading what came then.
func TestTimesCanBeShown(t *testing.T) {
	w := newWorld(t)
	ben := w.device("b-time", w.access, reads(func(r *api.ReadResponse) {
		for _, m := range r.Messages {
			m.ReceivedMs = 1<<63 - uint64(m.Seq)
		}
	}))
	anna := w.device("a-time", w.access)
	id := w.talk(anna, ben)
	w.send(anna, id, "hello")
	w.sync(ben)
	events, err := ben.History(id)
	w.check(err)
	if b, err := json.Marshal(events); err != nil || !strings.Contains(string(b), "hello") && len(lines(events, Held)) == 0 {
		t.Errorf("%s, %v", b, err)
	}
}

// A message that is longer than any may be is not shown, and can't be written down.
func TestTooLongMessage(t *testing.T) {
	w := newWorld(t)
	var body []byte
	ben := w.device("b-huge", w.access, reads(func(r *api.ReadResponse) {
		for _, m := range r.Messages {
			if body != nil && m.Kind == api.Kind_KIND_APPLICATION {
				m.Body = body
			}
		}
	}))
	anna := w.device("a-huge", w.access)
	id := w.talk(anna, ben)
	w.send(anna, id, "one")
	w.sync(ben)
	c := anna.convs[id]
	made, _, err := c.group.Protect(c.compartments[place{c.group.Epoch(), c.group.OwnLeaf()}].want, capsule.Content(c.group.Generation(), make([]byte, 1<<20)))
	w.check(err)
	body = made
	w.check(c.enqueue(itemText, "stands for it"))
	w.check(c.carry(background, c.outbox[0]))
	w.sync(ben)
	again, err := Open(ben.cfg)
	w.check(err)
	if got := w.history(again, id, Message, Fault); len(got) == 0 || !strings.Contains(got[len(got)-1], "longer than any may be") {
		t.Errorf("told %.200q", got)
	}
}

// keeping is a Storage that keeps what it handed out of the device's own records.
type keeping struct {
	Storage
	out []mls.Record
}

func (s *keeping) Load(space string) ([]mls.Record, error) {
	list, err := s.Storage.Load(space)
	if space == deviceSpace {
		s.out = append(s.out, slices.Clone(list)...)
	}
	return list, err
}

// Copies of the device's keys that were read from storage are erased when they are no
// longer needed: its signature key, and those of key packages.
func TestKeysAreErased(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("a-erase", w.access), w.device("b-erase", w.access)
	w.sync(ben)
	storage := &keeping{Storage: ben.cfg.Storage}
	ben.cfg.Storage = storage
	again, err := Open(ben.cfg)
	w.check(err)
	_, err = anna.Create(background, "b-erase")
	w.check(err)
	w.sync(again)
	if len(again.Conversations()) != 1 {
		t.Fatal("not joined")
	}
	seen := 0
	for _, r := range storage.out {
		if strings.HasPrefix(r.Key, keySelf) || strings.HasPrefix(r.Key, keyKeyPackage) {
			seen++
			secret := r.Value
			if _, s, err := parseStoredKeyPackage(r.Value); err == nil { // of the one that was used the public half stays
				secret = s
			}
			if slices.ContainsFunc(secret, func(b byte) bool { return b != 0 }) {
				t.Errorf("%s is still in memory", r.Key)
			}
		}
	}
	if seen < 4 {
		t.Errorf("%d records of keys were read", seen)
	}
}
