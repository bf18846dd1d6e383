package bundle

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"writ/capsule"
	"writ/charter"
	"writ/directory"
	"writ/internal/wire"
	"writ/mls"
	"writ/warrant"
)

var (
	errOtherCapsule = errors.New("it names another capsule than this compartment's")
	errMoved        = errors.New("its sender said it in another place")
)

// sender opens the messages of one compartment's sender.
type sender struct {
	leaf    *mls.LeafNode
	capsule capsule.Hash
	opener  *mls.SenderOpener // nil if there are no secrets that could open anything
}

// sender finds the leaf by its proof under the group context (BUN-8). It is the
// one the label names, or there is an error.
func (c *Compartment) sender(sealed *capsule.Capsule) (*sender, error) {
	l := sealed.Label()
	g, err := mls.ParseGroupContext(c.GroupContext)
	if err != nil {
		return nil, err
	}
	if g.Epoch != l.Epoch || !bytes.Equal(g.GroupID, l.Conversation) || uint16(g.Suite) != l.Suite {
		return nil, errors.New("the group context is of another conversation, epoch or cipher suite")
	}
	flags, err := capsule.FlagsOf(g.Extension(capsule.PrivilegedExtension))
	if err != nil || flags != l.Flags {
		return nil, fmt.Errorf("the group context marks it as privileged otherwise than the capsule: %v", err)
	}
	leaf, err := mls.VerifyLeafProof(g.Suite, g.TreeHash, mls.LeafIndex(l.Leaf), c.LeafProof)
	if err != nil {
		return nil, err
	}
	id := directory.Identity{Account: l.Account, Device: l.Device}
	if leaf.Credential.Certificates != nil || !bytes.Equal(leaf.Credential.Identity, id.Encode()) {
		return nil, fmt.Errorf("leaf %d is not %s", l.Leaf, id)
	}
	if law, ok := leaf.Extension(charter.LeafExtensionType); !ok || !bytes.Equal(law, l.Charter[:]) {
		return nil, fmt.Errorf("leaf %d is not under the charter of the capsule", l.Leaf)
	}
	s := &sender{leaf: leaf, capsule: sealed.Hash()}
	// Whoever sealed the capsule chose the secrets: those of another size than
	// the suite's open nothing, like those of another value.
	if n := len(c.Ratchet); c.opened() && n == suiteSecret(g) && n == len(c.SenderData) {
		s.opener, err = mls.NewSenderOpener(g.Suite, c.Ratchet, c.SenderData, mls.LeafIndex(l.Leaf), c.GroupContext, leaf.SignatureKey)
	}
	return s, err
}

// suiteSecret is the size of a suite's secrets: that of its hash, and so of the
// tree hash, which the leaf proof has verified.
func suiteSecret(g *mls.GroupContext) int { return len(g.TreeHash) }

// open decrypts a message and verifies the signature over it (BUN-9), that it
// names the capsule (BUN-11) and stands where its sender said it (BUN-14). The
// message it returns has the text for its data. With errOtherCapsule and errMoved
// comes the message too.
func (s *sender) open(ciphertext []byte) (*mls.ApplicationMessage, error) {
	if s.opener == nil {
		return nil, errors.New("there are no secrets of the suite's size")
	}
	m, err := s.opener.Open(ciphertext)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(m.AuthenticatedData, s.capsule[:]) {
		return m, errOtherCapsule
	}
	text, err := capsule.Text(m.Generation, m.Data)
	if err != nil {
		return m, fmt.Errorf("%w: %w", errMoved, err)
	}
	m.Data = text
	return m, nil
}

func (s *sender) erase() {
	if s.opener != nil {
		s.opener.Erase()
	}
}

func (v *verifier) compartments() error {
	for i := range v.c.Compartments {
		if err := v.compartment(&v.c.Compartments[i], fmt.Sprintf("compartment %d", i+1)); err != nil {
			return err
		}
	}
	all, shown := len(v.report.Compartments), 0
	for _, c := range v.report.Compartments {
		shown += c.shown()
	}
	v.passed(checkKeys, len(v.sealers))
	v.passed(checkReleases, len(v.released))
	v.passed(checkScope, all)
	v.passed(checkCapsules, all)
	v.passed(checkSenders, all)
	v.passed(checkMessages, shown)
	v.passed(checkStatements, all)
	return nil
}

