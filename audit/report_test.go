package audit

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"writ/charter"
	"writ/directory"
	"writ/ledger"
)

// Two auditors of one log make one report; what follows the book's own numbers
// agrees with them.
func TestReportIsAFunctionOfTheLog(t *testing.T) {
	w := newWorld(t)
	w.story()
	c := w.checkpoint(2)
	a := w.audit()
	one, two := a.Report(w.policy, c, Options{Now: begun}), w.audit().Report(w.policy, c, Options{Now: begun})
	x, _ := json.Marshal(one)
	y, _ := json.Marshal(two)
	if !bytes.Equal(x, y) {
		t.Error("two audits differ")
	}
	book, all := a.Book().Statistics().Laws[w.Charter.Name], one.Laws[0].Tables[0]
	if all.Orders != book.Real.Warrants || all.Urgent != book.Real.Emergencies || all.Requested != book.Real.Compartments || !maps.Equal(all.ApprovalsByOffice, book.Real.ApprovalsByOffice) ||
		one.Laws[0].Keys != book.CustodianKeys || one.Laws[0].Gone != book.Destructions {
		t.Errorf("the book counts %+v, the report %+v", book.Real, all.Numbers)
	}
	for _, u := range one.Laws[0].Caps {
		if n := a.Book().WarrantsInPeriod(w.Charter.Hash(), u.From, false); n != u.Warrants {
			t.Errorf("period %v: %d warrants, the book counts %d", u.From, u.Warrants, n)
		}
	}
	if n := len(one.Laws[0].Caps); n != 4 {
		t.Errorf("%d cap periods", n)
	}
}

// Findings carry index and rule, overdue keys and a stale checkpoint among them.
func TestFindings(t *testing.T) {
	w := newWorld(t)
	w.story()
	c := w.checkpoint(1)
	rules := func(o Options) (s string) {
		for _, f := range w.audit().Findings(c, o) {
			s += f.Rule + " "
		}
		return strings.TrimSpace(s)
	}
	now := time.Now()
	if got := rules(Options{Now: begun}); got != "LED-54 LED-51 LED-50 LED-63" {
		t.Errorf("findings %s", got)
	}
	if got := rules(Options{Now: now, MaxAge: time.Minute}); strings.Contains(got, "AUD-3") {
		t.Errorf("a fresh checkpoint: %s", got)
	}
	if got := rules(Options{Now: now.Add(2 * time.Minute), MaxAge: time.Minute}); !strings.HasSuffix(got, "AUD-3") {
		t.Errorf("a stale checkpoint: %s", got)
	}
	due := time.Unix(int64(w.Charter.DestroyBy(w.Charter.Period(begun))), 0)
	if got := rules(Options{Now: due.Add(11 * time.Minute)}); strings.Count(got, "LED-60") != 7 { // eight custodians, one destroyed
		t.Errorf("overdue: %s", got)
	}
	r := w.audit().Report(w.policy, c, Options{Now: now})
	if r.Log.Witnesses[0].Cosigned == nil || r.Log.Witnesses[1].Cosigned != nil || r.Log.Witnesses[1].Name != "b" {
		t.Errorf("witnesses %+v", r.Log.Witnesses)
	}
	if got := w.audit().Freshness(); got != 10*time.Minute {
		t.Errorf("freshness %v", got)
	}
}

// Lengths of time are only between entries that were seen to appear (AUD-7).
func TestTimes(t *testing.T) {
	w := newWorld(t)
	at, h := w.warrant(begun, nil)
	q := w.request(at, h, 1)
	w.release(q, quorum...)
	toOpening := func(marks ...Mark) *Lengths {
		return w.audit(marks...).Report(w.policy, w.checkpoint(2), Options{Now: begun}).Laws[0].Tables[0].ToOpening
	}
	for name, marks := range map[string][]Mark{
		"no journal":                 nil,
		"one look":                   {{8, begun}},
		"the warrant was there":      {{2, begun}, {8, begun.Add(time.Hour)}},
		"the opening is not covered": {{1, begun}, {2, begun.Add(time.Hour)}},
	} {
		if got := toOpening(marks...); got != nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	got := toOpening(Mark{1, begun}, Mark{2, begun.Add(time.Minute)}, Mark{2, begun.Add(2 * time.Minute)}, Mark{7, begun.Add(3 * time.Minute)}, Mark{8, begun.Add(time.Hour)})
	if got == nil || got.Count != 1 || got.Median != 59*60 {
		t.Errorf("seen: %+v", got)
	}
}

// The time to an opening is that to the first, whichever request it was of.
func TestFirstOpening(t *testing.T) {
	w := newWorld(t)
	at, h := w.warrant(begun, nil)
	first, second := w.request(at, h, 1), w.request(at, h, 2)
	w.release(second, quorum...)
	opened := uint64(len(w.entries))
	w.release(first, quorum...)
	got := w.audit(Mark{1, begun}, Mark{2, begun}, Mark{opened, begun.Add(time.Minute)}, Mark{uint64(len(w.entries)), begun.Add(time.Hour)}).
		Report(w.policy, w.checkpoint(2), Options{Now: begun}).Laws[0].Tables[0].ToOpening
	if got == nil || got.Median != 60 {
		t.Errorf("%+v", got)
	}
}

// No cell is a formula to a spreadsheet, in wide letters neither.
func TestNoFormulas(t *testing.T) {
	for cell, want := range map[string]string{"=1": "'=1", "＝1": "'＝1", "＠x": "'＠x", "-1": "'-1", "1": "1", "": ""} {
		if got := string(table("a", [][]string{{cell, "x"}})); got != "a\n"+want+",x\n" {
			t.Errorf("%q: %q", cell, got)
		}
	}
}

// A span is half open and goes by the beginning of lives (AUD-5).
func TestSpan(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		w.warrant(begun.Add(time.Duration(i)*time.Hour), nil)
	}
	o := Options{Now: begun, From: begun.Add(time.Hour), To: begun.Add(3 * time.Hour)}
	r := w.audit().Report(w.policy, w.checkpoint(2), o)
	if tables := r.Laws[0].Tables; len(tables) != 2 || tables[0].Orders != 2 || tables[0].BeyondCap != 0 {
		t.Errorf("tables %+v", tables)
	}
	o.To = time.Time{}
	if n := w.audit().Report(w.policy, w.checkpoint(2), o).Laws[0].Tables[0].Orders; n != 4 {
		t.Errorf("%d orders from then on", n)
	}
}

