package audit

import (
	"slices"
	"strconv"
	"time"

	"writ/ledger"
	"writ/warrant"
)

// Numbers are those of the orders of one span of time: warrants of one law, for
// people or for drills. Lengths are in seconds, costs in hundredths.
type Numbers struct {
	Orders     int            `json:"orders"`
	Urgent     int            `json:"urgent"`
	Renewals   int            `json:"renewals"`
	Privileged int            `json:"privileged"`
	Preserving int            `json:"preserving"` // that keep and open nothing
	Cancelled  int            `json:"cancelled"`
	Confirmed  int            `json:"reviews_confirmed"` // of the urgent
	Refused    int            `json:"reviews_refused"`   // of the urgent
	BeyondCap  int            `json:"beyond_cap"`
	ByCaseType map[string]int `json:"by_case_type"`
	ByOffice   map[string]int `json:"by_office"` // that approved
	// ApprovalsByOffice are persons' signatures in the warrants' entries, verified.
	ApprovalsByOffice map[string]int `json:"approvals_by_office"`

	MeanLife    uint64 `json:"mean_life"`
	LongestLife uint64 `json:"longest_life"`
	MeanWindow  uint64 `json:"mean_window"`

	Requests  int `json:"requests"`
	Requested int `json:"compartments_requested"`
	Openings  int `json:"openings"`
	Opened    int `json:"compartments_opened"`

	Errors       int            `json:"errors"` // that an office found, in openings
	ErrorsByKind map[string]int `json:"errors_by_kind"`

	OrdersRefused       int            `json:"orders_refused"` // by at least one custodian
	Refusals            int            `json:"refusals"`
	RefusalsByReason    map[string]int `json:"refusals_by_reason"` // by code in decimal
	RefusalsByCustodian map[string]int `json:"refusals_by_custodian"`
	Releases            int            `json:"releases"`
	ReleasesByCustodian map[string]int `json:"releases_by_custodian"`

	Holds    int `json:"holds"`     // that custodians stated
	HoldEnds int `json:"hold_ends"` // of these

	Readings int `json:"readings"` // of bundles, each by one person
	Exports  int `json:"exports"`  // of these

	Cost map[string]uint64 `json:"cost"` // by currency

	ToReview  *Lengths `json:"to_review"`  // from an urgent warrant's entry to its review's; nil if none was seen
	ToOpening *Lengths `json:"to_opening"` // from the warrant's entry to its first opening's; nil if none was seen
}

// Lengths sums up lengths of time between entries that were seen, in seconds.
type Lengths struct {
	Count   int      `json:"count"`
	Median  uint64   `json:"median"`
	Longest uint64   `json:"longest"`
	All     []uint64 `json:"all"` // ascending
}

// count returns the numbers of orders, which are of one law and kind.
func (a *Auditor) count(orders []*order) Numbers {
	n := Numbers{ByCaseType: map[string]int{}, ByOffice: map[string]int{}, ApprovalsByOffice: map[string]int{}, RefusalsByReason: map[string]int{},
		RefusalsByCustodian: map[string]int{}, ReleasesByCustodian: map[string]int{}, Cost: map[string]uint64{},
		ErrorsByKind: map[string]int{}}
	var lives, windows uint64
	var openings, reviews []uint64
	for _, o := range orders {
		life := o.NotAfter - o.NotBefore
		lives, windows, n.LongestLife = lives+life, windows+o.Window, max(n.LongestLife, life)
		n.order(o)
		if at := o.openedAt(); at != 0 {
			openings = append(openings, a.between(o.Index, at)...)
		}
		if o.reviewAt != 0 {
			reviews = append(reviews, a.between(o.Index, o.reviewAt)...)
		}
	}
	if n.Orders > 0 {
		n.MeanLife, n.MeanWindow = lives/uint64(n.Orders), windows/uint64(n.Orders)
	}
	n.ToOpening, n.ToReview = sum(openings), sum(reviews)
	return n
}

func (n *Numbers) order(o *order) {
	n.Orders++
	n.ByCaseType[o.CaseType]++
	for _, office := range o.Offices {
		n.ByOffice[office]++
	}
	for _, a := range o.Approvals {
		n.ApprovalsByOffice[a.Office]++
	}
	n.Urgent += one(o.IsEmergency())
	n.Renewals += one(o.IsRenewal())
	n.Privileged += one(o.IsPrivileged())
	n.Preserving += one(o.Action == warrant.Preserve)
	n.Cancelled += one(o.cancelled)
	n.Confirmed += one(o.review == ledger.ReviewConfirmed)
	n.Refused += one(o.review == ledger.ReviewRefused)
	n.BeyondCap += one(o.Rank > int(o.law.Limits.CapSubjects))
	for _, q := range o.requests {
		n.request(o, q)
	}
	if slices.ContainsFunc(o.requests, func(q *request) bool { return len(q.refusals) > 0 }) {
		n.OrdersRefused++
	}
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

func (n *Numbers) request(o *order, q *request) {
	n.Requests++
	n.Requested += len(q.Leaves)
	for _, x := range q.releases {
		n.Releases++
		n.ReleasesByCustodian[x.Office+"/"+x.Custodian]++
	}
	for _, x := range q.refusals {
		n.Refusals++
		n.RefusalsByReason[reasonKey(x.Reason)]++
		n.RefusalsByCustodian[x.Office+"/"+x.Custodian]++
	}
	for _, x := range q.readings {
		n.Readings++
		n.Exports += one(x.Purpose == ledger.PurposeExport)
	}
	n.Holds, n.HoldEnds = n.Holds+q.holds, n.HoldEnds+q.ended
	for _, x := range q.errors {
		n.Errors++
		n.ErrorsByKind[x.Kind.String()]++
	}
	if q.openedAt == 0 {
		return
	}
	n.Openings++
	n.Opened += len(q.Leaves)
	if t := o.law.Limits.Tariff; t != nil {
		n.Cost[t.Currency] += t.PerOpening + t.PerCompartment*uint64(len(q.Leaves))
	}
}

func reasonKey(code uint8) string { return strconv.Itoa(int(code)) }

// openedAt returns the index of the first release that made a quorum, or 0.
func (o *order) openedAt() (first uint64) {
	for _, q := range o.requests {
		if q.openedAt != 0 && (first == 0 || q.openedAt < first) {
			first = q.openedAt
		}
	}
	return first
}

// between returns the length of time from one entry to a later one in seconds,
// or nothing where one of them was not seen to appear (AUD-7).
func (a *Auditor) between(from, to uint64) []uint64 {
	x, seenX := a.journal.seen(from)
	y, seenY := a.journal.seen(to)
	if !seenX || !seenY {
		return nil
	}
	return []uint64{uint64(max(0, y.Sub(x)) / time.Second)}
}

func sum(lengths []uint64) *Lengths {
	if len(lengths) == 0 {
		return nil
	}
	slices.Sort(lengths)
	return &Lengths{len(lengths), lengths[len(lengths)/2], lengths[len(lengths)-1], lengths}
}
