package bundle

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Text returns the report as plain text. Every line of a message begins with
// "| ", so that no message can look like a line of the report.
func (r *Report) Text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	w := &r.Warrant
	line("EVIDENCE under warrant %s", inline(w.Reference))
	line("%s", r.Verdict())
	for _, m := range slices.Concat(r.Unproven, r.Missing) {
		line("  ! %s", m)
	}
	line("\nWarrant %s", w.ID)
	for _, f := range r.facts() {
		line("  %-22s %s", f.Name, inline(f.Value))
	}
	for i := range r.Compartments {
		line("")
		r.Compartments[i].text(i+1, line)
	}
	line("\nChecks")
	for _, c := range r.Checks {
		line("  %-22s %4d  %s", c.Name, c.Count, c.Shows)
	}
	line("\nWhat this file does not show")
	for _, l := range r.Limits {
		line("  - %s", l)
	}
	line("\nFile: %d bytes, SHA-256 %s", r.Size, r.SHA256)
	return b.String()
}

func (c *CompartmentReport) text(n int, line func(string, ...any)) {
	line("Compartment %d: %s, device %s", n, c.Account, c.Device)
	line("  conversation %s, epoch %d, opened %s", c.Conversation, c.Epoch, c.Opened)
	line("  signing key %s", c.SigningKey)
	if k := c.Key; k != nil {
		mark := " "
		if !k.Proven {
			mark = "!"
		}
		line("  %s %s", mark, k.Text())
		if k.Directory != nil {
			line("    %s", k.Directory)
		}
	}
	if c.Unopened {
		line("  ! its capsule was forged and opens nothing; messages by delivery's count: %d", c.Count)
		return
	}
	for _, row := range c.rows() {
		if row.Gap != nil {
			line("  ! %s missing", row.Gap)
			continue
		}
		m := row.Message
		line("  [%d] %s", m.Seq, m.Received)
		if note := m.note(); note != "" {
			line("  ! %s", note)
		}
		if m.Aside != "" {
			continue
		}
		for l := range strings.SplitSeq(m.plain(), "\n") {
			line("  | %s", l)
		}
	}
}

// note says what is odd about a message.
func (m *MessageReport) note() string {
	switch {
	case m.Aside != "":
		return "Set aside, no evidence: " + m.Aside + "."
	case m.Repeated:
		return "Same place in the sender's count as a message before it: recipients' devices show only the first."
	}
	return ""
}

// plain is the message for a reader's eye: characters that could not be seen
// or could change how others look are written out.
func (m *MessageReport) plain() string {
	if m.Text == nil {
		return fmt.Sprintf("(%d bytes that are not text: %x)", len(m.Data), m.Data)
	}
	return Visible(*m.Text)
}

// Visible writes out characters that control, hide or reorder text. The joiners of
// scripts and emoji stay, and so do line feeds.
func Visible(s string) string {
	var b strings.Builder
	for _, c := range s {
		if c == '\n' || c == '\u200c' || c == '\u200d' || unicode.IsGraphic(c) {
			b.WriteRune(c)
		} else {
			fmt.Fprintf(&b, "⟦U+%04X⟧", c)
		}
	}
	return b.String()
}

func inline(s string) string { return strings.ReplaceAll(Visible(s), "\n", " ⏎ ") }

// row is a message or a gap, in the order in which a reader expects them.
type row struct {
	Message *MessageReport
	Gap     *Gap
}

// rows puts each gap before the first message of a later generation.
func (c *CompartmentReport) rows() []row {
	var list []row
	gaps := c.Gaps
	for i := range c.Messages {
		m := &c.Messages[i]
		for len(gaps) > 0 && m.Generation != nil && *m.Generation > gaps[0].To {
			list = append(list, row{Gap: &gaps[0]})
			gaps = gaps[1:]
		}
		list = append(list, row{Message: m})
	}
	return list
}

// Verdict is the report in a sentence or two.
func (r *Report) Verdict() string {
	n, unproven := 0, 0
	for i := range r.Compartments {
		c := &r.Compartments[i]
		n += c.shown()
		if c.unproven(i+1) != "" {
			unproven += c.shown()
		}
	}
	verdict := fmt.Sprintf("Every check passed: %d messages, each signed by the device of its sender.", n)
	switch {
	case !r.KeysProven:
		verdict = fmt.Sprintf("WHOSE KEY SIGNED IS NOT PROVEN for %d of %d messages. Every other check passed.", unproven, n)
	case n == 1:
		verdict = "Every check passed: one message, signed by the device of its sender."
	}
	if r.Complete {
		return verdict + " Nothing is missing."
	}
	return verdict + " It is INCOMPLETE:"
}

// fact is a line of the warrant's table.
type fact struct{ Name, Value string }

// facts lists what a reader must know first.
func (r *Report) facts() []fact {
	w, c := &r.Warrant, &r.Charter
	list := []fact{
		{"Subject", w.Subject + ": " + w.Direction},
		{"Asked for by", w.LegalEntity},
		{"Kind", w.LegalType + ", case type " + w.CaseType},
		{"Jurisdiction", w.Jurisdiction},
		{"Reaches messages", "from " + w.WindowStart + " until " + w.WindowEnd},
		{"In force", "from " + w.NotBefore + " until " + w.NotAfter},
		{"Conversations", conversations(w.Conversations)},
		{"Why it was needed", w.Necessity},
		{"Why nothing milder", w.LeastIntrusive},
		{"Subject is told by", w.NoticeDue},
	}
	if w.Emergency {
		list = append(list, fact{"Emergency", "yes: it lived shorter and is reviewed afterwards"})
	}
	if w.Test {
		list = append(list, fact{"Test", "yes: synthetic accounts only"})
	}
	for _, a := range w.Approvals {
		list = append(list, fact{"Approved by", fmt.Sprintf("%s for %s", a.Approver, a.Title)})
	}
	for _, x := range r.Releases {
		list = append(list, fact{"Released by", fmt.Sprintf("%s of %s, log entry %d, on the log by %s", x.Custodian, x.Office, x.Index, x.Logged)})
	}
	for _, x := range r.Readings {
		list = append(list, fact{"Read by", fmt.Sprintf("%s (%s), log entry %d, on the log by %s", x.Reader, x.Purpose, x.Index, x.Logged)})
	}
	return append(list,
		fact{"Law", fmt.Sprintf("%s, version %d (%s)", c.Name, c.Version, c.LegalBasis)},
		fact{"Law's fingerprint", c.Hash},
		fact{"Public log", fmt.Sprintf("%s: warrant is entry %d, request entry %d", r.Log.Origin, w.Index, w.Request)},
		fact{"Watched by", strings.Join(r.Log.Witnesses, ", ")})
}

func conversations(list []string) string {
	if len(list) == 0 {
		return "all of the subject's"
	}
	return strings.Join(list, ", ")
}
