package model

// call: a custodian works on a request. Requests come in any order and any
// number; each case is one step, and a crash can come between any two.
func (w *World) call(s *State, c, r int, next func(Step, State)) {
	if k := &s.Custodians[c]; w.has(LookUp) && k.Decision[r] >= Kept && k.Call[r] == [2]Phase{} {
		w.repeat(s, c, r, next)
		return
	}
	for slot, phase := range s.Custodians[c].Call[r] {
		if slot > 0 && w.has(Hold) {
			return
		}
		a := &act{w, s, c, r, slot, next}
		switch phase {
		case Idle:
			a.check()
			continue
		case Checked:
			a.decide()
		case Decided:
			a.send()
			a.prove()
		case Proven, Aged:
			a.makeRelease(phase)
		case Made, Stored:
			a.finish(phase)
		}
		a.to(fails, Idle, nil)
	}
}

// repeat: custodian.answer finds a release on the disk.
func (w *World) repeat(s *State, c, r int, next func(Step, State)) {
	n := *s
	k := &n.Custodians[c]
	if k.Decision[r] == Kept {
		k.Decision[r] = Given
		k.give(r)
	}
	next(Step{kind: repeats, c: uint8(c), what: uint8(r)}, n)
}

// act is one call's next step.
type act struct {
	w          *World
	s          *State
	c, r, slot int
	next       func(Step, State)
}

// to ends a step in a phase, with what else it changes.
func (a *act) to(k kind, p Phase, change func(*State, *Custodian)) { a.shown(k, view{}, p, change) }

func (a *act) shown(k kind, v view, p Phase, change func(*State, *Custodian)) {
	n := *a.s
	n.Custodians[a.c].Call[a.r][a.slot] = p
	if change != nil {
		change(&n, &n.Custodians[a.c])
	}
	a.next(Step{k, uint8(a.c), uint8(a.r), uint8(v.size), v.old}, n)
}

// check: Server.decide takes its turn, refreshes its copy and makes every
// check. A refusal is remembered only where it is for an objection.
func (a *act) check() {
	k := &a.s.Custodians[a.c]
	if a.w.has(Turn) && k.deciding() || a.w.has(LookUp) && k.Decision[a.r] >= Kept {
		return
	}
	for _, v := range a.w.views(a.s) {
		if !a.authorized(a.w.book(a.s, v.size)) {
			continue
		}
		switch entry, order := a.objected(); {
		case entry:
			a.shown(objected, v, Idle, func(_ *State, k *Custodian) { k.Met |= order })
		case !a.w.has(SameWarrant) || k.Met&order == 0 || a.w.has(Bound) && k.Decision[a.r] == Pending:
			heedless := a.w.book(a.s, v.size).stopped[a.w.Requests[a.r]]
			a.shown(checks, v, Checked, func(n *State, _ *Custodian) {
				n.note(a.w, v.old)
				if heedless {
					n.Seen |= Heedless
				}
			})
		}
	}
}

// authorized: unseal.Authorize.
func (a *act) authorized(b *Book) bool {
	w, x := a.w, a.w.Requests[a.r]
	return (!w.has(Approvals) || w.Approved[x]) &&
		(!w.has(Proof) || a.s.logged(warrantEntry(x)) && a.s.logged(requestEntry(a.r))) &&
		(!w.has(OwnCopy) || b.rank[x] > 0 && b.request[a.r]) &&
		(!w.has(LifeAtCheck) || w.alive(a.s)) &&
		(!w.has(Standing) || !b.stopped[x]) &&
		(!w.has(Cap) || b.rank[x] <= w.Cap)
}

// objected: Server.objected, whether the operator objects to the warrant entry.
// Only now the custodian knows which warrant it is of.
func (a *act) objected() (entry bool, order uint8) {
	x := a.w.Requests[a.r]
	entry = a.w.has(Objection) && a.s.Custodians[a.c].Objected&(1<<x) != 0
	return entry, 1 << a.w.order(x)
}

// decide: the intent is signed and written down, and the turn given back. With
// Insert a record that holds anything else stands in the way.
func (a *act) decide() {
	old := &a.s.Custodians[a.c]
	nonce := old.Nonce[a.r]
	if !a.w.has(SameIntent) && old.Decision[a.r] == Pending {
		nonce = 1
	}
	same := old.Decision[a.r] == Pending && nonce == old.Nonce[a.r]
	if a.w.has(Insert) && old.Decision[a.r] != Undecided && !same {
		return
	}
	_, order := a.objected()
	a.to(decides, Decided, func(n *State, k *Custodian) {
		if k.Decision[a.r] == Undecided && k.Met&order != 0 {
			n.Seen |= Ignored
		}
		if a.w.has(WriteFirst) {
			k.Decision[a.r], k.Nonce[a.r] = Pending, nonce
		}
	})
}

// send: replica.Add posts the intent. It may get lost, come late or twice.
func (a *act) send() {
	bit := intentBit(a.c, a.r, a.s.Custodians[a.c].Nonce[a.r])
	if a.s.Sent&bit == 0 {
		a.to(sends, Decided, func(n *State, _ *Custodian) { n.Sent |= bit })
	}
}

// prove: replica.Add finds the intent in its copy and has its proof.
func (a *act) prove() {
	nonce := a.s.Custodians[a.c].Nonce[a.r]
	for _, v := range a.w.views(a.s) {
		b := a.w.book(a.s, v.size)
		if a.w.has(IntentProof) && (b.intents[a.c][a.r] == 0 || b.nonce[a.c][a.r] != nonce) {
			continue
		}
		phase := Proven
		if v.old {
			phase = Aged
		}
		a.shown(proves, v, phase, nil)
	}
}

// makeRelease: unseal.NewRelease. Each one made has other bytes.
func (a *act) makeRelease(p Phase) {
	if a.w.has(FreshRelease) && p == Aged || a.w.has(LifeRelease) && !a.w.alive(a.s) {
		return
	}
	a.to(makes, Made, func(n *State, _ *Custodian) { n.note(a.w, p == Aged) })
}

// finish: the release is stored, then handed out; without KeepFirst the other
// way round.
func (a *act) finish(p Phase) {
	switch {
	case a.w.has(KeepFirst) && p == Made:
		a.to(keeps, Stored, func(_ *State, k *Custodian) { k.Decision[a.r] = Kept })
	case a.w.has(KeepFirst):
		a.to(answers, Idle, func(_ *State, k *Custodian) {
			if k.Decision[a.r] == Kept {
				k.give(a.r)
			}
			k.Decision[a.r] = Given
		})
	case p == Made:
		a.to(answers, Stored, func(_ *State, k *Custodian) { k.give(a.r) })
	default:
		a.to(keeps, Idle, func(_ *State, k *Custodian) { k.Decision[a.r] = Given })
	}
}

// note remembers a step on an old checkpoint or after the warrant's life.
func (s *State) note(w *World, old bool) {
	if old {
		s.Seen |= Stale
	}
	if !w.alive(s) {
		s.Seen |= Late
	}
}

// logged reports whether the log has an entry: a proof under a fresh
// checkpoint can be had of any that it has.
func (s *State) logged(e Entry) bool {
	for _, x := range s.Log[:s.Len] {
		if x == e {
			return true
		}
	}
	return false
}
