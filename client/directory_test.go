package client

import (
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"writ/api"
	"writ/charter/chartertest"
	"writ/directory"
	"writ/directory/directorytest"
	"writ/ledger"
	"writ/mls"
)

// second returns a further device of an account, added by an earlier one.
func (w *world) second(by *Device, name string) *Device {
	w.Helper()
	id := directory.Identity{Account: by.Identity().Account, Device: name}
	d, err := Open(w.config(NewMemory()))
	w.check(err)
	key, err := d.Prepare(id, w.access)
	w.check(err)
	if err := d.Register(background, id, w.access, directory.RecoveryKey{}); !errors.Is(err, ErrUnlisted) {
		w.Fatalf("a device that nobody added: %v", err)
	}
	w.check(by.AddDevice(background, name, directory.DeviceKey(key)))
	w.check(d.Register(background, id, w.access, directory.RecoveryKey{}))
	w.check(errors.Join(d.Acknowledge(w.access), d.Acknowledge(w.open)))
	return d
}

func (w *world) alarms(d *Device) (texts []string) {
	for _, a := range d.Alarms() {
		if !a.Answered {
			texts = append(texts, a.Text)
		}
	}
	return texts
}

// A further device is added by an earlier one, and talks as it does.
func TestSecondDevice(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("anna", w.access), w.device("ben", w.access)
	tablet := w.second(anna, "tablet")
	id, err := ben.Create(background, "anna")
	w.check(err)
	w.sync(anna, tablet)
	w.send(tablet, id, "from the tablet")
	w.sync(anna, ben)
	w.want(w.history(anna, id, Message), "message anna: from the tablet")
	w.want(w.history(ben, id, Message), "message anna: from the tablet")
	w.want(append(w.alarms(anna), w.alarms(tablet)...))
	laptop := w.second(anna, "laptop")
	w.check(anna.Invite(background, id, "anna")) // brings in what is missing
	w.sync(laptop, ben)
	w.send(laptop, id, "and from the laptop")
	w.sync(ben)
	w.want(w.history(ben, id, Message), "message anna: from the tablet", "message anna: and from the laptop")
}

// R6: delivery lists a ghost device of an account, with a key package of its own making.
// It gets in neither by an invitation nor by a commit, and the person is told.
func TestNoHiddenMember(t *testing.T) {
	w := newWorld(t)
	ghost := &mls.KeyPackage{}
	lies := between(func(_ context.Context, procedure string, req any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error) {
		res, err := send()
		if r, ok := req.(*api.TakeKeyPackagesRequest); ok && err == nil && r.Account == "ben" {
			answer := res.Any().(*api.TakeKeyPackagesResponse)
			answer.KeyPackages = append(answer.KeyPackages, &api.DeviceKeyPackage{Device: "tablet", KeyPackage: ghost.Bytes()})
		}
		return res, err
	})
	anna, ben, careless := w.device("anna", w.access, lies), w.device("ben", w.access), w.device("chloe", w.access)
	key, err := mls.GenerateSignatureKey(Suite)
	w.check(err)
	made, err := Open(w.config(NewMemory()))
	w.check(err)
	made.self = &self{Identity: directory.Identity{Account: "ben", Device: "tablet"}, law: w.access, key: key}
	b, _, err := made.newKeyPackage()
	w.check(err)
	ghost, err = mls.ParseKeyPackage(b)
	w.check(err)

	id, err := anna.Create(background, "ben")
	w.check(err)
	members, err := anna.Members(id)
	w.check(err)
	if len(members) != 2 {
		t.Fatalf("members %v", members)
	}
	if told := w.history(anna, id, Fault); len(told) != 1 || !strings.Contains(told[0], `ben has no device "tablet"`) {
		t.Fatalf("told %q", told)
	}
	w.check(anna.Invite(background, id, "chloe"))
	w.sync(ben, careless)
	c := careless.convs[id]
	c.group = w.reloaded(careless, id) // of a client without the check
	w.check(c.commit(0, mls.CommitOptions{Add: []*mls.KeyPackage{ghost}}))
	made.self.registered = true
	w.forceRegister(made)
	w.check(c.settleCommit(background))
	before, err := ben.Members(id)
	w.check(err)
	if _, err := ben.Sync(background); err == nil || !strings.Contains(err.Error(), `ben has no device "tablet"`) && !strings.Contains(err.Error(), "another key") {
		t.Fatalf("follows: %v", err)
	}
	if _, err := anna.Sync(background); err == nil || !strings.Contains(err.Error(), `ben has no device "tablet"`) {
		t.Fatalf("follows: %v", err)
	}
	after, err := ben.Members(id)
	w.check(err)
	if !slices.Equal(before, after) {
		t.Fatalf("%v became %v", before, after)
	}
	if n := len(w.history(ben, id, Fault)); n != 1 {
		t.Fatalf("told %d times", n)
	}
}

