package registry

import (
	"sync"
	"time"

	"writ/directory"
)

// quotas counts the statements of each account in the hour that runs. Who holds one
// device could otherwise fill the log, which every auditor has to read.
type quotas struct {
	perHour int

	mu    sync.Mutex
	begun time.Time
	n     map[directory.Label]int
}

func (q *quotas) allow(label directory.Label, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n == nil || now.Sub(q.begun).Abs() >= time.Hour {
		q.begun, q.n = now, map[directory.Label]int{}
	}
	q.n[label]++
	return q.n[label] <= q.perHour
}
