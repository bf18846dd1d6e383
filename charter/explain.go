package charter

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Explain returns the law in plain sentences, for a person to read before the
// first message. Each is one line: a text of the charter can't begin another.
func (c *Charter) Explain() []string {
	law := fmt.Sprintf("%s, version %d. Jurisdiction: %s. Legal basis: %s.", line(c.Name), c.Number, line(c.Jurisdiction), line(c.LegalBasis))
	if c.Mode == NoAccess {
		return []string{law, "Messages are end-to-end encrypted. There is no exceptional access: " +
			"nobody else holds a key, no capsule is made, and no warrant can open anything."}
	}
	l := &c.Limits
	says := []string{
		law,
		"Messages are end-to-end encrypted with accountable exceptional access.",
		fmt.Sprintf("To open anything takes %s.", c.explainNode(c.Structure)),
		fmt.Sprintf("A warrant needs the signatures of %s.", c.explainRules(c.Approval)),
		c.explainPrivilege(),
		fmt.Sprintf("It is for one person and one of these cases: %s.", strings.Join(c.CaseTypes, ", ")),
		fmt.Sprintf("It covers a window of at most %s and ends after at most %s.", span(l.MaxWindow), span(l.MaxWarrantLife)),
		fmt.Sprintf("At most %s in any period of %s.", count(uint64(l.CapSubjects), "warrant"), span(l.CapPeriod)),
		fmt.Sprintf("The person is told at most %s after the window, at a time that is fixed before anything is opened and that nobody can put off.",
			span(l.MaxNoticeDelay)),
		c.explainUrgent(),
		fmt.Sprintf("Keys change every %s and are destroyed %s after that: what was said before can't be opened any more.",
			span(l.KeyPeriod), span(l.Horizon)),
		c.explainHold(),
		fmt.Sprintf("Each opening shows what one device said in one conversation within at most %s.", span(l.MaxEpochAge)),
		fmt.Sprintf("Nothing happens before a public log has an entry that its witnesses signed within the last %s.", span(l.Freshness)),
		fmt.Sprintf("This law changes only with the signatures of %s, and %s after it was published.",
			c.explainRules(c.Amendment), span(l.ActivationDelay)),
		l.Tariff.explain(),
		fmt.Sprintf("After %s nothing new is authorised under it.", time.Unix(int64(c.Review), 0).UTC().Format("2 January 2006 15:04 UTC")),
	}
	return says
}

func (c *Charter) explainUrgent() string {
	u := c.Limits.Urgent
	if u == nil {
		return "There is no urgent procedure."
	}
	return fmt.Sprintf("In an emergency a warrant ends after at most %s and is reviewed within %s.", span(u.MaxLife), span(u.ReviewWithin))
}

func (c *Charter) explainHold() string {
	if c.Limits.MaxHold == 0 {
		return "Nothing is kept beyond that."
	}
	return fmt.Sprintf("A warrant may have single compartments kept beyond that, unopened, for at most %s after it begins.", span(c.Limits.MaxHold))
}

func (t *Tariff) explain() string {
	if t == nil {
		return "It states no tariff: what openings cost can't be read from the public log."
	}
	return fmt.Sprintf("Who asks pays %s for each opening and %s for each part opened; the public report adds it up.",
		t.Amount(t.PerOpening), t.Amount(t.PerCompartment))
}

// Amount writes hundredths of the tariff's currency, such as "EUR 12.50".
func (t *Tariff) Amount(hundredths uint64) string {
	return fmt.Sprintf("%s %d.%02d", t.Currency, hundredths/100, hundredths%100)
}

func (c *Charter) explainPrivilege() string {
	if len(c.Privilege) == 0 {
		return "It knows no privileged conversations: one so marked can't have a member under this law."
	}
	return fmt.Sprintf("For conversations marked as privileged a warrant needs the signatures of %s too.", c.explainRules(c.Privilege))
}

// explainNode says a gate in words. A gate of custodians of one office is named
// by it.
func (c *Charter) explainNode(n *Node) string {
	if len(n.Children) == 0 {
		return fmt.Sprintf("custodian %s of %s", n.Custodian, c.title(n.Office))
	}
	if office, ok := n.office(); ok {
		return fmt.Sprintf("%d of %s of %s", n.Threshold, count(uint64(len(n.Children)), "custodian"), c.title(office))
	}
	var parts []string
	for _, child := range n.Children {
		parts = append(parts, c.explainNode(child))
	}
	if int(n.Threshold) == len(n.Children) {
		return join(parts, "and")
	}
	return fmt.Sprintf("%d of these %d: (%s)", n.Threshold, len(parts), strings.Join(parts, "; "))
}

// office returns the office whose custodians alone are the node's children.
func (n *Node) office() (id string, ok bool) {
	id = n.Children[0].Office
	other := func(c *Node) bool { return len(c.Children) > 0 || c.Office != id }
	return id, !slices.ContainsFunc(n.Children, other)
}

func (c *Charter) explainRules(rs Rules) string {
	var parts []string
	for _, r := range rs {
		n := 0
		if o := c.Office(r.Office); o != nil {
			n = len(o.Approvers)
		}
		parts = append(parts, fmt.Sprintf("%d of %s of %s", r.Threshold, count(uint64(n), "approver"), c.title(r.Office)))
	}
	return join(parts, "and")
}

func (c *Charter) title(office string) string {
	if o := c.Office(office); o != nil {
		return line(o.Title)
	}
	return office
}

// line puts a text on one line.
func line(s string) string { return strings.Join(strings.Fields(s), " ") }

func join(parts []string, word string) string {
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	last := len(parts) - 1
	return strings.Join(parts[:last], ", ") + " " + word + " " + parts[last]
}

// span says a length of time in the largest unit that divides it.
func span(s uint64) string {
	switch {
	case s >= 2*day && s%day == 0:
		return count(s/day, "day")
	case s >= 60*minute && s%(60*minute) == 0:
		return count(s/(60*minute), "hour")
	case s >= minute && s%minute == 0:
		return count(s/minute, "minute")
	}
	return count(s, "second")
}

func count(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
