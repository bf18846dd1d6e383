package model

// Property is what must hold in every state.
type Property struct {
	Name   string
	Broken func(*World, *State) bool
}

// Properties are those of single states. [Graph.Stuck] is the one about what
// can still happen.
var Properties = []Property{
	{"Logged", eachRelease(func(w *World, b *Book, c, r int) bool { return !b.request[r] || b.rank[w.Requests[r]] == 0 })},
	{"Intended", eachRelease(func(w *World, b *Book, c, r int) bool { return b.intents[c][r] == 0 })},
	{"Approved", eachRelease(func(w *World, b *Book, c, r int) bool { return !w.Approved[w.Requests[r]] })},
	{"Cap", overCap},
	{"Place", placeTaken},
	{"OneIntent", twoIntents},
	{"SameRelease", eachCustodian(func(w *World, s *State, c, r int) bool { return s.Custodians[c].Given[r] > 1 })},
	{"Objection", func(w *World, s *State) bool { return s.Seen&Ignored != 0 || eachCustodian(objectionIgnored)(w, s) }},
	{"Stopped", func(w *World, s *State) bool { return s.Seen&Heedless != 0 }},
	{"Offices", officeMissing},
	{"Fresh", func(w *World, s *State) bool { return s.Seen&Stale != 0 }},
	{"Alive", func(w *World, s *State) bool { return s.Seen&Late != 0 }},
}

// eachCustodian is broken if one honest custodian breaks it for one request.
func eachCustodian(broken func(w *World, s *State, c, r int) bool) func(*World, *State) bool {
	return func(w *World, s *State) bool {
		for c := range w.Offices {
			for r := range w.Requests {
				if !w.rogue(c) && broken(w, s, c, r) {
					return true
				}
			}
		}
		return false
	}
}

// eachRelease is broken if a share was handed out that the log does not bear.
func eachRelease(broken func(w *World, b *Book, c, r int) bool) func(*World, *State) bool {
	return func(w *World, s *State) bool {
		b := w.truth(s)
		return eachCustodian(func(w *World, s *State, c, r int) bool {
			return s.Custodians[c].Given[r] > 0 && broken(w, b, c, r)
		})(w, s)
	}
}

// overCap: a share was handed out, or the examiner opened, under a warrant
// whose place on the log is beyond the cap.
func overCap(w *World, s *State) bool {
	b := w.truth(s)
	for r, x := range w.Requests {
		if s.Opened&(1<<r) != 0 && b.rank[x] > w.Cap {
			return true
		}
	}
	return eachRelease(func(w *World, b *Book, c, r int) bool { return b.rank[w.Requests[r]] > w.Cap })(w, s)
}

// placeTaken: an approved warrant stands further back under the cap than the approved
// ones up to it, by the book as its readers have it.
func placeTaken(w *World, s *State) bool {
	b := w.book(s, int(s.Len))
	for x, rank := range b.rank {
		before := 0
		for y, approved := range w.Approved {
			if approved && b.rank[y] > 0 && b.rank[y] <= rank {
				before++
			}
		}
		if x < len(w.Approved) && w.Approved[x] && rank > before {
			return true
		}
	}
	return false
}

// twoIntents: a custodian signed two intents for one request, or two count.
func twoIntents(w *World, s *State) bool {
	b := w.book(s, int(s.Len))
	return eachCustodian(func(w *World, s *State, c, r int) bool {
		both := intentBit(c, r, 0) | intentBit(c, r, 1)
		return s.Sent&both == both || b.intents[c][r] > 1
	})(w, s)
}

// objectionIgnored: the operator's objection was accepted, and the custodian
// releases, or its intent is out.
func objectionIgnored(w *World, s *State, c, r int) bool {
	k := &s.Custodians[c]
	out := s.Sent&(intentBit(c, r, 0)|intentBit(c, r, 1)) != 0
	return k.Objected&(1<<w.Requests[r]) != 0 && (out || k.Given[r] > 0)
}

func officeMissing(w *World, s *State) bool {
	for r := range w.Requests {
		if s.Opened&(1<<r) != 0 && len(w.offices(s, r)) < 2 {
			return true
		}
	}
	return false
}

// due reports whether a request ought to be opened yet: its warrant was
// approved and lives, has or can get a place under the cap, and in each office
// a custodian is willing, or bound by what it decided.
func (w *World) due(s *State, r int) bool {
	x := w.Requests[r]
	b := w.book(s, int(s.Len))
	place := b.rank[x]
	if place == 0 {
		place = b.warrants + 1
	}
	willing := map[int]bool{}
	for c, office := range w.Offices {
		if w.rogue(c) || w.willing(&s.Custodians[c], r) {
			willing[office] = true
		}
	}
	return w.Approved[x] && !b.stopped[x] && w.alive(s) && place <= w.Cap && len(willing) == 2
}

func (w *World) willing(k *Custodian, r int) bool {
	x := w.Requests[r]
	return k.Decision[r] != Undecided || k.Objected&(1<<x) == 0 && k.Met&(1<<w.order(x)) == 0
}
