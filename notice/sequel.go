package notice

import (
	"fmt"
	"strings"

	"writ/ledger"
)

// Outcome is what the ledger's releases mean for a card's compartments.
type Outcome uint8

// The outcomes. By the ledger: custodians who act together off the log leave no trace
// on it.
const (
	NotOpened  Outcome = iota // no custodian has released, or fewer than the law demands
	MaybeOpen                 // custodians released; something was sealed under an earlier version, which says how many it takes
	WereOpened                // as many released as the law demands
)

// String returns the outcome in words.
func (o Outcome) String() string {
	switch o {
	case WereOpened:
		return "opened"
	case MaybeOpen:
		return "released"
	}
	return "not opened"
}

func (c *Card) outcome() Outcome {
	released := map[[2]string]bool{}
	for _, a := range c.Answers {
		if a.Kind == ledger.TypeRelease {
			released[[2]string{a.Office, a.Custodian}] = true
		}
	}
	if len(released) == 0 {
		return NotOpened
	}
	for _, l := range c.Opened {
		if l.Charter != c.LawHash {
			return MaybeOpen
		}
	}
	if c.law.Opens(func(office, custodian string) bool { return released[[2]string{office, custodian}] }) {
		return WereOpened
	}
	return NotOpened
}

func (c *Card) headline() string {
	const asked = "A warrant asked for messages in your conversations to be opened. "
	switch {
	case c.Preserved:
		return "A warrant asked for messages in your conversations to be kept. Nothing was opened under it."
	case c.Outcome == WereOpened:
		return asked + "They were: as many custodians released their parts as the law demands."
	case c.Outcome == MaybeOpen:
		return asked + "Custodians released their parts. Some of it was sealed under an earlier version of the law, " +
			"which says whether they are enough; if they are, it was opened."
	}
	return asked + "By the public ledger they were not: not enough custodians released their parts."
}

// Sealed reports whether what was opened must not be read any more.
func (c *Card) Sealed() bool {
	return len(c.Errors) > 0 || c.Unreviewed || c.Review != nil && c.Review.Outcome == ledger.ReviewRefused
}

var mistakes = map[ledger.ErrorKind]string{
	ledger.WrongPerson: "the person named is not the one who was meant",
	ledger.Unlawful:    "the warrant should not have been issued",
	ledger.BeyondScope: "more was asked for than the warrant meant",
}

// seals says what sealed the opening, since when and by whom, and what the person can do
// (R22, R18).
func (c *Card) seals() (lines []string) {
	for _, e := range c.Errors {
		what := "This was an error"
		if e.Request != c.RequestEntry {
			what = fmt.Sprintf("There was an error under the same warrant, in the request of entry %d", e.Request)
		}
		lines = append(lines, fmt.Sprintf("%s: %s (%v). %s states so in entry %d of the public ledger, where your device saw it on %s.",
			what, mistakes[e.Kind], e.Kind, c.title(e.Office), e.Index, day(e.Seen)))
	}
	if r := c.Review; r != nil && r.Outcome == ledger.ReviewRefused {
		lines = append(lines, fmt.Sprintf("The urgent warrant was refused in review, by %s, in entry %d of the public ledger, where your device saw it on %s.",
			c.titles(r.Offices), r.Index, day(r.Seen)))
	}
	if c.Unreviewed {
		lines = append(lines, fmt.Sprintf("Nobody confirmed the urgent warrant: its review was due on %s, and the public ledger has none. It lapsed then.",
			day(c.ReviewDue)))
	}
	if c.Sealed() {
		lines = append(lines, "What was opened is sealed since then. Custodians release nothing more under the warrant, and nobody may open it or read it. "+
			"What somebody read before that, nothing can take back. You can demand to know who read it, and what becomes of it, from "+
			strings.Join(c.Approved, "; ")+"; these entries of the ledger are your proof in a complaint or in court.")
	}
	return lines
}

func (c *Card) titles(offices []string) string {
	titles := make([]string, len(offices))
	for i, id := range offices {
		titles[i] = c.title(id)
	}
	return strings.Join(titles, "; ")
}

func (c *Card) confirmed() string {
	if r := c.Review; r != nil && r.Outcome == ledger.ReviewConfirmed {
		return fmt.Sprintf(" It was confirmed in review, by %s (entry %d).", c.titles(r.Offices), r.Index)
	}
	return ""
}

var verbs = []struct {
	kind ledger.Type
	says string
}{{ledger.TypeRelease, "released their parts"}, {ledger.TypePreservation, "keep their parts"}}

// answers says what each custodian said on the ledger: a refusal stands for who released
// nothing since.
func (c *Card) answers() (lines []string) {
	gave := map[[2]string]bool{}
	for _, v := range verbs {
		var who []string
		for _, a := range c.Answers {
			if a.Kind == v.kind {
				gave[[2]string{a.Office, a.Custodian}] = true
				who = append(who, fmt.Sprintf("%s of %s (entry %d)", a.Custodian, c.title(a.Office), a.Index))
			}
		}
		if len(who) > 0 {
			lines = append(lines, fmt.Sprintf("Custodians who %s, by the ledger: %d. %s.", v.says, len(who), strings.Join(who, ", ")))
		}
	}
	for _, a := range c.Answers {
		if a.Kind == ledger.TypeRefusal && !gave[[2]string{a.Office, a.Custodian}] {
			lines = append(lines, fmt.Sprintf("Custodian %s of %s refused (entry %d): %s.", a.Custodian, c.title(a.Office), a.Index, Reason(a.Reason)))
		}
	}
	return lines
}
