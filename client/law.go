package client

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"writ/capsule"
	"writ/charter"
	"writ/directory"
	"writ/mls"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// memberOf reads who a leaf says it is and under which law it speaks.
func memberOf(leaf *mls.LeafNode) (member, error) {
	if leaf.Credential.Certificates != nil {
		return member{}, errors.New("client: unsupported: an X.509 credential")
	}
	id, err := directory.ParseIdentity(leaf.Credential.Identity)
	if err != nil {
		return member{}, fmt.Errorf("client: credential: %w", err)
	}
	law, ok := leaf.Extension(charter.LeafExtensionType)
	if !ok || len(law) != len(charter.Hash{}) {
		return member{}, fmt.Errorf("client: invalid: leaf of %v does not name its law", id)
	}
	return member{id, charter.Hash(law)}, nil
}

// authenticate is the authentication service of RFC 9420 5.3.1: it is asked about
// every leaf before it enters a tree. Without a group, the conversation is joined or
// begun: whoever is there is there already.
func (c *conversation) authenticate(leaf *mls.LeafNode) error {
	d := c.device
	m, err := d.underLaw(leaf)
	if err != nil {
		return err
	}
	if m.Identity == d.self.Identity {
		if !bytes.Equal(d.self.key.Public(), leaf.SignatureKey) {
			return fmt.Errorf("client: refused: another key for this device's own name %v", m.Identity)
		}
		return nil
	}
	member := c.hasDevice(m.Identity)
	return d.vouch(m.Identity, leaf.SignatureKey, member || c.group == nil, !member)
}

// admit judges a leaf that is to be added.
func (d *Device) admit(leaf *mls.LeafNode) error {
	m, err := d.underLaw(leaf)
	if err != nil {
		return err
	}
	return d.vouch(m.Identity, leaf.SignatureKey, false, true)
}

// maxLeaf is the largest leaf in bytes (DEL-12): every member keeps it.
const maxLeaf = 8 << 10

// underLaw reads who a leaf is and demands a law that is on the ledger, with the
// directory of this device's own.
func (d *Device) underLaw(leaf *mls.LeafNode) (member, error) {
	if n := len(leaf.Bytes()); n > maxLeaf {
		return member{}, fmt.Errorf("client: refused: a leaf of %d bytes where at most %d are allowed", n, maxLeaf)
	}
	m, err := memberOf(leaf)
	if err != nil {
		return m, err
	}
	if _, ok := d.cfg.Laws.Charter(m.law); !ok {
		return m, fmt.Errorf("client: refused: %v is under %v: %w", m.Identity, m.law, ErrUnknownLaw)
	}
	return m, d.sameDirectory(m.law)
}

// hasDevice reports whether a device is a member now.
func (c *conversation) hasDevice(id directory.Identity) bool {
	if c.group == nil {
		return false
	}
	for _, m := range c.epochs[c.group.Epoch()].members {
		if m.Identity == id {
			return true
		}
	}
	return false
}

type sealerKey struct {
	law    charter.Hash
	period uint32
}

// sealer returns the sealer of a law and key period, nil for a law without
// exceptional access.
func (d *Device) sealer(law charter.Hash, at time.Time) (*capsule.Sealer, *charter.Charter, error) {
	c, ok := d.cfg.Laws.Charter(law)
	if !ok {
		return nil, nil, fmt.Errorf("client: %v: %w", law, ErrUnknownLaw)
	}
	if c.Mode == charter.NoAccess {
		return nil, c, nil
	}
	key := sealerKey{law, c.Period(at)}
	if s, ok := d.sealers[key]; ok {
		return s, c, nil
	}
	access, err := c.Access(key.period, d.cfg.Laws.Keys(c.Name, key.period))
	if err != nil {
		return nil, nil, fmt.Errorf("client: %w: %w", err, ErrUnknownLaw)
	}
	s, err := capsule.NewSealer(access)
	if err != nil {
		return nil, nil, fmt.Errorf("client: %w: %w", err, ErrUnknownLaw)
	}
	d.sealers[key] = s
	return s, c, nil
}

