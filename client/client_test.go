package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"writ/charter"
	"writ/directory"
	"writ/directory/directorytest"
	"writ/mls"
)

var background = context.Background()

func TestConversation(t *testing.T) {
	w := newWorld(t)
	anna, ben, eve := w.device("anna", w.access), w.device("ben", w.access), w.device("eve", w.open)
	id := w.talk(anna, ben, eve)
	w.send(anna, id, "hello")
	w.sync(ben, eve)
	w.send(ben, id, "hello anna")
	w.send(eve, id, "hello from abroad")
	w.send(anna, id, "and again")
	w.sync(anna, ben, eve)
	for _, d := range []*Device{anna, ben, eve} {
		w.want(w.history(d, id, Message, Held, Fault, Unsent),
			"message anna: hello", "message ben: hello anna", "message eve: hello from abroad", "message anna: and again")
	}
	w.want(w.history(anna, id, Joined), "joined anna:", "joined anna:")
	members, err := ben.Members(id)
	w.check(err)
	if got := fmt.Sprint(members); got != "[anna/phone ben/phone eve/phone]" {
		t.Fatal(got)
	}
}

// A device that is opened again has everything, and goes on.
func TestOpenAgain(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	open := func() (*Device, *Files) {
		f, err := OpenFiles(dir)
		w.check(err)
		d, err := Open(w.config(f))
		w.check(err)
		return d, f
	}
	anna, files := open()
	w.register(anna, phone("a-again"), w.access)
	ben := w.device("b-again", w.access)
	id := w.talk(anna, ben)
	var want []string
	for i := range 4 {
		text := fmt.Sprintf("%d %s", i, strings.Repeat("long ", 1500)) // pages turn
		w.send(anna, id, text)
		want = append(want, "message a-again: "+strings.TrimSpace(text))
		w.check(files.Close())
		anna, files = open()
		w.sync(ben, anna)
		w.send(ben, id, "yes")
		want = append(want, "message b-again: yes")
		w.sync(anna)
	}
	w.want(w.history(anna, id, Message, Held, Fault), want...)
	w.want(w.history(ben, id, Message, Held, Fault), want...)
	w.check(files.Close())
}

func TestUnreadUntilMarked(t *testing.T) {
	for _, forget := range []bool{false, true} {
		w := newWorld(t)
		anna, ben := w.device("a-read", w.access), w.device("b-read", w.access)
		ben.cfg.ForgetHistory = forget
		id := w.talk(anna, ben)
		w.send(anna, id, "one")
		w.send(anna, id, "two")
		w.sync(ben)
		events, err := ben.Unread(id)
		w.check(err)
		w.want(lines(events, Message), "message a-read: one", "message a-read: two")
		w.check(ben.MarkRead(id, events[len(events)-2].Number))
		events, err = ben.Unread(id)
		w.check(err)
		w.want(lines(events, Message), "message a-read: two")
		if got := w.history(ben, id, Message); (len(got) == 1) != forget {
			t.Fatalf("forget %v: history %v", forget, got)
		}
	}
}

// A device that forgets what was read writes no more for each message, however many wait
// to be read; and once they are, none of their words is left.
func TestForgetsPages(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("a-forget", w.access), w.device("b-forget", w.access)
	ben.cfg.ForgetHistory = true
	id := w.talk(anna, ben)
	text := strings.Repeat("secret words ", 1000)
	for range 12 {
		w.send(anna, id, text)
	}
	w.sync(ben)
	if n := len(encodeEvents(ben.convs[id].page)); n > 2*maxPage+MaxText {
		t.Errorf("each message writes %d bytes", n)
	}
	events, err := ben.Unread(id)
	w.check(err)
	if got := lines(events, Message); len(got) != 12 {
		t.Fatalf("%d messages to read", len(got))
	}
	last := events[len(events)-1].Number
	w.check(ben.MarkRead(id, last-1))
	if got := w.history(ben, id, Message); len(got) != 1 {
		t.Errorf("%d messages are left of 1", len(got))
	}
	w.check(ben.MarkRead(id, last))
	for _, space := range []string{ben.convs[id].space(), ben.convs[id].historySpace()} {
		records, err := ben.cfg.Storage.Load(space)
		w.check(err)
		for _, r := range records {
			if strings.Contains(string(r.Value), "secret words") {
				t.Errorf("%s/%s still has the words", space, r.Key)
			}
		}
	}
}