// shown counts the messages that are evidence.
func (c *CompartmentReport) shown() (n int) {
	for _, m := range c.Messages {
		if m.Aside == "" {
			n++
		}
	}
	return n
}

func (v *verifier) compartment(c *Compartment, where string) error {
	sealed, err := capsule.Parse(c.Capsule)
	if err != nil {
		return &CheckError{checkCapsules, where, err}
	}
	l := sealed.Label()
	if err := v.scope(l, c.RosterProof); err != nil {
		return &CheckError{checkScope, where, err}
	}
	sealer, err := v.sealer(where, l)
	if err != nil {
		return err
	}
	if err := c.reseal(sealed, sealer); err != nil {
		return &CheckError{checkCapsules, where, err}
	}
	s, err := c.sender(sealed)
	if err != nil {
		return &CheckError{checkSenders, where, err}
	}
	defer s.erase()
	out := describe(c, l, s)
	if err := out.read(c, s, where); err != nil {
		return err
	}
	if err := out.stated(c, l, v.law.Delivery, where); err != nil {
		return err
	}
	if c.opened() {
		v.signers = append(v.signers, signer{len(v.report.Compartments), l, s.leaf.SignatureKey})
	}
	v.report.Compartments = append(v.report.Compartments, *out)
	return nil
}

// scope is BUN-7: the label is one the warrant names.
func (v *verifier) scope(l *capsule.Label, roster []byte) error {
	w := v.warrant
	start, end := w.Window()
	law := v.version(l.Charter)
	switch {
	case law == nil || law.Mode == charter.NoAccess:
		return fmt.Errorf("it is sealed under charter %s", l.Charter)
	case l.Opened < uint64(start.Unix()) || l.Opened >= uint64(end.Unix()):
		return fmt.Errorf("its epoch was opened outside the warrant's window, at Unix time %d", l.Opened)
	case l.Period != law.Period(l.OpenedAt()):
		return fmt.Errorf("key period %d is not that of its opening", l.Period)
	case !w.Covers(l.Conversation):
		return fmt.Errorf("the warrant does not name conversation %x", l.Conversation)
	case l.Flags&capsule.Privileged != 0 && (w.Flags&warrant.IsPrivileged == 0 || len(law.Privilege) == 0):
		return fmt.Errorf("conversation %x is privileged", l.Conversation)
	case w.Flags&warrant.IsTest != 0 && !warrant.Synthetic(l.Account):
		return fmt.Errorf("%s is not a test account", l.Account)
	}
	if err := w.Fits(law); err != nil { // what an earlier version sealed keeps its limits too
		return err
	}
	return inRoster(w, l, roster)
}

// inRoster accepts the subject as the sender without a roster proof, and
// another sender only with the proof that the subject was there.
func inRoster(w *warrant.Warrant, l *capsule.Label, roster []byte) error {
	if l.Account == w.Subject {
		if len(roster) > 0 {
			return errors.New("a roster proof where none belongs")
		}
		return nil
	}
	if w.Direction != warrant.SentAndReceived {
		return fmt.Errorf("%s is not the warrant's subject", l.Account)
	}
	return directory.VerifyRoster(l.Roster, w.Subject, roster)
}

// reseal seals the secrets anew and compares every byte; what has no secrets was
// forged (BUN-6).
func (c *Compartment) reseal(sealed *capsule.Capsule, s *capsule.Sealer) error {
	switch {
	case !c.opened():
		return c.forged(sealed, s)
	case len(c.Shares) > 0:
		return errors.New("shares where the secrets are")
	}
	return s.Check(c.Capsule, sealed.Label(), c.Ratchet, c.SenderData)
}

// forged demands shares to which the capsule commits, in their one order, and that
// show that nobody could have opened it.
func (c *Compartment) forged(sealed *capsule.Capsule, s *capsule.Sealer) error {
	var shares []capsule.OpenShare
	last := -1
	for i, secret := range c.Shares {
		at := s.Places(sealed, secret)
		switch {
		case len(at) == 0:
			return fmt.Errorf("share %d is none to which the capsule commits", i+1)
		case at[0].Leaf <= last:
			return errors.New("shares out of order, or one twice")
		}
		last, shares = at[0].Leaf, append(shares, at...)
	}
	ratchet, senderData, _, err := s.Open(sealed, shares)
	clear(ratchet)
	clear(senderData)
	switch {
	case err == nil:
		return errors.New("it opens, and its secrets were left out")
	case !errors.Is(err, capsule.ErrForged):
		return fmt.Errorf("nothing shows that it does not open: %w", err)
	}
	return nil
}

