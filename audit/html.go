package audit

import (
	"bytes"
	_ "embed"
	"html/template"
	"time"
)

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"when": func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04:05 UTC") },
	"day":  func(t time.Time) string { return t.UTC().Format("2006-01-02") },
	"long": length,
	"add":  func(a, b int) int { return a + b },
}).Parse(page))

// lawView is a law with what the page draws of it.
type lawView struct {
	*Law
	Plot    *CapPlot
	Undated []Count
	Parts   []tableView
}

type tableView struct {
	*Table
	Title      string
	Open       bool // shown unfolded
	Breakdowns []Breakdown
	Custodians *SharePlot
	Reviews    *SharePlot
	Openings   *SharePlot
}

// HTML returns the report as one page that needs nothing else and runs no
// script, to be read on a screen or printed.
func (r *Report) HTML() []byte {
	view := struct {
		*Report
		Views []lawView
	}{Report: r}
	for i := range r.Laws {
		view.Views = append(view.Views, r.lawView(&r.Laws[i]))
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, view); err != nil {
		panic("audit: report: " + err.Error()) // of fixed fields, into memory
	}
	return b.Bytes()
}

func (r *Report) lawView(l *Law) lawView {
	v := lawView{Law: l, Plot: l.capPlot(), Undated: r.undated(l)}
	for i := range l.Tables {
		t := &l.Tables[i]
		v.Parts = append(v.Parts, tableView{Table: t, Title: t.title(), Open: i == 0,
			Breakdowns: r.breakdowns(&t.Numbers), Custodians: t.custodianPlot(), Reviews: t.ToReview.plot(), Openings: t.ToOpening.plot()})
	}
	return v
}

func (t *Table) title() string {
	kind := map[string]string{"people": "Warrants for people", "drills": "Drills on synthetic accounts"}[t.Kind]
	if t.Span == "all" {
		return kind + ", since the beginning"
	}
	return kind + ", " + t.Span
}
