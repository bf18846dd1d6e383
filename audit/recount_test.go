package audit

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/mod/sumdb/tlog"
)

// recount is another way to the same numbers: it reads the bytes of entries as
// spec/ledger.md writes them down, and keeps rows to be counted instead of a
// book. It knows nothing of signatures and rules, so it is told which entries
// don't count.
type recount struct {
	warrants []rawWarrant
	requests []rawRequest
	releases []rawAnswer
	refusals []rawAnswer
	readings []rawAnswer // with the purpose as reason
	holds    []rawAnswer // with the type as reason
	errors   []rawAnswer // with the kind as reason
}

type rawWarrant struct {
	index             uint64
	charter           string
	caseType          string
	offices           []string
	approvals         []string // the office of each
	window, from, end uint64
	flags, action     uint8
	renews            bool
	cancelled         int
	outcome           uint8
}

type rawRequest struct {
	index, warrant uint64
	hash           [32]byte
	leaves         int
}

type rawAnswer struct {
	index       uint64
	request     [32]byte
	office, who string
	reason      uint8
}

// vector reads opaque<V>: its length is a variable-length integer (RFC 9000).
func vector(s *cryptobyte.String) (v cryptobyte.String) {
	size := 1 << ((*s)[0] >> 6)
	b := make([]byte, 8)
	s.CopyBytes(b[8-size:])
	b[8-size] &= 0x3f
	n := binary.BigEndian.Uint64(b)
	s.ReadBytes((*[]byte)(&v), int(n))
	return v
}

func fixed(s *cryptobyte.String) (h [32]byte) {
	s.CopyBytes(h[:])
	return h
}

func (c *recount) read(index uint64, entry []byte) {
	s := cryptobyte.String(entry)
	var version uint16
	var kind uint8
	s.ReadUint16(&version)
	s.ReadUint8(&kind)
	b := vector(&s)
	switch kind {
	case 3:
		w := rawWarrant{index: index}
		fixed(&b)
		w.charter = fmt.Sprintf("%x", fixed(&b))
		b.ReadUint8(&w.action)
		w.renews = fixed(&b) != [32]byte{}
		w.caseType = string(vector(&b))
		for list := vector(&b); len(list) > 0; {
			w.offices = append(w.offices, string(vector(&list)))
		}
		b.ReadUint64(&w.window)
		b.ReadUint64(&w.from)
		b.ReadUint64(&w.end)
		b.ReadUint8(&w.flags)
		vector(&b) // readers
		for list := vector(&b); len(list) > 0; {
			w.approvals = append(w.approvals, string(vector(&list)))
			vector(&list) // approver
			list.Skip(1)  // kind
			vector(&list) // signature
		}
		c.warrants = append(c.warrants, w)
	case 4:
		r := rawRequest{index: index, hash: tlog.RecordHash(entry)}
		b.ReadUint64(&r.warrant)
		fixed(&b)
		r.leaves = len(vector(&b)) / 32
		c.requests = append(c.requests, r)
	case 8, 9:
		var at uint64
		b.ReadUint64(&at)
		for i := range c.warrants {
			if w := &c.warrants[i]; w.index == at && kind == 8 {
				w.cancelled = 1
			} else if w.index == at {
				fixed(&b)
				b.ReadUint8(&w.outcome)
			}
		}
	case 10:
		b.Skip(8)
		a := rawAnswer{index: index, request: fixed(&b)}
		b.ReadUint8(&a.reason)
		c.errors = append(c.errors, a)
	case 11, 14:
		if kind == 11 {
			b.Skip(8)
		}
		a := rawAnswer{index: index, request: fixed(&b), reason: kind}
		c.holds = append(c.holds, a)
	case 12:
		b.Skip(8)
		a := rawAnswer{index: index, request: fixed(&b)}
		fixed(&b)
		b.ReadUint8(&a.reason)
		c.readings = append(c.readings, a)
	case 5, 6:
		a := rawAnswer{index: index}
		if kind == 5 {
			b.Skip(8)
		}
		a.request, a.office, a.who = fixed(&b), string(vector(&b)), string(vector(&b))
		if kind == 6 {
			b.ReadUint8(&a.reason)
			c.refusals = append(c.refusals, a)
		} else {
			c.releases = append(c.releases, a)
		}
	}
}