// What is said while delivery can't be reached is stored, and arrives later.
func TestOffline(t *testing.T) {
	w := newWorld(t)
	offline := false
	cable := between(func(_ context.Context, _ string, _ any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error) {
		if offline {
			return nil, connect.NewError(connect.CodeUnavailable, errors.New("no network"))
		}
		return send()
	})
	anna, ben := w.device("a-off", w.access, cable), w.device("b-off", w.access)
	id := w.talk(anna, ben)
	w.send(anna, id, "before")
	offline = true
	short, cancel := context.WithTimeout(background, 50*time.Millisecond)
	defer cancel()
	for _, text := range []string{"one", "two"} {
		if err := anna.Send(short, id, text); !errors.Is(err, ErrQueued) {
			t.Fatal(err)
		}
	}
	again, err := Open(anna.cfg)
	w.check(err)
	offline = false
	w.sync(again, ben)
	w.want(w.history(ben, id, Message, Held, Fault), "message a-off: before", "message a-off: one", "message a-off: two")
	w.want(w.history(again, id, Message, Unsent), "message a-off: before", "message a-off: one", "message a-off: two")
}

// A device dies after it moved a page to the history and before it noted that.
func TestPageIsInBothPlaces(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("a-pag", w.access), w.device("b-pag", w.access)
	id := w.talk(anna, ben)
	w.send(anna, id, "once")
	c := anna.convs[id]
	w.check(anna.save(c.historySpace(), []mls.Record{{Key: numbered("", c.page[0].Number), Value: encodeEvents(c.page)}}))
	w.want(w.history(anna, id, Message), "message a-pag: once")
}

// R34: the law is there to be shown before the first message.
func TestLawIsKnownFirst(t *testing.T) {
	w := newWorld(t)
	anna, eve := w.device("a-law", w.access), w.device("e-law", w.open)
	id := w.talk(anna, eve)
	for _, d := range []*Device{anna, eve} {
		laws, err := d.Law(id)
		w.check(err)
		if len(laws) != 2 || laws[0].Account != "a-law" || laws[0].Charter != w.access || laws[1].Charter != w.open {
			t.Fatalf("%+v", laws)
		}
		for _, l := range laws {
			if !l.Known || l.Name == "" || len(l.Explain) == 0 {
				t.Fatalf("%+v", l)
			}
		}
	}
}

// An account whose law is not on the ledger is not let in, and nothing is sent
// to one that is in already.
func TestUnknownLaw(t *testing.T) {
	w := newWorld(t)
	anna, ben, eve := w.device("a-unk", w.access), w.device("b-unk", w.access), w.device("e-unk", w.open)
	less := &lessLaws{w.book, charter.Hash{}}
	anna.cfg.Laws = less
	id := w.talk(anna, ben)
	less.without = w.open
	if err := anna.Invite(background, id, "e-unk"); !errors.Is(err, ErrUnknownLaw) {
		t.Fatalf("invited under an unknown law: %v", err)
	}
	w.check(ben.Invite(background, id, "e-unk"))
	w.sync(eve)
	if _, err := anna.Sync(background); !errors.Is(err, ErrUnknownLaw) {
		t.Fatalf("follows a commit that adds an unknown law: %v", err)
	}
	if err := anna.Send(background, id, "x"); err == nil {
		t.Fatal("speaks to an unknown law")
	}
	less.without = charter.Hash{} // the ledger was read further
	w.sync(anna, ben, eve)
	w.want(w.history(eve, id, Message), "message a-unk: x")
	less.without = w.open
	if err := anna.Send(background, id, "y"); !errors.Is(err, ErrUnknownLaw) || errors.Is(err, ErrQueued) {
		t.Fatalf("speaks to an unknown law: %v", err)
	}
}

