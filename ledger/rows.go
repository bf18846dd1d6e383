package ledger

import (
	"time"

	"writ/charter"
)

// The rows of warrants, requests and readings lack what their entries say.

// enactedRow has times as seconds and nanoseconds: as text there is none after the year 9999, but
// each version of a law may come into force a year after the one before.
type enactedRow struct{ Seen, Active [2]int64 }

func enactedForm() form[enacted] {
	pack := func(t time.Time) [2]int64 { return [2]int64{t.Unix(), int64(t.Nanosecond())} }
	unpack := func(t [2]int64) time.Time { return time.Unix(t[0], t[1]) }
	return formOf(
		func(e enacted) enactedRow { return enactedRow{pack(e.seen), pack(e.active)} },
		func(r enactedRow) (enacted, error) { return enacted{unpack(r.Seen), unpack(r.Active)}, nil })
}

type warrantRow struct {
	Index       uint64
	Rank, Place int
	Standing    Standing
}

func (b *Book) warrantForm() form[*LoggedWarrant] {
	return formOf(
		func(w *LoggedWarrant) warrantRow { return warrantRow{w.Index, w.Rank, w.place, w.Standing} },
		func(r warrantRow) (*LoggedWarrant, error) {
			e, err := b.entry(r.Index)
			if err != nil {
				return nil, err
			}
			return &LoggedWarrant{e.Warrant, r.Index, e.Hash(), r.Rank, r.Standing, r.Place}, nil
		})
}

type requestRow struct {
	Index uint64
	Root  [32]byte
	Error ErrorKind
}

func (b *Book) requestForm() form[*LoggedRequest] {
	return formOf(
		func(q *LoggedRequest) requestRow { return requestRow{q.Index, q.Root, q.Error} },
		func(r requestRow) (*LoggedRequest, error) {
			e, err := b.entry(r.Index)
			if err != nil {
				return nil, err
			}
			return &LoggedRequest{e.Request, r.Index, e.Hash(), r.Root, r.Error}, nil
		})
}

func (b *Book) readingForm() form[LoggedReading] {
	return formOf(
		func(x LoggedReading) uint64 { return x.Index },
		func(index uint64) (x LoggedReading, err error) {
			e, err := b.entry(index)
			if err != nil {
				return x, err
			}
			return LoggedReading{e.Reading, index, e.Bytes()}, nil
		})
}

// clockRow names the beacon's key by a law that has it.
type clockRow struct {
	Law       charter.Hash
	Round     uint64
	Signature []byte // nil before it is on the log
}

func (b *Book) clocksForm() form[[]*clock] {
	return formOf(each(func(c *clock) clockRow {
		row := clockRow{Law: c.law, Round: c.round}
		if c.signature != nil {
			row.Signature = c.signature.Bytes()
		}
		return row
	}), eachOrNone(func(r clockRow) (c *clock, err error) {
		c = &clock{law: r.Law, key: b.laws[r.Law].charter.Beacon.Key, round: r.Round}
		if r.Signature != nil {
			c.signature, err = c.key.Verify(r.Round, r.Signature)
		}
		return c, err
	}))
}

func statementForm() form[*charter.KeyStatement] {
	return formOf((*charter.KeyStatement).Encode, charter.ParseKeyStatement)
}

func each[A, B any](f func(A) B) func([]A) []B {
	return func(list []A) (out []B) {
		for _, a := range list {
			out = append(out, f(a))
		}
		return out
	}
}

func eachOrNone[A, B any](f func(A) (B, error)) func([]A) ([]B, error) {
	return func(list []A) (out []B, err error) {
		for _, a := range list {
			b, err := f(a)
			if err != nil {
				return nil, err
			}
			out = append(out, b)
		}
		return out, nil
	}
}