// numbers counts the warrants of a year (0: of all) that are tests or not. The
// world's structure and its two tariffs are written down here again.
func (c *recount) numbers(year int, test bool, limit int, tariffs map[string][3]any) map[string]any {
	n := map[string]any{}
	add := func(name string, by int) { v, _ := n[name].(int); n[name] = v + by }
	count := func(name, key string) {
		m, _ := n[name].(map[string]int)
		if m == nil {
			m = map[string]int{}
			n[name] = m
		}
		m[key]++
	}
	for _, name := range []string{"orders", "urgent", "beyond_cap", "privileged", "preserving", "renewals", "holds", "hold_ends", "readings", "cancelled", "reviews_confirmed", "reviews_refused", "errors", "exports", "requests", "compartments_requested", "openings",
		"compartments_opened", "orders_refused", "refusals", "releases", "mean_life", "longest_life", "mean_window"} {
		n[name] = 0
	}
	for _, name := range []string{"by_case_type", "by_office", "approvals_by_office", "errors_by_kind", "refusals_by_reason", "refusals_by_custodian", "releases_by_custodian", "cost"} {
		n[name] = map[string]int{}
	}
	lives, windows := 0, 0
	for _, w := range c.warrants {
		if (w.flags&2 != 0) != test || year != 0 && time.Unix(int64(w.from), 0).UTC().Year() != year {
			continue
		}
		add("orders", 1)
		count("by_case_type", w.caseType)
		for _, o := range w.offices {
			count("by_office", o)
		}
		for _, office := range w.approvals {
			count("approvals_by_office", office)
		}
		add("urgent", int(w.flags&1))
		add("privileged", int(w.flags>>2&1))
		if w.action == 2 {
			add("preserving", 1)
		}
		add("cancelled", w.cancelled)
		switch w.outcome {
		case 1:
			add("reviews_confirmed", 1)
		case 2:
			add("reviews_refused", 1)
		}
		if w.renews {
			add("renewals", 1)
		}
		life := int(w.end - w.from)
		lives, windows = lives+life, windows+int(w.window)
		n["longest_life"] = max(n["longest_life"].(int), life)
		if c.rank(w, test) > limit {
			add("beyond_cap", 1)
		}
		refused := false
		for _, r := range c.requests {
			if r.warrant != w.index {
				continue
			}
			add("requests", 1)
			add("compartments_requested", r.leaves)
			byOffice := map[string]int{}
			for _, a := range c.releases {
				if a.request == r.hash {
					add("releases", 1)
					count("releases_by_custodian", a.office+"/"+a.who)
					byOffice[a.office]++
				}
			}
			for _, a := range c.refusals {
				if a.request == r.hash && a.index > r.index {
					refused = true
					add("refusals", 1)
					count("refusals_by_reason", fmt.Sprint(a.reason))
					count("refusals_by_custodian", a.office+"/"+a.who)
				}
			}
			for _, a := range c.holds {
				if a.request == r.hash {
					add(map[uint8]string{11: "holds", 14: "hold_ends"}[a.reason], 1)
				}
			}
			for _, a := range c.errors {
				if a.request == r.hash {
					add("errors", 1)
					count("errors_by_kind", []string{1: "wrong person", 2: "unlawful", 3: "beyond scope"}[a.reason])
				}
			}
			for _, a := range c.readings {
				if a.request == r.hash {
					add("readings", 1)
					add("exports", int(a.reason-1))
				}
			}
			if byOffice["judicial"] >= 2 && byOffice["oversight"] >= 1 && byOffice["publication"] >= 2 {
				add("openings", 1)
				add("compartments_opened", r.leaves)
				t := tariffs[w.charter]
				n["cost"].(map[string]int)[t[0].(string)] += t[1].(int) + t[2].(int)*r.leaves
			}
		}
		if refused {
			add("orders_refused", 1)
		}
	}
	if orders := n["orders"].(int); orders > 0 {
		n["mean_life"], n["mean_window"] = lives/orders, windows/orders
	}
	return n
}

