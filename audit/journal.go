package audit

import (
	"sort"
	"time"
)

// Mark is a checkpoint at which the log had grown: how many entries it covers and
// the latest time at which a quorum of witnesses stood by it.
type Mark struct {
	Size uint64    `json:"size"`
	Time time.Time `json:"time"`
}

// Journal is what an auditor that follows a log saw, sizes ascending.
type Journal []Mark

// at returns the time of the first mark that covers an entry.
func (j Journal) at(index uint64) (time.Time, bool) {
	i := j.find(index)
	if i == len(j) {
		return time.Time{}, false
	}
	return j[i].Time, true
}

// seen returns the time at which an entry appeared: it needs an earlier mark
// that does not cover it (AUD-6).
func (j Journal) seen(index uint64) (time.Time, bool) {
	i := j.find(index)
	if i == 0 || i == len(j) {
		return time.Time{}, false
	}
	return j[i].Time, true
}

func (j Journal) find(index uint64) int {
	return sort.Search(len(j), func(i int) bool { return j[i].Size > index })
}
