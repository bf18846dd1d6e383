package delivery

import (
	"sync"
	"time"
)

// takes bounds how many key packages one account takes of another. Stock is small, a
// package is handed out once, and nobody can add a device that has none left. The
// count lives in memory and begins anew with the process.
type takes struct {
	mu    sync.Mutex
	begun time.Time
	n     map[takePair]int
}

type takePair struct{ taker, account string }

// Bounds of takes.
const (
	maxTakes  = 16 // of one account by another, within takesSpan
	takesSpan = time.Hour
)

// allow counts a take and reports whether it is within the bounds. An account may take
// its own as it likes.
func (x *takes) allow(taker, account string, now time.Time) bool {
	if taker == account {
		return true
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.n == nil || now.Sub(x.begun).Abs() >= takesSpan {
		x.begun, x.n = now, map[takePair]int{}
	}
	p := takePair{taker, account}
	x.n[p]++
	return x.n[p] <= maxTakes
}