// label is the label of a compartment's capsule.
func (c *conversation) label(p place) (*capsule.Label, error) {
	e, ok := c.epochs[p.epoch]
	if !ok {
		return nil, fmt.Errorf("client: epoch %d is not known", p.epoch)
	}
	m, ok := e.members[p.leaf]
	if !ok {
		return nil, fmt.Errorf("client: leaf %d is no member in epoch %d", p.leaf, p.epoch)
	}
	l := &capsule.Label{Suite: uint16(Suite), Conversation: c.id[:], Epoch: p.epoch, Leaf: uint32(p.leaf),
		Account: m.Account, Device: m.Device, Charter: m.law, Opened: e.opened, Roster: e.roster, Flags: e.flags}
	if law, ok := c.device.cfg.Laws.Charter(m.law); ok {
		l.Period = law.Period(l.OpenedAt())
	}
	return l, nil
}

// seal computes the capsule of a compartment from the epoch's own secrets, nil under
// a law without exceptional access. The secrets are there until the first message
// of the compartment was sent or read.
func (c *conversation) seal(p place) (*capsule.Capsule, error) {
	l, err := c.label(p)
	if err != nil {
		return nil, err
	}
	sealer, _, err := c.device.sealer(l.Charter, l.OpenedAt())
	if err != nil || sealer == nil {
		return nil, err
	}
	ratchet, senderData, err := c.group.SenderSecrets(p.epoch, p.leaf)
	if err != nil {
		return nil, fmt.Errorf("client: capsule: %w", err)
	}
	defer clear(ratchet)
	defer clear(senderData)
	return sealer.Seal(l, ratchet, senderData)
}

// An AccountLaw is the law under which an account speaks in a conversation.
type AccountLaw struct {
	Account string
	Devices []string
	Charter charter.Hash
	Name    string   // of the charter; empty if it is not known
	Known   bool     // on the ledger, with the custodians' keys for now
	Explain []string // the law in plain sentences
}

// Law says under whose law each account of a conversation speaks: to be shown
// before the first message, and at any time after.
func (d *Device) Law(id ConversationID) ([]AccountLaw, error) {
	if err := d.lock(); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	c, err := d.conversation(id)
	if err != nil {
		return nil, err
	}
	if err := c.member(); err != nil {
		return nil, err
	}
	found := map[string]*AccountLaw{}
	for _, m := range c.epochs[c.group.Epoch()].members {
		key := m.Account + " " + m.law.String()
		if found[key] == nil {
			l := d.accountLaw(m)
			found[key] = &l
		}
		found[key].Devices = append(found[key].Devices, m.Device)
	}
	var laws []AccountLaw
	for _, key := range sortedKeys(found) {
		slices.Sort(found[key].Devices)
		laws = append(laws, *found[key])
	}
	return laws, nil
}

func (d *Device) accountLaw(m member) AccountLaw {
	l := AccountLaw{Account: m.Account, Charter: m.law}
	c, ok := d.cfg.Laws.Charter(m.law)
	if !ok {
		l.Explain = []string{"The law of this account is not on the ledger. Nothing is sent to this conversation."}
		return l
	}
	_, _, err := d.sealer(m.law, d.cfg.Now())
	l.Name, l.Known, l.Explain = c.Name, err == nil, c.Explain()
	return l
}

// knownLaws refuses a conversation with a member whose law is not on the ledger.
func (c *conversation) knownLaws() error {
	for _, m := range c.epochs[c.group.Epoch()].members {
		if _, ok := c.device.cfg.Laws.Charter(m.law); !ok {
			return fmt.Errorf("client: refused: %v is under %v: %w", m.Identity, m.law, ErrUnknownLaw)
		}
	}
	return nil
}
