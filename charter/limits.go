package charter

import (
	"errors"
	"fmt"
	"strings"
)

const (
	minute = 60
	day    = 24 * 60 * minute
	year   = 366 * day
)

// MaxCapPeriods bounds the cap periods in which one warrant counts.
const MaxCapPeriods = 400

// limit is one of a charter's limits with its hard bounds.
type limit struct {
	name            string
	value, min, max uint64
}

const capName = "cap of subjects"

// say says the limit's value.
func (l *limit) say() string {
	if l.name == capName {
		return count(l.value, "warrant")
	}
	return span(l.value)
}

// limitBounds are the hard bounds of each limit, which no charter may leave.
// The lower ones are small so that a world for tests can run in minutes.
func limitBounds(l *Limits) []limit {
	return []limit{
		{"longest epoch age", l.MaxEpochAge, minute, 7 * day},
		{"longest window", l.MaxWindow, minute, year},
		{"longest life of a warrant", l.MaxWarrantLife, minute, year},
		{capName, uint64(l.CapSubjects), 1, 1_000_000},
		{"cap period", l.CapPeriod, minute, year},
		{"longest delay of notice", l.MaxNoticeDelay, 1, 2 * year},
		{"key period", l.KeyPeriod, minute, year},
		{"horizon", l.Horizon, minute, 10 * year},
		{"activation delay", l.ActivationDelay, 1, year},
		{"freshness", l.Freshness, 1, 7 * day},
		{"longest hold", l.MaxHold, 0, 10 * year},
	}
}

func (c *Charter) checkLimits() error {
	for _, b := range limitBounds(&c.Limits) {
		if b.value < b.min || b.value > b.max {
			return fmt.Errorf("%s is %d, not within %d and %d", b.name, b.value, b.min, b.max)
		}
	}
	if c.Limits.MaxWarrantLife > MaxCapPeriods*c.Limits.CapPeriod {
		return fmt.Errorf("a warrant may live for more than %d cap periods", MaxCapPeriods)
	}
	return c.Limits.Tariff.check()
}

// maxAmount bounds a tariff's amounts, so that their sums fit 64 bits.
const maxAmount = 1_000_000_000

func (t *Tariff) check() error {
	if t == nil {
		return nil
	}
	other := func(r rune) bool { return r < 'A' || r > 'Z' }
	if len(t.Currency) != maxCurrency || strings.ContainsFunc(t.Currency, other) {
		return fmt.Errorf("tariff in currency %q, not three capital letters", t.Currency)
	}
	if t.PerOpening > maxAmount || t.PerCompartment > maxAmount || t.PerOpening+t.PerCompartment == 0 {
		return fmt.Errorf("tariff of %d and %d", t.PerOpening, t.PerCompartment)
	}
	return nil
}

func (c *Charter) checkHorizon() error {
	if c.Limits.Horizon < c.Limits.MaxEpochAge {
		return errors.New("horizon shorter than the longest epoch age")
	}
	return nil
}

func (c *Charter) checkUrgent() error {
	u := c.Limits.Urgent
	if u == nil {
		return nil
	}
	if u.MaxLife < 1 || u.MaxLife >= c.Limits.MaxWarrantLife || u.ReviewWithin < 1 || u.ReviewWithin > 30*day {
		return fmt.Errorf("urgent life of %d s, review within %d s", u.MaxLife, u.ReviewWithin)
	}
	return nil
}