// What delivery offers falsely is told once for an invitation, also if the invitation has to
// be tried again since others were faster, and by another process.
func TestGhostIsToldOnce(t *testing.T) {
	w := newWorld(t)
	var chloe *Device
	var id ConversationID
	asked, away := 0, true
	lies := between(func(_ context.Context, procedure string, _ any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error) {
		switch {
		case procedure == "TakeKeyPackages" && away && asked > 0:
			return nil, connect.NewError(connect.CodeUnavailable, errors.New("not now"))
		case procedure == "Commit" && asked == 1:
			w.check(chloe.Renew(background, id))
		}
		res, err := send()
		if procedure == "TakeKeyPackages" && err == nil {
			asked++
			answer := res.Any().(*api.TakeKeyPackagesResponse)
			answer.KeyPackages = append(answer.KeyPackages, &api.DeviceKeyPackage{Device: "tablet", KeyPackage: []byte("rubbish")})
		}
		return res, err
	})
	storage := NewMemory()
	anna, err := Open(w.config(storage, lies))
	w.check(err)
	w.register(anna, phone("anna"), w.access)
	chloe = w.device("chloe", w.access)
	w.device("ben", w.access)
	id, err = chloe.Create(background, "anna")
	w.check(err)
	w.sync(anna)
	if err := anna.Invite(background, id, "ben"); !errors.Is(err, ErrQueued) {
		t.Fatalf("invites meanwhile: %v", err)
	}
	away = false
	anna, err = Open(w.config(storage, lies))
	w.check(err)
	w.sync(anna)
	if members, err := anna.Members(id); err != nil || len(members) != 3 || asked != 2 {
		t.Fatalf("members %v after %d attempts, %v", members, asked, err)
	}
	if told := w.history(anna, id, Fault); len(told) != 1 || !strings.Contains(told[0], "not let in") {
		t.Errorf("told %q", told)
	}
}

// reloaded is a device's group with a configuration that vouches for everybody.
func (w *world) reloaded(d *Device, id ConversationID) *mls.Group {
	w.Helper()
	records, err := d.cfg.Storage.Load("c-" + id.String())
	w.check(err)
	var group []mls.Record
	for _, r := range records {
		if name, ok := strings.CutPrefix(r.Key, keyGroup); ok {
			group = append(group, mls.Record{Key: name, Value: r.Value})
		}
	}
	g, err := mls.LoadGroup(mls.Config{Authenticate: func(*mls.LeafNode) error { return nil }, Now: w.Now, MaxPastEpochs: maxPastEpochs, Padding: 128}, group)
	w.check(err)
	return g
}

// settleCommit sends the pending commit and does not read it back.
func (c *conversation) settleCommit(ctx context.Context) error {
	made := c.group.PendingCommit()
	_, err := call(ctx, c.device, c.device.cfg.Delivery.Commit, &api.CommitRequest{Conversation: c.id[:], Mid: c.pending.mid[:],
		Message: made.Message, Welcome: made.Welcome})
	return err
}

// forceRegister registers a device at delivery with statements that the directory does
// not have: delivery can't know better.
func (w *world) forceRegister(d *Device) {
	w.Helper()
	chain := w.directory.Chain(d.self.Account)
	s := chain.Draft()
	s.Add(d.self.Device, directory.DeviceKey(d.self.key.Public()), uint64(w.Now().Unix()))
	s.SignRecovery((directorytest.Recovery(d.self.Account)))
	longer, err := chain.Follow(s)
	w.check(err)
	d.own = longer
	w.check(d.register(background))
}

