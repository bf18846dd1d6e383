package notice

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"writ/capsule"
	"writ/charter"
	"writ/ledger"
	"writ/notice/beacon"
	"writ/warrant"
)

// Errors wrapped by this package's errors.
var (
	ErrInvalid = errors.New("invalid")
	ErrRefused = errors.New("refused")
)

// Compartment is a capsule of the person's own conversations, as the device
// recorded it when it checked the capsule.
type Compartment struct {
	Hash  capsule.Hash
	Label *capsule.Label
}

// Card is what a person is shown who was opened. Times are UTC.
type Card struct {
	WarrantEntry uint64   // index on the ledger
	Commitment   [32]byte // to the warrant, which bears its number and grounds
	RequestEntry uint64
	RequestHash  ledger.EntryHash

	Law          string // name and version
	LawHash      charter.Hash
	Jurisdiction string
	LegalBasis   string
	Approved     []string // titles of the offices that approved the warrant
	CaseType     string

	ValidFrom, ValidUntil time.Time     // the warrant's life
	Window                time.Duration // how long a time it covered
	LongestDelay          time.Duration // of a notice, by the law, after that window
	Round                 uint64
	Due                   time.Time // when the round came
	Urgent, Test          bool
	Preserved             bool // asked for to be kept only, not to be opened

	Opened        []*capsule.Label // of the person's conversations, by time
	Outcome       Outcome
	ledger.Sequel           // what the ledger says since
	ReviewDue     time.Time // of an urgent warrant
	Order         *Order    // nil until somebody shows the person the warrant

	law *charter.Charter
}

// Order is what the readable warrant adds to a card.
type Order struct {
	Reference, LegalType, LegalEntity string
	WindowStart, WindowEnd            string
	Necessity                         string
}

// NewCard makes the card of a notice, or refuses what doesn't belong together:
// the charter the warrant entry names, the two entries, the verified signature of the
// request's round, and at least one compartment, each listed by the request.
func NewCard(n *ledger.Notice, opened []Compartment) (*Card, error) {
	law, w, r, sig := n.Law, n.Warrant, n.Request, n.Signature
	b := law.Beacon
	if b == nil {
		return nil, fmt.Errorf("notice: %w: the charter has no exceptional access", ErrInvalid)
	}
	due, err := b.Time(r.Round)
	switch {
	case err != nil:
		return nil, err
	case law.Hash() != w.Charter:
		return nil, refused("the warrant stands under another charter")
	case r.WarrantIndex != w.Index || r.Warrant != w.Hash:
		return nil, refused("the request is not of this warrant")
	case sig.Round() != r.Round:
		return nil, refused("the signature is of round %d, the notice of round %d", sig.Round(), r.Round)
	}
	if _, err := b.Key.Verify(r.Round, sig.Bytes()); err != nil {
		return nil, err
	}
	labels, err := openedBy(r, sig, opened)
	if err != nil {
		return nil, err
	}
	c := newCard(law, w, r)
	c.Due, c.Opened, c.Sequel = utc(due), labels, n.Sequel
	c.Outcome = c.outcome()
	return c, nil
}

// openedBy returns the labels of compartments that the request lists.
func openedBy(r *ledger.LoggedRequest, sig *beacon.Signature, opened []Compartment) ([]*capsule.Label, error) {
	salt, err := beacon.Unlock(r.Timelock, sig)
	if err != nil {
		return nil, err
	}
	hashes, labels := make([]capsule.Hash, len(opened)), make([]*capsule.Label, len(opened))
	for i, o := range opened {
		hashes[i], labels[i] = o.Hash, o.Label
	}
	if listed := len(Match(r.Leaves, salt, hashes)); listed == 0 || listed < len(opened) {
		return nil, refused("the request lists %d of %d compartments", listed, len(opened))
	}
	slices.SortStableFunc(labels, func(a, b *capsule.Label) int { return a.OpenedAt().Compare(b.OpenedAt()) })
	return labels, nil
}