// lessLaws is a ledger that was not read far enough.
type lessLaws struct {
	Laws
	without charter.Hash
}

func (l *lessLaws) Charter(h charter.Hash) (*charter.Charter, bool) {
	if h == l.without {
		return nil, false
	}
	return l.Laws.Charter(h)
}

// An epoch that is too old for the sender's law is renewed before it speaks.
func TestEpochIsRenewedByAge(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("a-age", w.access), w.device("b-age", w.access)
	id := w.talk(anna, ben)
	w.send(anna, id, "young")
	first := anna.convs[id].group.Epoch()
	w.wait(3 * time.Hour)
	w.send(anna, id, "still young")
	if got := anna.convs[id].group.Epoch(); got != first {
		t.Fatalf("renewed after three hours")
	}
	w.wait(20 * time.Hour) // delivery would still take it
	w.send(anna, id, "after almost a day")
	if got := anna.convs[id].group.Epoch(); got != first+1 {
		t.Fatalf("epoch %d after %d", got, first)
	}
	w.sync(ben)
	w.want(w.history(ben, id, Message, Held, Fault), "message a-age: young", "message a-age: still young", "message a-age: after almost a day")
}

// Renew opens an epoch that everybody follows into.
func TestRenew(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("anna-renew", w.access), w.device("ben-renew", w.access)
	id := w.talk(anna, ben)
	w.send(anna, id, "before")
	w.check(anna.Renew(background, id))
	w.send(anna, id, "after")
	w.sync(ben)
	events, err := ben.History(id)
	w.check(err)
	var epochs []uint64
	for _, e := range events {
		if e.Kind == Message {
			epochs = append(epochs, e.Epoch)
		}
	}
	if len(epochs) != 2 || epochs[1] != epochs[0]+1 {
		t.Fatalf("messages in epochs %v", epochs)
	}
}

// Two commits race: one wins, and what the loser wanted still happens.
func TestRacingCommits(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("a-race", w.access), w.device("b-race", w.access)
	eve, fay := w.device("e-race", w.access), w.device("f-race", w.open)
	id := w.talk(anna, ben)
	w.wait(25 * time.Hour) // both must renew; neither knows of the other's commit
	w.send(anna, id, "from anna")
	w.send(ben, id, "from ben")
	w.check(anna.Invite(background, id, "e-race"))
	w.check(ben.Invite(background, id, "f-race")) // ben has not seen anna's
	w.sync(anna, ben, eve, fay)
	w.send(fay, id, "in")
	w.sync(anna, ben, eve, fay)
	want := []string{"message a-race: from anna", "message b-race: from ben", "message f-race: in"}
	w.want(w.history(anna, id, Message, Held, Fault, Unsent), want...)
	w.want(w.history(ben, id, Message, Held, Fault, Unsent), want...)
	w.want(w.history(eve, id, Message, Held, Fault, Unsent), want[2:]...)
	if n := anna.convs[id].group.Epoch(); n != 4 {
		t.Fatalf("epoch %d: create, renew, two invitations", n)
	}
}

