package model

// Step is one atomic step: a kind, a custodian, a request or a warrant or an
// entry, and the checkpoint that was shown.
type Step struct {
	kind    kind
	c, what uint8
	size    uint8
	old     bool
}

type kind uint8

const (
	logs kind = iota
	ticks
	objects
	checks
	objected
	decides
	sends
	proves
	makes
	keeps
	answers
	repeats
	crashes
	fails
	leaks
	opens
)

// steps calls next with every state that one step leads to.
func (w *World) steps(s *State, next func(Step, State)) {
	w.logSteps(s, next)
	w.tick(s, next)
	for c := range w.Offices {
		if w.rogue(c) {
			w.leak(s, c, next)
			continue
		}
		w.object(s, c, next)
		w.crash(s, c, next)
		for r := range w.Requests {
			w.call(s, c, r, next)
		}
	}
	for r := range w.Requests {
		w.open(s, r, next)
	}
}

// logSteps: the docket signs warrant and request entries, custodians sent
// intents, and the notary logs any of them in any order, late or never. Honest
// ones log only what counts and was approved (LED-43).
func (w *World) logSteps(s *State, next func(Step, State)) {
	add := func(e Entry, honest bool) {
		if w.Lies == 0 && !(honest && w.apply(w.book(s, int(s.Len)), e)) || w.Lies > 0 && int(s.Len) >= w.Lies {
			return
		}
		n := *s
		n.Log[n.Len] = e
		n.Len++
		next(Step{kind: logs, what: uint8(e)}, n)
	}
	for x, approved := range w.Approved {
		add(warrantEntry(x), approved)
	}
	for x := range w.Approved {
		if w.Stops {
			add(stopEntry(x), true)
		}
	}
	for r := range w.Requests {
		add(requestEntry(r), true)
	}
	for c := range w.Offices {
		for r := range w.Requests {
			for nonce := range uint8(2) {
				if s.Sent&intentBit(c, r, nonce) != 0 {
					add(intentEntry(c, r, nonce), true)
				}
			}
		}
	}
}

// tick: time passes, and every checkpoint shown so far gets old.
func (w *World) tick(s *State, next func(Step, State)) {
	if s.Now >= w.Life {
		return
	}
	n := *s
	n.Now++
	n.Floor = n.Len
	for c := range n.Custodians {
		for r := range n.Custodians[c].Call {
			for i, p := range n.Custodians[c].Call[r] {
				if p == Proven {
					n.Custodians[c].Call[r][i] = Aged
				}
			}
		}
	}
	next(Step{kind: ticks}, n)
}

// object: an operator objects to a warrant on the log (REL-21).
func (w *World) object(s *State, c int, next func(Step, State)) {
	k := &s.Custodians[c]
	if !w.Objects || w.has(Turn) && k.deciding() {
		return
	}
	b := w.book(s, int(s.Len))
	for x := range w.Approved {
		used := false
		for r, under := range w.Requests {
			used = used || under == x && k.Decision[r] != Undecided
		}
		if b.rank[x] == 0 || k.Objected&(1<<x) != 0 || w.has(Used) && used {
			continue
		}
		n := *s
		n.Custodians[c].Objected |= 1 << x
		next(Step{kind: objects, c: uint8(c), what: uint8(x)}, n)
	}
}

// crash: the custodian is killed and starts again; what it recovers is what it
// wrote down.
func (w *World) crash(s *State, c int, next func(Step, State)) {
	n := *s
	n.Custodians[c].Call = [maxRequests][2]Phase{}
	if n != *s {
		next(Step{kind: crashes, c: uint8(c)}, n)
	}
}

// leak: a custodian that keeps to nothing gives its share away.
func (w *World) leak(s *State, c int, next func(Step, State)) {
	for r := range w.Requests {
		n := *s
		n.Custodians[c].Given[r] = 1
		next(Step{kind: leaks, c: uint8(c), what: uint8(r)}, n)
	}
}

// open: the examiner combines what it has (REL-44).
func (w *World) open(s *State, r int, next func(Step, State)) {
	if has := w.offices(s, r); len(has) < 2 && (w.has(Offices) || len(has) == 0) {
		return
	}
	n := *s
	n.Opened |= 1 << r
	next(Step{kind: opens, what: uint8(r)}, n)
}

// offices returns the offices whose shares the examiner has.
func (w *World) offices(s *State, r int) map[int]bool {
	has := map[int]bool{}
	for c, office := range w.Offices {
		if s.Custodians[c].Given[r] > 0 {
			has[office] = true
		}
	}
	return has
}