func newCard(law *charter.Charter, w *ledger.LoggedWarrant, r *ledger.LoggedRequest) *Card {
	c := &Card{
		WarrantEntry: w.Index, Commitment: w.Commitment, RequestEntry: r.Index, RequestHash: r.Hash,
		Law: fmt.Sprintf("%s, version %d", law.Name, law.Number), LawHash: w.Charter,
		Jurisdiction: law.Jurisdiction, LegalBasis: law.LegalBasis, CaseType: w.CaseType,
		ValidFrom: utc(w.NotBefore), ValidUntil: utc(w.NotAfter), Window: seconds(w.Window),
		LongestDelay: seconds(law.Limits.MaxNoticeDelay), Round: r.Round,
		Urgent: w.IsEmergency(), Test: w.IsTest(), Preserved: w.Action == warrant.Preserve,
		law: law,
	}
	if u := law.Limits.Urgent; c.Urgent && u != nil {
		c.ReviewDue = utc(w.NotBefore + u.ReviewWithin)
	}
	for _, id := range w.Offices {
		c.Approved = append(c.Approved, c.title(id))
	}
	return c
}

func (c *Card) title(office string) string {
	if o := c.law.Office(office); o != nil {
		return o.Title
	}
	return office
}

// Show adds the readable warrant, which somebody gave the person with the salt of
// its commitment. It refuses any but the one on the ledger.
func (c *Card) Show(w *warrant.Warrant, salt [32]byte) error {
	if warrant.Commitment(salt, w.Hash()) != c.Commitment {
		return refused("not the warrant of entry %d", c.WarrantEntry)
	}
	c.Order = &Order{w.Reference, w.LegalType, w.LegalEntity, w.WindowStart, w.WindowEnd, w.Necessity}
	return nil
}

// Lines returns the card in plain sentences (R17).
func (c *Card) Lines() []string {
	lines := []string{c.headline()}
	if c.Test {
		lines[0] = "This is a test on an account made for tests. No real person's messages were opened."
	}
	lines = append(lines, c.seals()...)
	for _, l := range c.Opened {
		lines = append(lines, fmt.Sprintf("Meant: what %s wrote with the device %s in the conversation %x from %s on, "+
			"until the keys changed (epoch %d).",
			l.Account, l.Device, l.Conversation, day(l.OpenedAt()), l.Epoch))
	}
	lines = append(lines, c.answers()...)
	lines = append(lines, c.authority()...)
	return append(lines, c.delay(), c.remedy())
}

func (c *Card) authority() []string {
	lines := []string{
		fmt.Sprintf("The warrant: entry %d of the public ledger, reference %x. "+
			"The request for these messages: entry %d, reference %x.",
			c.WarrantEntry, c.Commitment, c.RequestEntry, c.RequestHash),
		fmt.Sprintf("It was valid from %s until %s, for a case of the type %s, and covered a time of %s.",
			day(c.ValidFrom), day(c.ValidUntil), c.CaseType, span(c.Window)),
		fmt.Sprintf("Approved by: %s. Jurisdiction: %s. Legal basis: %s. Law: %s, %s.",
			strings.Join(c.Approved, "; "), c.Jurisdiction, c.LegalBasis, c.Law, c.LawHash),
	}
	if c.Urgent {
		lines = append(lines, "It was issued by the urgent procedure."+c.confirmed())
	}
	if o := c.Order; o != nil {
		lines = append(lines, fmt.Sprintf("You were shown the warrant: %s (%s) by %s, for the time from %s until %s. "+
			"Its grounds: %s",
			o.Reference, o.LegalType, o.LegalEntity, o.WindowStart, o.WindowEnd, o.Necessity))
	}
	return lines
}

func (c *Card) delay() string {
	return fmt.Sprintf("You were not told at once, because that can defeat an inquiry. The law allows a delay of at most %s "+
		"after the time that the warrant covers. The date, %s (round %d of the beacon), was fixed before anything was opened, "+
		"and nobody could put it off.",
		span(c.LongestDelay), day(c.Due), c.Round)
}

func (c *Card) remedy() string {
	return fmt.Sprintf("You can ask those who approved it for the warrant and its grounds: the reference above shows whether "+
		"what you get is that one. You can complain to them, and have the courts of %s examine it. "+
		"Keep this card: anyone can check it against the public ledger.", c.Jurisdiction)
}

// span says a length of time in the largest unit that divides it.
func span(d time.Duration) string {
	for _, u := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := d / u.length; n > 0 && d%u.length == 0 {
			if n > 1 {
				u.name += "s"
			}
			return fmt.Sprintf("%d %s", n, u.name)
		}
	}
	return "0 seconds"
}

func seconds(s uint64) time.Duration { return time.Duration(s) * time.Second }

func utc(s uint64) time.Time { return time.Unix(int64(s), 0).UTC() }

func day(t time.Time) string { return t.UTC().Format("2 January 2006 15:04 UTC") }

func refused(format string, args ...any) error {
	return fmt.Errorf("notice: %w: "+format, append([]any{ErrRefused}, args...)...)
}