// describe fills in all but messages and gaps.
func describe(c *Compartment, l *capsule.Label, s *sender) *CompartmentReport {
	key := wire.Hash("fingerprint", s.leaf.SignatureKey)
	return &CompartmentReport{
		Account: l.Account, Device: l.Device, SigningKey: fmt.Sprintf("%x", key[:16]),
		Conversation: fmt.Sprintf("%x", l.Conversation), Epoch: l.Epoch, Leaf: l.Leaf, Opened: utc(int64(l.Opened)),
		Capsule: s.capsule.String(), Unopened: !c.opened(), Count: c.Count, Messages: []MessageReport{},
	}
}

// read opens every message and looks for holes in the generations (BUN-20). One that was
// moved fills no hole: what its sender said there is not here.
func (out *CompartmentReport) read(c *Compartment, s *sender, where string) error {
	seen, said := map[uint32]bool{}, map[uint32]bool{}
	for i, m := range c.Messages {
		where := fmt.Sprintf("%s message %d", where, i+1)
		if i > 0 && m.Seq <= c.Messages[i-1].Seq {
			return fail(checkMessages, where, "not in the order of sequence numbers")
		}
		opened, err := s.open(m.Ciphertext)
		if m.Aside != (err != nil) {
			if err == nil {
				err = errors.New("it is set aside although it opens and is signed")
			}
			return &CheckError{checkMessages, where, err}
		}
		shown := MessageReport{Seq: m.Seq, Received: utcMilli(m.Received)}
		if opened != nil {
			shown.Generation = &opened.Generation
			shown.Repeated = seen[opened.Generation]
			seen[opened.Generation] = true
			if !errors.Is(err, errMoved) {
				said[opened.Generation] = true
			}
		}
		if err != nil {
			shown.Aside = aside(err)
		} else {
			shown.show(opened.Data)
		}
		out.Messages = append(out.Messages, shown)
	}
	out.Gaps = gaps(said)
	return nil
}

// aside says in plain words why a message is no evidence.
func aside(err error) string {
	for _, known := range []error{errOtherCapsule, errMoved} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "it does not open as a message signed by the sender's device"
}

// show takes what was said: text, or bytes that aren't.
func (m *MessageReport) show(content []byte) {
	if utf8.Valid(content) {
		text := string(content)
		m.Text = &text
	} else {
		m.Data = content
	}
}

// gaps returns the generations that are missing below the highest one.
func gaps(seen map[uint32]bool) []Gap {
	var list []Gap
	next := uint32(0)
	for _, g := range slices.Sorted(maps.Keys(seen)) {
		if g > next {
			list = append(list, Gap{next, g - 1})
		}
		next = g + 1
	}
	return list
}

// stated is BUN-10 and BUN-21: delivery signed this list of messages, this
// group context and this opening time.
func (out *CompartmentReport) stated(c *Compartment, l *capsule.Label, delivery charter.DeliveryKey, where string) error {
	var list capsule.MessageList
	for _, m := range c.Messages {
		list.Add(m.Seq, m.Received, sha256.Sum256(m.Ciphertext))
	}
	s := &capsule.Statement{Conversation: l.Conversation, Epoch: l.Epoch, Leaf: l.Leaf, Opened: l.Opened,
		Context: sha256.Sum256(c.GroupContext), Count: c.Count, Messages: list.Hash()}
	switch {
	case s.Verify(delivery, c.Statement):
		return nil
	case uint64(len(c.Messages)) < uint64(c.Count) || len(out.Gaps) > 0:
		return &CheckError{checkStatements, where, fmt.Errorf("%w: delivery counts %d messages and signed another list than the %d here%s",
			ErrIncomplete, c.Count, len(c.Messages), missing(out.Gaps))}
	}
	return fail(checkStatements, where, "delivery did not sign these %d messages, times and group context", len(c.Messages))
}

func missing(list []Gap) string {
	text := ""
	for _, g := range list {
		text += ", missing " + g.String()
	}
	return text
}