// A device that is revoked is removed by the others before they speak, and what it says
// is held; by its own account's word only.
func TestRevokedDevice(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("anna", w.access, dropsNobody), w.device("ben", w.access)
	stolen := w.second(anna, "tablet")
	id := w.talk(ben, anna)
	w.sync(stolen, anna, ben)
	w.send(stolen, id, "mine still")
	w.sync(ben, anna)
	w.check(anna.RevokeDevice(background, "tablet"))
	w.send(stolen, id, "by the thief")    // delivery takes it: it does not ask the directory
	w.check(stolen.Renew(background, id)) // and a commit, which stops nobody
	w.wait(refreshAge + time.Minute)
	w.sync(ben, anna, ben)
	w.want(w.history(ben, id, Message), "message anna: mine still")
	members, err := ben.Members(id)
	w.check(err)
	if len(members) != 2 {
		t.Fatalf("members %v", members)
	}
	if told := w.history(ben, id, Fault); len(told) != 1 || !strings.Contains(told[0], `anna has revoked the device "tablet"`) {
		t.Errorf("told %q", told)
	}
	w.send(ben, id, "without the thief")
	w.sync(anna)
	w.want(w.history(anna, id, Message), "message anna: mine still", "message ben: without the thief")
	if err := anna.AddDevice(background, "tablet", directory.DeviceKey(stolen.self.key.Public())); err == nil {
		t.Error("a revoked device comes back")
	}
}

// A directory that can't lie about an account can say nothing of it. That hides a
// revocation for a day and not for good: without a word about a member nothing is said to
// that conversation, while others go on (DIR-48).
func TestSilenceHidesNoRevocation(t *testing.T) {
	w := newWorld(t)
	anna, ben, carol := w.device("anna", w.access, dropsNobody), w.device("ben", w.access), w.device("carol", w.access)
	stolen := w.second(anna, "tablet")
	id, other := w.talk(ben, anna), w.talk(ben, carol)
	w.sync(stolen, anna, ben)
	w.send(ben, id, "to both")
	w.sync(stolen)
	w.check(anna.RevokeDevice(background, "tablet"))
	silent := &silentAbout{DirectoryClient: w.directory, account: "anna"}
	ben.cfg.Directory = silent
	for range 5 {
		w.wait(6 * time.Hour)
		ben.Sync(background)
	}
	if !ben.asked("ben", refreshAge) {
		t.Error("the own account was not watched meanwhile (DIR-45)")
	}
	if err := ben.Send(background, id, "for anna alone"); !errors.Is(err, ErrQueued) {
		t.Errorf("said to whom nobody knows: %v", err)
	}
	w.send(ben, other, "carol can be asked about")
	w.sync(stolen)
	w.want(w.history(stolen, id, Message), "message ben: to both")
	silent.account = ""
	w.sync(ben, anna)
	w.want(w.history(anna, id, Message), "message ben: to both", "message ben: for anna alone")
	members, err := ben.Members(id)
	w.check(err)
	if len(members) != 2 {
		t.Errorf("members %v", members)
	}
	stolen.Sync(background)
	w.want(w.history(stolen, id, Message), "message ben: to both")
}

// silentAbout is a directory that does not answer about an account.
type silentAbout struct {
	api.DirectoryClient
	account string
}

func (s *silentAbout) LookUp(ctx context.Context, r *api.LookUpRequest) (*api.LookUpResponse, error) {
	if slices.Contains(r.Accounts, s.account) {
		return nil, connect.NewError(connect.CodeUnavailable, errors.New("not now"))
	}
	return s.DirectoryClient.LookUp(ctx, r)
}

// lawsLater are laws that are not there at first: a copy of the ledger that begins anew.
type lawsLater struct {
	Laws
	there Laws
}

// A device opens while its copy of the ledger has nothing, so that the copy can be read
// anew; and has not forgotten how far it saw the directory's log.
func TestOpensWithoutLaws(t *testing.T) {
	w := newWorld(t)
	anna := w.device("anna", w.access)
	before := w.directory.Fork()
	w.check(put(w.directory, "later"))
	w.check(anna.safely(func() error { _, err := anna.lookUp(background, "anna"); return err }))
	laws := &lawsLater{ledger.NewBook(), w.book}
	anna.cfg.Laws = laws
	again, err := Open(anna.cfg)
	w.check(err)
	w.wait(refreshAge + time.Minute)
	if _, _, err := again.Devices(background, ""); !errors.Is(err, ErrUnknownLaw) {
		t.Errorf("looks up without a law: %v", err)
	}
	laws.Laws = laws.there
	w.directory.Lie(func(r *api.LookUpRequest, out *api.LookUpResponse) {
		w.check(forkAnswer(before, &api.LookUpRequest{Accounts: r.Accounts}, out))
	})
	w.wait(refreshAge + time.Minute)
	if _, err := again.Sync(background); !errors.Is(err, ErrDirectory) || !strings.Contains(err.Error(), "does not continue") {
		t.Errorf("the log may go back: %v", err)
	}
	w.directory.Lie(nil)
	w.wait(refreshAge + time.Minute)
	w.sync(again)
}

