package bundle

import (
	"writ/ledger"
	"writ/warrant"
)

// ReadingFacts is one logged reading of a bundle of this request.
type ReadingFacts struct {
	Reader  string `json:"reader"` // by the name that the warrant gives
	Purpose string `json:"purpose"`
	Index   uint64 `json:"index"`  // of its entry on the log
	Logged  string `json:"logged"` // at the latest
}

// WithReadings returns a bundle with other readings in it. It verifies nothing.
func WithReadings(b []byte, readings []Proven) ([]byte, error) {
	c, err := parse(b)
	if err != nil {
		return nil, err
	}
	c.Readings = readings
	return c.encode(), nil
}

// readings is BUN-15: each reading is of this request, by one whom the warrant
// names, signed with that person's key.
func (v *verifier) readings() error {
	named := map[warrant.PersonKey]string{}
	for _, x := range v.warrant.Readers {
		named[x.Key] = x.ID
	}
	err := v.included(checkReadings, "reading", v.c.Readings, ledger.TypeReading, func(where string, in *ledger.Included) error {
		x := in.Entry().Reading
		switch {
		case x.Request != v.requestIn.Entry().Hash() || x.RequestIndex != v.requestIn.Index():
			return fail(checkReadings, where, "it is of another request")
		case in.Index() <= v.requestIn.Index():
			return fail(checkReadings, where, "it stands before the request on the log")
		case named[x.Key] == "" || !v.warrantIn.Entry().Warrant.Names(x):
			return fail(checkReadings, where, "by somebody whom the warrant does not name")
		case !x.Verify():
			return fail(checkReadings, where, "not signed by the reader's key")
		}
		v.report.Readings = append(v.report.Readings, ReadingFacts{named[x.Key], x.Purpose.String(), in.Index(), utc(in.Checkpoint().Time().Unix())})
		return nil
	})
	if err == nil {
		v.passed(checkReadings, len(v.c.Readings))
	}
	return err
}
