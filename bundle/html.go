package bundle

import (
	"bytes"
	_ "embed"
	"html/template"

	"writ/warrant"
)

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"visible": Visible,
	"clock":   clock,
	"add":     func(a, b int) int { return a + b },
}).Parse(page))

// HTML returns the report as one page that needs nothing else and runs no
// script, to be read on a screen or printed.
func (r *Report) HTML() []byte {
	type compartment struct {
		*CompartmentReport
		Rows []row
	}
	view := struct {
		*Report
		Facts []fact
		Parts []compartment
	}{Report: r, Facts: r.facts()}
	for i := range r.Compartments {
		c := &r.Compartments[i]
		view.Parts = append(view.Parts, compartment{c, c.rows()})
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, view); err != nil {
		panic("bundle: report: " + err.Error()) // of fixed fields, into memory
	}
	return b.Bytes()
}

// clock writes an RFC 3339 time in UTC for people, to the second.
func clock(t string) string {
	if len(t) < len("2006-01-02T15:04:05") {
		return t
	}
	return t[:10] + " " + t[11:19]
}

// Plain is the message as the page shows it.
func (m *MessageReport) Plain() string { return m.plain() }

// Note says what is odd about a message, or is empty.
func (m *MessageReport) Note() string { return m.note() }

// Whose says whose words they are.
func (r *Report) Whose() string {
	if r.Warrant.Direction != direction(warrant.Sent) {
		return "sent and received"
	}
	return "sent"
}
