package client

import (
	"errors"
	"fmt"

	"writ/capsule"
	"writ/mls"
)

// supported are the extensions that every device of Writ knows. Each leaf lists
// them, so that nobody can tell from a leaf who is in privileged conversations.
func supported() []mls.ExtensionType { return []mls.ExtensionType{capsule.PrivilegedExtension} }

// marks are the group context extensions of a new conversation.
func marks(f capsule.Flags) []mls.Extension {
	if f&capsule.Privileged == 0 {
		return nil
	}
	return []mls.Extension{{Type: capsule.PrivilegedExtension}}
}

func flagsOf(g mls.GroupContext) (capsule.Flags, error) {
	return capsule.FlagsOf(g.Extension(capsule.PrivilegedExtension))
}

// admits refuses a member whose law doesn't know what a conversation is marked as.
func (d *Device) admits(f capsule.Flags, m member) error {
	law, ok := d.cfg.Laws.Charter(m.law)
	if !ok {
		return fmt.Errorf("client: refused: %v is under %v: %w", m.Identity, m.law, ErrUnknownLaw)
	}
	if err := f.Admits(law); err != nil {
		return fmt.Errorf("client: refused: %v: %w", m.Identity, err)
	}
	return nil
}

// checkMark refuses a commit that takes a conversation's mark away or gives it
// one, or brings in a member whose law does not know it.
func (c *conversation) checkMark(x *mls.StagedCommit) error {
	if x.SelfRemoved {
		return nil
	}
	was := c.epochs[c.group.Epoch()].flags
	now, err := flagsOf(x.Context)
	switch {
	case err != nil:
		return err
	case now != was:
		return errors.New("client: refused: a commit that changes whether the conversation is privileged")
	}
	for _, list := range [][]mls.Member{x.Added, x.Updated} {
		for _, leaf := range list {
			m, err := memberOf(leaf.Leaf)
			if err != nil {
				return err
			}
			if err := c.device.admits(now, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkJoined is checkMark for a conversation that this device is brought into.
func (c *conversation) checkJoined() error {
	flags, err := flagsOf(c.group.Context())
	if err != nil {
		return err
	}
	for _, leaf := range c.group.Members() {
		m, err := memberOf(leaf)
		if err != nil {
			return err
		}
		if err := c.device.admits(flags, m); err != nil {
			return err
		}
	}
	return nil
}

// Privileged reports whether a conversation is marked as privileged.
func (d *Device) Privileged(id ConversationID) (bool, error) {
	if err := d.lock(); err != nil {
		return false, err
	}
	defer d.mu.Unlock()
	c, err := d.conversation(id)
	if err != nil {
		return false, err
	}
	if err := c.member(); err != nil {
		return false, err
	}
	return c.epochs[c.group.Epoch()].flags&capsule.Privileged != 0, nil
}