// What goes on is one alarm, not one for each look-up: else the one that matters is not seen
// among them, and a directory fills the device with its evidence.
func TestOneAlarmForWhatGoesOn(t *testing.T) {
	for name, lie := range map[string]func(w *world, fork *directorytest.Directory){
		"old checkpoints": func(w *world, _ *directorytest.Directory) { w.directory.Stamp(w.Now()) },
		"another log": func(w *world, fork *directorytest.Directory) {
			w.directory.Lie(func(r *api.LookUpRequest, out *api.LookUpResponse) {
				fork.Junk("x")
				w.check(forkAnswer(fork, r, out))
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			anna := w.device("anna", w.access)
			fork := w.directory.Fork()
			w.directory.Junk("w")
			w.check(anna.safely(func() error { _, err := anna.lookUp(background, "anna"); return err }))
			lie(w, fork)
			for range 5 {
				w.wait(refreshAge + time.Minute)
				if _, err := anna.Sync(background); !errors.Is(err, ErrDirectory) {
					t.Errorf("accepted: %v", err)
				}
				var err error
				anna, err = Open(anna.cfg)
				w.check(err)
			}
			if got := w.alarms(anna); len(got) != 1 {
				t.Errorf("%d alarms: %q", len(got), got)
			}
			for _, a := range anna.Alarms() {
				w.check(anna.Answer(a.Number))
			}
			w.wait(25 * time.Hour)
			anna.Sync(background)
			if got := w.alarms(anna); len(got) != 1 {
				t.Errorf("%d alarms a day after the answer: %q", len(got), got)
			}
		})
	}
}

// forkAnswer answers as another log does.
func forkAnswer(fork *directorytest.Directory, r *api.LookUpRequest, out *api.LookUpResponse) error {
	other, err := fork.LookUp(background, r)
	if err != nil {
		return err
	}
	proto.Reset(out)
	proto.Merge(out, other)
	return nil
}

// dropsNobody is a delivery that ends no session.
var dropsNobody = between(func(_ context.Context, procedure string, _ any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error) {
	if procedure == "DropDevices" {
		return nil, connect.NewError(connect.CodeUnavailable, errors.New("not now"))
	}
	return send()
})

// DEL-14: delivery ends the sessions of a device that its account revoked, and the device
// says why it can't go on. What failed at first is done at the next login.
func TestRevokedDeviceIsLoggedOut(t *testing.T) {
	w := newWorld(t)
	storage := NewMemory()
	anna, err := Open(w.config(storage, dropsNobody))
	w.check(err)
	w.register(anna, phone("anna"), w.access)
	ben := w.device("ben", w.access)
	tablet := w.second(anna, "tablet")
	id := w.talk(ben, anna)
	w.sync(tablet)
	w.check(anna.RevokeDevice(background, "tablet"))
	w.send(tablet, id, "delivery was not told")
	anna, err = Open(w.config(storage))
	w.check(err)
	w.sync(anna)
	if _, err := tablet.Sync(background); !errors.Is(err, ErrUnlisted) {
		t.Errorf("syncs: %v", err)
	}
	if err := tablet.Send(background, id, "by the thief"); !errors.Is(err, ErrUnlisted) {
		t.Errorf("sends: %v", err)
	}
	w.send(ben, id, "others go on")
	w.sync(anna)
}

// DEL-14: the account's statements, which can be hundreds, go to delivery while it has a
// device that they dropped and not with each login: also when one comes by an old list.
func TestStatementsAreShownWhenNeeded(t *testing.T) {
	w := newWorld(t)
	shown := 0
	counts := between(func(_ context.Context, procedure string, _ any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error) {
		if procedure == "DropDevices" {
			shown++
		}
		return send()
	})
	storage := NewMemory()
	anna, err := Open(w.config(storage, counts))
	w.check(err)
	w.register(anna, phone("anna"), w.access)
	late, err := Open(w.config(NewMemory()))
	w.check(err)
	key, err := late.Prepare(directory.Identity{Account: "anna", Device: "late"}, w.access)
	w.check(err)
	w.check(anna.AddDevice(background, "late", directory.DeviceKey(key)))
	w.check(late.safely(func() error { return late.checkListed(background) }))
	tablet := w.second(anna, "tablet")
	w.check(anna.RevokeDevice(background, "late"))
	w.check(anna.RevokeDevice(background, "tablet"))
	login := func(want int) {
		t.Helper()
		anna, err = Open(w.config(storage, counts))
		w.check(err)
		w.sync(anna)
		if shown != want {
			t.Errorf("shown %d times, not %d", shown, want)
		}
	}
	login(1)
	login(1)
	w.check(late.safely(func() error { return late.register(background) }))
	login(2)
	login(2)
	for _, d := range []*Device{late, tablet} {
		if _, err := d.Sync(background); !errors.Is(err, ErrUnlisted) {
			t.Errorf("%v syncs: %v", d.Identity(), err)
		}
	}
}

// A revoked device begins no conversation, however lately it looked at its account.
func TestRevokedDeviceBeginsNothing(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("anna", w.access, dropsNobody), w.device("ben", w.access)
	tablet := w.second(anna, "tablet")
	w.talk(tablet, ben)
	w.check(anna.RevokeDevice(background, "tablet"))
	if id, err := tablet.Create(background, "ben"); !errors.Is(err, ErrUnlisted) || id != (ConversationID{}) {
		t.Errorf("%v, %v", id, err)
	}
	if n := len(tablet.Conversations()); n != 1 {
		t.Errorf("%d conversations", n)
	}
	if err := anna.RevokeDevice(background, "tablet"); !errors.Is(err, ErrNoDevice) {
		t.Errorf("revoked again: %v", err)
	}
	key := directory.DeviceKey(tablet.self.key.Public())
	if err := anna.AddDevice(background, "tablet", key); !errors.Is(err, ErrHasDevice) {
		t.Errorf("a name comes back: %v", err)
	}
	if err := anna.AddDevice(background, anna.Identity().Device, key); !errors.Is(err, ErrHasDevice) {
		t.Errorf("added again: %v", err)
	}
}

// What a revoked device says after its revocation is known is held for good.
func TestRevokedDeviceIsHeld(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("anna", w.access, dropsNobody), w.device("ben", w.access)
	stolen := w.second(anna, "tablet")
	id := w.talk(ben, anna)
	w.sync(stolen, anna, ben)
	w.send(stolen, id, "the epoch's first")
	w.sync(ben)
	w.check(anna.RevokeDevice(background, "tablet"))
	w.check(ben.safely(func() error { _, err := ben.lookUp(background, "anna"); return err }))
	w.send(stolen, id, "by the thief")
	w.check(ben.safely(func() error { return ben.convs[id].read(background) }))
	held := w.history(ben, id, Held)
	if len(held) != 1 || !strings.Contains(held[0], "revoked") {
		t.Fatalf("held %q, shown %q", held, w.history(ben, id, Message))
	}
	w.sync(ben)
	w.want(w.history(ben, id, Message), "message anna: the epoch's first")
}

// safely runs f under the device's lock.
func (d *Device) safely(f func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return f()
}

// A registration that ends between directory and delivery has named its recovery key: no
// other is chosen when it goes on, whose code would hold for nothing.
func TestInterruptedRegistrationKeepsItsRecoveryKey(t *testing.T) {
	w := newWorld(t)
	times := 1
	store := NewMemory()
	d, err := Open(w.config(store, refusing("Register", connect.CodeResourceExhausted, &times)))
	w.check(err)
	first := directorytest.Recovery("anna").Public()
	if err := d.Register(background, phone("anna"), w.access, first); err == nil || d.Registered() {
		t.Fatalf("registered without delivery: %v", err)
	}
	d, err = Open(w.config(store))
	w.check(err)
	if key, ok := d.Recovery(); !ok || key != first {
		t.Errorf("chosen %v: %x", ok, key)
	}
	w.check(d.Register(background, phone("anna"), w.access, first))
	if _, ok := d.Recovery(); ok {
		t.Error("still being chosen after the registration")
	}
	if got := w.directory.Chain("anna").Newest().Recovery; got != first {
		t.Errorf("the directory names %x", got)
	}
}

// With all devices lost the recovery key makes a new one the only one.
func TestRecovery(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("anna", w.access), w.device("ben", w.access)
	id := w.talk(ben, anna)
	fresh, err := Open(w.config(NewMemory()))
	w.check(err)
	me := directory.Identity{Account: "anna", Device: "phone-2"}
	wrong, other := directorytest.Recovery("ben"), directorytest.Recovery("anna, second")
	if err := fresh.Recover(background, me, w.access, wrong, other.Public()); err == nil {
		t.Fatal("recovered with another's key")
	}
	w.check(fresh.Recover(background, me, w.access, (directorytest.Recovery("anna")), other.Public()))
	w.check(fresh.Recover(background, me, w.access, (directorytest.Recovery("anna")), other.Public())) // again
	w.want(w.alarms(fresh))
	w.check(fresh.Acknowledge(w.access))
	w.wait(refreshAge + time.Minute)
	anna.Sync(background)
	if got := w.alarms(anna); len(got) != 1 || !strings.Contains(got[0], "The recovery key added device \"phone-2\"") {
		t.Fatalf("the lost phone is told %q", got)
	}
	if err := anna.Send(background, id, "still here"); !errors.Is(err, ErrUnlisted) {
		t.Fatalf("a revoked device speaks: %v", err)
	}
	w.sync(ben)
	w.check(ben.Invite(background, id, "anna"))
	w.sync(fresh)
	w.send(fresh, id, "back again")
	w.sync(ben)
	w.want(w.history(ben, id, Message), "message anna: back again")
	members, err := ben.Members(id)
	w.check(err)
	if len(members) != 2 {
		t.Errorf("members %v", members)
	}
}

// DIR-45: a list of the own devices that this device did not know raises an alarm that
// stays until it was answered.
func TestAlarm(t *testing.T) {
	w := newWorld(t)
	anna := w.device("anna", w.access)
	tablet := w.second(anna, "tablet")
	w.check(tablet.AddDevice(background, "burglar", directory.DeviceKey(directorytest.Recovery("x").Public())))
	w.wait(refreshAge + time.Minute)
	w.sync(anna)
	got := anna.Alarms()
	if len(got) != 1 || !strings.Contains(got[0].Text, `Device "tablet" added device "burglar"`) || !strings.Contains(got[0].Text, "revoke it") {
		t.Fatalf("alarms %+v", got)
	}
	again, err := Open(anna.cfg)
	w.check(err)
	w.wait(refreshAge + time.Minute)
	w.sync(again)
	if n := len(w.alarms(again)); n != 1 {
		t.Fatalf("%d alarms after a restart", n)
	}
	w.check(again.Answer(1))
	w.wait(refreshAge + time.Minute)
	w.sync(again)
	w.want(w.alarms(again))
	if err := again.Answer(7); err == nil {
		t.Error("answers an alarm that is not there")
	}
}

// A directory that lies is found out each time, and nothing enters by it.
func TestHostileDirectory(t *testing.T) {
	forged := func(w *world, account string) *directory.Statement {
		s := w.directory.Chain(account).Draft()
		key, err := mls.GenerateSignatureKey(Suite)
		w.check(err)
		s.Add("ghost", directory.DeviceKey(key.Public()), uint64(w.Now().Unix()))
		s.SignAs("phone", directory.DeviceSigner(directorytest.Recovery("nobody")))
		return s
	}
	for name, row := range map[string]struct {
		lie   func(w *world, before *directorytest.Directory)
		want  string // of the error
		alarm string // about the reader's own account or the directory, if any
	}{
		"junk leaf of another":     {func(w *world, _ *directorytest.Directory) { w.directory.Junk("ben") }, "leaf", ""},
		"junk leaf of one's own":   {func(w *world, _ *directorytest.Directory) { w.directory.Junk("anna") }, "", "can not prove which devices your account has"},
		"forged list of another":   {func(w *world, _ *directorytest.Directory) { w.directory.Force(forged(w, "ben")) }, "signature", ""},
		"forged list of one's own": {func(w *world, _ *directorytest.Directory) { w.directory.Force(forged(w, "anna")) }, "", "can not prove which devices your account has"},
		"stale checkpoint":         {func(w *world, _ *directorytest.Directory) { w.directory.Stamp(w.Now().Add(-enterAge - time.Minute)) }, "stale", "its answer is old"},
		"the log goes back": {func(w *world, before *directorytest.Directory) {
			w.directory.Lie(func(r *api.LookUpRequest, out *api.LookUpResponse) {
				old, err := before.LookUp(background, &api.LookUpRequest{Accounts: r.Accounts})
				w.check(err)
				out.Checkpoint, out.Lookups, out.Consistency = old.Checkpoint, old.Lookups, nil
			})
		}, "does not continue", "does not continue"},
		"split view": {func(w *world, before *directorytest.Directory) {
			for _, name := range []string{"x", "y", "z"} {
				w.check(put(before, name))
			}
			w.directory.Lie(func(r *api.LookUpRequest, out *api.LookUpResponse) {
				other, err := before.LookUp(background, r)
				w.check(err)
				out.Checkpoint, out.Lookups, out.Consistency = other.Checkpoint, other.Lookups, other.Consistency
			})
		}, "does not continue", "does not continue"},
		"withheld newest": {func(w *world, _ *directorytest.Directory) {
			old, err := w.directory.LookUp(background, &api.LookUpRequest{Accounts: []string{"ben"}})
			w.check(err)
			w.Helper()
			w.directory.Lie(func(r *api.LookUpRequest, out *api.LookUpResponse) {
				for i, a := range r.Accounts {
					if a == "ben" {
						out.Lookups[i] = old.Lookups[0]
					}
				}
			})
			w.check(put(w.directory, "somebody"))
		}, "not the end of a log", ""},
		"another's answer": {func(w *world, _ *directorytest.Directory) {
			other, err := w.directory.LookUp(background, &api.LookUpRequest{Accounts: []string{"anna"}})
			w.check(err)
			w.directory.Lie(func(r *api.LookUpRequest, out *api.LookUpResponse) { out.Lookups = other.Lookups })
		}, "label", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			anna, ben := w.device("anna", w.access), w.device("ben", w.access)
			before := w.directory.Fork()
			w.check(put(w.directory, "later"))
			w.sync(anna)
			w.check(anna.safely(func() error { _, err := anna.lookUp(background, "anna"); return err }))
			w.wait(refreshAge + time.Minute)
			row.lie(w, before)
			if row.want != "" {
				_, err := anna.Create(background, "ben")
				if err == nil || !strings.Contains(err.Error(), row.want) {
					t.Errorf("invites: %v", err)
				}
			}
			anna.Sync(background)
			got := strings.Join(w.alarms(anna), "\n")
			if row.alarm == "" && got != "" || !strings.Contains(got, row.alarm) {
				t.Errorf("alarms %q", got)
			}
			for _, id := range anna.Conversations() {
				if members, err := anna.Members(id); err != nil || len(members) > 1 {
					t.Errorf("members %v, %v", members, err)
				}
			}
			_ = ben
		})
	}
}