func TestRemovedIsTold(t *testing.T) {
	w := newWorld(t)
	anna, ben, eve := w.device("a-rem", w.access), w.device("b-rem", w.access), w.device("e-rem", w.access)
	id := w.talk(anna, ben, eve)
	w.send(eve, id, "before")
	w.check(anna.Remove(background, id, "e-rem"))
	w.send(anna, id, "without eve")
	w.sync(ben, eve)
	w.want(w.history(eve, id, Message, Removed, Fault), "message e-rem: before", "removed a-rem:")
	w.want(w.history(ben, id, Left), "left a-rem:")
	if err := eve.Send(background, id, "x"); !errors.Is(err, ErrNotMember) {
		t.Fatal(err)
	}
	records, err := eve.cfg.Storage.Load(eve.convs[id].space())
	w.check(err)
	for _, r := range records {
		if strings.HasPrefix(r.Key, keyGroup) {
			t.Errorf("a removed device keeps %s", r.Key)
		}
	}
	again, err := Open(eve.cfg)
	w.check(err)
	w.sync(again)
	w.check(anna.Invite(background, id, "e-rem"))
	w.sync(again, ben)
	w.send(again, id, "back")
	w.sync(anna)
	w.want(w.history(anna, id, Message), "message e-rem: before", "message a-rem: without eve", "message e-rem: back")
	w.want(w.history(again, id, Message), "message e-rem: before", "message e-rem: back")
}

// A device that speaks before it has read of its removal is told that it did not arrive.
func TestRemovedWhileSpeaking(t *testing.T) {
	w := newWorld(t)
	anna, eve := w.device("a-spk", w.access), w.device("e-spk", w.access)
	id := w.talk(anna, eve)
	w.check(anna.Remove(background, id, "e-spk"))
	if err := eve.Send(background, id, "too late"); !errors.Is(err, ErrNotMember) {
		t.Fatal(err)
	}
	w.want(w.history(eve, id, Message, Removed, Unsent), "unsent : too latethis device was removed from the conversation", "removed a-spk:")
}

// R6, R7: what a device says to delivery depends on what is said in its conversations, and
// on nothing else: the requests of two pairs, one of which has its capsules and
// messages looked at by delivery, are the same in kind, order and size.
func TestSameTraffic(t *testing.T) {
	w := newWorld(t)
	traffic := func(name string, target bool) (trace []string) {
		record := between(func(_ context.Context, procedure string, req any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error) {
			trace = append(trace, fmt.Sprint(procedure, " ", proto.Size(req.(proto.Message))))
			return send()
		})
		anna, ben := w.device("a-"+name, w.access, record), w.device("b-"+name, w.access, record)
		id := w.talk(anna, ben)
		for range 3 {
			w.send(anna, id, "the same words")
			w.sync(ben)
			if target {
				w.capsules(ben, id, place{1, 0})
				trace = trace[:len(trace)-1]
			}
			w.send(ben, id, "the same answer")
			w.sync(anna)
		}
		for _, d := range []*Device{anna, ben} { // R6: nobody else is in the tree
			leaves := 0
			for range d.convs[id].group.Members() {
				leaves++
			}
			if leaves != 2 || len(d.convs[id].epochs[1].members) != 2 {
				t.Fatalf("%d leaves", leaves)
			}
		}
		return trace
	}
	w.want(traffic("trf1", true), traffic("trf2", false)...)
}

// A key package is used once and deleted; the stock at delivery is kept up.
func TestKeyPackagesAreReplenished(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("a-kp", w.access), w.device("b-kp", w.access)
	stored := func() (refs []string) {
		records, err := ben.cfg.Storage.Load(deviceSpace)
		w.check(err)
		for _, r := range records {
			if strings.HasPrefix(r.Key, keyKeyPackage) {
				refs = append(refs, r.Key)
			}
		}
		return refs
	}
	before := stored()
	for range 5 { // more than the stock
		w.talk(anna, ben)
	}
	after := stored()
	if len(before) != 2 || len(after) != 2 {
		t.Fatalf("%d key packages, then %d", len(before), len(after))
	}
	for _, ref := range after {
		if slices.Contains(before, ref) {
			t.Errorf("%s was used and is still there", ref)
		}
	}
}

