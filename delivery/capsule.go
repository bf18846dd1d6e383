package delivery

import (
	"bytes"
	"context"

	"writ/api"
	"writ/capsule"
	"writ/charter"
	"writ/directory"
	"writ/engine"
)

// PutCapsule implements api.Delivery.
func (s *Service) PutCapsule(ctx context.Context, r *api.PutCapsuleRequest) (*api.PutCapsuleResponse, error) {
	id, err := device(ctx)
	if err != nil {
		return nil, err
	}
	d, err := s.deposit(ctx, id, r.Capsule)
	if err != nil {
		return nil, err
	}
	if err := s.store.PutCapsule(ctx, d); err != nil {
		return nil, s.storeFault(err, tooManyCapsules)
	}
	return &api.PutCapsuleResponse{Hash: d.Name}, nil
}

const tooManyCapsules = "capsules of one compartment"

// deposit checks a capsule that a device brings.
func (s *Service) deposit(ctx context.Context, depositor directory.Identity, body []byte) (*engine.Deposit, error) {
	c, err := capsule.Parse(body)
	if err != nil {
		return nil, malformed("%v", err)
	}
	if err := s.checkCapsule(ctx, depositor, c); err != nil {
		return nil, err
	}
	l, hash := c.Label(), c.Hash()
	limit := maxForeign
	if depositor.Account == l.Account && depositor.Device == l.Device {
		limit = maxCapsules
	}
	compartment := engine.Compartment{Conversation: l.Conversation, Epoch: l.Epoch, Leaf: l.Leaf}
	return &engine.Deposit{Compartment: compartment, Name: hash[:], Depositor: depositor.String(), Body: body, Max: limit}, nil
}

// checkCapsule compares a capsule's label with what is known of the compartment,
// and its shares' form with the charter's access structure. Depositor must have
// been a member in that epoch: nobody else can know the secret.
func (s *Service) checkCapsule(ctx context.Context, depositor directory.Identity, c *capsule.Capsule) error {
	l := c.Label()
	if len(l.Conversation) != midSize {
		return malformed("conversation id of %d bytes", len(l.Conversation))
	}
	conv, done := s.use(l.Conversation)
	defer done()
	e, err := s.anyEpoch(ctx, conv, l.Epoch)
	if err != nil {
		return err
	}
	if _, ok := e.members[depositor]; !ok {
		return refused("not a member in epoch %d", l.Epoch)
	}
	sender, ok := e.members[directory.Identity{Account: l.Account, Device: l.Device}]
	if !ok {
		return refused("the label's sender is not a member in epoch %d", l.Epoch)
	}
	law, err := s.lawOf(sender)
	if err != nil {
		return err
	}
	if law.Mode == charter.NoAccess {
		return refused("the sender's charter has no exceptional access, so there is nothing to seal")
	}
	want := trueLabel(e, conv.id, sender, law)
	if !bytes.Equal(want.Encode(), l.Encode()) {
		return refused("the label does not say what is known of the compartment: %s", difference(want, l))
	}
	return s.checkShares(c)
}

// trueLabel is the label that a sender's capsule must have.
func trueLabel(e *epoch, conversation []byte, sender engine.Member, law *charter.Charter) *capsule.Label {
	l := &capsule.Label{
		Suite:        uint16(e.suite),
		Conversation: conversation,
		Epoch:        e.Epoch.Epoch,
		Leaf:         sender.Leaf,
		Account:      sender.Account,
		Device:       sender.Device,
		Charter:      charter.Hash(sender.Charter),
		Opened:       e.Opened,
		Roster:       e.Roster,
		Flags:        e.flags,
	}
	l.Period = law.Period(l.OpenedAt())
	return l
}

// difference names the first field in which two labels differ.
func difference(a, b *capsule.Label) string {
	switch {
	case a.Suite != b.Suite:
		return "suite"
	case a.Leaf != b.Leaf:
		return "leaf"
	case a.Charter != b.Charter:
		return "charter"
	case a.Opened != b.Opened:
		return "opening time"
	case a.Period != b.Period:
		return "key period"
	case a.Roster != b.Roster:
		return "roster root"
	case a.Flags != b.Flags:
		return "flags"
	}
	return "sender"
}

// checkShares refuses a capsule whose shares don't have the number and sizes that
// the charter's custodians of the period give.
func (s *Service) checkShares(c *capsule.Capsule) error {
	access, err := s.access(c.Label().Charter, c.Label().Period)
	if err != nil {
		return refused("no custodians' keys for the period: %v", err)
	}
	shares, leaves := c.Shares(), access.Leaves()
	if len(shares) != len(leaves) {
		return refused("%d shares where the charter has %d custodians", len(shares), len(leaves))
	}
	for i, leaf := range leaves {
		if len(shares[i].Enc) != encSize[leaf.KEM] {
			return refused("the share of %s/%s has another KEM", leaf.Office, leaf.Custodian)
		}
	}
	return nil
}

// encSize is the size in bytes of an encapsulation: an ML-KEM-768 ciphertext and
// an X25519 or an uncompressed P-256 public key.
var encSize = map[charter.KEM]int{charter.XWing: 1088 + 32, charter.MLKEM768P256: 1088 + 65}

// GetCapsules implements api.Delivery.
func (s *Service) GetCapsules(ctx context.Context, r *api.GetCapsulesRequest) (*api.GetCapsulesResponse, error) {
	id, err := device(ctx)
	if err != nil {
		return nil, err
	}
	if len(r.Conversation) != midSize {
		return nil, malformed("conversation id of %d bytes", len(r.Conversation))
	}
	c, done := s.use(r.Conversation)
	defer done()
	e, err := s.anyEpoch(ctx, c, r.Epoch)
	if err != nil {
		return nil, err
	}
	if _, ok := e.members[id]; !ok {
		return nil, refused("not a member in epoch %d", r.Epoch)
	}
	list, err := s.store.Capsules(ctx, engine.Compartment{Conversation: r.Conversation, Epoch: r.Epoch, Leaf: r.Leaf})
	if err != nil {
		return nil, s.storeFault(err, "capsules")
	}
	return &api.GetCapsulesResponse{Capsules: list}, nil
}
