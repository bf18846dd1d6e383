package audit

import (
	"bytes"
	"encoding/csv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// CSV returns the report as tables, by file name: one header line each, RFC
// 4180. A cell that a spreadsheet would take for a formula begins with a quote.
func (r *Report) CSV() map[string][]byte {
	return map[string][]byte{
		"numbers.csv":      r.numbersCSV(),
		"counts.csv":       r.countsCSV(),
		"cap.csv":          r.capCSV(),
		"findings.csv":     r.findingsCSV(),
		"witnesses.csv":    r.witnessesCSV(),
		"versions.csv":     r.versionsCSV(),
		"not-recorded.csv": r.gapsCSV(),
	}
}

func table(header string, rows [][]string) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.Write(strings.Split(header, " "))
	for _, row := range rows {
		for i, cell := range row {
			if first, _ := utf8.DecodeRuneInString(cell); strings.ContainsRune("=+-@\t\r＝＋－＠", first) {
				row[i] = "'" + cell
			}
		}
		w.Write(row)
	}
	w.Flush() // into memory
	return b.Bytes()
}

// each calls f for every table of every law.
func (r *Report) each(f func(law string, t *Table)) {
	for i := range r.Laws {
		for j := range r.Laws[i].Tables {
			f(r.Laws[i].Name, &r.Laws[i].Tables[j])
		}
	}
}

// numbersCSV has lengths in seconds and cost in hundredths, one row a table.
func (r *Report) numbersCSV() []byte {
	var rows [][]string
	r.each(func(law string, t *Table) {
		row := []string{law, t.Kind, t.Span}
		for _, n := range []int{t.Orders, t.Urgent, t.Renewals, t.Privileged, t.Preserving, t.Cancelled, t.Confirmed, t.Refused, t.BeyondCap, t.Requests, t.Requested, t.Openings, t.Opened, t.Holds, t.HoldEnds, t.Readings, t.Exports, t.Errors, t.Releases, t.Refusals, t.OrdersRefused} {
			row = append(row, strconv.Itoa(n))
		}
		rows = append(rows, append(row, number(t.MeanLife), number(t.LongestLife), number(t.MeanWindow), t.ToReview.cell(), t.ToOpening.cell()))
	})
	return table("law kind span orders urgent renewals privileged preserving cancelled reviews_confirmed reviews_refused beyond_cap requests compartments_requested openings compartments_opened holds hold_ends readings exports errors releases refusals orders_refused "+
		"mean_life_seconds longest_life_seconds mean_window_seconds median_seconds_to_review median_seconds_to_opening", rows)
}

// cell is the median, empty where it is not recorded.
func (l *Lengths) cell() string {
	if l == nil {
		return ""
	}
	return number(l.Median)
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

func (r *Report) countsCSV() []byte {
	var rows [][]string
	r.each(func(law string, t *Table) {
		for _, d := range r.breakdowns(&t.Numbers) {
			for _, c := range d.Counts {
				rows = append(rows, []string{law, t.Kind, t.Span, d.Name, c.Name, strconv.Itoa(c.N)})
			}
		}
		for _, currency := range slices.Sorted(maps.Keys(t.Cost)) {
			rows = append(rows, []string{law, t.Kind, t.Span, "cost in hundredths", currency, number(t.Cost[currency])})
		}
	})
	return table("law kind span what name count", rows)
}

func (r *Report) capCSV() []byte {
	var rows [][]string
	for _, l := range r.Laws {
		for _, c := range l.Caps {
			rows = append(rows, []string{l.Name, c.From.Format(time.RFC3339), c.To.Format(time.RFC3339), strconv.Itoa(c.Warrants), number(uint64(c.Cap))})
		}
	}
	return table("law from to warrants cap", rows)
}

func (r *Report) findingsCSV() []byte {
	var rows [][]string
	for _, f := range r.Findings {
		rows = append(rows, []string{number(f.Index), f.Type, f.Rule, f.Problem})
	}
	return table("index type rule problem", rows)
}

func (r *Report) witnessesCSV() []byte {
	var rows [][]string
	for _, w := range r.Log.Witnesses {
		at := ""
		if w.Cosigned != nil {
			at = w.Cosigned.Format(time.RFC3339)
		}
		rows = append(rows, []string{w.Name, at, number(w.Age)})
	}
	return table("witness cosigned age_seconds", rows)
}

func (r *Report) versionsCSV() []byte {
	var rows [][]string
	for _, l := range r.Laws {
		for _, v := range l.Versions {
			rows = append(rows, []string{l.Name, number(uint64(v.Number)), v.Hash, number(v.Index), strconv.FormatBool(v.InForce), v.Review.Format(time.RFC3339), v.Tariff})
		}
	}
	return table("law number hash index in_force review tariff", rows)
}

func (r *Report) gapsCSV() []byte {
	var rows [][]string
	for _, g := range r.NotRecorded {
		rows = append(rows, []string{g.What, g.Why})
	}
	return table("what why", rows)
}
