package client

import (
	"strings"
	"testing"

	"writ/capsule"
	"writ/charter"
	"writ/charter/chartertest"
	"writ/mls"
)

// barLaw is a law that knows privileged conversations.
func (w *world) barLaw() charter.Hash {
	cw := chartertest.New("client bar", chartertest.WithBar...)
	c := cw.Charter
	c.Name, c.Policy = "Bar Land", policy()
	for i, k := range c.Keys {
		c.Keys[i] = cw.Statement(k.Office, k.Custodian, k.Period)
	}
	h := w.enact(cw.Sign(c))
	w.laws[h] = c
	return h
}

// TestPrivilegedConversationR35: the mark is in every capsule of the conversation
// and of no other, and nobody comes in whose law does not know it.
func TestPrivilegedConversationR35(t *testing.T) {
	w := newWorld(t)
	law := w.barLaw()
	anna, ben, carl := w.device("a-bar", law), w.device("b-bar", law), w.device("c-bar", w.access)
	plain := w.talk(anna, ben)
	id, err := anna.CreatePrivileged(background, "b-bar")
	w.check(err)
	w.sync(anna, ben)
	w.send(anna, plain, "to anybody")
	w.send(anna, id, "to my lawyer")
	w.sync(ben)
	w.want(w.history(ben, id, Message), "message a-bar: to my lawyer")
	for conversation, want := range map[ConversationID]capsule.Flags{plain: 0, id: capsule.Privileged} {
		for _, d := range []*Device{anna, ben} {
			if is, err := d.Privileged(conversation); err != nil || is != (want != 0) {
				t.Errorf("%v: privileged %v, %v", d.Identity(), is, err)
			}
		}
		c := anna.convs[conversation]
		list := w.capsules(ben, conversation, place{c.group.Epoch(), c.group.OwnLeaf()})
		if len(list) != 1 {
			t.Fatalf("%d capsules", len(list))
		}
		sealed, err := capsule.Parse(list[0])
		w.check(err)
		if sealed.Label().Flags != want {
			t.Errorf("label says %v, want %v", sealed.Label().Flags, want)
		}
	}
	if err := anna.Invite(background, id, "c-bar"); err == nil || !strings.Contains(err.Error(), "knows no privileged") {
		t.Errorf("a law without the rule came in: %v", err)
	}
	if members, err := anna.Members(id); err != nil || len(members) != 2 {
		t.Errorf("members %v, %v", members, err)
	}
	if _, err := carl.CreatePrivileged(background, "a-bar"); err == nil || !strings.Contains(err.Error(), "client: refused: c-bar") {
		t.Errorf("a law without the rule makes one: %v", err)
	}
	free := w.device("f-bar", w.open)
	w.check(anna.Invite(background, id, "f-bar")) // nothing of theirs is sealed to anybody
	w.sync(anna, ben, free)
	w.send(anna, id, "and to a friend")
	w.sync(free)
	w.want(w.history(free, id, Message), "message a-bar: and to a friend")
}

// TestMarkStaysR35: a commit that takes the mark away, or gives it, is followed by
// nobody, whatever delivery lets pass.
func TestMarkStaysR35(t *testing.T) {
	w := newWorld(t)
	law := w.barLaw()
	anna, ben := w.device("a-mark", law), w.device("b-mark", law)
	plain := w.talk(anna, ben)
	id, err := anna.CreatePrivileged(background, "b-mark")
	w.check(err)
	w.sync(anna, ben)
	for conversation, to := range map[ConversationID][]mls.Extension{id: {}, plain: marks(capsule.Privileged),
		ConversationID{}: {{Type: capsule.PrivilegedExtension, Data: []byte{1}}}} {
		if conversation == (ConversationID{}) {
			conversation = plain
		}
		made, err := anna.convs[conversation].group.Commit(mls.CommitOptions{GroupContextExtensions: to,
			AuthenticatedData: encodeTime(uint64(w.Now().Unix()))})
		w.check(err)
		staged, err := ben.convs[conversation].group.Stage(made.Message)
		w.check(err)
		if err := ben.convs[conversation].checkMark(staged); err == nil {
			t.Errorf("a change to %v passes", to)
		}
		anna.convs[conversation].group.DropPending()
		good, err := anna.convs[conversation].group.Commit(mls.CommitOptions{AuthenticatedData: encodeTime(uint64(w.Now().Unix()))})
		w.check(err)
		staged, err = ben.convs[conversation].group.Stage(good.Message)
		w.check(err)
		w.check(ben.convs[conversation].checkMark(staged))
		anna.convs[conversation].group.DropPending()
	}
}

// Nobody follows a commit that brings a member whose law has no rule into a marked
// conversation, or joins one with such a member, whatever delivery lets pass.
func TestMarkNeedsEveryMembersRuleR35(t *testing.T) {
	w := newWorld(t)
	law := w.barLaw()
	anna, ben, carl := w.device("a-rule", law), w.device("b-rule", law), w.device("c-rule", w.access)
	id, err := anna.CreatePrivileged(background, "b-rule")
	w.check(err)
	w.sync(anna, ben)
	w.check(anna.look("c-rule"))
	w.check(ben.look("c-rule"))
	b, _, err := carl.newKeyPackage()
	w.check(err)
	kp, err := mls.ParseKeyPackage(b)
	w.check(err)
	made, err := anna.convs[id].group.Commit(mls.CommitOptions{Add: []*mls.KeyPackage{kp}, AuthenticatedData: encodeTime(uint64(w.Now().Unix()))})
	w.check(err)
	c := ben.convs[id]
	w.check(c.checkJoined())
	staged, err := c.group.Stage(made.Message)
	w.check(err)
	if err := c.checkMark(staged); err == nil || !strings.Contains(err.Error(), "knows no privileged") {
		t.Errorf("followed: %v", err)
	}
	_, err = c.group.Apply(staged)
	w.check(err)
	if err := c.checkJoined(); err == nil || !strings.Contains(err.Error(), "knows no privileged") {
		t.Errorf("joined: %v", err)
	}
}