// put states the first device of an account that no test device has, with a key of its
// own if none is given.
func put(d *directorytest.Directory, account string, private ...byte) error {
	key := ed25519.PrivateKey(directorytest.Recovery("device of " + account))
	if len(private) > 0 {
		key = ed25519.NewKeyFromSeed(private[:ed25519.SeedSize])
	}
	s := &directory.Statement{Account: account, Version: 1, Recovery: directorytest.Recovery(account).Public()}
	s.Add("phone", directory.DeviceKey(key.Public().(ed25519.PublicKey)), uint64(chartertest.Now.Unix()))
	s.SignAs("phone", directory.DeviceSigner(key))
	_, err := d.PutStatement(background, &api.PutStatementRequest{Statement: s.Encode()})
	return err
}

// A directory that takes back what it showed is told with evidence (DIR-43).
func TestRollbackIsTold(t *testing.T) {
	w := newWorld(t)
	anna := w.device("anna", w.access)
	w.check(put(w.directory, "ben"))
	_, _, err := anna.Devices(background, "ben")
	w.check(err)
	w.check(anna.safely(func() error {
		a := *anna.accounts["ben"]
		a.pin.Version, a.pin.Hash[0] = 2, 1 // as if a newer one had been seen
		anna.accounts["ben"] = &a
		return nil
	}))
	if _, _, err := anna.Devices(background, "ben"); !errors.Is(err, directory.ErrRollback) {
		t.Fatal(err)
	}
	got := anna.Alarms()
	if len(got) != 1 || !strings.Contains(got[0].Text, "no longer shows the devices of ben") || len(got[0].Evidence) != 2 {
		t.Fatalf("alarms %+v", got)
	}
}