// rank is the highest count, up to a warrant, in a period of 30 days it touches.
func (c *recount) rank(of rawWarrant, test bool) (rank int) {
	const period = 30 * 24 * 3600
	for p := of.from / period; p*period < of.end; p++ {
		n := 0
		for _, w := range c.warrants {
			if w.index <= of.index && w.action == of.action && (w.flags&2 != 0) == test && w.from < (p+1)*period && w.end > p*period {
				n++
			}
		}
		rank = max(rank, n)
	}
	return rank
}

// R23: a separate run over the log, written in another way, gives every number
// of the public report.
func TestEveryNumberRecomputesR23(t *testing.T) {
	w := newWorld(t)
	first := w.Charter.Hash().String()
	w.story()
	report := w.audit().Report(w.policy, w.checkpoint(2), Options{Now: begun})
	doesNotCount := map[uint64]bool{}
	for _, f := range report.Findings {
		doesNotCount[f.Index] = true
	}
	if len(doesNotCount) != 4 {
		t.Fatalf("findings: %+v", report.Findings)
	}
	var c recount
	for i, e := range w.entries {
		if !doesNotCount[uint64(i)] {
			c.read(uint64(i), e)
		}
	}
	tariffs := map[string][3]any{first: {"EUR", 250_00, 12_50}, w.Charter.Hash().String(): {"NOK", 1000_00, 1}}
	b, err := json.Marshal(report)
	w.must(err)
	var got struct {
		Laws []struct {
			Statistics []map[string]any
			Refusals   map[string]int `json:"refusals_of_unlogged_requests"`
		}
	}
	w.must(json.Unmarshal(b, &got))
	spans := map[string]bool{}
	for _, table := range got.Laws[0].Statistics {
		year := 0
		fmt.Sscan(table["span"].(string), &year)
		want := c.numbers(year, table["kind"] == "drills", 3, tariffs)
		spans[fmt.Sprint(table["kind"], " ", table["span"])] = true
		for _, name := range []string{"kind", "span", "to_opening", "to_review"} { // the last two need a journal: TestTimes
			delete(table, name)
		}
		b, err := json.Marshal(want)
		w.must(err)
		var plain map[string]any
		w.must(json.Unmarshal(b, &plain))
		if !reflect.DeepEqual(table, plain) {
			t.Errorf("%v %d:\n got %v\nwant %v", table["kind"], year, table, plain)
		}
	}
	if want := map[string]bool{"people all": true, "people 2026": true, "people 2027": true, "people 2028": true, "drills all": true, "drills 2026": true}; !reflect.DeepEqual(spans, want) {
		t.Errorf("tables %v", spans)
	}
	if !reflect.DeepEqual(got.Laws[0].Refusals, map[string]int{"11": 1}) {
		t.Errorf("refusals of nothing: %v", got.Laws[0].Refusals)
	}
	all := report.Laws[0].Tables[0]
	if all.Orders != 11 || all.ApprovalsByOffice["judicial"] != 2+9*2 || all.ApprovalsByOffice["oversight"] != 11 || all.Holds != 2 || all.HoldEnds != 1 || all.Cancelled != 1 || all.Confirmed != 1 || all.Refused != 1 || all.Errors != 1 || all.Readings != 3 || all.Exports != 1 || all.Renewals != 1 || all.Preserving != 1 || all.BeyondCap != 1 || all.Openings != 3 || all.Opened != 603 || all.Cost["EUR"] != 250_00+3*12_50 || all.Cost["NOK"] != 2*(1000_00+300) {
		t.Errorf("the story's own numbers: %+v", all.Numbers)
	}
}
