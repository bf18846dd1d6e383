package audit

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// figures are the lines of every table, from which each form is made.
var figures = []struct {
	Name string
	Rule string
	Of   func(*Numbers) string
}{
	{"orders authorised", "AUD-10", func(n *Numbers) string { return strconv.Itoa(n.Orders) }},
	{"of these urgent", "AUD-10", func(n *Numbers) string { return strconv.Itoa(n.Urgent) }},
	{"of these renewals", "AUD-10", func(n *Numbers) string { return strconv.Itoa(n.Renewals) }},
	{"of these for privileged words", "AUD-10", func(n *Numbers) string { return strconv.Itoa(n.Privileged) }},
	{"of these only to preserve", "AUD-10", func(n *Numbers) string { return strconv.Itoa(n.Preserving) }},
	{"of these cancelled", "AUD-21", func(n *Numbers) string { return strconv.Itoa(n.Cancelled) }},
	{"urgent ones confirmed in review", "AUD-21", func(n *Numbers) string { return strconv.Itoa(n.Confirmed) }},
	{"urgent ones refused in review", "AUD-21", func(n *Numbers) string { return strconv.Itoa(n.Refused) }},
	{"of these beyond the cap", "AUD-12", func(n *Numbers) string { return strconv.Itoa(n.BeyondCap) }},
	{"average life authorised", "AUD-11", func(n *Numbers) string { return length(n.MeanLife) }},
	{"longest life authorised", "AUD-11", func(n *Numbers) string { return length(n.LongestLife) }},
	{"average window", "AUD-11", func(n *Numbers) string { return length(n.MeanWindow) }},
	{"requests", "AUD-13", func(n *Numbers) string { return strconv.Itoa(n.Requests) }},
	{"compartments asked for", "AUD-13", func(n *Numbers) string { return strconv.Itoa(n.Requested) }},
	{"openings", "AUD-15", func(n *Numbers) string { return strconv.Itoa(n.Openings) }},
	{"compartments opened", "AUD-15", func(n *Numbers) string { return strconv.Itoa(n.Opened) }},
	{"holds by custodians", "AUD-23", func(n *Numbers) string { return strconv.Itoa(n.Holds) }},
	{"of these ended", "AUD-23", func(n *Numbers) string { return strconv.Itoa(n.HoldEnds) }},
	{"readings of bundles", "AUD-20", func(n *Numbers) string { return strconv.Itoa(n.Readings) }},
	{"of these exports", "AUD-20", func(n *Numbers) string { return strconv.Itoa(n.Exports) }},
	{"errors found", "AUD-22", func(n *Numbers) string { return strconv.Itoa(n.Errors) }},
	{"releases by custodians", "AUD-17", func(n *Numbers) string { return strconv.Itoa(n.Releases) }},
	{"refusals by custodians", "AUD-14", func(n *Numbers) string { return strconv.Itoa(n.Refusals) }},
	{"orders that a custodian refused", "AUD-14", func(n *Numbers) string { return strconv.Itoa(n.OrdersRefused) }},
	{"cost of openings", "AUD-16", func(n *Numbers) string { return n.cost() }},
	{"median time to review", "AUD-7", func(n *Numbers) string { return n.ToReview.median() }},
	{"median time to opening", "AUD-7", func(n *Numbers) string { return n.ToOpening.median() }},
}

// breakdowns are the tables of counts by something.
var breakdowns = []struct {
	Name string
	Of   func(*Numbers) map[string]int
}{
	{"orders by case type", func(n *Numbers) map[string]int { return n.ByCaseType }},
	{"errors by kind", func(n *Numbers) map[string]int { return n.ErrorsByKind }},
	{"orders by approving office", func(n *Numbers) map[string]int { return n.ByOffice }},
	{"approvals by office", func(n *Numbers) map[string]int { return n.ApprovalsByOffice }},
	{"releases by custodian", func(n *Numbers) map[string]int { return n.ReleasesByCustodian }},
	{"refusals by custodian", func(n *Numbers) map[string]int { return n.RefusalsByCustodian }},
	{reasonsName, func(n *Numbers) map[string]int { return n.RefusalsByReason }},
}

const reasonsName = "refusals by reason"

// Figure is one line of a table, for people.
type Figure struct{ Name, Rule, Value string }

// Figures returns the lines of a table.
func (t *Table) Figures() (list []Figure) {
	for _, f := range figures {
		list = append(list, Figure{f.Name, f.Rule, f.Of(&t.Numbers)})
	}
	return list
}

// Count is a number of things of a name.
type Count struct {
	Name string
	N    int
}

// Breakdown is a table of counts.
type Breakdown struct {
	Name   string
	Counts []Count
}

// breakdowns returns the tables of counts that are not empty.
func (r *Report) breakdowns(n *Numbers) (list []Breakdown) {
	for _, b := range breakdowns {
		d := Breakdown{Name: b.Name}
		counts := b.Of(n)
		for _, key := range slices.Sorted(maps.Keys(counts)) {
			name := key
			if b.Name == reasonsName {
				name = r.reasonText(key)
			}
			d.Counts = append(d.Counts, Count{name, counts[key]})
		}
		if len(d.Counts) > 0 {
			list = append(list, d)
		}
	}
	return list
}

// undated counts the refusals of requests that are not on the log, by reason.
func (r *Report) undated(l *Law) (list []Count) {
	for _, code := range slices.Sorted(maps.Keys(l.Undated)) {
		list = append(list, Count{r.reasonText(code), l.Undated[code]})
	}
	return list
}

// reasonText says a reason code of the statistics in words.
func (r *Report) reasonText(key string) string {
	code, err := strconv.ParseUint(key, 10, 8)
	if err != nil || r.reason == nil {
		return "reason " + key
	}
	return r.reason(uint8(code))
}

func (n *Numbers) cost() string {
	if len(n.Cost) == 0 {
		return "0"
	}
	text := ""
	for _, currency := range slices.Sorted(maps.Keys(n.Cost)) {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%s %d.%02d", currency, n.Cost[currency]/100, n.Cost[currency]%100)
	}
	return text
}

func (l *Lengths) median() string {
	if l == nil {
		return "not recorded"
	}
	return length(l.Median)
}

// length says seconds for people.
func length(seconds uint64) string {
	const hour, day = 3600, 24 * 3600
	switch {
	case seconds >= 2*day:
		return strconv.FormatFloat(float64(seconds)/day, 'f', 1, 64) + " days"
	case seconds >= 2*hour:
		return strconv.FormatFloat(float64(seconds)/hour, 'f', 1, 64) + " hours"
	case seconds >= 120:
		return strconv.FormatUint(seconds/60, 10) + " minutes"
	}
	if seconds == 1 {
		return "1 second"
	}
	return strconv.FormatUint(seconds, 10) + " seconds"
}
