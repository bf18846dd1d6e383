package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"writ/api"
	"writ/mls"
)

// join enters the conversation that a Welcome leads to. Once its state is stored the
// key package is deleted, and with it the way to open the Welcome again.
func (d *Device) join(ctx context.Context, w *api.Welcome) error {
	if len(w.Conversation) != len(ConversationID{}) {
		return fmt.Errorf("client: %w: conversation id of %d bytes", ErrDelivery, len(w.Conversation))
	}
	id := ConversationID(w.Conversation)
	key, kp, secrets, err := d.welcomed(w.Welcome)
	if err != nil {
		return err
	}
	defer clear(secrets)
	c := d.convs[id]
	if c != nil && c.cursor < w.Seq { // the removal before it may not be read yet
		if err := c.read(ctx); err != nil {
			return err
		}
	}
	if c != nil && !c.gone {
		return d.save(deviceSpace, []mls.Record{{Key: key}}) // joined before a crash
	}
	if c == nil {
		c = newConversation(d, id)
	}
	var group *mls.Group
	var info *mls.GroupInfo
	if err := d.looked(ctx, func() (err error) {
		group, info, err = d.client().Join(c.config(), w.Welcome, kp, secrets, nil)
		return err
	}); err != nil {
		return fmt.Errorf("client: welcome: %w", err)
	}
	if !bytes.Equal(group.ID(), id[:]) || group.Epoch() != w.Epoch || group.Suite() != Suite {
		return fmt.Errorf("client: welcome: %w: another conversation, epoch or suite", ErrDelivery)
	}
	c.group = group
	opened, err := c.openedBy(info)
	if err == nil {
		err = c.checkJoined()
	}
	if err != nil {
		c.group = nil
		return err
	}
	adder, err := memberOf(group.Leaf(info.Signer))
	if err != nil {
		return err
	}
	e := Event{Kind: Joined, Seq: w.Seq, Epoch: w.Epoch, Time: d.cfg.Now(), Sender: adder.Identity, Member: d.self.Identity}
	if err := c.begin(&step{events: []Event{e}}, opened, w.Seq); err != nil {
		return err
	}
	return d.save(deviceSpace, []mls.Record{{Key: key}})
}

// mayJoinLater reports whether a Welcome that could not be used may be another time. Its
// other faults are its maker's. It would be handed out again and again, before all
// others that wait.
func (d *Device) mayJoinLater(err error) bool {
	return passing(err) || errors.Is(err, errStorage) || errors.Is(err, ErrDirectory) || errors.Is(err, errUnseen) ||
		errors.Is(err, ErrUnknownLaw) || errors.Is(err, ErrClock) && d.checkClock() != nil
}

// openedBy returns the opening time that a GroupInfo states, if it can be.
func (c *conversation) openedBy(info *mls.GroupInfo) (uint64, error) {
	data, _ := info.Extension(openedExtension)
	opened, err := parseTime(data)
	if err != nil {
		return 0, err
	}
	c.synced = c.device.cfg.Now().Add(-keyPackageLife)
	return opened, c.checkOpened(opened)
}

// welcomed finds the key package that a Welcome was made for.
func (d *Device) welcomed(welcome []byte) (key string, kp *mls.KeyPackage, secrets []byte, err error) {
	envelope, err := mls.Inspect(welcome)
	if err != nil {
		return "", nil, nil, fmt.Errorf("client: welcome: %w", err)
	}
	records, err := d.cfg.Storage.Load(deviceSpace)
	if err != nil {
		return "", nil, nil, fmt.Errorf("client: %w: %w", errStorage, err)
	}
	mine := slices.IndexFunc(records, func(r mls.Record) bool {
		return slices.ContainsFunc(envelope.KeyPackageRefs, func(ref []byte) bool { return r.Key == keyPackageKey(ref) })
	})
	if mine >= 0 {
		key = records[mine].Key
		kp, secrets, err = parseStoredKeyPackage(records[mine].Value)
		records = slices.Delete(records, mine, mine+1)
	} else {
		err = errNoKeyPackage
	}
	forget(records)
	return key, kp, secrets, err
}

var (
	errNoKeyPackage = errors.New("client: welcome: none of this device's key packages, or one that was used")
	errStorage      = errors.New("the device's records can't be read")
)
