package audit

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Text returns the report as plain text.
func (r *Report) Text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	r.Log.text(r.Entries, line)
	for i := range r.Laws {
		line("")
		r.Laws[i].text(r, line)
	}
	line("\nnot recorded")
	for _, g := range r.NotRecorded {
		line("  - %s: %s", g.What, g.Why)
	}
	line("")
	for _, f := range r.Findings {
		line("FINDING at %d (%s), %s: %s", f.Index, f.Type, f.Rule, oneLine(f.Problem))
	}
	if r.Holds {
		line("every entry counts, every signature and rule holds")
	}
	return b.String()
}

func (l *Log) text(entries uint64, line func(string, ...any)) {
	line("log %s: %d entries, root %s", l.Origin, entries, l.Root)
	line("witnessed %s, %s before this report", l.Witnessed.Format(time.RFC3339), length(l.Age))
	for _, w := range l.Witnesses {
		line("  %-26s%s", "witness "+w.Name, w.words())
	}
}

func (w *Witness) words() string {
	if w.Cosigned == nil {
		return "did not cosign"
	}
	return "cosigned " + length(w.Age) + " before this report"
}

func (l *Law) text(r *Report, line func(string, ...any)) {
	line("%s", oneLine(l.Name))
	for i := range l.Versions {
		line("  version %-18d%s", l.Versions[i].Number, l.Versions[i].words())
	}
	line("  %-26s%d, destroyed %d", "custodians' keys", l.Keys, l.Gone)
	for _, c := range l.Caps {
		line("  %-26s%s: %d warrants of %d", "cap", c.From.Format("2006-01-02 15:04")+" for "+length(uint64(c.To.Sub(c.From)/time.Second)), c.Warrants, c.Cap)
	}
	for i := range l.Tables {
		l.Tables[i].text(r, line)
	}
	for _, c := range r.undated(l) {
		line("  %d x refused, of requests that are not on the log: %s", c.N, c.Name)
	}
}

func (v *Version) words() string {
	text := "entry " + strconv.FormatUint(v.Index, 10) + ", " + v.Hash[:16]
	if v.InForce {
		text += ", in force"
	}
	if !v.Access {
		return text + ", no exceptional access"
	}
	if v.Tariff != "" {
		text += ", " + v.Tariff
	}
	return text + ", review " + v.Review.Format("2006-01-02")
}

func (t *Table) text(r *Report, line func(string, ...any)) {
	line("  %s, %s", map[string]string{"people": "warrants for people", "drills": "drills"}[t.Kind], t.Span)
	for _, f := range t.Figures() {
		line("    %-32s%s", f.Name, f.Value)
	}
	for _, d := range r.breakdowns(&t.Numbers) {
		line("    %s", d.Name)
		for _, c := range d.Counts {
			line("      %4d x  %s", c.N, c.Name)
		}
	}
}

// oneLine keeps a text of the log from looking like a line of the report.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