// Every form says the same numbers. The page runs nothing, loads nothing, and
// shows what a log says escaped; so do the tables.
func TestForms(t *testing.T) {
	w := newWorld(t)
	w.Charter.Name = "=Law<script>alert(1)</script>"
	w.Charter.Keys = nil
	w.entries, w.hashes = nil, nil
	w.log(ledger.CharterEntry(w.Sign(w.Charter)))
	w.story()
	start := begun.Add(-time.Minute)
	r := w.audit(Mark{1, start}, Mark{2, begun}, Mark{uint64(len(w.entries)), begun.Add(time.Hour)}).Report(w.policy, w.checkpoint(2), Options{Now: time.Now(), MaxAge: time.Hour, Reason: func(code uint8) string { return "because <b>" }})
	text, html := r.Text(), string(r.HTML())
	for _, want := range []string{"orders authorised               11", "EUR 287.50, NOK 2006.00", "FINDING at ", "LED-54", "not recorded", "because <b>"} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
	for _, never := range []string{"<script", "<b>\n", "because <b>", "http://", "https://", "javascript:", "ZgotmplZ", "onload"} {
		if strings.Contains(html, never) {
			t.Errorf("the page has %q", never)
		}
	}
	for _, want := range []string{"&lt;script&gt;", "because &lt;b&gt;", "EUR 287.50, NOK 2006.00", "LED-54", "cap 3", "judicial/judicial-1"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for name, b := range r.CSV() {
		rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
		if err != nil || len(rows) < 2 {
			t.Errorf("%s: %d rows, %v", name, len(rows), err)
		}
		if bytes.Contains(b, []byte("\n=")) {
			t.Errorf("%s has a formula", name)
		}
	}
	if os.Getenv("WRIT_PAGE") != "" {
		w.must(os.WriteFile(os.Getenv("WRIT_PAGE"), []byte(html), 0o600))
	}
}

// A law without tariff costs nothing that could be known.
func TestNoTariff(t *testing.T) {
	w := newWorld(t)
	w.amend(func(c *charter.Charter) { c.Limits.Tariff = nil })
	at, h := w.warrant(begun, nil)
	w.release(w.request(at, h, 1), quorum...)
	r := w.audit().Report(w.policy, w.checkpoint(2), Options{Now: begun})
	if n := r.Laws[0].Tables[0]; n.Openings != 1 || len(n.Cost) != 0 {
		t.Errorf("%+v", n.Numbers)
	}
	if text := r.Text(); !strings.Contains(text, "states no tariff") {
		t.Error("it does not say that cost is not recorded")
	}
}

// A root of a directory's log that is not the tree's is found, at its index.
func TestDirectory(t *testing.T) {
	w := newWorld(t)
	w.entries, w.hashes = nil, nil
	book := directory.NewBook()
	add := func(e []byte) {
		w.log(e)
		book.Apply(e) // which finds the wrong ones too
	}
	for i := range byte(40) {
		add(directory.Leaf{Label: directory.Label{i}, Commitment: [32]byte{i}}.Entry())
	}
	audit := func() *DirectoryReport {
		a := NewDirectory()
		for i, e := range w.entries {
			w.must(a.Apply(uint64(i), e, begun))
		}
		return a.Report(w.policy, w.checkpoint(2), Options{Now: time.Now(), MaxAge: time.Minute})
	}
	if text := audit().Text(); !strings.Contains(text, "40 statements of accounts, no root yet: the first comes after 32 entries, so nothing was recomputed") ||
		!strings.Contains(text, "every entry parses\n") {
		t.Errorf("without a root:\n%s", text)
	}
	add(book.Root().Entry())
	r := audit()
	if !r.Holds || r.Leaves != 40 || r.Roots != 1 || r.Entries != 41 {
		t.Errorf("an honest directory: %+v", r)
	}
	if text := r.Text(); !strings.Contains(text, "40 statements of accounts, 1 root, recomputed\n") || !strings.Contains(text, "every root is the tree's") {
		t.Errorf("with a root:\n%s", text)
	}
	lie := book.Root()
	lie.Hash[0] ^= 1
	add(lie.Entry())
	add([]byte("no entry"))
	r = audit()
	if r.Holds || len(r.Findings) != 2 || r.Findings[0].Index != 41 || r.Findings[0].Type != "root" || r.Findings[1].Index != 42 || r.Findings[0].Rule != "DIR-47" {
		t.Errorf("a directory that lies: %+v", r.Findings)
	}
	if text := r.Text(); !strings.Contains(text, "FINDING at 41 (root), DIR-47") {
		t.Error(text)
	}
}
