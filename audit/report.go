package audit

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"writ/charter"
	"writ/ledger"
	"writ/warrant"
)

// Options say what a report is about.
type Options struct {
	Now    time.Time
	MaxAge time.Duration // an older checkpoint is a finding; 0: none is too old

	// From and To bound the orders by the beginning of their life, half open. If
	// both are zero there is a table for each calendar year and one for all.
	From, To time.Time

	Reason func(code uint8) string // says what a refusal's code means; nil: codes only
}

// Report is what an audit found. Times are UTC.
type Report struct {
	Log         Log              `json:"log"`
	Entries     uint64           `json:"entries"`
	Now         time.Time        `json:"now"`
	From        *time.Time       `json:"from,omitempty"`
	To          *time.Time       `json:"to,omitempty"`
	Holds       bool             `json:"holds"` // there is no finding
	Findings    []ledger.Finding `json:"findings"`
	Laws        []Law            `json:"laws"`
	NotRecorded []Gap            `json:"not_recorded"`

	reason func(code uint8) string
}

// Log is the state of a log under its newest checkpoint.
type Log struct {
	Origin    string    `json:"origin"`
	Key       string    `json:"key"`
	Root      string    `json:"root"`
	Witnessed time.Time `json:"witnessed"`   // the latest time at which a quorum stood by it
	Age       uint64    `json:"age_seconds"` // of that
	Witnesses []Witness `json:"witnesses"`
}

// Witness says how old a witness's cosignature of the newest checkpoint is.
type Witness struct {
	Name     string     `json:"name"`
	Cosigned *time.Time `json:"cosigned"` // nil if it did not
	Age      uint64     `json:"age_seconds"`
}

// Law is everything about the versions of one charter.
type Law struct {
	Name     string    `json:"name"`
	Versions []Version `json:"versions"`
	Keys     int       `json:"custodian_keys"`
	Gone     int       `json:"destructions"`
	Caps     []CapUse  `json:"cap_use"` // periods that a warrant touches, the oldest first
	Tables   []Table   `json:"statistics"`

	Undated map[string]int `json:"refusals_of_unlogged_requests"` // by reason code
}

// Version is one version of a charter.
type Version struct {
	Number  uint32     `json:"number"`
	Hash    string     `json:"hash"`
	Index   uint64     `json:"index"`
	Seen    *time.Time `json:"seen"` // when this auditor saw it appear; nil if it did not
	InForce bool       `json:"in_force"`
	Access  bool       `json:"exceptional_access"`
	Review  time.Time  `json:"review"`
	Cap     uint32     `json:"cap_subjects"`
	Period  uint64     `json:"cap_period"` // seconds
	Tariff  string     `json:"tariff"`
}

// CapUse is how many warrants for people touch a cap period.
type CapUse struct {
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Warrants int       `json:"warrants"`
	Cap      uint32    `json:"cap"`
}

// Table is the numbers of the orders of one span and kind.
type Table struct {
	Kind string `json:"kind"` // "people" or "drills"
	Span string `json:"span"` // "all", a year, or "from/to"
	Numbers
}

// Report says what the auditor knows under a checkpoint that the policy accepted
// and up to which it has read.
func (a *Auditor) Report(p *ledger.Policy, c *ledger.Checkpoint, o Options) *Report {
	r := &Report{Log: logOf(p, c, o.Now), Entries: a.book.Size(), Now: o.Now.UTC(), Laws: []Law{}, reason: o.Reason}
	if !o.From.IsZero() || !o.To.IsZero() {
		r.From, r.To = utc(o.From), utc(o.To)
	}
	r.Findings = append([]ledger.Finding{}, a.Findings(c, o)...)
	r.Holds = len(r.Findings) == 0
	for _, name := range a.book.Names() {
		r.Laws = append(r.Laws, a.law(name, o))
	}
	r.NotRecorded = a.gaps(r)
	return r
}

func logOf(p *ledger.Policy, c *ledger.Checkpoint, now time.Time) Log {
	l := Log{Origin: c.Origin(), Key: p.LogVKey(), Root: c.Tree().Hash.String(), Witnessed: c.Time().UTC(), Age: age(c.Time(), now)}
	for _, s := range p.Cosignatures(c) {
		w := Witness{Name: s.Witness}
		if !s.Time.IsZero() {
			w.Cosigned, w.Age = utc(s.Time), age(s.Time, now)
		}
		l.Witnesses = append(l.Witnesses, w)
	}
	return l
}

