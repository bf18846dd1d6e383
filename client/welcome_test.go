package client

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/mls"
)

// Who was removed and invited again while the device was away is in again: the Welcome is
// not taken for one that was used before.
func TestInvitedAgainWhileAway(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("a-twice", w.access), w.device("b-twice", w.access)
	id := w.talk(anna, ben)
	w.send(ben, id, "here")
	w.sync(anna)
	w.check(anna.Remove(background, id, "b-twice"))
	w.check(anna.Invite(background, id, "b-twice"))
	w.sync(ben)
	w.send(anna, id, "welcome back")
	w.sync(ben)
	w.want(w.history(ben, id, Joined, Removed, Message, Fault),
		"joined a-twice:", "message b-twice: here", "removed a-twice:", "joined a-twice:", "message a-twice: welcome back")
	w.send(ben, id, "thanks")
	w.sync(anna)
	w.want(w.history(anna, id, Message, Fault)[1:], "message a-twice: welcome back", "message b-twice: thanks")
}

// badWelcome adds an account with a GroupInfo that this device's own client would not make.
func (w *world) badWelcome(d *Device, id ConversationID, account string, info ...mls.Extension) {
	w.Helper()
	c := d.convs[id]
	_, err := d.lookUp(background, account)
	w.check(err)
	res, err := call(background, d, d.cfg.Delivery.TakeKeyPackages,
		&api.TakeKeyPackagesRequest{Account: account, Suite: uint32(Suite), RequestId: make([]byte, 16)})
	w.check(err)
	kp, err := mls.ParseKeyPackage(res.KeyPackages[0].KeyPackage)
	w.check(err)
	made, err := c.group.Commit(mls.CommitOptions{Add: []*mls.KeyPackage{kp}, ByReference: true,
		AuthenticatedData: encodeTime(uint64(w.Now().Unix())), LeafExtensions: d.homeLaw(), GroupInfoExtensions: info})
	w.check(err)
	_, err = call(background, d, d.cfg.Delivery.Commit, &api.CommitRequest{Conversation: id[:], Mid: []byte("a bad Welcome   "),
		Message: made.Message, Welcome: made.Welcome})
	w.check(err)
}

// A Welcome that can't be right however often it is tried is told and forgotten. Else it
// would stand before all others for good: delivery hands out the oldest, two megabytes
// of them.
func TestHostileWelcome(t *testing.T) {
	for name, info := range map[string][]mls.Extension{
		"without an opening time": {{Type: 0xF0FF, Data: make([]byte, 5<<19)}},
		"of a time to come":       {{Type: openedExtension, Data: encodeTime(1 << 40)}, {Type: 0xF0FF, Data: make([]byte, 5<<19)}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			eve, anna, ben := w.device("e-well", w.access), w.device("a-well", w.access), w.device("b-well", w.access)
			w.sync(anna)
			w.badWelcome(eve, w.talk(eve), "a-well", info...)
			id, err := ben.Create(background, "a-well")
			w.check(err)
			if _, err := anna.Sync(background); err == nil {
				t.Error("nobody was told of the bad one")
			}
			w.sync(anna)
			if got := anna.Conversations(); !slices.Equal(got, []ConversationID{id}) {
				t.Errorf("conversations %v, want %v", got, id)
			}
		})
	}
}

// One that may be right later is kept: the law is not on the device's copy of the ledger
// yet, or the directory does not answer.
func TestWelcomeWaits(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("a-later", w.access), w.device("b-later", w.access)
	w.sync(anna)
	w.wait(2 * time.Hour) // what anna looked up is old
	down := error(connect.NewError(connect.CodeUnavailable, errors.New("not now")))
	anna.cfg.Directory = failing{anna.cfg.Directory, &down}
	id, err := ben.Create(background, "a-later")
	w.check(err)
	if _, err := anna.Sync(background); err == nil {
		t.Error("joined without the directory")
	}
	down = nil
	w.sync(anna)
	if got := anna.Conversations(); !slices.Equal(got, []ConversationID{id}) {
		t.Errorf("conversations %v, want %v", got, id)
	}
}

// failing is a directory that is away while *err is not nil.
type failing struct {
	api.DirectoryClient
	err *error
}

func (f failing) LookUp(ctx context.Context, r *api.LookUpRequest) (*api.LookUpResponse, error) {
	if *f.err != nil {
		return nil, *f.err
	}
	return f.DirectoryClient.LookUp(ctx, r)
}