// While the directory is away nobody enters; those who are in go on for a day.
func TestDirectoryAway(t *testing.T) {
	w := newWorld(t)
	anna, ben, _ := w.device("anna", w.access), w.device("ben", w.access), w.device("chloe", w.access)
	id := w.talk(anna, ben)
	w.send(anna, id, "one")
	w.send(ben, id, "two")
	w.sync(anna, ben)
	w.directory.Down(true)
	w.wait(stayAge - time.Hour)
	w.sync(anna, ben)
	w.check(ben.Renew(background, id))
	w.send(anna, id, "three")
	w.sync(ben, anna)
	w.want(w.history(ben, id, Message), "message anna: one", "message ben: two", "message anna: three")
	if err := anna.Invite(background, id, "chloe"); err == nil {
		t.Error("invites without a look-up")
	}
	w.wait(2 * time.Hour)
	if err := anna.Send(background, id, "four"); err == nil {
		t.Error("speaks a day after it last knew its own account")
	}
	w.directory.Down(false)
	w.sync(anna, ben)
	w.sync(anna, ben)
	members, err := ben.Members(id)
	w.check(err)
	if len(members) != 3 {
		t.Errorf("members %v: the invitation is lost", members)
	}
	w.want(w.history(ben, id, Message), "message anna: one", "message ben: two", "message anna: three", "message anna: four")
}