func utc(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func age(t, now time.Time) uint64 { return uint64(max(0, now.Sub(t)) / time.Second) }

func (a *Auditor) law(name string, o Options) Law {
	s := a.book.Statistics().Laws[name]
	l := Law{Name: name, Keys: s.CustodianKeys, Gone: s.Destructions, Caps: a.caps(name), Undated: map[string]int{}}
	for reason, n := range a.undated[name] {
		l.Undated[reason] = n
	}
	inForce, _ := a.book.InForce(name, o.Now)
	for _, e := range a.laws {
		if e.charter.Name == name {
			l.Versions = append(l.Versions, a.version(e, inForce))
		}
	}
	for _, kind := range []string{"people", "drills"} {
		l.Tables = append(l.Tables, a.tables(kind, a.ordersOf(name, kind == "drills"), o)...)
	}
	return l
}

func (a *Auditor) version(e lawEntry, inForce *charter.Charter) Version {
	c := e.charter
	v := Version{Number: c.Number, Hash: c.Hash().String(), Index: e.index, InForce: c == inForce,
		Access: c.Mode == charter.AccountableAccess, Review: time.Unix(int64(c.Review), 0).UTC(),
		Cap: c.Limits.CapSubjects, Period: c.Limits.CapPeriod}
	if at, ok := a.journal.seen(e.index); ok {
		v.Seen = utc(at)
	}
	if t := c.Limits.Tariff; t != nil {
		v.Tariff = t.Amount(t.PerOpening) + " an opening, " + t.Amount(t.PerCompartment) + " a compartment"
	}
	return v
}

func (a *Auditor) ordersOf(name string, test bool) (list []*order) {
	for _, o := range a.orders {
		if o.law.Name == name && o.IsTest() == test {
			list = append(list, o)
		}
	}
	return list
}

// tables counts orders by the spans that the options ask for. Of drills there
// are none where there were no drills.
func (a *Auditor) tables(kind string, orders []*order, o Options) (list []Table) {
	if !o.From.IsZero() || !o.To.IsZero() {
		orders = within(orders, o.From, o.To)
		return []Table{{kind, bound(o.From) + "/" + bound(o.To), a.count(orders)}}
	}
	if kind == "drills" && len(orders) == 0 {
		return nil
	}
	list = []Table{{kind, "all", a.count(orders)}}
	byYear := map[int][]*order{}
	for _, x := range orders {
		y := begin(x).Year()
		byYear[y] = append(byYear[y], x)
	}
	for y, part := range byYear {
		list = append(list, Table{kind, strconv.Itoa(y), a.count(part)})
	}
	slices.SortFunc(list[1:], func(x, y Table) int { return cmp.Compare(x.Span, y.Span) })
	return list
}

// begin is when an order's life begins, by which it belongs to a span (AUD-5).
func begin(o *order) time.Time { return time.Unix(int64(o.NotBefore), 0).UTC() }

func within(orders []*order, from, to time.Time) (list []*order) {
	for _, o := range orders {
		if t := begin(o); !t.Before(from) && (to.IsZero() || t.Before(to)) {
			list = append(list, o)
		}
	}
	return list
}

func bound(t time.Time) string {
	if t.IsZero() {
		return ".."
	}
	return t.UTC().Format(time.RFC3339)
}

// caps counts the warrants to open for people in each cap period of the newest version
// that one of them touches (LED-55).
func (a *Auditor) caps(name string) []CapUse {
	list := []CapUse{}
	head, _ := a.book.Head(name)
	length := head.Limits.CapPeriod
	if length == 0 {
		return list
	}
	counts := map[uint64]int{}
	for _, o := range a.ordersOf(name, false) {
		if o.Action == warrant.Preserve {
			continue // opens nothing, and is counted apart
		}
		for p := o.NotBefore / length; p <= (o.NotAfter-1)/length; p++ {
			counts[p]++
		}
	}
	at := func(p uint64) time.Time { return time.Unix(int64(p*length), 0).UTC() }
	for p, n := range counts {
		list = append(list, CapUse{at(p), at(p + 1), n, head.Limits.CapSubjects})
	}
	slices.SortFunc(list, func(x, y CapUse) int { return x.From.Compare(y.From) })
	return list
}