// Nobody is invited whom the directory does not have: a conversation is not begun with
// them, and one that there is goes on.
func TestNobodyToInvite(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("a-nob", w.access), w.device("b-nob", w.access)
	if id, err := anna.Create(background, "b-nob", "nobody-there"); !errors.Is(err, ErrNoAccount) || id != (ConversationID{}) {
		t.Fatalf("%v, %v", id, err)
	}
	if list := anna.Conversations(); len(list) != 0 {
		t.Fatalf("conversations %v", list)
	}
	id := w.talk(anna, ben)
	if err := anna.Invite(background, id, "nobody-there"); !errors.Is(err, ErrNoAccount) || errors.Is(err, ErrQueued) {
		t.Fatal(err)
	}
	if n := len(w.history(anna, id, Unsent)); n != 1 {
		t.Fatal(n)
	}
	w.send(anna, id, "to myself") // the outbox is not blocked
}

// A name that is taken is refused before anything is published or a recovery key chosen, and
// the device can take another. One that has begun goes on with what it has.
func TestTakenName(t *testing.T) {
	w := newWorld(t)
	w.device("a-taken", w.access)
	d, err := Open(w.config(NewMemory()))
	w.check(err)
	for _, claim := range []func() error{
		func() error { return d.Claim(background, phone("a-taken"), w.access) },
		func() error {
			return d.Register(background, phone("a-taken"), w.access, directorytest.Recovery("x").Public())
		},
	} {
		if err := claim(); !errors.Is(err, ErrTaken) {
			t.Fatalf("claimed: %v", err)
		}
		if d.Identity() != (directory.Identity{}) {
			t.Errorf("the device is %v", d.Identity())
		}
		if again, err := Open(d.cfg); err != nil || again.Identity() != (directory.Identity{}) {
			t.Errorf("after a restart it is %v, %v", again.Identity(), err)
		}
	}
	for range 2 {
		w.check(d.Claim(background, phone("b-taken"), w.access))
	}
	w.register(d, phone("b-taken"), w.access)
	w.check(d.Claim(background, phone("b-taken"), w.access))
	if d.Identity().Account != "b-taken" {
		t.Error(d.Identity())
	}
}

// A wrong clock is told, and nothing is sent by it.
func TestClockSkewIsTold(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("a-clk", w.access), w.device("b-clk", w.access)
	id := w.talk(anna, ben)
	for _, off := range []time.Duration{2 * time.Minute, time.Hour, -time.Hour} {
		cfg := ben.cfg
		cfg.Now = func() time.Time { return w.Now().Add(off) }
		late, err := Open(cfg)
		w.check(err)
		if _, err := late.Sync(background); !errors.Is(err, ErrClock) || !strings.Contains(err.Error(), off.Abs().String()) {
			t.Fatalf("off by %v: %v", off, err)
		}
		if err := late.Send(background, id, "x"); !errors.Is(err, ErrClock) {
			t.Fatalf("off by %v: sends: %v", off, err)
		}
	}
}

// An epoch that claims to begin at another time than now is refused, and taken once
// the clocks agree.
func TestOpeningTimeIsChecked(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("a-opn", w.access), w.device("b-opn", w.access)
	id := w.talk(anna, ben)
	w.wait(25 * time.Hour)
	w.send(anna, id, "new epoch")
	right := ben.cfg.Now
	for _, off := range []time.Duration{-time.Hour, 50 * time.Hour} {
		c := ben.convs[id]
		ben.cfg.Now = func() time.Time { return w.Now().Add(off) }
		synced := c.synced
		if off > 0 { // ben's clock was ahead when he last read everything
			c.synced = ben.cfg.Now()
			w.directory.Stamp(c.synced)
		}
		if err := c.read(background); !errors.Is(err, ErrClock) {
			t.Fatalf("off by %v: %v", off, err)
		}
		c.synced = synced
	}
	ben.cfg.Now = right
	w.directory.Stamp(time.Time{})
	w.sync(ben)
	w.want(w.history(ben, id, Message), "message a-opn: new epoch")
}

// A device without delivery's address would sign a login for anybody.
func TestNeedsAnAddress(t *testing.T) {
	w := newWorld(t)
	c := w.config(NewMemory())
	c.Address = ""
	if _, err := Open(c); err == nil {
		t.Error("opened")
	}
}
