package ledger

import (
	"maps"
	"slices"
	"strconv"

	"writ/warrant"
)

// Statistics are the numbers of the public report. They depend on the entries
// and their order only, so that anyone who replays the log finds the same.
type Statistics struct {
	Entries  uint64                    `json:"entries"`
	Findings uint64                    `json:"findings"`
	Rounds   uint64                    `json:"rounds"` // of beacons, at which notices became readable
	Laws     map[string]*LawStatistics `json:"laws"`   // by charter name
}

// LawStatistics are the numbers of all versions of a charter.
type LawStatistics struct {
	Versions      int `json:"versions"`
	CustodianKeys int `json:"custodian_keys"` // in charters and on the log
	Destructions  int `json:"destructions"`

	Real Activity `json:"real"` // warrants for people
	Test Activity `json:"test"` // warrants for synthetic accounts

	RefusalsByReason    map[string]int `json:"refusals_by_reason"`    // by reason code in decimal
	RefusalsByCustodian map[string]int `json:"refusals_by_custodian"` // by "office/custodian"
}

// Activity counts what was asked for and answered.
type Activity struct {
	Warrants            int            `json:"warrants"`
	Emergencies         int            `json:"emergencies"` // of the warrants
	Holds               int            `json:"holds"`       // of the warrants: those that preserve and open nothing
	Preservations       int            `json:"preservations"`
	Renewals            int            `json:"renewals"`   // of the warrants
	Privileged          int            `json:"privileged"` // of the warrants
	Cancellations       int            `json:"cancellations"`
	Confirmed           int            `json:"reviews_confirmed"` // of the emergencies
	Refused             int            `json:"reviews_refused"`   // of the emergencies
	Errors              map[string]int `json:"errors"`            // by kind
	WarrantsByCaseType  map[string]int `json:"warrants_by_case_type"`
	ApprovalsByOffice   map[string]int `json:"approvals_by_office"` // of the warrants, verified
	Requests            int            `json:"requests"`
	Compartments        int            `json:"compartments"`          // asked for
	ReleasesByCustodian map[string]int `json:"releases_by_custodian"` // by "office/custodian"
	Readings            int            `json:"readings"`              // of bundles, each by one person
	Exports             int            `json:"exports"`               // of the readings: handed on in the clear
}

// Statistics returns the numbers up to the last entry applied.
func (b *Book) Statistics() Statistics {
	s := b.statistics
	s.Laws = map[string]*LawStatistics{}
	for name, l := range b.statistics.Laws {
		c := *l
		c.Real, c.Test = l.Real.clone(), l.Test.clone()
		c.RefusalsByReason = maps.Clone(l.RefusalsByReason)
		c.RefusalsByCustodian = maps.Clone(l.RefusalsByCustodian)
		s.Laws[name] = &c
	}
	return s
}

func (a Activity) clone() Activity {
	a.WarrantsByCaseType = maps.Clone(a.WarrantsByCaseType)
	a.ApprovalsByOffice = maps.Clone(a.ApprovalsByOffice)
	a.ReleasesByCustodian = maps.Clone(a.ReleasesByCustodian)
	a.Errors = maps.Clone(a.Errors)
	return a
}

func (s *Statistics) law(name string) *LawStatistics {
	l, ok := s.Laws[name]
	if !ok {
		activity := func() Activity {
			return Activity{WarrantsByCaseType: map[string]int{}, ApprovalsByOffice: map[string]int{},
				ReleasesByCustodian: map[string]int{}, Errors: map[string]int{}}
		}
		l = &LawStatistics{Real: activity(), Test: activity(),
			RefusalsByReason: map[string]int{}, RefusalsByCustodian: map[string]int{}}
		s.Laws[name] = l
	}
	return l
}

func (s *Statistics) activity(name string, w *Warrant) *Activity {
	if l := s.law(name); w.IsTest() {
		return &l.Test
	} else {
		return &l.Real
	}
}

