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
	n     map[string]map[string]int // by who takes, then by whose
}

// Bounds of takes.
const (
	maxTakes  = 16   // of one account by another, within takesSpan
	maxTaken  = 1024 // accounts of which one takes, within takesSpan
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
		x.begun, x.n = now, map[string]map[string]int{}
	}
	of := x.n[taker]
	if of == nil {
		of = map[string]int{}
		x.n[taker] = of
	}
	if len(of) >= maxTaken && of[account] == 0 {
		return false
	}
	of[account]++
	return of[account] <= maxTakes
}