// A message costs no look-up, and a large group few calls.
func TestNoLookUpForAMessage(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("anna", w.access), w.device("ben", w.access)
	id := w.talk(anna, ben)
	w.send(anna, id, "first")
	w.send(ben, id, "first")
	w.sync(anna, ben)
	asked := w.directory.Asked()
	for range 5 {
		w.send(anna, id, "x")
		w.send(ben, id, "y")
		w.sync(anna, ben)
	}
	if n := w.directory.Asked(); n != asked {
		t.Errorf("%d look-ups for messages", n-asked)
	}
}

// Safety numbers agree on both sides, and a change after they were compared is told.
func TestSafetyNumber(t *testing.T) {
	w := newWorld(t)
	anna, ben := w.device("anna", w.access), w.device("ben", w.access)
	a, _, _, err := anna.Safety(background, "ben")
	w.check(err)
	b, _, _, err := ben.Safety(background, "anna")
	w.check(err)
	if a != b || len(strings.Fields(a)) != 12 {
		t.Fatalf("%s and %s", a, b)
	}
	w.check(anna.Compared("ben"))
	if err := ben.Compared("stranger"); err == nil {
		t.Error("compared what was never shown")
	}
	w.second(ben, "tablet")
	changed, version, compared, err := anna.Safety(background, "ben")
	w.check(err)
	if changed == a || version != 2 || compared != 1 {
		t.Errorf("%s at version %d, compared at %d", changed, version, compared)
	}
	if got := w.alarms(anna); len(got) != 1 || !strings.Contains(got[0], `ben changed devices since you compared`) || !strings.Contains(got[0], `Device "phone" added device "tablet"`) {
		t.Errorf("told %q", got)
	}
}

// What counts as compared is the number that was shown, not what the directory says when
// the person is back: in between somebody may have added a device.
func TestComparedIsWhatWasShown(t *testing.T) {
	for name, change := range map[string]func(w *world, anna, ben *Device){
		"theirs":    func(w *world, anna, ben *Device) { w.second(ben, "tablet") },
		"one's own": func(w *world, anna, ben *Device) { w.second(anna, "tablet") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			anna, ben := w.device("anna", w.access), w.device("ben", w.access)
			if err := anna.Compared("ben"); err == nil {
				t.Error("compared what was never shown")
			}
			_, _, _, err := anna.Safety(background, "ben")
			w.check(err)
			change(w, anna, ben)
			w.wait(refreshAge + time.Minute)
			anna, err = Open(anna.cfg)
			w.check(err)
			w.check(anna.safely(func() error { _, err := anna.lookUp(background, "ben", "anna"); return err }))
			if err := anna.Compared("ben"); !errors.Is(err, ErrChanged) {
				t.Errorf("compared after a change: %v", err)
			}
			_, _, compared, err := anna.Safety(background, "ben")
			if err != nil || compared != 0 {
				t.Errorf("compared at %d, %v", compared, err)
			}
			w.check(anna.Compared("ben"))
		})
	}
}