func (s *Statistics) warrant(name string, w *Warrant) {
	a := s.activity(name, w)
	a.Warrants++
	a.WarrantsByCaseType[w.CaseType]++
	for _, approval := range w.Approvals {
		a.ApprovalsByOffice[approval.Office]++
	}
	if w.IsEmergency() {
		a.Emergencies++
	}
	if w.IsRenewal() {
		a.Renewals++
	}
	if w.IsPrivileged() {
		a.Privileged++
	}
	if w.Action == warrant.Preserve {
		a.Holds++
	}
}

func (a *Activity) review(o Outcome) {
	if o == ReviewConfirmed {
		a.Confirmed++
	} else {
		a.Refused++
	}
}

func (s *Statistics) request(name string, w *Warrant, x *Request) {
	a := s.activity(name, w)
	a.Requests++
	a.Compartments += len(x.Leaves)
}

func (s *Statistics) release(name string, w *Warrant, x *Release) {
	s.activity(name, w).ReleasesByCustodian[x.Office+"/"+x.Custodian]++
}

func (s *Statistics) reading(name string, w *Warrant, x *Reading) {
	a := s.activity(name, w)
	a.Readings++
	if x.Purpose == PurposeExport {
		a.Exports++
	}
}

func (s *Statistics) refusal(name string, x *Refusal) {
	l := s.law(name)
	l.RefusalsByReason[strconv.Itoa(int(x.Reason))]++
	l.RefusalsByCustodian[x.Office+"/"+x.Custodian]++
}

type tallyKey struct {
	charter    string
	test, hold bool // holds open nothing and are counted apart, under the same cap
}

func tallyOf(name string, w *Warrant) tallyKey {
	return tallyKey{name, w.IsTest(), w.Action == warrant.Preserve}
}

// tallyPeriod is a cap period: the number-th since the Unix epoch of a length in seconds.
type tallyPeriod struct {
	of             tallyKey
	length, number uint64
}

// life is [Begin, End) in seconds since the Unix epoch.
type life struct{ Begin, End uint64 }

// periods returns the first and last period of a length that a life touches.
func (l life) periods(length uint64) (first, last uint64) {
	return l.Begin / length, (l.End - 1) / length
}

// tally takes the next warrant and returns its place among those of its kind, and its rank
// by a length of the period.
//
// Warrants are known by the cap periods that their lives touch: each counts
// in every period in which it can be used, so that a life that begins in an
// earlier period takes a place in this one too. A new version of a charter may
// have another period length; it then counts the older warrants too. What a
// warrant's rank costs grows with the periods it touches, not with the log.
func (b *Book) tally(k tallyKey, length uint64, l life) (place, rank int) {
	b.measure(k, length)
	place = b.lives.len(k)
	b.lives.add(k, l)
	lengths, _ := b.lengths.get(k)
	for _, length := range lengths {
		b.enter(k, length, l, place)
	}
	return place, b.rank(k, place, length)
}

// rank returns the highest number of warrants, up to the one at a place, in any
// period of a length that its life touches.
func (b *Book) rank(k tallyKey, place int, length uint64) (rank int) {
	b.measure(k, length)
	first, last := b.lives.at(k, place).periods(length)
	for p := first; p <= last; p++ {
		before := b.places.search(tallyPeriod{k, length, p}, func(other int) bool { return other < place })
		rank = max(rank, before+1)
	}
	return rank
}

func (b *Book) enter(k tallyKey, length uint64, l life, place int) {
	first, last := l.periods(length)
	for p := first; p <= last; p++ {
		b.places.add(tallyPeriod{k, length, p}, place)
	}
}

// measure places all lives in the periods of a length, once.
func (b *Book) measure(k tallyKey, length uint64) {
	lengths, _ := b.lengths.get(k)
	if slices.Contains(lengths, length) {
		return
	}
	for place, l := range b.lives.from(k, 0) {
		b.enter(k, length, l, place)
	}
	b.lengths.put(k, append(slices.Clone(lengths), length))
}

// count returns the warrants whose life touches the period of the given length
// that contains at.
func (b *Book) count(k tallyKey, length, at uint64) int {
	if length == 0 {
		return 0
	}
	b.measure(k, length)
	return b.places.len(tallyPeriod{k, length, at / length})
}
